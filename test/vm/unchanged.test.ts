import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileDigest } from "./cache.ts";
import { runCommand } from "./command.ts";
import { flipBit, goodVolume, type Scenario, scenario } from "./scenario.ts";
import { targetInitrd } from "./target.ts";
import { startVm } from "./vm.ts";

let on: Scenario;
beforeAll(async () => {
  on = await scenario();
});
afterAll(() => on[Symbol.asyncDispose]());

/** Writes to both filesystems and dies without unmounting them: what a power cut leaves. */
async function cutPower(disk: string): Promise<void> {
  const initrd = await targetInitrd({
    modules: { kernel: on.kernel, names: ["virtio_pci", "virtio_blk", "ext4", "xfs"] },
    commands: [
      "mkdir /a /b",
      "mount -t xfs /dev/vda1 /a && mount -t ext4 /dev/vda2 /b",
      "for i in 1 2 3 4 5 6 7 8; do echo $i > /a/file$i; echo $i > /b/file$i; done",
      "sync",
      "for i in 1 2 3; do rm /a/file$i /b/file$i; mkdir /a/dir$i /b/dir$i; done",
      "sync -f /a; sync -f /b; sync",
      "echo WRITTEN",
      "sleep 1000",
    ],
  });
  const image = `${on.directory}/writer.cpio`;
  await writeFile(image, initrd);
  await using vm = await startVm({
    kernel: on.kernel.vmlinuz,
    initrd: image,
    append: "console=ttyS0 panic=-1",
    disks: [{ path: disk, keepWrites: true }],
  });
  await vm.expect("WRITTEN", 120_000);
  await vm.qmp("quit");
  await vm.exit;
}

describe("a disk whose journals need recovery", () => {
  it("is the same after a boot as before, to the bit", async () => {
    const onXfs = await goodVolume(on, "on-xfs");
    const kernel = onXfs["/vmlinuz"];
    if (kernel instanceof Uint8Array) onXfs["/vmlinuz"] = flipBit(kernel, 4_000_000);
    const disk = await on.disk("journals.img", [
      { filesystem: "xfs", files: onXfs },
      { filesystem: "ext4", files: await goodVolume(on, "on-ext4") },
    ]);
    await cutPower(disk);
    const journal = await runCommand("sh", ["-c", `dumpe2fs -h "$0?offset=$((321 << 20))" 2>/dev/null`, disk]);
    expect(journal).toMatch(/^Filesystem features:.*needs_recovery/m);
    const log = await runCommand("sh", [
      "-c",
      `dd if="$0" of="$0.xfs" bs=1M skip=1 count=320 status=none && xfs_logprint -t "$0.xfs" 2>&1; rm -f "$0.xfs"`,
      disk,
    ]);
    expect(log).toMatch(/state: <DIRTY>/);

    const before = await fileDigest(disk);
    await using vm = await on.boot({ disks: [{ path: disk, keepWrites: true }] });
    // The entry on xfs is refused after its files were read: both filesystems were mounted.
    await vm.expect(/slipway: refused vda1:bls1:on-xfs: linux "\/vmlinuz" on vda1 refused: .*does not match/, 120_000);
    await vm.expect("slipway: verified vda2:bls1:on-ext4 by test");
    await vm.expect("entry=on-ext4:END", 60_000);
    await vm.waitForExit();
    expect(await fileDigest(disk)).toBe(before);
  });
});
