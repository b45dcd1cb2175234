import { ByteReader } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";
import type { ByteRange } from "./ranges.ts";

/*
 * EFI zboot images: a PE image that unfolds a compressed kernel.
 * Source: Linux, drivers/firmware/efi/libstub/zboot-header.S. All fields are little-endian.
 */

/** Bytes from the start of a file that {@link parseZboot} needs. */
export const zbootHeadBytes = 64;

export interface ZbootImage {
  /** The compressed kernel in the file. */
  readonly payload: ByteRange;
  /** As the kernel's build names it: `gzip`, `zstd22`, `xzkern`, `lzma`, `lz4`, `lzo`. */
  readonly compression: string;
}

/** The compression by its name in the header: the build of the kernel calls some otherwise. */
const compressions = {
  gzip: "gzip",
  zstd22: "zstd",
  zstd: "zstd",
  xzkern: "xz",
  xz: "xz",
  lzma: "lzma",
  lz4: "lz4",
  lzo: "lzo",
} as const;
export type ZbootCompression = (typeof compressions)[keyof typeof compressions];

/** What the payload is compressed by. @throws FormatError for a name that no build uses. */
export function zbootCompression({ compression }: ZbootImage): ZbootCompression {
  const known = Object.entries(compressions).find(([name]) => name === compression);
  if (known !== undefined) return known[1];
  const names = Object.keys(compressions).join(", ");
  throw new FormatError("zboot", `${names} expected, not ${quote(compression)}`, {
    offset: 24,
    field: "compression type",
  });
}

/** Whether these are the first bytes of a zboot image. */
export function isZboot(head: Uint8Array): boolean {
  const r = new ByteReader(head, "zboot");
  return r.hasMagic(0, "MZ") && r.hasMagic(4, "zimg");
}

/**
 * Parses the header of an image of `size` bytes from its first {@link zbootHeadBytes}.
 *
 * @throws FormatError with offset and field: for what is no such image, and where the payload leaves the file.
 */
export function parseZboot(head: Uint8Array, size: number): ZbootImage {
  const r = new ByteReader(head, "zboot");
  if (!isZboot(head)) r.fail(`"zimg" expected, not ${quote(r.latin1(4, 4, "image type"))}`, 4, "image type");
  const payload = { offset: r.u32le(8, "payload offset"), length: r.u32le(12, "payload size") };
  const compression = r.latin1(24, 32, "compression type");
  if (payload.offset < zbootHeadBytes || payload.length === 0 || payload.offset + payload.length > size) {
    const found = `${payload.offset} to ${payload.offset + payload.length}`;
    r.fail(`bytes ${found} expected to lie behind the header, within ${size}`, 8, "payload offset");
  }
  return { payload, compression };
}
