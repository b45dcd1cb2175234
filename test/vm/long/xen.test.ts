import { readdir } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { findPackage, unpackPackage } from "../packages.ts";
import { type Scenario, scenario } from "../scenario.ts";
import { signedFiles } from "../sign.ts";

let on: Scenario;
beforeAll(async () => {
  on = await scenario("generic");
});
afterAll(() => on[Symbol.asyncDispose]());

/** The distribution's hypervisor, compressed as it comes. */
async function hypervisor(): Promise<string> {
  const directory = path.join(await unpackPackage(await findPackage("xen-hypervisor-4.17-amd64")), "boot");
  const name = (await readdir(directory)).find((each) => /^xen-.*\.gz$/.test(each));
  if (name === undefined) throw new Error(`${directory}: a hypervisor expected`);
  return path.join(directory, name);
}

it("a real hypervisor gets its options, and its first domain the kernel, the options and the initrd", async () => {
  const config = `menuentry 'Xen' {
  insmod multiboot2
  multiboot2 /boot/xen.gz placeholder com1=115200,8n1 console=com1 loglvl=all noreboot=0 dom0_mem=512M no-real-mode edd=off
  module2 /boot/vmlinuz placeholder console=hvc0 panic=-1 entry=xen
  module2 --nounzip /boot/initrd.img
}
`;
  const files = {
    "/boot/grub/grub.cfg": config,
    "/boot/xen.gz": { copyOf: await hypervisor() },
    "/boot/vmlinuz": on.vmlinuz,
    "/boot/initrd.img": on.initrd,
  };
  const disk = await on.disk("xen.img", [
    { type: "linux", filesystem: "ext4", files: await signedFiles(on.keys, files) },
  ]);
  // The newest processor that QEMU emulates has more than this hypervisor lets a domain see.
  await using vm = await on.boot({ disks: [disk], memoryMiB: 2048, vm: { qemuArguments: ["-cpu", "Nehalem"] } });
  await vm.expect("slipway: verified vda1:grub:0 by test", 120_000);
  await vm.expect(/Xen version 4\.17/, 120_000);
  await vm.expect(/Command line: (placeholder )?com1=115200,8n1 console=com1/, 60_000);
  const [, handed] = await vm.expect(/TARGET-CMDLINE:(.*):END/, 240_000);
  // The hypervisor takes the first word for the module's name, which GRUB leaves out: hence its placeholder.
  expect(handed).toBe("console=hvc0 panic=-1 entry=xen");
});
