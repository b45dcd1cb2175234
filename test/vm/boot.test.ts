import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileDigest } from "./cache.ts";
import { blsText, goodVolume, marks, type Scenario, scenario } from "./scenario.ts";
import { signedFiles } from "./sign.ts";

let on: Scenario;
beforeAll(async () => {
  on = await scenario();
});
afterAll(() => on[Symbol.asyncDispose]());

describe("a GPT disk with an ESP and a root filesystem", () => {
  it("boots the entry that the Boot Loader Specification's order puts first, with its options to the byte", async () => {
    const options = `console=ttyS0  panic=-1 root=UUID=0a1b "quo ted" a=b=c 'single' \\back x="y z"`;
    const files = await signedFiles(on.keys, {
      "/loader/entries/alpha-6.1.conf": blsText("older", { sortKey: "debian" }).concat("version 6.1.9\n"),
      "/loader/entries/alpha-6.2.conf": blsText("newer", { sortKey: "debian", options }).concat("version 6.1.10\n"),
      "/loader/entries/zeta.conf": blsText("other"),
      "/vmlinuz": on.vmlinuz,
      "/initrd.img": on.initrd,
    });
    const disk = await on.disk("bls.img", [
      { type: "esp", filesystem: "vfat", label: "ESP", files },
      { type: "linux", filesystem: "ext4", label: "root", files: { "/etc/hostname": "target\n" } },
    ]);
    const before = await fileDigest(disk);
    await using vm = await on.boot({ disks: [{ path: disk, keepWrites: true }] });
    const [, commandLine] = await vm.expect(/TARGET-CMDLINE:(.*):END/, 120_000);
    expect(commandLine).toBe(options);
    expect((await vm.waitForExit()).code).toBe(0);
    expect(marks(vm.log)).toEqual([
      "init",
      "devices",
      "entries 3",
      "chosen vda1:bls1:alpha-6.2",
      "verified vda1:bls1:alpha-6.2 by test",
      "handoff by kexec_load, no second digest: quicker, and the bytes were read into sealed memory an instant ago",
      "loaded",
      "jump",
    ]);
    expect(await fileDigest(disk)).toBe(before);
  });

  it("merges the ESP and the extended boot partition of a disk into one order", async () => {
    const disk = await on.disk("xbootldr.img", [
      { type: "esp", filesystem: "vfat", files: await goodVolume(on, "system-1") },
      { type: "xbootldr", filesystem: "ext4", files: await goodVolume(on, "system-2") },
    ]);
    await using vm = await on.boot({ disks: [disk] });
    await vm.expect("slipway: chosen vda2:bls1:system-2", 120_000);
    await vm.expect("TARGET-CMDLINE:console=ttyS0 panic=-1 entry=system-2:END", 60_000);
  });
});

describe("under UEFI firmware", () => {
  it("boots, and the target kernel still sees the firmware", async () => {
    const disk = await on.disk("uefi.img", [{ type: "esp", filesystem: "vfat", files: await goodVolume(on) }]);
    await using vm = await on.boot({ disks: [disk], vm: { uefi: true } });
    await vm.expect("slipway: verified vda1:bls1:good by test", 120_000);
    await vm.expect("slipway: jump");
    expect(vm.log).not.toContain("slipway: warning");
    await vm.expect(/efi: EFI v2\.\d+ by /, 60_000);
    await vm.expect("entry=good:END", 60_000);
  });
});

describe("the operator's configuration", () => {
  it("names the entry to boot, and the firmware kernel's command line may override it", async () => {
    const files = await signedFiles(on.keys, {
      "/loader/entries/one.conf": blsText("one", { sortKey: "1" }),
      "/loader/entries/two.conf": blsText("two", { sortKey: "2" }),
      "/loader/entries/three.conf": blsText("three", { sortKey: "3" }),
      "/vmlinuz": on.vmlinuz,
      "/initrd.img": on.initrd,
    });
    const disk = await on.disk("chosen.img", [{ type: "linux", filesystem: "ext4", files }]);
    await using vm = await on.boot({
      disks: [disk],
      config: { entry: "*:two" },
      append: "slipway.entry=three slipway.trust=off slipway.nonsense=1",
    });
    await vm.expect('slipway: warning: kernel command line: "slipway.trust": trust cannot be overridden', 120_000);
    await vm.expect('slipway: warning: kernel command line: "slipway.nonsense": there is no such setting');
    await vm.expect("slipway: verified vda1:bls1:three by test");
    await vm.expect("entry=three:END", 60_000);
  });
});
