import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { blsFinder } from "../../src/discovery/bls.ts";
import { defaultDiscoveryLimits } from "../../src/discovery/finder.ts";
import { OpenedImages } from "../../src/discovery/image-volumes.ts";
import { bzImageHead } from "../fakes/bzimage-head.ts";
import { memorySource } from "../fakes/memory-source.ts";
import { ukiData } from "../fakes/uki-data.ts";
import { makeDisk } from "./disk.ts";
import { startVm } from "./vm.ts";

/*
 * systemd-boot itself as the judge of a menu: what it shows on the console of a machine with UEFI firmware, line by line.
 * Of the questions that the specification and bootctl answer otherwise it decides: names are compared with their suffix and
 * without regard to case.
 */

/** Of Debian's package systemd-boot-efi. */
const systemdBoot = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";

const text = (...lines: readonly string[]): string => `${lines.join("\n")}\n`;
const titled = (name: string): readonly [string, string] => [
  `/loader/entries/${name}.conf`,
  text(`title menu ${name}`, "linux /vmlinuz"),
];

const esp: Readonly<Record<string, string | Uint8Array>> = {
  "/vmlinuz": "kernel",
  "/loader/loader.conf": text("timeout menu-force", "auto-firmware yes", "default ARCH-2*"),
  ...Object.fromEntries(
    ["linux", "linux-fallback", "linux-6.9", "Arch-3", "arch-2", "arch-1", "LINUX-zen", "count-5+3-1", "zz+0-1"].map(
      titled,
    ),
  ),
  "/loader/entries/b.conf": text("title menu sorted", "sort-key b", "version 1~rc1", "linux /vmlinuz"),
  "/loader/entries/c.conf": text("title menu sorted", "sort-key b", "version 1", "linux /vmlinuz"),
  "/EFI/Linux/linux.efi": ukiData("debian"),
  "/EFI/Linux/fedora+2.efi": ukiData("fedora"),
};
const xbootldr: Readonly<Record<string, string | Uint8Array>> = {
  "/vmlinuz": "kernel",
  ...Object.fromEntries(["linux-6.10", "only"].map(titled)),
  "/EFI/Linux/acme.efi": ukiData("board"),
};

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "slipway-systemd-boot-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function shownBySystemdBoot(): Promise<string[]> {
  const loader = { "/EFI/BOOT/BOOTX64.EFI": await readFile(systemdBoot) };
  const disk = await makeDisk(path.join(directory, "disk"), [
    { type: "esp", filesystem: "vfat", files: { ...esp, ...loader }, sizeMiB: 40 },
    { type: "xbootldr", filesystem: "vfat", files: { ...xbootldr }, sizeMiB: 40 },
  ]);
  // The firmware cannot start this one, and goes on to the disk.
  const noKernel = path.join(directory, "no-kernel");
  await writeFile(noKernel, bzImageHead());
  await using vm = await startVm({ kernel: noKernel, append: "", uefi: true, disks: [{ path: disk }] });
  await vm.expect("Reboot Into Firmware Interface", 120_000);
  // The firmware's console moves the cursor about instead of writing line ends.
  return vm.log
    .split(/\u001b\[[0-9;?=]*[A-Za-z]/)
    .map((line) => line.trim())
    .filter((line) => /^(menu |Debian|Fedora|acme)/.test(line));
}

// The firmware drops characters when its serial line is not read in time, as on a busy machine.
it("the menu that systemd-boot shows", { retry: 3 }, async () => {
  const sources = [
    memorySource("vda1", esp, { disk: "vda", parttype: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" }),
    memorySource("vda2", xbootldr, { disk: "vda", parttype: "bc13c2ff-59e6-4262-a352-b275fd6f7172" }),
  ] as const;
  const [menu] = await blsFinder.find({
    source: sources[0],
    sources,
    architecture: "x86_64",
    images: new OpenedImages(),
    limits: defaultDiscoveryLimits,
  });
  const titles = menu?.entries.map(({ title }) => title) ?? [];
  expect(titles).toHaveLength(16);
  expect(await shownBySystemdBoot()).toEqual(titles);
  expect(menu?.defaultId).toBe("vda1:bls1:arch-2");
});
