import { createHash } from "node:crypto";
import { rangesOf } from "../../src/formats/ranges.ts";
import type { MeasuredFile, MeasuredImage, MeasuredRole, MeasureInput } from "../../src/trust/measure.ts";
import { peImage, ukiImage } from "./uki-image.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A file whose bytes are this text. */
export function measuredFile(role: MeasuredRole, path: string, content: string): MeasuredFile {
  return { role, path, digest: (bank) => createHash(bank).update(content).digest() };
}

/** An image without anything beside it. */
export function measuredImage(bytes: Uint8Array, more: Partial<MeasuredImage> = {}): MeasuredImage {
  return {
    read: rangesOf(bytes),
    size: bytes.length,
    profile: 0,
    boardDevicetree: null,
    options: null,
    addons: [],
    companions: [],
    ...more,
  };
}

/** A boot that has something for each PCR. */
export function smallBoot(): MeasureInput {
  const addon = peImage([
    [".cmdline", "quiet"],
    [".initrd", "more"],
  ]);
  return {
    policy: encode('{"mode":"enforce"}\n'),
    commandLine: "BOOT_IMAGE=/vmlinuz root=/dev/vda2 ro",
    moduleCommandLines: ["dom0 console=hvc0"],
    part: null,
    initrdMembers: [],
    files: [measuredFile("initrd", "/initrd.img", "an initrd"), measuredFile("linux", "/vmlinuz", "a kernel")],
    image: measuredImage(ukiImage("root=/dev/vda2"), {
      options: "root=/dev/vda3 quiet",
      addons: [{ name: "debug.addon.efi", read: rangesOf(addon), size: addon.length }],
      companions: [
        { path: "/.extra/credentials/a.cred", bytes: () => encode("secret") },
        { path: "/.extra/sysext/tools.raw", bytes: () => encode("an extension") },
      ],
    }),
  };
}
