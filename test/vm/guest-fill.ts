import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { DiskFiles } from "./disk.ts";
import { distributionKernel } from "./kernels.ts";
import { targetInitrd } from "./target.ts";
import { startVm } from "./vm.ts";

/** Copies files into a filesystem that no program can fill without mounting it: a Linux guest mounts it. */
export async function fillByGuest(image: string, type: string, files: DiskFiles): Promise<void> {
  const kernel = await distributionKernel();
  const carried: Record<string, Uint8Array | string> = {};
  const commands = [`mount -t ${type} /dev/vda /mnt || exit 1`];
  for (const [name, content] of Object.entries(files)) {
    if (typeof content === "object" && "link" in content) throw new Error(`make ${type}: "${name}": it has no links`);
    commands.push(`mkdir -p "/mnt${path.posix.dirname(name)}"`);
    if (name.endsWith("/")) commands.push(`mkdir -p "/mnt${name}"`);
    else {
      carried[`/carried${name}`] =
        typeof content === "object" && "copyOf" in content ? await readFile(content.copyOf) : content;
      commands.push(`cp "/carried${name}" "/mnt${name}" || exit 1`);
    }
  }
  commands.push("umount /mnt && echo GUEST-FILLED");
  const scratch = await mkdtemp(path.join(tmpdir(), "slipway-fill-"));
  try {
    const initrd = path.join(scratch, "initrd");
    const modules = { kernel, names: ["virtio_pci", "virtio_blk", type] };
    await writeFile(initrd, await targetInitrd({ commands, modules, files: carried }));
    await using vm = await startVm({
      kernel: kernel.vmlinuz,
      initrd,
      append: "console=ttyS0 quiet panic=-1",
      disks: [{ path: image, keepWrites: true }],
    });
    await vm.expect("GUEST-FILLED", 120_000);
    await vm.waitForExit();
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
