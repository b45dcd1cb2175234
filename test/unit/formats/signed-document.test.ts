import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { joinSignedDocument, splitSignedDocument } from "../../../src/formats/signed-document.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

const encoder = new TextEncoder();
const textOf = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);
const data = (path: string): string =>
  readFileSync(new URL(`../../data/signatures/${path}`, import.meta.url), "latin1");

const minisign = data("minisign/plain.minisig");
const signify = data("signify/detached.sig");
const ssh = data("sshsig/ed25519.sig");
const pgp = "-----BEGIN PGP SIGNATURE-----\nVersion: x\n\nAAAA\n=BBBB\n-----END PGP SIGNATURE-----\n";
const cms = "-----BEGIN CMS-----\nAAAA\n-----END CMS-----\n";
const pkcs7 = "-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n";

const payload = '{ "a": 1 }\n\0\xff\n';
const separator = "--- signatures ---\n";

function split(text: string): { payload: string; blocks: string[] } {
  const document = splitSignedDocument(Uint8Array.from(Buffer.from(text, "latin1")));
  return { payload: textOf(document.payload), blocks: document.blocks.map(textOf) };
}

describe("taken apart", () => {
  test.each([
    ["no separator", payload, payload, []],
    ["nothing at all", "", "", []],
    ["no signatures", payload + separator, payload, []],
    ["a separator without its line feed", payload + separator.trimEnd(), payload, []],
    ["no payload", separator + ssh, "", [ssh]],
    [
      "each kind",
      payload + separator + minisign + signify + ssh + pgp + cms + pkcs7,
      payload,
      [minisign, signify, ssh, pgp, cms, pkcs7],
    ],
    [
      "in another order",
      payload + separator + signify + minisign + pgp + signify,
      payload,
      [signify, minisign, pgp, signify],
    ],
    ["blank lines between", `${payload}${separator}\n\n${signify}\n \r\n${ssh}\n`, payload, [signify, ssh]],
    ["no last line feed", payload + separator + minisign.trimEnd(), payload, [minisign.trimEnd()]],
    [
      "a signature that is cut, for its scheme to refuse",
      `${separator}untrusted comment: x\n${ssh}`,
      "",
      ["untrusted comment: x\n", ssh],
    ],
    [
      "words that are no separator",
      ` --- signatures ---\n--- signatures\n--- signatures --- \n`,
      ` --- signatures ---\n--- signatures\n--- signatures --- \n`,
      [],
    ],
  ] as const)("%s", (_, text, expected, blocks) => {
    expect(split(text)).toEqual({ payload: expected, blocks });
  });
});

describe("refused", () => {
  test.each([
    [`a\n${separator}${ssh}${separator}`, 'line 9: a second "--- signatures ---"'],
    [`${separator}${separator}`, 'line 2: a second "--- signatures ---"'],
    [
      `-----\n--- signatures ---\r\n${ssh}`,
      'line 2: "--- signatures ---\\u{d}", a line feed alone expected at its end',
    ],
    [
      `${separator}hello\n`,
      `line 2: "hello", a signature expected: "untrusted comment: " or "-----BEGIN " and one of SSH SIGNATURE, PGP SIGNATURE, CMS, PKCS7`,
    ],
    [
      `${separator}${signify}hello\n`,
      `line 4: "hello", a signature expected: "untrusted comment: " or "-----BEGIN " and one of SSH SIGNATURE, PGP SIGNATURE, CMS, PKCS7`,
    ],
    [
      `${separator}${minisign}${minisign.split("\n")[1]}\n`,
      `line 6: "${minisign.split("\n")[1]?.slice(0, 80)}…", a signature expected: "untrusted comment: " or "-----BEGIN " and one of SSH SIGNATURE, PGP SIGNATURE, CMS, PKCS7`,
    ],
    [
      `${separator}-----BEGIN CERTIFICATE-----\n`,
      `line 2: "-----BEGIN CERTIFICATE-----", a signature expected: "untrusted comment: " or "-----BEGIN " and one of SSH SIGNATURE, PGP SIGNATURE, CMS, PKCS7`,
    ],
    [`${separator}${cms}-----BEGIN CMS-----\nAAAA\n`, 'line 5: the document ends before "-----END CMS-----"'],
    [`${separator}-----BEGIN CMS-----\n-----END PKCS7-----\n`, 'line 2: the document ends before "-----END CMS-----"'],
    [separator + signify.repeat(33), "line 66: more than 32 signatures"],
    [
      `${separator}-----BEGIN CMS-----\n${"A".repeat(65_536)}\n-----END CMS-----\n`,
      "line 2: a signature of 65575 bytes, at most 65536 are taken",
    ],
    ["x".repeat(4_194_305), "4194305 bytes, at most 4194304 are taken"],
  ])("row %#", (text, reason) => {
    expect(formatErrorOf(() => split(text))).toBe(`signed document: ${reason}`);
  });
});

describe("put together", () => {
  const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "latin1"));

  test("and taken apart again", () => {
    const joined = joinSignedDocument(bytes(payload), [minisign, ssh.trimEnd(), signify, pgp].map(bytes));
    expect(textOf(joined)).toBe(payload + separator + minisign + ssh + signify + pgp);
    expect(split(textOf(joined))).toEqual({ payload, blocks: [minisign, ssh, signify, pgp] });
  });

  test.each([
    ["no line feed", [], "the text to sign does not end in a line feed"],
    [`a\n${separator}`, [], 'line 2: the text to sign holds the line "--- signatures ---"'],
    ["a\n", [`${ssh}${ssh}`], "1 signatures read as 2"],
    ["a\n", [""], "1 signatures read as 0"],
    [
      "a\n",
      ["\x30\x82"],
      `line 3: "0\\u{82}", a signature expected: "untrusted comment: " or "-----BEGIN " and one of SSH SIGNATURE, PGP SIGNATURE, CMS, PKCS7`,
    ],
  ])("not: row %#", (text, blocks, reason) => {
    const error = formatErrorOf(() => joinSignedDocument(bytes(text), blocks.map(bytes)));
    expect(error).toBe(`signed document: ${reason}`);
  });
});

test("hostile input: the payload and what stands behind it are never more than the document", () => {
  const bytes = encoder.encode(`${payload}${separator}${minisign}${ssh}${pgp}`);
  const parse = (input: Uint8Array): void => {
    const { payload: signed, blocks } = splitSignedDocument(input);
    const length = blocks.reduce((sum, block) => sum + block.length, signed.length);
    expect(length).toBeLessThanOrEqual(input.length);
    expect(textOf(input).startsWith(textOf(signed))).toBe(true);
  };
  tortureParser({ bytes, parse, rounds: 2000, seed: 9 });
});
