import { copyFile, open, truncate } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCommand } from "./command.ts";
import type { DiskFiles } from "./disk.ts";
import { blsText, goodVolume, type Scenario, scenario } from "./scenario.ts";
import { signedFiles } from "./sign.ts";

let on: Scenario;
beforeAll(async () => {
  on = await scenario();
});
afterAll(() => on[Symbol.asyncDispose]());

/** Writes bytes into an image. */
async function patch(image: string, offset: number, bytes: Uint8Array): Promise<void> {
  await using file = await open(image, "r+");
  await file.write(bytes, 0, bytes.length, offset);
}

/** Entries that must not boot, with what the log says of each. */
async function badEntries(): Promise<DiskFiles> {
  const huge = `title long\nlinux /vmlinuz\noptions ${"x".repeat(10 << 20)}\n`;
  return {
    ...(await signedFiles(on.keys, {
      "/loader/entries/a-huge-initrd.conf": blsText("huge", { sortKey: "a", initrd: "/huge.img" }),
      "/loader/entries/b-link-out.conf": blsText("link", { sortKey: "b", linux: "/escape" }),
      "/loader/entries/c-dots.conf": blsText("dots", { sortKey: "c", linux: "/../../etc/passwd" }),
      "/loader/entries/d-long.conf": huge,
      "/loader/entries/e-no-kernel.conf": blsText("none", { sortKey: "e", linux: "/none" }),
      "/loader/entries/f-directory.conf": blsText("directory", { sortKey: "f", linux: "/loader" }),
      "/loader/entries/g-not-a-kernel.conf": blsText("text", { sortKey: "g", linux: "/text" }),
      "/loader/entries/h-long-options.conf": blsText("options", { sortKey: "h", options: "y".repeat(3000) }),
      "/text": "this is no kernel\n".repeat(100),
      "/vmlinuz": on.vmlinuz,
      "/initrd.img": on.initrd,
      "/huge.img": "grows below",
    })),
    "/escape": { link: "../../proc/kcore" },
  };
}

describe("hostile input", () => {
  it("is refused with its reason, and other volumes and entries still boot", async () => {
    const bad = await on.disk("bad.img", [{ filesystem: "ext4", files: await badEntries() }], { table: "none" });
    // A hole of 4 GiB: the file is longer than the disk.
    await runCommand("debugfs", ["-w", "-R", "set_inode_field /huge.img size 4294967296", bad]);

    const truncated = await on.disk("truncated.img", [{ filesystem: "ext4", files: { "/x": "x" } }], { table: "none" });
    await truncate(truncated, 20 << 20);

    const absurd = await on.disk("absurd.img", [{ filesystem: "ext4", files: { "/x": "x" } }], { table: "none" });
    // s_log_block_size (offset 24 of the superblock at 1024): blocks of 2^(10 + 200) bytes.
    await patch(absurd, 1024 + 24, Uint8Array.of(200, 0, 0, 0));

    const cut = path.join(on.directory, "cut.img");
    await copyFile(
      await on.disk("whole.img", [
        { type: "linux", filesystem: "ext4", files: { "/x": "x" }, sizeMiB: 16 },
        { type: "linux", filesystem: "ext4", files: { "/x": "x" }, sizeMiB: 16 },
      ]),
      cut,
    );
    // The second partition, and the backup table, now lie behind the end.
    await truncate(cut, 20 << 20);

    const good = await on.disk("good.img", [{ type: "esp", filesystem: "vfat", files: await goodVolume(on) }]);
    await using vm = await on.boot({ disks: [bad, truncated, absurd, cut, good], memoryMiB: 1536 });
    await vm.expect("slipway: chosen vda:bls1:a-huge-initrd", 180_000);
    await vm.expect('refused vda:bls1:a-huge-initrd: initrd "/huge.img" on vda: 4294967296 bytes, at most 1073741824');
    await vm.expect("refused vda:bls1:g-not-a-kernel: Cannot determine the file type of /text");
    await vm.expect(/refused vda:bls1:h-long-options: the options have 3000 bytes, this kernel takes at most \d+ by/);
    await vm.expect(/slipway: verified vd[a-e]1:bls1:good by test/);
    await vm.expect("entry=good:END", 60_000);
    expect(vm.log).not.toContain("Kernel panic");
    expect(vm.log).not.toContain("slipway: rescue");
  });

  it("a disk with nothing good tells each reason on the rescue console", async () => {
    const files = await badEntries();
    // Without its 4 GiB this one has nothing wrong.
    delete files["/loader/entries/a-huge-initrd.conf"];
    const bad = await on.disk("only-bad.img", [{ filesystem: "ext4", files }], { table: "none" });
    const absurd = await on.disk("absurd2.img", [{ filesystem: "ext4", files: { "/x": "x" } }], { table: "none" });
    await patch(absurd, 1024 + 24, Uint8Array.of(200, 0, 0, 0));
    await using vm = await on.boot({ disks: [bad, absurd], append: "slipway.discovery.deviceTimeoutSeconds=0" });
    await vm.expect("slipway> ", 180_000);
    vm.send("list\n");
    await vm.expect("Not booted: all 2 entries were refused");
    const reasons = [
      /b-link-out.conf:\d+ "link": open "\/escape" on vda: the path leaves the volume/,
      /c-dots.conf:\d+ "dots": path "\/..\/..\/etc\/passwd" leaves the volume/,
      /d-long.conf:\d+: .*: \d+ bytes, at most 1048576 are taken/,
      /e-no-kernel.conf:\d+ "none": linux "\/none" is missing/,
      /f-directory.conf:\d+ "directory": linux "\/loader": a regular file expected/,
    ];
    for (const reason of reasons) expect(vm.log).toMatch(new RegExp(`skipped vda:/loader/entries/${reason.source}`));
    vm.send("poweroff\n");
    await vm.waitForExit();
  });
});
