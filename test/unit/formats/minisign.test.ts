import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import {
  parseMinisignPublicKey,
  parseMinisignPublicKeyLine,
  parseMinisignSignature,
} from "../../../src/formats/minisign.ts";

function data(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../../data/minisign/${name}`, import.meta.url)));
}

const encoder = new TextEncoder();
const publicKeyText = new TextDecoder().decode(data("throwaway-test.pub"));
const signatureText = new TextDecoder().decode(data("message.txt.minisig"));

function expectKeyError(text: string, message: string, line?: number): void {
  const place = line === undefined ? {} : { line };
  expect(() => parseMinisignPublicKey(encoder.encode(text))).toThrow(
    new FormatError("minisign public key", message, place),
  );
}

function expectSignatureError(text: string, message: string, line?: number): void {
  const place = line === undefined ? {} : { line };
  expect(() => parseMinisignSignature(encoder.encode(text))).toThrow(
    new FormatError("minisign signature", message, place),
  );
}

/** Ed25519 by OpenSSL, to prove that the parts are the right ones. */
function verifies(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const x = Buffer.from(key).toString("base64url");
  return verify(null, message, createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" }), signature);
}

describe("files made by minisign 0.11", () => {
  const key = parseMinisignPublicKey(data("throwaway-test.pub"));

  test("public key; the id is the one that minisign prints", () => {
    expect(key.keyId).toBe("DFD0210565BC72C1");
    expect(key.untrustedComment).toBe("minisign public key DFD0210565BC72C1");
    expect(key.key).toHaveLength(32);
  });

  test("public key as one line", () => {
    expect(parseMinisignPublicKeyLine("RWTBcrxlBSHQ37IgjkJxE+SOKsqvs/yyslk0POtUlnJdO62XcEqTb3u/")).toEqual({
      ...key,
      untrustedComment: null,
    });
  });

  test.each([
    ["message.txt.minisig", "prehashed", "prehashed signature", "file:message.txt\tprehashed"],
    ["message.txt.legacy.minisig", "legacy", "legacy signature", "file:message.txt\tlegacy"],
  ] as const)("%s", (name, algorithm, untrustedComment, trustedComment) => {
    const signature = parseMinisignSignature(data(name));
    expect(signature).toMatchObject({ algorithm, untrustedComment, trustedComment, keyId: "DFD0210565BC72C1" });
    const message = data("message.txt");
    const signed = algorithm === "legacy" ? message : createHash("blake2b512").update(message).digest();
    expect(verifies(key.key, signed, signature.signature)).toBe(true);
    expect(verifies(key.key, signature.globalMessage, signature.globalSignature)).toBe(true);
  });

  test("CRLF and a missing last line end change nothing", () => {
    const wanted = parseMinisignSignature(encoder.encode(signatureText));
    expect(parseMinisignSignature(encoder.encode(signatureText.replaceAll("\n", "\r\n")))).toEqual(wanted);
    expect(parseMinisignSignature(encoder.encode(signatureText.trimEnd()))).toEqual(wanted);
  });
});

describe("public keys that are refused", () => {
  const [comment = "", key = ""] = publicKeyText.split("\n");
  test.each([
    ["", "the file ends before this line", 1],
    [`${comment}\n`, "the file ends before this line", 2],
    [`${publicKeyText}\n`, "end expected after line 2", 3],
    [`${publicKeyText}${publicKeyText}`, "end expected after line 2", 3],
    [`untrusted comment:\n${key}\n`, `"untrusted comment: " expected, not "untrusted comment:"`, 1],
    [`\ufeff${publicKeyText}`, `"untrusted comment: " expected`, 1],
    [`trusted comment: x\n${key}`, `"untrusted comment: " expected, not "trusted comment: x"`, 1],
    [`untrusted comment: ${"x".repeat(1006)}\n${key}`, "comment of 1025 bytes, at most 1024 are taken", 1],
    [`untrusted comment: a\0b\n${key}`, "NUL or carriage return inside the comment", 1],
    [`${comment}\n${key.slice(0, -4)}`, "56 characters of base64 expected, not 52", 2],
    [`${comment}\n ${key}`, "56 characters of base64 expected, not 57", 2],
    [`${comment}\n${key.slice(0, -1)}=`, 'base64 expected, not "="', 2],
    [`${comment}\n${key.slice(0, -1)}-`, 'base64 expected, not "-"', 2],
    [`${comment}\nRU${key.slice(2)}`, 'algorithm "Ed" expected, not "ED"', 2],
  ] as const)("row %#", (text, message, line) => expectKeyError(text, message, line));

  test("over the size limit", () => {
    expectKeyError("x".repeat(16_385), "16385 bytes, at most 16384 are taken");
  });

  test("text that is not UTF-8", () => {
    expect(() => parseMinisignPublicKey(Uint8Array.of(0x75, 0xff))).toThrow(
      "minisign public key: text in UTF-8 expected",
    );
  });
});

describe("signatures that are refused", () => {
  const [comment = "", signature = "", trusted = "", global = ""] = signatureText.split("\n");
  const joined = (...lines: string[]): string => `${lines.join("\n")}\n`;
  test.each([
    [joined(comment, signature), "the file ends before this line", 3],
    [joined(comment, signature, trusted), "the file ends before this line", 4],
    [joined(comment, signature, trusted, global, "x"), "end expected after line 4", 5],
    [joined(comment, signature, trusted, global, ""), "end expected after line 4", 5],
    [
      joined(comment, signature, comment, global),
      `"trusted comment: " expected, not "untrusted comment: prehashed signature"`,
      3,
    ],
    [joined(comment, signature, `${trusted}\r\r`, global), "NUL or carriage return inside the comment", 3],
    [
      joined(comment, signature, `trusted comment: ${"x".repeat(8176)}`, global),
      "comment of 8193 bytes, at most 8192 are taken",
      3,
    ],
    [
      joined(comment, `RW${signature.slice(2)}`, trusted, global).replace("RW", "SU"),
      'algorithm "ED" or "Ed" expected, not "ID"',
      2,
    ],
    [joined(comment, signature.replace(/.=$/, "B="), trusted, global), "unused bits of base64 are not zero", 2],
    [joined(comment, signature.replace(/=$/, "A"), trusted, global), 'base64 that ends in 1 "=" expected', 2],
    [joined(comment, signature, trusted, global.replace(/==$/, "A=")), 'base64 that ends in 2 "=" expected', 4],
    [joined(comment, signature, trusted, signature), "88 characters of base64 expected, not 100", 4],
  ] as const)("row %#", (text, message, line) => expectSignatureError(text, message, line));
});

test("every truncation and any change gives a signature or a FormatError", () => {
  const bytes = data("message.txt.minisig");
  const parse = (input: Uint8Array): void => {
    try {
      parseMinisignSignature(input);
      parseMinisignPublicKey(input);
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
    }
  };
  for (let end = 0; end <= bytes.length; end++) parse(bytes.subarray(0, end));
  let state = 5;
  for (let round = 0; round < 5000; round++) {
    const changed = bytes.slice();
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    changed[(state >> 8) % changed.length] = state & 0xff;
    parse(changed);
  }
});
