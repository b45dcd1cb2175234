import { describe, expect, test } from "vitest";
import { parsePem, pemBlocksMax, pemBytesMax } from "../../../src/formats/pem.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const begin = "-----BEGIN CERTIFICATE-----";
const end = "-----END CERTIFICATE-----";

describe("blocks", () => {
  test("their labels, bytes and lines; text between them", () => {
    const text = `Root of Acme\n${begin}\nAQID\n${end}\n\n-----BEGIN PKCS7-----\nBAU=\n-----END PKCS7-----\n`;
    expect(parsePem(encode(text))).toEqual({
      blocks: [
        { label: "CERTIFICATE", bytes: Uint8Array.of(1, 2, 3), line: 2 },
        { label: "PKCS7", bytes: Uint8Array.of(4, 5), line: 6 },
      ],
      textLine: 1,
    });
  });

  test.each([
    ["lines of any length", `${begin}\nA\nQI\nD\n${end}`],
    ["CRLF and spaces", `${begin} \r\nAQ ID\t\r\n\r\n${end}\t \r\n`],
    ["no line end behind", `${begin}\nAQID\n${end}`],
  ])("%s", (_what, text) => {
    expect(parsePem(encode(text))).toEqual({
      blocks: [{ label: "CERTIFICATE", bytes: Uint8Array.of(1, 2, 3), line: 1 }],
      textLine: null,
    });
  });

  test("none", () => {
    expect(parsePem(encode("\n \n"))).toEqual({ blocks: [], textLine: null });
    expect(parsePem(encode("text\n"))).toEqual({ blocks: [], textLine: 1 });
  });

  test.each([
    [`${begin}\nAQID\n`, 'pem: line 1: "-----END CERTIFICATE-----" expected before the end'],
    [`${begin}\nAQID\n-----END CMS-----`, 'pem: line 3: "-----END CERTIFICATE-----" expected'],
    [`${begin}\n${begin}\nAQID\n${end}\n${end}`, 'pem: line 2: "-----END CERTIFICATE-----" expected'],
    [`${begin}\nAQID\n${end}\n${end}`, "pem: line 4: a BEGIN line expected"],
    [`${begin}\n${end}`, "pem: line 1: base64 expected, the block is empty"],
    [`${begin}\nAQI\n${end}`, "pem: line 1: base64 in groups of 4 characters expected, not 3 characters"],
    [`${begin}\nAQ!D\n${end}`, 'pem: line 1: base64 expected, not "!"'],
    [`${begin}\nAQJ=\n${end}`, "pem: line 1: unused bits of base64 are not zero"],
    [`${begin}\nAQ==\nAQ==\n${end}`, 'pem: line 1: base64 expected, not "="'],
    [
      `${begin}\nProc-Type: 4,ENCRYPTED\n\nAQID\n${end}`,
      'pem: line 2: base64 expected, not the header "Proc-Type: 4,ENCRYPTED"',
    ],
    ["-----BEGIN CERTIFICATE----\n", 'pem: line 1: a BEGIN or an END line expected, not "-----BEGIN CERTIFICATE----"'],
    ["-----BEGIN -----\n", 'pem: line 1: a BEGIN or an END line expected, not "-----BEGIN -----"'],
    [`${begin}x\n`, `pem: line 1: a BEGIN or an END line expected, not "${begin}x"`],
    ["\xff", null],
  ])("%j is refused", (text, message) => {
    const bytes = message === null ? Uint8Array.of(0xff) : encode(text);
    expect(formatErrorOf(() => parsePem(bytes))).toBe(message ?? "pem: text in UTF-8 expected");
  });

  test("length and number are limited", () => {
    expect(formatErrorOf(() => parsePem(new Uint8Array(pemBytesMax).fill(0x0a)))).toBeNull();
    expect(formatErrorOf(() => parsePem(new Uint8Array(pemBytesMax + 1).fill(0x0a)))).toBe(
      "pem: 1048577 bytes, at most 1048576 are taken",
    );
    const block = `${begin}\nAQID\n${end}\n`;
    expect(parsePem(encode(block.repeat(pemBlocksMax))).blocks).toHaveLength(pemBlocksMax);
    expect(formatErrorOf(() => parsePem(encode(block.repeat(pemBlocksMax + 1))))).toBe(
      "pem: line 1539: at most 512 blocks are taken",
    );
  });

  test("hostile input", () => {
    const bytes = encode(`text\n${begin}\nAQID\nBAUG\n${end}\n`);
    tortureParser({ bytes, parse: parsePem, rounds: 2000, seed: 3 });
  });
});
