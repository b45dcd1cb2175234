import { describe, expect, it, test } from "vitest";
import {
  efiAttribute,
  efiText,
  efiVariableBytesMax,
  efiVariableFileName,
  loaderVendor,
  parseEfiVariable,
  parseEfiVariableFileName,
} from "../../../src/formats/efi-variable.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

const utf16 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "utf16le"));

// As `bootctl set-default` and the firmware leave it: attributes 7, text with NUL.
const variable = Uint8Array.of(7, 0, 0, 0, ...utf16("debian.conf\0"));

it("attributes, then data", () => {
  const { attributes, data } = parseEfiVariable(variable);
  expect(attributes).toBe(efiAttribute.nonVolatile | efiAttribute.bootServiceAccess | efiAttribute.runtimeAccess);
  expect(efiText(data)).toBe("debian.conf");
});

describe("text", () => {
  test.each([
    ["a", "a"],
    ["a\0b\0", "a"],
    ["", ""],
    ["\0", ""],
    ["Grüße 😀", "Grüße 😀"],
    ["\ufeffa", "\ufeffa"],
    // A zero byte in the middle of a character is no end.
    ["Ā", "Ā"],
  ])("%j", (text, found) => expect(efiText(utf16(text))).toBe(found));
});

test.each([
  [
    "no attributes",
    () => parseEfiVariable(Uint8Array.of(7, 0, 0)),
    "efi variable: offset 0, attributes: 4 byte(s) expected, the input ends at 3",
  ],
  [
    "too long",
    () => parseEfiVariable(new Uint8Array(efiVariableBytesMax + 1)),
    "efi variable: 65537 bytes, at most 65536 are taken",
  ],
  [
    "half a character",
    () => efiText(Uint8Array.of(0x61, 0, 0x62)),
    "efi variable: 3 bytes of text: an even number expected",
  ],
  ["half a pair", () => efiText(Uint8Array.of(0x00, 0xd8, 0x61, 0)), "efi variable: text in UTF-16 expected"],
])("refused: %s", (_, parse, message) => expect(formatErrorOf(parse)).toBe(message));

describe("file names", () => {
  it("there and back", () => {
    const name = efiVariableFileName("LoaderEntryDefault", loaderVendor);
    expect(name).toBe("LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f");
    expect(parseEfiVariableFileName(name)).toEqual({ name: "LoaderEntryDefault", vendor: loaderVendor });
  });
  test.each([
    ["a-b-4A67B082-0a4c-41cf-b6c7-440b29bb8c4f", { name: "a-b", vendor: loaderVendor }],
    ["Boot0001-8be4df61-93ca-11d2-aa0d-00e098032b8", null],
    ["-8be4df61-93ca-11d2-aa0d-00e098032b8c", null],
    ["", null],
  ])("%j", (fileName, found) => expect(parseEfiVariableFileName(fileName)).toEqual(found));
});

it("only FormatError, cut or changed", () => {
  tortureParser({ bytes: variable, parse: (bytes) => efiText(parseEfiVariable(bytes).data), rounds: 2000, seed: 5 });
});
