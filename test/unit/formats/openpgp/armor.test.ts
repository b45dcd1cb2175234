import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../../../src/formats/format-error.ts";
import {
  armorBlocksMax,
  armorBytesMax,
  armorHeadersMax,
  armorKind,
  readArmor,
} from "../../../../src/formats/openpgp/armor.ts";
import { tortureParser } from "../../../fakes/hostile-input.ts";

const data = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../../../data/signatures/openpgp/${name}`, import.meta.url)));
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const read = (text: string) => readArmor(bytesOf(text), "armor");

const begin = "-----BEGIN PGP SIGNATURE-----";
const end = "-----END PGP SIGNATURE-----";
/** `abc`; the checksum is what `gpg --enarmor` writes for these three bytes. */
const block = `${begin}\n\nYWJj\n=uhx7\n${end}\n`;

function refused(text: string, detail: string, line: number): void {
  expect(() => read(text)).toThrow(new FormatError("armor", detail, { line }));
}

describe("armor", () => {
  test("what gpg wraps is what it exports", () => {
    expect(readArmor(data("rsa.asc"), "armor")).toEqual([{ kind: "PUBLIC KEY BLOCK", line: 1, data: data("rsa.gpg") }]);
    expect(armorKind(data("rsa.sig.asc"))).toBe("SIGNATURE");
    expect(armorKind(data("clear.sig"))).toBe("SIGNED MESSAGE");
    expect(armorKind(data("rsa.sig"))).toBeNull();
    expect(armorKind(bytesOf("-----BEGIN CERTIFICATE-----\n"))).toBeNull();
  });
  test.each([
    ["as it is", block],
    ["without a checksum", block.replace("=uhx7\n", "")],
    ["without the last line end", block.trimEnd()],
    ["with CRLF", block.replaceAll("\n", "\r\n")],
    ["with white space at the ends of lines", block.replaceAll("\n", " \t\n")],
    ["with headers", block.replace("\n\n", "\nVersion: GnuPG v2\nComment: any: text\nHash:\n\n")],
    ["in lines of any length", block.replace("YWJj", "Y\nWJ\n\nj")],
  ])("%s", (_, text) => expect(read(text).map(({ data }) => [...data])).toEqual([[97, 98, 99]]));

  test("several blocks, and empty lines between them", () => {
    expect(read(`\n${block}\n\n${block}`).map(({ line }) => line)).toEqual([2, 9]);
    expect(read("")).toEqual([]);
  });
  test("an empty block", () => expect(read(`${begin}\n\n${end}`)[0]?.data).toHaveLength(0));

  test.each([
    ["hello\n", '"-----BEGIN PGP …-----" expected, not "hello"', 1],
    [`${block}x\n`, '"-----BEGIN PGP …-----" expected, not "x"', 6],
    [` ${block}`, `"-----BEGIN PGP …-----" expected, not " ${begin}"`, 1],
    [block.replace("\n\n", "\n"), 'a header or an empty line expected, not "YWJj"', 2],
    [block.replace("\n\n", "\n-x\n\n"), 'a header or an empty line expected, not "-x"', 2],
    [block.replace("YWJj", "YWJ"), "base64 in groups of 4 characters expected, not 3 characters", 1],
    [block.replace("YWJj", "YW*j"), 'base64 expected, not "*"', 1],
    [block.replace("YWJj", "YWJj\nYR=="), "unused bits of base64 are not zero", 1],
    [block.replace("uhx7", "uhx8"), "the checksum (CRC-24) is wrong", 4],
    [block.replace("uhx7", "uhw="), "the checksum (CRC-24) is wrong", 4],
    [block.replace("uhx7", "uhx"), "base64 in groups of 4 characters expected, not 3 characters", 4],
    [block.replace("=uhx7", "=uhx7\n=uhx7"), `"${end}" expected, not "=uhx7"`, 5],
    [block.replace("END PGP SIGNATURE", "END PGP MESSAGE"), `"${end}" expected, not "-----END PGP MESSAGE-----"`, 5],
    [block.replace(`${end}\n`, ""), "the armored text ends before its last line", 5],
    [begin, "the armored text ends before its last line", 2],
  ] as const)("refused: row %#", (text, detail, line) => refused(text, detail, line));

  test("limits", () => {
    refused(block.repeat(armorBlocksMax + 1), "at most 256 armored blocks are taken", armorBlocksMax * 5 + 1);
    refused(
      block.replace("\n\n", `\n${"A: b\n".repeat(armorHeadersMax + 1)}\n`),
      "at most 64 header lines are taken",
      armorHeadersMax + 2,
    );
    expect(() => readArmor(new Uint8Array(armorBytesMax + 1), "armor")).toThrow(
      new FormatError("armor", "6291457 bytes, at most 6291456 are taken"),
    );
  });
  test("anything gives blocks or a FormatError", () => {
    const bytes = data("rsa.sig.asc");
    tortureParser({ bytes, parse: (input) => readArmor(input, "armor"), rounds: 1000, seed: 11 });
  });
});
