import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  type AuthenticodeImage,
  authenticodeTableBytesMax,
  isPe,
  parseAuthenticodeSignature,
  readAuthenticode,
} from "../../../src/formats/authenticode.ts";
import { hex } from "../../../src/formats/bytes.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { signatureText } from "../../fakes/signature-data.ts";
import { testData } from "../../fakes/tree-data.ts";

const image = (name: string): Uint8Array => testData(`signatures/authenticode/${name}`);
const read = (bytes: Uint8Array): AuthenticodeImage => readAuthenticode(rangesOf(bytes), bytes.length);

/** Of the images that make-image.py makes: PE header at 64, the optional header 24 behind it. */
const optionalHeader = 64 + 24;
const checksum = optionalHeader + 64;
const directory = optionalHeader + 112 + 4 * 8;

const signed = image("sbsign.efi");
const unsignedBytes = image("image.efi").length;
const tableBytes = signed.length - unsignedBytes;

/** A copy with words put in, by offset. */
function withWords(bytes: Uint8Array, words: Readonly<Record<number, number>>): Uint8Array {
  const copy = bytes.slice();
  for (const [at, word] of Object.entries(words)) new DataView(copy.buffer).setUint32(Number(at), word, true);
  return copy;
}

/** With zeroes behind it. */
function longer(bytes: Uint8Array, more: number): Uint8Array {
  const copy = new Uint8Array(bytes.length + more);
  copy.set(bytes);
  return copy;
}

function digestOf(bytes: Uint8Array, { covered }: AuthenticodeImage, padding = 0): string {
  const hash = createHash("sha256");
  for (const { offset, length } of covered) hash.update(bytes.subarray(offset, offset + length));
  return hash.update(new Uint8Array(padding)).digest("hex");
}

/** Digests as osslsigncode computes them. */
const judged = new Map(
  Array.from(
    signatureText("authenticode/judged.txt").matchAll(/^osslsigncode (\S+): digest (\w+)$/gm),
    ([, name = "", digest = ""]) => [name, digest.toLowerCase()],
  ),
);
const imageDigest = judged.get("sbsign.efi") ?? "";

describe("what a signature covers", () => {
  it.each([
    ["image.efi", imageDigest, 0],
    ["sbsign.efi", imageDigest, 1],
    ["osslsigncode.efi", judged.get("osslsigncode.efi"), 1],
    ["twice.efi", imageDigest, 2],
    ["nested.efi", judged.get("nested.efi"), 1],
    ["plain.efi", judged.get("plain-signed.efi"), 0],
    ["plain-signed.efi", judged.get("plain-signed.efi"), 1],
    ["unaligned-signed.efi", judged.get("unaligned-signed.efi"), 1],
    ["uki-signed.efi.gz", judged.get("uki-signed.efi"), 1],
  ])("%s", (name, digest, count) => {
    const bytes = image(name);
    const layout = read(bytes);
    expect(digestOf(bytes, layout)).toBe(digest);
    expect(layout.certificates.map(({ reason }) => reason)).toEqual(new Array(count).fill(null));
    expect(layout).toMatchObject({ paddingBytes: 0, irregular: null });
    for (const { message } of layout.certificates) {
      const signature = parseAuthenticodeSignature(message ?? new Uint8Array());
      expect(signature).toMatchObject({ imageHash: "sha256", algorithmTitle: "SHA-256" });
      expect(hex(signature.imageDigest)).toBe(digest);
    }
  });

  it("all but the checksum, the place of the table, the table", () => {
    const { covered } = read(signed);
    expect(covered).toEqual([
      { offset: 0, length: checksum },
      { offset: checksum + 4, length: directory - checksum - 4 },
      { offset: directory + 8, length: unsignedBytes - directory - 8 },
    ]);
  });

  it("an image whose size is no multiple of 8 gets zeroes", () => {
    const bytes = image("unaligned.efi");
    const layout = read(bytes);
    expect(layout.paddingBytes).toBe(5);
    expect(digestOf(bytes, layout, 5)).toBe(judged.get("unaligned-signed.efi"));
  });

  it("an image without a place for a table is covered but for its checksum", () => {
    const bytes = withWords(image("image.efi"), { [optionalHeader + 108]: 4 });
    expect(read(bytes).covered).toEqual([
      { offset: 0, length: checksum },
      { offset: checksum + 4, length: unsignedBytes - checksum - 4 },
    ]);
  });

  it("bytes in no section, bytes in two", () => {
    expect(read(image("gap-signed.efi")).irregular).toEqual({ offset: 1536, length: 512 });
    expect(read(image("overlap-signed.efi")).irregular).toEqual({ offset: 1024, length: 512 });
  });

  it("only what has both magic numbers is a PE image", () => {
    const isIt = (bytes: Uint8Array): boolean => isPe(rangesOf(bytes), bytes.length);
    expect(isIt(signed)).toBe(true);
    expect(isIt(signed.subarray(0, 68))).toBe(true);
    expect(isIt(signed.subarray(0, 67))).toBe(false);
    expect(isIt(signed.subarray(0, 63))).toBe(false);
    expect(isIt(withWords(signed, { 64: 0 }))).toBe(false);
    expect(isIt(withWords(signed, { 0: 0 }))).toBe(false);
    expect(isIt(withWords(signed, { 60: 0xffffffff }))).toBe(false);
  });
});

