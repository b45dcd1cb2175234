import { parseAndroidBoot } from "./android-boot.ts";
import { parseBeoboot } from "./beoboot.ts";
import { ByteReader, latin1 } from "./bytes.ts";
import { bzImageHeadBytesMax, kernelVersionText, parseBzImage } from "./bzimage.ts";
import { readFit } from "./fit.ts";
import { FormatError } from "./format-error.ts";
import { foreignArchitecture, type KernelKind, recognizeKernel } from "./kernel-kind.ts";
import type { ByteRange, ReadRange } from "./ranges.ts";
import { readUki } from "./uki.ts";

/** Bytes of a file that are searched for the kernel's own words. */
export const bannerScanBytesMax = 1 << 26;

const chunkBytes = 1 << 18;
/** What Linux says first (init/version.c, linux_banner). */
const banner = "Linux version ";
/** `__NEW_UTS_LEN` of Linux's include/uapi/linux/utsname.h. */
const releaseCharactersMax = 64;

/**
 * What `uname -r` will say of a kernel file of `size` bytes, for people: nothing is decided by it. In a container it is
 * that of its kernel; of a FIT image whose kernel does not tell it is the description. Null when the file does not tell,
 * as one that is compressed does not before it is unwrapped.
 *
 * @param part which part of a file that holds several; see `BootEntry.part`
 */
export function kernelVersion(read: ReadRange, size: number, part: string | null = null): string | null {
  try {
    const kind = recognizeKernel(read, size);
    return kind === null
      ? bannerOf(read, size, foreignArchitecture(read, size) !== null)
      : versionOf(kind, read, size, part);
  } catch (error) {
    // A file that is not what it seems to be, which whoever loads it tells.
    if (error instanceof FormatError) return null;
    throw error;
  }
}

function versionOf(kind: KernelKind, read: ReadRange, size: number, part: string | null): string | null {
  const inside = (range: ByteRange | null): string | null => {
    if (range === null) return null;
    const readInside: ReadRange = (offset, length) =>
      read(range.offset + offset, Math.max(0, Math.min(length, range.length - offset)));
    const inner = recognizeKernel(readInside, range.length);
    return inner === null || isContainer(inner) ? null : versionOf(inner, readInside, range.length, null);
  };
  switch (kind) {
    case "bzImage64":
    case "bzImage": {
      const head = read(0, bzImageHeadBytesMax).subarray(0, bzImageHeadBytesMax);
      return releaseOf(kernelVersionText(head, parseBzImage(head)) ?? "");
    }
    case "uki": {
      const image = readUki(read, size, part === null ? 0 : Number(part.slice(1)));
      return image.kernelVersion ?? inside(image.linux);
    }
    case "fit": {
      const { kernel, description } = readFit(read, size, part);
      return inside(kernel.data) ?? description ?? kernel.description;
    }
    case "android-boot":
      return inside(parseAndroidBoot(read, size).kernel);
    case "beoboot-x86":
      return inside(parseBeoboot(read, size).kernel);
    case "nbi-x86":
      return null;
    default:
      return bannerOf(read, size, true);
  }
}

function isContainer(kind: KernelKind): boolean {
  return kind === "uki" || kind === "fit" || kind === "android-boot" || kind === "beoboot-x86";
}

/** Bytes from the start of the words that tell whether they are a version. */
const bannerBytes = banner.length + releaseCharactersMax + 1;

/** Searches for what the kernel says of itself. */
function bannerOf(read: ReadRange, size: number, isKernel: boolean): string | null {
  if (!isKernel) return null;
  const end = Math.min(size, bannerScanBytesMax);
  for (let offset = 0; offset < end; offset += chunkBytes - bannerBytes) {
    const reader = new ByteReader(read(offset, Math.min(chunkBytes, end - offset)), "kernel");
    const isLast = offset + reader.length >= end || reader.length < chunkBytes;
    for (let at = 0; ; at++) {
      at = reader.bytes.indexOf(banner.charCodeAt(0), at);
      // What begins near the end is whole in the next piece.
      if (at < 0 || (!isLast && at + bannerBytes > reader.length)) break;
      if (!reader.hasMagic(at, banner)) continue;
      const release = releaseOf(latin1(reader.bytes.subarray(at + banner.length, at + bannerBytes)));
      if (release !== null) return release;
    }
    if (isLast) break;
  }
  return null;
}

/** The first word, when it can be a release: `6.1.0-31-arm64`. */
function releaseOf(text: string): string | null {
  const release = /^[0-9][!-~]*/.exec(text)?.[0] ?? "";
  return release === "" || release.length > releaseCharactersMax ? null : release;
}
