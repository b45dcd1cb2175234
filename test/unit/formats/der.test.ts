import { describe, expect, test } from "vitest";
import {
  type DerElement,
  DerReader,
  derBitStringBytes,
  derBoolean,
  derDepthMax,
  derElementsMax,
  derInside,
  derInteger,
  derNamedBits,
  derOid,
  derSmallInteger,
  derText,
  derTime,
  derWhole,
  oidBytesMax,
} from "../../../src/formats/der.ts";
import { der } from "../../fakes/der-writer.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const element = (text: string): DerElement => new DerReader(bytes(text), "der").any("field");
const ascii = (tag: number, text: string): DerElement => new DerReader(der(tag, Buffer.from(text)), "der").any("time");

describe("elements", () => {
  test("one after the other, views of the input with their places", () => {
    const input = bytes("30 06 02 01 05 04 01 aa");
    const outer = derWhole(input, 0x30, "der", "outer");
    const reader = derInside(outer);
    expect(derSmallInteger(reader.take(2, "number"), "number")).toBe(5);
    expect(reader.optional(2, "number")).toBeNull();
    const octets = reader.take(4, "octets");
    expect([...octets.content]).toEqual([0xaa]);
    expect(octets).toMatchObject({ offset: 7, depth: 1 });
    expect(octets.der.buffer).toBe(input.buffer);
    expect(reader.done).toBe(true);
  });

  test("lengths of one to three bytes", () => {
    for (const length of [0, 127, 128, 255, 256, 65_535, 65_536]) {
      const header = length < 128 ? [] : length < 256 ? [0x81] : length < 65_536 ? [0x82] : [0x83];
      const digits = length.toString(16).padStart(Math.max(2, ((header[0] ?? 0x81) % 16) * 2), "0");
      const input = Uint8Array.from([4, ...header, ...bytes(digits), ...new Uint8Array(length)]);
      expect(derWhole(input, 4, "der", "octets").content).toHaveLength(length);
    }
  });

  test.each([
    ["", "der: offset 0, outer: 1 byte(s) expected, the input ends at 0"],
    ["30", "der: offset 1, outer: 1 byte(s) expected, the input ends at 1"],
    ["30 02 05", "der: offset 0, outer: 4 byte(s) expected, the input ends at 3"],
    ["31 00", "der: offset 0, outer: tag 0x30 expected, not 0x31"],
    ["30 00 00", "der: offset 2, outer: nothing more expected"],
    ["30 80 00 00", "der: offset 0, outer: a definite length expected"],
    ["30 81 7f", "der: offset 0, outer: the shortest form of the length expected"],
    ["30 82 00 ff", "der: offset 0, outer: the shortest form of the length expected"],
    ["30 84 00 00 00 01 00", "der: offset 0, outer: a length of at most 3 bytes expected, not 4"],
  ])("%s is refused", (text, message) => {
    expect(formatErrorOf(() => derWhole(bytes(text), 0x30, "der", "outer"))).toBe(message);
  });

  test("a tag of several bytes is refused", () => {
    expect(formatErrorOf(() => element("1f 81 00 00"))).toBe("der: offset 0, field: a tag of one byte expected");
  });

  test("depth and number are limited", () => {
    let input = bytes("05 00");
    for (let depth = 0; depth <= derDepthMax; depth++) input = der(0x30, input);
    const walk = (reader: DerReader): void => {
      const next = reader.any("nested");
      if (next.tag === 0x30) walk(derInside(next));
    };
    expect(formatErrorOf(() => walk(new DerReader(input, "der")))).toMatch(/: nested deeper than 24$/);
    expect(formatErrorOf(() => walk(new DerReader(input.subarray(2), "der")))).toBeNull();
    const many = new DerReader(
      new Uint8Array(2 * derElementsMax + 2).map((_, i) => (i % 2 === 0 ? 5 : 0)),
      "der",
    );
    for (let count = 0; count < derElementsMax; count++) many.any("null");
    expect(formatErrorOf(() => many.any("null"))).toBe("der: offset 8192, null: at most 4096 elements are taken");
  });
});

