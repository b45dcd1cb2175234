import { describe, expect, test } from "vitest";
import { ByteReader, guidText, hex, latin1, utf8, uuidText } from "../../../src/formats/bytes.ts";
import { FormatError } from "../../../src/formats/format-error.ts";

const bytes = Uint8Array.of(0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x41, 0x42, 0x00, 0x43);

function reader(): ByteReader {
  // A view in the middle of a larger buffer: offsets must count from the view's start.
  const buffer = new Uint8Array(bytes.length + 8).fill(0xee);
  buffer.set(bytes, 4);
  return new ByteReader(buffer.subarray(4, 4 + bytes.length), "test");
}

describe("ByteReader", () => {
  test("numbers in both byte orders", () => {
    const r = reader();
    expect(r.length).toBe(12);
    expect(r.u8(1, "f")).toBe(0x23);
    expect(r.u16le(0, "f")).toBe(0x2301);
    expect(r.u16be(0, "f")).toBe(0x0123);
    expect(r.u32le(4, "f")).toBe(0xefcdab89);
    expect(r.u32be(4, "f")).toBe(0x89abcdef);
    expect(r.u64le(0, "f")).toBe(0xefcdab8967452301n);
    expect(r.u64be(0, "f")).toBe(0x0123456789abcdefn);
  });

  test.each([
    ["u8", 12, 1],
    ["u16le", 11, 2],
    ["u16be", 11, 2],
    ["u32le", 9, 4],
    ["u32be", 9, 4],
    ["u64le", 5, 8],
    ["u64be", 5, 8],
  ] as const)("%s stops at the end", (method, offset, length) => {
    const message = `${length} byte(s) expected, the input ends at 12`;
    expect(() => reader()[method](offset, "size")).toThrow(new FormatError("test", message, { offset, field: "size" }));
    expect(() => reader()[method](offset - 1, "size")).not.toThrow();
  });

  test("has() knows what is not a place", () => {
    const r = reader();
    expect(r.has(0, 12)).toBe(true);
    expect(r.has(12, 0)).toBe(true);
    for (const [offset, length] of [
      [0, 13],
      [13, 0],
      [-1, 1],
      [1, -1],
      [0.5, 1],
      [Number.NaN, 1],
      [0, Number.NaN],
      [Number.MAX_SAFE_INTEGER, 1],
      [Number.POSITIVE_INFINITY, 1],
    ] as const) {
      expect(r.has(offset, length), `${offset}, ${length}`).toBe(false);
    }
  });

  test("slice is a view of exactly the length asked for", () => {
    const r = reader();
    const slice = r.slice(8, 4, "name");
    expect([...slice]).toEqual([0x41, 0x42, 0, 0x43]);
    expect(slice.buffer).toBe(r.bytes.buffer);
    expect(() => r.slice(8, 5, "name")).toThrow(
      new FormatError("test", "5 byte(s) expected, the input ends at 12", { offset: 8, field: "name" }),
    );
  });

  test("latin1 ends at NUL, hasMagic never throws", () => {
    const r = reader();
    expect(r.latin1(8, 4, "name")).toBe("AB");
    expect(r.hasMagic(8, "AB")).toBe(true);
    expect(r.hasMagic(8, "AC")).toBe(false);
    expect(r.hasMagic(11, "CD")).toBe(false);
    expect(r.hasMagic(-1, "A")).toBe(false);
  });

  test("fail names what it is given", () => {
    expect(() => reader().fail("oops")).toThrow(new FormatError("test", "oops"));
    expect(() => reader().fail("oops", 3, "f")).toThrow(new FormatError("test", "oops", { offset: 3, field: "f" }));
  });
});

describe("text of bytes", () => {
  test("latin1 is one character a byte at any length", () => {
    const long = new Uint8Array(20_000).map((_, index) => index & 0xff);
    const text = latin1(long);
    expect(text).toHaveLength(20_000);
    expect(text.charCodeAt(255)).toBe(255);
    expect(text.charCodeAt(19_999)).toBe(19_999 & 0xff);
  });

  test("utf8 is strict and drops a byte order mark", () => {
    expect(utf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0xc3, 0xa4), "test")).toBe("ä");
    for (const wrong of [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80]]) {
      expect(() => utf8(Uint8Array.from(wrong), "test")).toThrow(new FormatError("test", "text in UTF-8 expected"));
    }
  });

  test("hex", () => {
    expect(hex(Uint8Array.of(0, 0x0f, 0xff))).toBe("000fff");
    expect(hex(new Uint8Array(0))).toBe("");
  });

  // The EFI System Partition's type: UEFI 2.10, table 5.7, and its bytes on a disk.
  test("guidText swaps the first three fields, uuidText none", () => {
    const esp = Uint8Array.of(
      0x28,
      0x73,
      0x2a,
      0xc1,
      0x1f,
      0xf8,
      0xd2,
      0x11,
      0xba,
      0x4b,
      0x00,
      0xa0,
      0xc9,
      0x3e,
      0xc9,
      0x3b,
    );
    expect(guidText(esp)).toBe("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    expect(uuidText(esp)).toBe("28732ac1-1ff8-d211-ba4b-00a0c93ec93b");
  });
});
