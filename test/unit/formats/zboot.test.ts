import { describe, expect, it } from "vitest";
import { isZboot, parseZboot, zbootCompression } from "../../../src/formats/zboot.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

/** The first 64 bytes of an image, laid out from zboot-header.S. */
function head(payloadOffset: number, payloadBytes: number, compression: string): Uint8Array {
  const bytes = Buffer.alloc(64);
  bytes.write("MZ");
  bytes.write("zimg", 4);
  bytes.writeUInt32LE(payloadOffset, 8);
  bytes.writeUInt32LE(payloadBytes, 12);
  bytes.write(compression, 24);
  bytes.writeUInt32LE(0x818223cd, 0x38);
  bytes.writeUInt32LE(64, 60);
  return new Uint8Array(bytes);
}

it("is read", () => {
  expect(isZboot(head(0x1000, 500, "gzip"))).toBe(true);
  expect(parseZboot(head(0x1000, 500, "zstd22"), 0x2000)).toEqual({
    payload: { offset: 0x1000, length: 500 },
    compression: "zstd22",
  });
});

describe("the payload's compression", () => {
  const compressionOf = (name: string): string => zbootCompression(parseZboot(head(64, 36, name), 100));
  // Linux, drivers/firmware/efi/libstub/Makefile.zboot.
  it.each([
    ["gzip", "gzip"],
    ["lz4", "lz4"],
    ["lzma", "lzma"],
    ["lzo", "lzo"],
    ["xzkern", "xz"],
    ["zstd22", "zstd"],
    ["zstd", "zstd"],
  ])("%s", (name, compression) => expect(compressionOf(name)).toBe(compression));
  it("another one", () => {
    expect(formatErrorOf(() => compressionOf("brotli"))).toBe(
      'zboot: offset 24, compression type: gzip, zstd22, zstd, xzkern, xz, lzma, lz4, lzo expected, not "brotli"',
    );
  });
});

describe("what is refused", () => {
  it.each([
    ["another PE image", head(64, 1, "gzip").fill(0, 4, 8), 'offset 4, image type: "zimg" expected, not ""'],
    [
      "upon the header",
      head(63, 1, "gzip"),
      "offset 8, payload offset: bytes 63 to 64 expected to lie behind the header, within 100",
    ],
    [
      "nothing",
      head(64, 0, "gzip"),
      "offset 8, payload offset: bytes 64 to 64 expected to lie behind the header, within 100",
    ],
    [
      "cut",
      head(64, 37, "gzip"),
      "offset 8, payload offset: bytes 64 to 101 expected to lie behind the header, within 100",
    ],
  ])("%s", (_, bytes, message) => expect(formatErrorOf(() => parseZboot(bytes, 100))).toBe(`zboot: ${message}`));
});

it("only FormatError, cut or changed", () => {
  tortureParser({ bytes: head(64, 36, "xzkern"), parse: (bytes) => parseZboot(bytes, 100), rounds: 1000, seed: 81 });
});
