import { describe, expect, test } from "vitest";
import { minisignAnchorReader, minisignScheme } from "../../../../src/trust/schemes/minisign.ts";
import { signifyScheme } from "../../../../src/trust/schemes/signify.ts";
import { formatErrorOf, tortureParser } from "../../../fakes/hostile-input.ts";
import {
  anchorsOf,
  bitsThatMayTurn,
  flippedBits,
  latin1Bytes,
  signatureData,
  signatureText,
  verdictOf,
} from "../../../fakes/signature-data.ts";

const message = signatureData("signify/message.txt");
const signature = signatureData("signify/detached.sig");
const plain = anchorsOf(minisignAnchorReader, "signify/plain.pub", "plain");
const other = anchorsOf(minisignAnchorReader, "signify/other.pub", "other");
const [comment = "", base64 = ""] = signatureText("signify/detached.sig").split("\n");

test("a file made by signify-openbsd", () => {
  expect(signifyScheme.recognises(signature)).toBe(true);
  expect(minisignScheme.recognises(signature)).toBe(false);
  expect(signifyScheme.readSignatures(signature)[0]?.digests).toEqual([]);
  expect(verdictOf(signifyScheme, signature, message, [...other, ...plain])).toBe("by plain");
});

describe("refused", () => {
  const keyId = plain[0]?.id ?? "";
  test("another key", () => {
    const reason = `made with key ${keyId}, which is not trusted`;
    expect(verdictOf(signifyScheme, signature, message, other)).toBe(reason);
    expect(signifyScheme.readSignatures(signature)[0]?.mayBeBy(other)).toBe(false);
    expect(signifyScheme.readSignatures(signature)[0]?.mayBeBy(plain)).toBe(true);
  });

  test("another file, and every bit of the file", () => {
    expect(verdictOf(signifyScheme, signature, new Uint8Array(), plain)).toBe("the signature does not match the file");
    for (const { bytes } of flippedBits(message)) {
      expect(verdictOf(signifyScheme, signature, bytes, plain)).toBe("the signature does not match the file");
    }
  });

  test.each([
    [
      "a message behind it (signify -e)",
      signatureData("signify/embedded.sig"),
      'line 3: a message behind its signature ("signify -e") or another signature, a detached signature expected',
    ],
    [
      "in an archive (signify -z)",
      signatureData("signify/archive.gz"),
      'an archive with its signature inside ("signify -z"), a detached signature expected',
    ],
    [
      "truncated",
      latin1Bytes(`${comment}\n${base64.slice(0, -4)}\n`),
      "line 2: 100 characters of base64 expected, not 96",
    ],
    ["only a comment", latin1Bytes(`${comment}\n`), "line 2: the file ends before this line"],
    ["a public key", signatureData("signify/plain.pub"), "line 2: 100 characters of base64 expected, not 56"],
    [
      "another algorithm",
      latin1Bytes(`${comment}\nRX${base64.slice(2)}\n`),
      'line 2: algorithm "Ed" expected, not "Et"',
    ],
    ["a byte order mark inside", latin1Bytes(`${comment}\xff\n${base64}\n`), "text in UTF-8 expected"],
  ])("%s", (_, bytes, reason) => {
    expect(signifyScheme.recognises(bytes)).toBe(true);
    expect(formatErrorOf(() => signifyScheme.readSignatures(bytes))).toBe(`signify signature: ${reason}`);
  });

  test("every bit of the signature but those of the comment that nothing signs", () => {
    const unsigned = { from: "untrusted comment: ".length * 8, to: comment.length * 8 };
    const found = bitsThatMayTurn(signifyScheme, signature, message, plain, "by plain");
    expect(found.filter((bit) => bit < unsigned.from || bit >= unsigned.to)).toEqual([]);
  });
});

/** A signature and a key of the same number, as signify would write them. */
function judgeRaw(key: string, content: string, raw: string): string {
  const file = (hexadecimal: string): Uint8Array => {
    const bytes = Buffer.from(`45640000000000000001${hexadecimal}`, "hex");
    return latin1Bytes(`untrusted comment: x\n${bytes.toString("base64")}\n`);
  };
  const keys = minisignAnchorReader.readAnchors("k", file(key));
  return verdictOf(signifyScheme, file(raw), latin1Bytes(Buffer.from(content, "hex").toString("latin1")), keys);
}

// Of C2SP's Wycheproof, testvectors_v1/ed25519_test.json: test groups 1 and 2, which share a key.
describe("Wycheproof", () => {
  const key = "7d4d0e7f6153a69b6242b522abbee685fda4420f8834b108c3bdae369ef549fa";
  const valid = [
    [
      "",
      "d4fbdb52bfa726b44d1786a8c0d171c3e62ca83c9e5bbe63de0bb2483f8fd6cc1429ab72cafc41ab56af02ff8fcc43b99bfe4c7ae940f60f38ebaa9d311c4007",
    ],
    [
      "78",
      "d80737358ede548acb173ef7e0399f83392fe8125b2ce877de7975d8b726ef5b1e76632280ee38afad12125ea44b961bf92f1178c9fa819d020869975bcbe109",
    ],
    [
      "54657374",
      "7c38e026f29e14aabd059a0f2db8b0cd783040609a8be684db12f82a27774ab07a9155711ecfaf7f99f277bad0c6ae7e39d4eef676573336a5c51eb6f946b30d",
    ],
  ] as const;
  test.each(valid)("valid: %j", (content, raw) => expect(judgeRaw(key, content, raw)).toBe("by k"));

  // Cases 10 to 29: special values of R and S, each with each.
  const zero = "00".repeat(32);
  const one = `01${"00".repeat(31)}`;
  const orderLessOne = "ecd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
  const order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
  const prime = `ed${"ff".repeat(30)}7f`;
  const special = [zero, one, order, prime].flatMap((r) =>
    [zero, one, orderLessOne, order, prime].map((s) => [r, s] as const),
  );
  test.each(special)("special values %s %s", (r, s) => {
    expect(judgeRaw(key, "3f", r + s)).toBe("the signature does not match the file");
  });

  test.each(valid)("S made larger by the order of the group (RFC 8032, section 8.4): %j", (content, raw) => {
    const number = (hexadecimal: string): bigint =>
      BigInt(`0x${Buffer.from(hexadecimal, "hex").reverse().toString("hex")}`);
    const sum = (number(raw.slice(64)) + number(order)).toString(16).padStart(64, "0");
    const larger = Buffer.from(sum, "hex").reverse().toString("hex");
    expect(judgeRaw(key, content, raw.slice(0, 64) + larger)).toBe("the signature does not match the file");
  });
});

test("hostile input", () => {
  const parse = (bytes: Uint8Array): unknown => signifyScheme.readSignatures(bytes);
  tortureParser({ bytes: signature, parse, rounds: 1000, seed: 3 });
  tortureParser({ bytes: signatureData("signify/archive.gz"), parse, rounds: 300, seed: 4 });
});