describe("tables that are refused", () => {
  const firstBytes = new DataView(signed.buffer).getUint32(unsignedBytes, true);
  const end = signed.length;
  it.each([
    [
      "cut",
      signed.subarray(0, -8),
      `pe: offset ${directory}, Certificate Table: bytes ${unsignedBytes} to ${end} leave what is behind the headers, 1024 to ${end - 8}`,
    ],
    [
      "bytes behind it",
      longer(signed, 8),
      `authenticode: offset ${directory}, Certificate Table: the table ends at ${end}, the file's end at ${end + 8} expected`,
    ],
    [
      "an odd start",
      withWords(Uint8Array.of(...signed, 0), { [directory]: unsignedBytes + 1 }),
      `authenticode: offset ${directory}, Certificate Table: a multiple of 8 expected for its start, not ${unsignedBytes + 1}`,
    ],
    [
      "upon a section",
      withWords(signed, { [directory]: unsignedBytes - 8, [directory + 4]: tableBytes + 8 }),
      `authenticode: offset ${directory}, Certificate Table: the section ".initrd" reaches into the table`,
    ],
    [
      "too large",
      withWords(longer(signed, authenticodeTableBytesMax), {
        [directory + 4]: tableBytes + authenticodeTableBytesMax,
      }),
      `authenticode: offset ${directory}, Certificate Table: ${tableBytes + authenticodeTableBytesMax} bytes, at most 1048576 are taken`,
    ],
    [
      "a certificate longer than the table",
      withWords(signed, { [unsignedBytes]: tableBytes + 1 }),
      `authenticode: offset ${unsignedBytes}, dwLength: 9 to ${tableBytes} expected, not ${tableBytes + 1}`,
    ],
    [
      "a certificate of nothing",
      withWords(signed, { [unsignedBytes]: 8 }),
      `authenticode: offset ${unsignedBytes}, dwLength: 9 to ${tableBytes} expected, not 8`,
    ],
    [
      "padding that is not zero",
      withWords(signed, { [unsignedBytes]: firstBytes - 3 }),
      `authenticode: offset ${end - 3}, padding: zeroes expected`,
    ],
    [
      "a table whose last entry has no padding",
      withWords(signed.subarray(0, -3), { [directory + 4]: tableBytes - 3, [unsignedBytes]: firstBytes - 3 }),
      `authenticode: offset ${end - 3}, padding: 3 byte(s) expected, the input ends at ${end - 3}`,
    ],
    [
      "too many entries",
      withWords(longer(image("image.efi"), 17 * 16), {
        [directory]: unsignedBytes,
        [directory + 4]: 17 * 16,
        ...Object.fromEntries(Array.from({ length: 17 }, (_, index) => [unsignedBytes + index * 16, 16])),
      }),
      `authenticode: offset ${unsignedBytes + 256}: more than 16 entries`,
    ],
  ])("%s", (_, bytes, error) => {
    expect(formatErrorOf(() => read(bytes))).toBe(error);
  });

  it.each([
    [0x0002_0100, "a certificate of revision 0x200 expected, not 0x100"],
    [0x0001_0200, "a certificate of the type PKCS_SIGNED_DATA expected, not X509"],
    [0x0004_0200, "a certificate of the type PKCS_SIGNED_DATA expected, not TS_STACK_SIGNED"],
    [0x0ef1_0200, "a certificate of the type PKCS_SIGNED_DATA expected, not EFI_GUID"],
    [0x1234_0200, "a certificate of the type PKCS_SIGNED_DATA expected, not 0x1234"],
  ])("revision and type %d: the certificate alone", (word, reason) => {
    expect(read(withWords(signed, { [unsignedBytes + 4]: word })).certificates).toEqual([{ message: null, reason }]);
  });
});

