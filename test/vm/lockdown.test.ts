import { appendFile, copyFile, mkdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCommand } from "./command.ts";
import type { DiskFiles } from "./disk.ts";
import { type EfiVariable, efiVariableStore, ovmfCode } from "./efi-store.ts";
import { unifiedKernel } from "./guest-kernels.ts";
import { slipwayExecutable, slipwayImage } from "./image.ts";
import { busyboxPath } from "./packages.ts";
import { blsText, marks, type Scenario, scenario } from "./scenario.ts";
import { withManifest } from "./sign.ts";
import { cpioArchive, targetInitrd } from "./target.ts";
import type { Vm } from "./vm.ts";

// Every door of docs/trust.md, "Lockdown", tried with a policy that has `lockdown`.

/** One rule, which names a label that anybody can give to a disk. */
const lockedPolicy = {
  lockdown: true,
  rules: [{ name: "sticks", volumes: ["label=TRUSTED"], evidence: ["manifest"] }],
};
const policyVendor = "48bc4257-1044-435a-9991-c5ef002459a9";
const loaderVendor = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
const evilBanner = "unsigned bytes";

let on: Scenario;
let evilInitrd: Buffer;
let policyFile: string;
/** Locked, without a shell: as `slipway image build` makes it. */
let lockedImage: string;
beforeAll(async () => {
  on = await scenario("generic", { banner: "signed" });
  evilInitrd = await targetInitrd({ banner: evilBanner });
  policyFile = path.join(on.directory, "policy.json");
  await writeFile(policyFile, JSON.stringify(lockedPolicy));
  lockedImage = await slipwayImage({ keys: [on.keys], kernel: on.kernel, words: ["--policy", policyFile] });
});
afterAll(() => on[Symbol.asyncDispose]());

const options = (name: string): string => `console=ttyS0 panic=-1 entry=${name}`;

const goodFiles = async (): Promise<DiskFiles> =>
  withManifest([on.keys], {
    "/loader/entries/good.conf": blsText("good"),
    "/vmlinuz": on.vmlinuz,
    "/initrd.img": on.initrd,
  });

/** Entries that nobody whom the image trusts has signed, each in another way. */
async function evilFiles(): Promise<DiskFiles> {
  const { "/slipway/boot.manifest": manifest = "" } = await goodFiles();
  const entry = (name: string, own: Parameters<typeof blsText>[1]): string =>
    blsText(name, { sortKey: name, options: options(name), ...own });
  const image = await unifiedKernel({
    linux: on.vmlinuz,
    version: on.kernel.version,
    initrd: evilInitrd,
    commandLine: options("image"),
  });
  const files = {
    "/loader/entries/a-unsigned.conf": entry("a-unsigned", { initrd: "/evil/initrd.img" }),
    "/loader/entries/b-edited.conf": entry("b-edited", { options: `${options("good")} init=/bin/sh` }),
    "/loader/entries/c-combined.conf": entry("c-combined", { initrd: "/initrd.img\ninitrd /evil/initrd.img" }),
    "/grub/grub.cfg": `set superusers="root"
password root secret
menuentry "Free for all" --unrestricted {
  linux /vmlinuz ${options("grub")}
  initrd /evil/initrd.img
}
`,
    "/EFI/Linux/evil.efi": await readFile(image),
    "/vmlinuz": on.vmlinuz,
    "/initrd.img": on.initrd,
    "/evil/initrd.img": evilInitrd,
  };
  const strangers = await withManifest([on.strangerKeys], files);
  return {
    ...files,
    "/slipway/boot.manifest": manifest,
    "/slipway/stranger.manifest": strangers["/slipway/boot.manifest"] ?? "",
  };
}

/** In the order in which they are tried where the firmware chooses the second. */
const evilIds = ["bls1:b-edited", "bls1:a-unsigned", "bls1:c-combined", "uki:evil", "grub:0"];

