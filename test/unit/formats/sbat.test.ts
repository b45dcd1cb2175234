import { describe, expect, it } from "vitest";
import { parseSbatLevels, parseSbatSection, sbatRefusal } from "../../../src/formats/sbat.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const version = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n";
/** SBAT.md, "Example sbat sections". */
const fedora = `${version}grub,1,Free Software Foundation,grub,2.04,https://www.gnu.org/software/grub/
grub.fedora,1,The Fedora Project,grub2,2.04-31.fc33,https://src.fedoraproject.org/rpms/grub2
`;

describe("sections", () => {
  it("of SBAT.md, and with zeroes behind the text", () => {
    const expected = [
      { name: "sbat", generation: 1 },
      { name: "grub", generation: 1 },
      { name: "grub.fedora", generation: 1 },
    ];
    expect(parseSbatSection(encode(fedora))).toEqual(expected);
    expect(parseSbatSection(encode(`${fedora}\0\0\0`))).toEqual(expected);
    expect(parseSbatSection(encode(`\ufeff${fedora.replaceAll("\n", "\r\n")}\n`))).toEqual(expected);
  });

  it.each([
    ["", "sbat: a component expected, the text is empty"],
    ["\n\n", "sbat: a component expected, the text is empty"],
    ["grub,1,a,b,c\n", "sbat: line 1: at least 6 fields expected, not 5"],
    [`${version}grub\n`, "sbat: line 2: at least 6 fields expected, not 1"],
    [",1,a,b,c,d", 'sbat: line 1: a component\'s name expected, not ""'],
    ["gr ub,1,a,b,c,d", 'sbat: line 1: a component\'s name expected, not "gr ub"'],
    [`${"x".repeat(257)},1,a,b,c,d`, `sbat: line 1: a component's name expected, not "${"x".repeat(80)}…"`],
    ["grub,0,a,b,c,d", 'sbat: line 1: a generation from 1 to 2147483647 expected, not "0"'],
    ["grub,01,a,b,c,d", 'sbat: line 1: a generation from 1 to 2147483647 expected, not "01"'],
    ["grub,-1,a,b,c,d", 'sbat: line 1: a generation from 1 to 2147483647 expected, not "-1"'],
    ["grub,2147483648,a,b,c,d", 'sbat: line 1: a generation from 1 to 2147483647 expected, not "2147483648"'],
    [`${version}\0more`, `sbat: offset ${version.length}: zeroes expected behind the text`],
    ["grub,1,a,b,c,d\n".repeat(257), "sbat: line 257: more than 256 components"],
    ["x".repeat(65_537), "sbat: 65537 bytes, at most 65536 are taken"],
  ])("%#: refused", (text, error) => {
    expect(formatErrorOf(() => parseSbatSection(encode(text)))).toBe(error);
  });

  it("text that is no UTF-8", () => {
    expect(formatErrorOf(() => parseSbatSection(Uint8Array.of(0xff)))).toBe("sbat: text in UTF-8 expected");
  });

  it("cut and changed", () => {
    tortureParser({ bytes: encode(fedora), parse: parseSbatSection, rounds: 2000, seed: 1 });
  });
});

describe("levels", () => {
  it("with a date, and without", () => {
    expect(parseSbatLevels("sbat,1,2022052400\ngrub,2\n")).toEqual([
      { name: "sbat", generation: 1 },
      { name: "grub", generation: 2 },
    ]);
  });

  it.each([
    ["", "sbat: a component expected, the text is empty"],
    ["sbat", "sbat: line 1: at least 2 fields expected, not 1"],
    ["sbat,", 'sbat: line 1: a generation from 1 to 2147483647 expected, not ""'],
    ["x".repeat(65_537), "sbat: 65537 bytes, at most 65536 are taken"],
  ])("%#: refused", (text, error) => {
    expect(formatErrorOf(() => parseSbatLevels(text))).toBe(error);
  });
});

/** SBAT.md, "Starting point", "Along comes bug 1" and the sections after it. */
describe("images against levels, as SBAT.md tells it", () => {
  const acme = `${version}grub.acme,1,Acme Corporation,grub,1.96-8191,https://acme.arpa/packages/grub\n`;
  it.each([
    [fedora, "sbat,1\nshim,1\ngrub,1\n", null],
    [
      fedora,
      "sbat,1\nshim,1\ngrub,1\ngrub.fedora,2\n",
      '"grub.fedora" is of the SBAT generation 1, at least 2 expected',
    ],
    [fedora, "sbat,1\nshim,1\ngrub,2\ngrub.fedora,2\n", '"grub" is of the SBAT generation 1, at least 2 expected'],
    [fedora.replace("grub,1", "grub,3").replace("a,1", "a,2"), "sbat,1\nshim,1\ngrub,3\ngrub.fedora,2\n", null],
    [acme, "sbat,1\nshim,1\ngrub,2\ngrub.fedora,2\n", null],
    [fedora, "grub,1\ngrub,2\ngrub,1\n", '"grub" is of the SBAT generation 1, at least 2 expected'],
    [fedora, "sbat,2\n", '"sbat" is of the SBAT generation 1, at least 2 expected'],
  ])("%#", (section, levels, refusal) => {
    expect(sbatRefusal(parseSbatSection(encode(section)), parseSbatLevels(levels))).toBe(refusal);
  });

  it("an image that has no section", () => {
    expect(sbatRefusal(null, parseSbatLevels("sbat,1\n"))).toBe(
      'the image has no section ".sbat", which SBAT levels ask for',
    );
  });
});
