import { randomFillSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { goodVolume, type Scenario, scenario } from "./scenario.ts";

let on: Scenario;
let good: string;
beforeAll(async () => {
  on = await scenario();
  good = await on.disk("good.img", [{ type: "esp", filesystem: "vfat", files: await goodVolume(on) }]);
});
afterAll(() => on[Symbol.asyncDispose]());

describe("devices", () => {
  it("no disk: rescue with its reason, and the machine goes on waiting for one", async () => {
    await using vm = await on.boot({ append: "slipway.discovery.deviceTimeoutSeconds=1" });
    await vm.expect("slipway: entries 0", 120_000);
    await vm.expect("slipway: rescue: no boot entry: there is no disk");
    await vm.expect("slipway> ");
    await vm.plugDisk(good);
    await vm.expect("slipway: chosen vda1:bls1:good");
    await vm.expect("entry=good:END", 60_000);
  });

  it("a disk of random bytes beside a good one: the good one boots", async () => {
    const random = path.join(on.directory, "random.img");
    await writeFile(random, randomFillSync(Buffer.alloc(32 << 20)));
    await using vm = await on.boot({ disks: [random, good] });
    await vm.expect("slipway: chosen vdb1:bls1:good", 120_000);
    await vm.expect("entry=good:END", 60_000);
  });

  it("a disk plugged in later is found when it appears", async () => {
    await using vm = await on.boot({ append: "slipway.discovery.deviceTimeoutSeconds=60" });
    await vm.expect("slipway: entries 0", 120_000);
    await new Promise((resolve) => setTimeout(resolve, 5000));
    expect(vm.log).not.toContain("slipway: rescue");
    await vm.plugDisk(good);
    await vm.expect("slipway: verified vda1:bls1:good by test");
    await vm.expect("entry=good:END", 60_000);
  });
});