/** A locked image that was given what the image builder refuses: a shell, and a configuration that offers it. */
async function loosenedImage(): Promise<string> {
  const image = path.join(on.directory, "loosened.cpio.zst");
  await copyFile(lockedImage, image);
  await truncate(image, Math.ceil((await stat(image)).size / 4) * 4);
  const busybox = await readFile(await busyboxPath());
  const config = {
    rescue: { shell: true, rebootAfterSeconds: 0 },
    commandLineOverrides: true,
    discovery: { deviceTimeoutSeconds: 1 },
    policy: { source: `efi:SlipwayPolicy-${policyVendor}` },
  };
  await appendFile(
    image,
    cpioArchive([
      { name: "/bin", mode: 0o040755, content: new Uint8Array() },
      ...["/bin/busybox", "/bin/sh"].map((name) => ({ name, mode: 0o100755, content: busybox })),
      { name: "/x.js", mode: 0o100644, content: Buffer.from('console.log("a required", "file");\n') },
      { name: "/etc/slipway/config.json", mode: 0o100644, content: Buffer.from(JSON.stringify(config)) },
    ]),
  );
  return image;
}

/** Another policy, that lets everything boot, signed by the key that signs what boots, and a choice of what boots once. */
async function plantedVariables(): Promise<EfiVariable[]> {
  const document = path.join(on.directory, "open-policy.json");
  await writeFile(document, '{ "mode": "off", "serial": 9 }');
  await runCommand(slipwayExecutable, ["sign", "--key", on.keys.secretKey, "--document", document]);
  return [
    { name: "SlipwayPolicy", vendor: policyVendor, attributes: 0x27, data: await readFile(document) },
    { name: "LoaderEntryOneShot", vendor: loaderVendor, attributes: 7, data: Buffer.from("b-edited\0", "utf16le") },
  ];
}

/** Marks that tell that something was taken for good, or was given to the kernel. */
function taken(log: string): string[] {
  return marks(log).filter((mark) => /^(?:verified|unverified|handoff|loaded|measured|jump)\b/.test(mark));
}

async function plugStick(vm: Vm, image: string): Promise<void> {
  const file = { driver: "file", filename: image };
  await vm.qmp("blockdev-add", { driver: "raw", "node-name": "stick", "read-only": true, file });
  await vm.qmp("device_add", { driver: "usb-storage", id: "usbstick", drive: "stick", bus: "usb.0" });
}

/** UDP ports that the guest sent to (pcap's classic format, little-endian; Ethernet, IPv4). */
function portsAsked(capture: Buffer): number[] {
  const ports: number[] = [];
  for (let offset = 24; offset + 16 <= capture.length; offset += 16 + capture.readUInt32LE(offset + 8)) {
    const frame = capture.subarray(offset + 16, offset + 16 + capture.readUInt32LE(offset + 8));
    const isUdp = frame.length >= 42 && frame.readUInt16BE(12) === 0x0800 && frame.readUInt8(23) === 17;
    if (isUdp) ports.push(frame.readUInt16BE(14 + (frame.readUInt8(14) & 15) * 4 + 2));
  }
  return ports;
}

/** What a person can type. */
async function tryConsole(vm: Vm): Promise<void> {
  const say = async (line: string, answer: string): Promise<void> => {
    vm.send(`${line}\n`);
    await vm.expect(answer);
    await vm.expect("slipway> ");
  };
  await say("shell", "no shell: rescue.shell is false, or the image holds no /bin/sh");
  await say("echo shell-$((6*7))", '"echo" is no command.');
  await say("/bin/sh", '"/bin/sh" is no command.');
  await say("edit 1", '"edit" is no command.');
  await say("e", '"e" is no command.');
  await say("set slipway.rescue.shell=true", '"set" is no command.');
  for (const number of evilIds.keys()) await say(`boot ${number + 1}`, "not booted: ");
  await say("boot 1 init=/bin/sh", "not booted: the policy lets nobody add options");
  await say("boot vda1:bls1:a-unsigned", 'no entry "vda1:bls1:a-unsigned"');
  await say("boot 1;sh", 'no entry "1;sh"');
  // Interrupt, suspend, quit, end of input, escape sequences, and more than a line holds.
  vm.send("\x03\x1a\x1c\x04\x1b[A\x1bOP\x1b[24~\x00\x7f");
  await say("", "is no command.");
  await say("x".repeat(2000), "is no command.");
  await say("list", "1. ");
  await say("retry", "slipway: refused vda1:bls1:b-edited: ");
}

