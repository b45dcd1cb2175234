import { writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildDirectory, fileDigest } from "./cache.ts";
import { runCommand } from "./command.ts";
import { type DebianDisk, debianDisk, debugfs } from "./debian.ts";
import { copyDisk } from "./disk.ts";
import { slipwayExecutable } from "./image.ts";
import { blsText, type Scenario, scenario } from "./scenario.ts";
import { throwawayKeys } from "./sign.ts";
import { startVm } from "./vm.ts";

let on: Scenario;
let debian: DebianDisk;
beforeAll(async () => {
  on = await scenario();
  debian = await debianDisk(await throwawayKeys(path.join(buildDirectory, "test-keys")));
});
afterAll(() => on[Symbol.asyncDispose]());

/** Process 1 of the installed system for this once. */
const script = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t tmpfs tmpfs /tmp
modprobe loop
modprobe ext4
echo "LIST-BEGINS"; /slipway list --json; echo "LIST-ENDS $?"
echo "EXPLAIN-BEGINS"; /slipway explain --keys /keys vda2:grub:0; echo "EXPLAIN-ENDS $?"
/slipway verify --keys /keys vda2:grub:0 vdb:bls1:other; echo "VERIFY-ENDS $?"
mount | grep -c /dev/vdb
echo "LOOPS $(cat /sys/block/loop*/loop/backing_file 2>/dev/null | wc -l)"
poweroff -ff
`;

describe("a live machine", () => {
  it("lists, explains and verifies what its own disks hold, and changes nothing on them", async () => {
    const system = await copyDisk(debian.path, path.join(on.directory, "system.img"));
    const scriptFile = path.join(on.directory, "try.sh");
    await writeFile(scriptFile, script);
    const keys = await throwawayKeys(path.join(buildDirectory, "test-keys"));
    await debugfs(
      system,
      [
        `write ${slipwayExecutable} /slipway`,
        "set_inode_field /slipway mode 0100755",
        `write ${scriptFile} /try.sh`,
        "set_inode_field /try.sh mode 0100755",
        "mkdir /keys",
        `write ${keys.publicKey} /keys/test.pub`,
      ],
      "write",
    );
    const files = {
      "/loader/entries/other.conf": blsText("other", { linux: "/k", initrd: "/k" }),
      "/k": "no kernel",
      "/orphan": "deleted while open",
    };
    const other = await on.disk("other.img", [{ filesystem: "ext4", files }], { table: "none" });
    // A file that was deleted while it was open: ext4 completes that at the next mount, even a read-only one.
    const shown = await runCommand("debugfs", ["-R", "stat /orphan", other]);
    const [, inode] = /Inode: (\d+)/.exec(shown) ?? [];
    for (const request of [`set_super_value last_orphan ${inode}`, "set_inode_field /orphan links_count 0"]) {
      await runCommand("debugfs", ["-w", "-R", request, other]);
    }
    const before = await fileDigest(other);
    await using vm = await startVm({
      kernel: debian.kernel,
      initrd: debian.initrd,
      append: `console=ttyS0 panic=-1 quiet root=UUID=${debian.rootUuid} ro init=/try.sh`,
      memoryMiB: 2048,
      disks: [{ path: system }, { path: other, keepWrites: true }],
    });
    const [, json = ""] = await vm.expect(/LIST-BEGINS\n([\s\S]*?)LIST-ENDS 0\n/, 180_000);
    const list = JSON.parse(json.replaceAll(/^\[ *\d+\.\d+\].*$/gm, ""));
    expect(list.default).toBe("vda2:grub:0");
    expect(list.entries.map((entry: { id: string }) => entry.id)).toEqual([
      "vda2:grub:0",
      "vda2:grub:1>0",
      "vda2:grub:1>1",
      "vdb:bls1:other",
    ]);
    expect(list.entries[0].linux).toEqual({ volume: "vda2", path: `/boot/vmlinuz-${debian.kernelVersion}` });
    await vm.expect(/linux vda2:\/boot\/vmlinuz-\S+ trusted by test\n[\s\S]*would boot\nEXPLAIN-ENDS 0\n/, 60_000);
    await vm.expect(/vda2:grub:0: trusted\n[\s\S]*vdb:bls1:other: REFUSED\n[\s\S]*VERIFY-ENDS 2\n/, 60_000);
    await vm.expect("0\nLOOPS 0\n");
    await vm.waitForExit();
    expect(await fileDigest(other)).toBe(before);
  });
});
