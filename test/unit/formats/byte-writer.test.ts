import { describe, expect, test } from "vitest";
import { alignUp, ByteWriter, cString } from "../../../src/formats/byte-writer.ts";
import { FormatError } from "../../../src/formats/format-error.ts";

describe("ByteWriter", () => {
  test("writes little-endian", () => {
    const writer = new ByteWriter(16, "test");
    writer.u8(0, 0x12, "a");
    writer.u16(1, 0x3456, "b");
    writer.u32(3, 0x789abcde, "c");
    writer.u64(7, 0x0102_0304_0506_0708n, "d");
    writer.set(15, Uint8Array.of(0xff), "e");
    expect(Buffer.from(writer.bytes).toString("hex")).toBe("125634debc9a780807060504030201ff");
  });
  test("a view of other bytes is written where it lies", () => {
    const bytes = new Uint8Array(4);
    new ByteWriter(bytes.subarray(2), "test").u16(0, 0xabcd, "a");
    expect([...bytes]).toEqual([0, 0, 0xcd, 0xab]);
  });

  const rows: readonly (readonly [string, (w: ByteWriter) => void, string])[] = [
    ["8 bits", (w) => w.u8(1, 256, "f"), "test: offset 1, f: 0x100: a whole number up to 0xff expected"],
    ["16 bits", (w) => w.u16(0, 65_536, "f"), "test: offset 0, f: 0x10000: a whole number up to 0xffff expected"],
    ["32 bits", (w) => w.u32(0, -1, "f"), "test: offset 0, f: -1: a whole number up to 0xffffffff expected"],
    ["a fraction", (w) => w.u32(0, 0.5, "f"), "test: offset 0, f: 0.5: a whole number up to 0xffffffff expected"],
    [
      "no number",
      (w) => w.u64(0, Number.NaN, "f"),
      "test: offset 0, f: NaN: a whole number up to 0x1fffffffffffff expected",
    ],
    [
      "65 bits",
      (w) => w.u64(0, 1n << 64n, "f"),
      "test: offset 0, f: 0x10000000000000000: 64 bits without a sign expected",
    ],
    ["behind the end", (w) => w.u32(6, 0, "f"), "test: offset 6, f: 4 byte(s) do not fit into 8"],
    ["too much", (w) => w.set(4, new Uint8Array(5), "f"), "test: offset 4, f: 5 byte(s) do not fit into 8"],
  ];
  test.each(rows)("refuses %s", (_, write, message) => {
    const writer = new ByteWriter(8, "test");
    expect(() => write(writer)).toThrow(FormatError);
    expect(() => write(writer)).toThrow(expect.objectContaining({ message }));
    expect(writer.bytes.every((byte) => byte === 0)).toBe(true);
  });
});

test("alignUp", () => {
  expect([0, 1, 16, 17, 2 ** 40 + 1].map((value) => alignUp(value, 16))).toEqual([0, 16, 16, 32, 2 ** 40 + 16]);
});

test("cString", () => {
  expect([...cString("ö", "test", "f")]).toEqual([0xc3, 0xb6, 0]);
  expect(() => cString("a\0b", "test", "f")).toThrow(
    new FormatError("test", "text without NUL expected", { field: "f" }),
  );
});
