import { describe, expect, test } from "vitest";
import { berElementsMax, derOfBer } from "../../../src/formats/ber.ts";
import { derDepthMax } from "../../../src/formats/der.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const converted = (text: string): string => Buffer.from(derOfBer(bytes(text), "ber")).toString("hex");

describe("DER of BER", () => {
  test.each([
    ["DER stays as it is", "30 03 02 01 05", "3003020105"],
    ["indefinite length", "30 80 02 01 05 00 00", "3003020105"],
    ["one inside the other", "30 80 a0 80 02 01 05 00 00 05 00 00 00", "3007a0030201050500"],
    ["a length longer than it has to be", "30 84 00 00 00 03 02 81 01 05".replace("03", "04"), "3003020105"],
    ["a string in pieces", "24 80 04 02 68 69 04 01 21 00 00", "0403686921"],
    ["pieces in pieces", "24 80 24 06 04 01 61 04 01 62 04 01 63 00 00", "0403616263"],
    ["no piece at all", "24 80 00 00", "0400"],
    ["zeroes inside a value are no end", "30 80 04 02 00 00 00 00", "300404020000"],
  ])("%s", (_what, text, wanted) => {
    expect(converted(text)).toBe(wanted);
  });

  test("a string in pieces that add up to more than 127 bytes", () => {
    const piece = Uint8Array.from([4, 100, ...new Uint8Array(100).fill(7)]);
    const input = Uint8Array.from([0x24, 0x80, ...piece, ...piece, 0, 0]);
    expect([...derOfBer(input, "ber")]).toEqual([4, 0x81, 200, ...new Uint8Array(200).fill(7)]);
  });

  test.each([
    ["30 80 02 01 05", "ber: offset 5: the end of the element expected"],
    ["30 80 02 01 05 00", "ber: offset 5: the end of the element expected"],
    ["30 80 00 01", "ber: offset 2: the end of the element expected"],
    ["30 80 00 00 00", "ber: offset 4: nothing more expected"],
    ["04 80 00 00", "ber: offset 0: a definite length expected"],
    ["30 02 04 01 00", "ber: offset 2: 1 byte(s) expected, the element around ends at 4"],
    ["30 03 04 01", "ber: offset 0: 3 byte(s) expected, the element around ends at 4"],
    ["30 85 00 00 00 00 00", "ber: offset 1: a length of at most 4 bytes expected, not 5"],
    ["1f 01 00", "ber: offset 0: a tag of one byte expected"],
    ["24 03 02 01 05", "ber: offset 2: a piece of an OCTET STRING expected"],
    ["", "ber: offset 0, tag: 1 byte(s) expected, the input ends at 0"],
  ])("%s is refused", (text, message) => {
    expect(formatErrorOf(() => converted(text))).toBe(message);
  });

  test("depth and number are limited", () => {
    const nested = (depth: number): Uint8Array =>
      Uint8Array.from([...Array(depth).fill([0x30, 0x80]).flat(), ...Array(depth).fill([0, 0]).flat()]);
    expect(formatErrorOf(() => derOfBer(nested(derDepthMax + 1), "ber"))).toBeNull();
    expect(formatErrorOf(() => derOfBer(nested(derDepthMax + 2), "ber"))).toBe("ber: offset 50: nested deeper than 24");
    const nulls = (count: number): Uint8Array =>
      Uint8Array.from({ length: 2 * count + 4 }, (_, i) =>
        i === 0 ? 0x30 : i === 1 ? 0x80 : i < 2 * count + 2 && i % 2 === 0 ? 5 : 0,
      );
    expect(formatErrorOf(() => derOfBer(nulls(berElementsMax - 1), "ber"))).toBeNull();
    expect(formatErrorOf(() => derOfBer(nulls(berElementsMax), "ber"))).toBe(
      "ber: offset 131072: at most 65536 elements are taken",
    );
  });

  test("hostile input", () => {
    const input = bytes("30 80 06 03 55 1d 13 a0 80 24 80 04 02 68 69 04 01 21 00 00 00 00 31 05 02 03 01 02 03 00 00");
    tortureParser({ bytes: input, parse: (some) => derOfBer(some, "ber"), rounds: 3000, seed: 7 });
  });
});