describe("lockdown", () => {
  it("from outside, a disk, a stick, the console, the firmware and the network: nothing gets in, and the good disk boots", async () => {
    const files = await evilFiles();
    const evil = await on.disk("evil.img", [{ type: "esp", filesystem: "vfat", sizeMiB: 192, files }]);
    const onStick: DiskFiles = { ...files };
    delete onStick["/slipway/boot.manifest"];
    const stick = await on.disk("stick.img", [
      { type: "esp", filesystem: "vfat", label: "TRUSTED", sizeMiB: 192, files: onStick },
    ]);
    const good = await on.disk("good.img", [{ type: "esp", filesystem: "vfat", files: await goodFiles() }]);
    const variables = path.join(on.directory, "variables.fd");
    await writeFile(variables, await efiVariableStore(await plantedVariables()));
    const served = path.join(on.directory, "served");
    await mkdir(served);
    await writeFile(path.join(served, "boot.ipxe"), `#!ipxe\nkernel vmlinuz ${options("network")}\nboot\n`);
    await writeFile(path.join(served, "vmlinuz"), on.vmlinuz);
    const capture = path.join(on.directory, "network.pcap");
    await using vm = await on.boot({
      image: await loosenedImage(),
      disks: [evil],
      append: [
        "slipway.rescue.shell=true slipway.trust=off slipway.commandLineOverrides=true slipway.entry=*:a-unsigned",
        "NODE_OPTIONS=--require=/x.js init=/bin/sh rdinit=/lib64/ld-linux-x86-64.so.2 -- /init --require=/x.js kexec",
      ].join(" "),
      vm: {
        qemuArguments: [
          ...["-drive", `if=pflash,unit=0,format=raw,readonly=on,file=${ovmfCode}`],
          ...["-drive", `if=pflash,unit=1,format=raw,snapshot=on,file=${variables}`],
          ...["-device", "qemu-xhci,id=usb"],
          ...["-netdev", `user,id=net,tftp=${served},bootfile=boot.ipxe`, "-device", "virtio-net-pci,netdev=net"],
          ...["-object", `filter-dump,id=dump,netdev=net,file=${capture}`],
        ],
      },
    });
    // What the words on the kernel's command line asked for, and who signed a policy for what.
    await vm.expect(
      `warning: kernel command line: "slipway.rescue.shell": commandLineOverrides is false by the policy`,
    );
    for (const name of ["trust", "commandLineOverrides", "entry"]) {
      await vm.expect(`kernel command line: "slipway.${name}": commandLineOverrides is false by the policy`);
    }
    await vm.expect(
      `warning: policy efi:SlipwayPolicy-${policyVendor}: signature: signed by "test", who may not sign a policy; the image's policy holds`,
    );
    // The firmware's variable chooses, and what it chooses is judged like all else.
    await vm.expect("slipway: chosen vda1:bls1:b-edited");
    for (const id of evilIds) await vm.expect(`slipway: refused vda1:${id}: `);
    await vm.expect("slipway: rescue: all 5 entries were refused");
    await vm.expect("slipway> ");
    await tryConsole(vm);
    expect(taken(vm.log)).toEqual([]);
    await plugStick(vm, stick);
    for (const id of evilIds) await vm.expect(`slipway: refused sda1:${id}: `);
    expect(taken(vm.log)).toEqual([]);
    await vm.plugDisk(good);
    await vm.expect("slipway: verified vdb1:bls1:good by test");
    await vm.expect("TARGET-BANNER:signed:END", 120_000);
    await vm.expect(`TARGET-CMDLINE:${options("good")}:END`);
    await vm.waitForExit();
    expect(taken(vm.log)[0]).toBe("verified vdb1:bls1:good by test");
    for (const sign of [evilBanner, "shell-42", "a required file", "Kernel panic"]) expect(vm.log).not.toContain(sign);
    // DHCP and TFTP
    expect(portsAsked(await readFile(capture)).filter((port) => port === 67 || port === 69)).toEqual([]);
  });

  it("rdinit= and init=: there is no other program to start", async () => {
    await using vm = await on.boot({
      image: lockedImage,
      append: "rdinit=/bin/sh init=/bin/sh root=/dev/vda1",
      disks: [],
    });
    // Without one, the kernel looks for a root filesystem by itself. Its drivers are in the image, which nobody loads.
    await vm.expect("Kernel panic - not syncing: VFS: Unable to mount root fs", 120_000);
    await vm.waitForExit();
  });
});