describe("messages", () => {
  const message = read(signed).certificates[0]?.message ?? new Uint8Array();
  const at = (pattern: string): number => Buffer.from(message).indexOf(Buffer.from(pattern, "hex"));
  const patched = (pattern: string, replacement: string): Uint8Array => {
    const copy = message.slice();
    copy.set(Buffer.from(replacement, "hex"), at(pattern));
    return copy;
  };

  it("of all digests", () => {
    for (const [name, hash, length] of [
      ["sha1.efi", "sha1", 20],
      ["md5.efi", "md5", 16],
      ["sha384.efi", "sha384", 48],
      ["sha512.efi", "sha512", 64],
    ] as const) {
      const bytes = image(name);
      const parsed = parseAuthenticodeSignature(read(bytes).certificates[0]?.message ?? new Uint8Array());
      expect([parsed.imageHash, parsed.imageDigest.length]).toEqual([hash, length]);
    }
  });

  it("that name individual code signing for what was hashed, as fwupd 1.4 of Debian's does", () => {
    const changed = patched("060a2b06010401823702010f", "060a2b060104018237020115");
    expect(hex(parseAuthenticodeSignature(changed).imageDigest)).toBe(imageDigest);
  });

  it("up to 7 zeroes may follow", () => {
    expect(hex(parseAuthenticodeSignature(Uint8Array.of(...message, 0, 0, 0)).imageDigest)).toBe(imageDigest);
  });

  it.each([
    [new Uint8Array(0), "offset 0, ContentInfo: 1 byte(s) expected, the input ends at 0"],
    [
      Uint8Array.of(...message, 0, 0, 0, 0, 0, 0, 0, 0),
      `offset ${message.length}: 8 bytes behind the message, at most 7 expected`,
    ],
    [Uint8Array.of(...message, 1), `offset ${message.length}, padding: zeroes expected`],
    [new Uint8Array(262_145), "a message of 262145 bytes, at most 262144 are taken"],
    // The content's type, and what was hashed, are others.
    [
      patched("060a2b060104018237020104", "060a2b060104018237020105"),
      "eContentType: a digest of an image expected, not 1.3.6.1.4.1.311.2.1.5",
    ],
    [
      patched("060a2b06010401823702010f", "060a2b06010401823702011e"),
      "offset 16, type: a PE image (1.3.6.1.4.1.311.2.1.15) expected, not 1.3.6.1.4.1.311.2.1.30",
    ],
    [patched("020101310f", "020103310f"), "offset 26, version: version 1 expected, not 3"],
  ])("%#: refused", (bytes, error) => {
    expect(formatErrorOf(() => parseAuthenticodeSignature(bytes))).toBe(`authenticode: ${error}`);
  });

  it("cut and changed", () => {
    tortureParser({ bytes: message, parse: parseAuthenticodeSignature, rounds: 1000, seed: 6 });
    tortureParser({ bytes: signed, parse: read, rounds: 2000, seed: 7, within: 1100 });
    const table = signed.slice();
    const parse = (changed: Uint8Array): unknown => {
      table.set(changed, unsignedBytes);
      return read(table);
    };
    tortureParser({ bytes: signed.subarray(unsignedBytes), parse, rounds: 2000, seed: 8, within: 64 });
  });
});