describe("values", () => {
  // X.690, section 8.19.5: {2 100 3}; RFC 5280's basicConstraints; an arc of a UUID (X.667) is wider than 53 bits.
  test.each([
    ["06 03 81 34 03", "2.100.3"],
    ["06 03 55 1d 13", "2.5.29.19"],
    ["06 01 00", "0.0"],
    ["06 01 27", "0.39"],
    ["06 01 28", "1.0"],
    ["06 0a 69 ff ff ff ff ff ff ff ff 7f", "2.25.9223372036854775807"],
  ])("object identifier %s", (text, dotted) => {
    expect(derOid(element(text), "oid")).toBe(dotted);
  });

  test.each<[string, (found: DerElement) => unknown, string]>([
    [
      "06 00",
      (e) => derOid(e, "oid"),
      `der: offset 2, oid: an object identifier of 1 to ${oidBytesMax} bytes expected`,
    ],
    ["06 02 55 80", (e) => derOid(e, "oid"), "der: offset 2, oid: the shortest form of the object identifier expected"],
    ["06 02 55 81", (e) => derOid(e, "oid"), "der: offset 2, oid: the object identifier ends inside a number"],
    ["02 00", (e) => derInteger(e, "n"), "der: offset 2, n: an INTEGER of at least one byte expected"],
    ["02 02 00 7f", (e) => derInteger(e, "n"), "der: offset 2, n: the shortest form of the INTEGER expected"],
    ["02 02 ff 80", (e) => derInteger(e, "n"), "der: offset 2, n: the shortest form of the INTEGER expected"],
    ["02 01 ff", (e) => derSmallInteger(e, "n"), "der: offset 2, n: a whole number below 2^31 expected"],
    ["02 05 00 80 00 00 00", (e) => derSmallInteger(e, "n"), "der: offset 2, n: a whole number below 2^31 expected"],
    ["01 01 01", (e) => derBoolean(e, "b"), "der: offset 2, b: a BOOLEAN of 0 or 255 expected"],
    ["01 02 ff ff", (e) => derBoolean(e, "b"), "der: offset 2, b: a BOOLEAN of 0 or 255 expected"],
    ["03 00", (e) => derBitStringBytes(e, "s"), "der: offset 2, s: a BIT STRING expected"],
    ["03 01 01", (e) => derBitStringBytes(e, "s"), "der: offset 2, s: a BIT STRING expected"],
    ["03 02 08 00", (e) => derBitStringBytes(e, "s"), "der: offset 2, s: a BIT STRING expected"],
    ["03 02 01 01", (e) => derBitStringBytes(e, "s"), "der: offset 2, s: unused bits of 0 expected"],
    ["03 02 01 02", (e) => derBitStringBytes(e, "s"), "der: offset 2, s: a BIT STRING of whole bytes expected"],
    ["03 06 00 01 01 01 01 01", (e) => derNamedBits(e, "s"), "der: offset 2, s: at most 32 named bits expected"],
    ["04 00", (e) => derTime(e, "t"), "der: offset 2, t: a UTCTime or a GeneralizedTime expected"],
  ])("%s is refused", (text, read, message) => {
    expect(formatErrorOf(() => read(element(text)))).toBe(message);
  });

  test("numbers, truth, bits", () => {
    expect(derSmallInteger(element("02 04 7f ff ff ff"), "n")).toBe(0x7fff_ffff);
    expect([...derInteger(element("02 02 00 80"), "n")]).toEqual([0, 0x80]);
    expect(derBoolean(element("01 01 00"), "b")).toBe(false);
    expect(derBoolean(element("01 01 ff"), "b")).toBe(true);
    expect([...derNamedBits(element("03 03 07 06 80"), "s")]).toEqual([5, 6, 8]);
    expect([...derBitStringBytes(element("03 02 00 ff"), "s")]).toEqual([0xff]);
  });

  test.each([
    [0x17, "260601000000Z", "2026-06-01T00:00:00.000Z"],
    [0x17, "491231235959Z", "2049-12-31T23:59:59.000Z"],
    [0x17, "500101000000Z", "1950-01-01T00:00:00.000Z"],
    [0x18, "99991231235959Z", "9999-12-31T23:59:59.000Z"],
    [0x18, "00500101000000Z", "0050-01-01T00:00:00.000Z"],
    [0x18, "20240229120000Z", "2024-02-29T12:00:00.000Z"],
  ])("time %i %s", (tag, text, iso) => {
    expect(new Date(derTime(ascii(tag, text), "time")).toISOString()).toBe(iso);
  });

  test.each([
    [0x17, "2606010000Z", "26"],
    [0x17, "260601000000+0000", "26"],
    [0x17, "260631000000Z", "26"],
    [0x17, "261301000000Z", "26"],
    [0x17, "260600000000Z", "26"],
    [0x17, "260601240000Z", "26"],
    [0x17, "260601006000Z", "26"],
    [0x17, "260601000060Z", "26"],
    [0x18, "20260601000000.5Z", "2026"],
    [0x18, "20230229120000Z", "2026"],
  ])("time %i %s is refused", (tag, text, year) => {
    expect(formatErrorOf(() => derTime(ascii(tag, text), "time"))).toBe(
      `der: offset 2, time: a time as "${year}1120093000Z" expected, not "${text}"`,
    );
  });

  test("text of every type", () => {
    expect(derText(element("0c 02 c3 a9"))).toBe("é");
    expect(derText(element("0c 01 e9"))).toBeNull();
    expect(derText(element("13 02 41 42"))).toBe("AB");
    expect(derText(element("14 01 e9"))).toBe("é");
    expect(derText(element("1e 04 00 41 20 ac"))).toBe("A€");
    expect(derText(element("1e 03 00 41 20"))).toBeNull();
    expect(derText(element("1c 04 00 00 00 41"))).toBeNull();
  });
});

test("hostile input", () => {
  const walk = (reader: DerReader): void => {
    while (!reader.done) {
      const next = reader.any("any");
      if ((next.tag & 0x20) !== 0) walk(derInside(next));
      else if (next.tag === 6) derOid(next, "oid");
      else if (next.tag === 0x17) derTime(next, "time");
    }
  };
  const input = der(
    0x30,
    der(0x31, bytes("06 03 55 1d 13")),
    ascii(0x17, "260601000000Z").der,
    bytes("a0 03 02 01 02"),
  );
  tortureParser({ bytes: input, parse: (some) => walk(new DerReader(some, "der")), rounds: 3000, seed: 5 });
});
