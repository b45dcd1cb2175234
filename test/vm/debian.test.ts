import { readFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildDirectory, fileDigest } from "./cache.ts";
import { type DebianDisk, debianDisk } from "./debian.ts";
import { marks, type Scenario, scenario } from "./scenario.ts";
import { throwawayKeys } from "./sign.ts";

let on: Scenario;
let debian: DebianDisk;
beforeAll(async () => {
  on = await scenario();
  debian = await debianDisk(await throwawayKeys(path.join(buildDirectory, "test-keys")));
});
afterAll(() => on[Symbol.asyncDispose]());

describe("an installed Debian with the grub.cfg that its own grub-mkconfig wrote", () => {
  it("boots through Slipway to systemd's login prompt", async () => {
    const before = await fileDigest(debian.path);
    await using vm = await on.boot({ disks: [debian.path], memoryMiB: 2048 });
    await vm.expect("slipway: chosen vda2:grub:0", 180_000);
    await vm.expect("slipway: verified vda2:grub:0 by test", 60_000);
    await vm.expect("slipway: jump", 60_000);
    // The kernel's own words for what it was given.
    const [, given] = await vm.expect(/Command line: (.*)\n/, 60_000);
    const [, written] = /^\s*linux\s+(\/boot\/\S+ .*)$/m.exec(await readFile(debian.grubConfig, "utf8")) ?? [];
    expect(given).toBe(`BOOT_IMAGE=${written?.trim().replace(/\s+/g, " ")}`);
    await vm.expect("target login:", 240_000);
    expect(marks(vm.log).filter((mark) => mark.startsWith("refused"))).toEqual([]);
    expect(await fileDigest(debian.path)).toBe(before);
  });
});
