import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { payload } from "./payload.ts";
import { startVm } from "./vm.ts";

/** The payloads that QEMU itself can load: what they say is what another loader gave them. */

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), "slipway-payload-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

test.each(["multiboot1", "multiboot1-flat"] as const)("%s tells what it was given", async (name) => {
  const modules = [path.join(scratch, "first"), path.join(scratch, "second")] as const;
  await writeFile(modules[0], "the first module");
  await writeFile(modules[1], new Uint8Array(100_000).fill(3));
  const kernel = await payload(name);
  const initrd = `${modules[0]} one,${modules[1]} two three`;
  await using vm = await startVm({ kernel, initrd, append: "root=there quiet", memoryMiB: 256 });
  expect(await vm.waitForExit()).toEqual({ code: 0, signal: null, errors: "" });
  const said = vm.log.slice(vm.log.indexOf("PAYLOAD")).split("\n");
  // Multiboot specification 0.6.96, section 3.2 (eax) and 3.3; QEMU puts the file's name in front of the command line.
  expect(said[0]).toMatch(/^PAYLOAD multiboot magic=0x2badb002 flags=0x[0-9a-f]{8} cmdline="/);
  expect(said[0]).toContain(`cmdline="${kernel} root=there quiet" loader="qemu" mods=0x00000002 lower=0x0000027f`);
  expect(said[1]).toMatch(RegExp(`string="${modules[0]} one" bytes=746865206669727374206d6f64756c65 sum=0x0000062f$`));
  expect(said[2]).toMatch(RegExp(`string="${modules[1]} two three" bytes=${"03".repeat(16)} sum=0x000493e0$`));
  expect(said).toContain("PAYLOAD map address=0x0000000000000000 length=0x000000000009fc00 type=0x00000001");
  expect(said).toContain("PAYLOAD memory data=good bss=zero");
  expect(said.at(-2)).toBe("PAYLOAD end");
});
