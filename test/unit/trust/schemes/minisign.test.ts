import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { timelessClock } from "../../../../src/trust/clock.ts";
import { minisignAnchorReader, minisignScheme } from "../../../../src/trust/schemes/minisign.ts";
import { type NumberedKeyAnchor, noRevocations } from "../../../../src/trust/schemes/scheme.ts";
import { signifyScheme } from "../../../../src/trust/schemes/signify.ts";
import { formatErrorOf, tortureParser } from "../../../fakes/hostile-input.ts";
import {
  anchorsOf,
  bitsThatMayTurn,
  flippedBits,
  latin1Bytes,
  signatureData,
  signatureText,
  signedContent,
  verdictOf,
} from "../../../fakes/signature-data.ts";

const message = signatureData("minisign/message.txt");
const plain = anchorsOf(minisignAnchorReader, "minisign/plain.pub", "plain");
const locked = anchorsOf(minisignAnchorReader, "minisign/locked.pub", "locked");
const signature = signatureData("minisign/plain.minisig");
const plainIdentity = "spki:fa44725a6bdc3560acb8e5ed2997da6a44c0225e514414c4534481937186ce1d";

describe("files made by minisign 0.11", () => {
  test.each([
    ["plain.minisig", "by plain", ["blake2b512"]],
    ["legacy.minisig", "by plain", []],
    ["locked.minisig", "by locked", ["blake2b512"]],
  ])("%s", (name, verdict, digests) => {
    const bytes = signatureData(`minisign/${name}`);
    expect(minisignScheme.recognises(bytes)).toBe(true);
    expect(signifyScheme.recognises(bytes)).toBe(false);
    expect(minisignScheme.readSignatures(bytes)[0]?.digests).toEqual(digests);
    expect(verdictOf(minisignScheme, bytes, message, [...locked, ...plain])).toBe(verdict);
  });

  test("it asks for what it said, and for no more", () => {
    for (const [name, expected] of [
      ["plain", "blake2b512"],
      ["legacy", "bytes"],
    ]) {
      const asked: string[] = [];
      const [only] = minisignScheme.readSignatures(signatureData(`minisign/${name}.minisig`));
      const context = { anchors: plain, clock: timelessClock, revocations: noRevocations };
      expect(only?.check(signedContent(message, asked), context).reason).toBe(null);
      expect(asked).toEqual([expected]);
    }
  });

  test("who signed", () => {
    const [only] = minisignScheme.readSignatures(signature);
    const context = { anchors: plain, clock: timelessClock, revocations: noRevocations };
    const signer = only?.check(signedContent(message), context).signer;
    // SHA-256 of RFC 8410's 12 bytes of head and the 32 bytes of the key in plain.pub, by Python.
    expect(signer).toMatchObject({ label: "plain", scheme: "minisign", identities: [plainIdentity] });
    expect(only?.mayBeBy(plain)).toBe(true);
    expect(only?.mayBeBy(locked)).toBe(false);
  });
});

describe("refused", () => {
  const [comment = "", base64 = "", trusted = "", global = ""] = signatureText("minisign/plain.minisig").split("\n");
  const other = signatureText("minisign/locked.minisig").split("\n");
  const file = (...lines: string[]): Uint8Array => latin1Bytes(`${lines.join("\n")}\n`);
  const keyId = plain[0]?.id ?? "";
  test.each([
    ["another key", signature, message, locked, `made with key ${keyId}, which is not trusted`],
    ["no key", signature, message, [], `made with key ${keyId}, which is not trusted`],
    ["another file", signature, message.subarray(1), plain, "the signature does not match the file"],
    ["an empty file", signature, new Uint8Array(), plain, "the signature does not match the file"],
    [
      "a changed comment",
      file(comment, base64, `${trusted}.`, global),
      message,
      plain,
      "the signature's trusted comment was changed",
    ],
    [
      "the comment of another signature",
      file(comment, base64, other[2] ?? "", other[3] ?? ""),
      message,
      plain,
      "the signature's trusted comment was changed",
    ],
  ])("%s", (_, bytes, content, anchors, reason) => {
    expect(verdictOf(minisignScheme, bytes, content, anchors)).toBe(reason);
  });

  test.each([
    ["truncated", file(comment, base64, trusted), "line 4: the file ends before this line"],
    ["truncated to what signify writes", file(comment, base64), "line 3: the file ends before this line"],
    ["something behind it", file(comment, base64, trusted, global, "x"), "line 5: end expected after line 4"],
    [
      "two of them",
      latin1Bytes(signatureText("minisign/plain.minisig").repeat(2)),
      "line 5: end expected after line 4",
    ],
  ])("%s", (_, bytes, reason) => {
    expect(minisignScheme.recognises(bytes)).toBe(true);
    expect(formatErrorOf(() => minisignScheme.readSignatures(bytes))).toBe(`minisign signature: ${reason}`);
  });

  test("every bit of the signature but those of the comment that nothing signs", () => {
    const unsigned = { from: "untrusted comment: ".length * 8, to: comment.length * 8 };
    const found = bitsThatMayTurn(minisignScheme, signature, message, plain, "by plain");
    expect(found.filter((bit) => bit < unsigned.from || bit >= unsigned.to)).toEqual([]);
  });

  test("every bit of the file", () => {
    for (const { bytes } of flippedBits(message)) {
      expect(verdictOf(minisignScheme, signature, bytes, plain)).toBe("the signature does not match the file");
    }
  });
});

test("of two keys with one number the one that signed is found", () => {
  const [real] = plain.filter((anchor): anchor is NumberedKeyAnchor => anchor.kind === "minisign");
  if (real === undefined) throw new Error("a key expected");
  const impostor = { ...real, label: "impostor", key: generateKeyPairSync("ed25519").publicKey };
  expect(verdictOf(minisignScheme, signature, message, [impostor, real])).toBe("by plain");
  expect(verdictOf(minisignScheme, signature, message, [impostor])).toBe("the signature does not match the file");
});

describe("keys", () => {
  const text = signatureText("minisign/plain.pub");
  const line = text.split("\n")[1] ?? "";
  test.each([
    ["a file", text],
    ["one line", line],
    ["one line with its end", `${line}\r\n`],
  ])("%s", (_, key) => {
    expect(minisignAnchorReader.recognises(latin1Bytes(key))).toBe(true);
    expect(minisignAnchorReader.readAnchors("plain", latin1Bytes(key))).toEqual(plain);
  });

  test.each([
    ["a secret key", signatureText("minisign/plain.key"), "line 2: 56 characters of base64 expected, not 212"],
    ["a signature", signatureText("minisign/plain.minisig"), "line 3: end expected after line 2"],
    ["a key that is cut", text.slice(0, -10), "line 2: 56 characters of base64 expected, not 47"],
  ])("refused: %s", (_, key, reason) => {
    expect(minisignAnchorReader.recognises(latin1Bytes(key))).toBe(true);
    const error = formatErrorOf(() => minisignAnchorReader.readAnchors("x", latin1Bytes(key)));
    expect(error).toBe(`minisign public key: ${reason}`);
  });

  test.each(["", "hello\n", "ssh-ed25519 AAAA", line.slice(1), `${line} x`])("not recognised: %j", (key) => {
    expect(minisignAnchorReader.recognises(latin1Bytes(key))).toBe(false);
  });
});

test("hostile input", () => {
  const parse = (bytes: Uint8Array): void => {
    if (minisignScheme.recognises(bytes)) minisignScheme.readSignatures(bytes);
    if (minisignAnchorReader.recognises(bytes)) minisignAnchorReader.readAnchors("x", bytes);
  };
  tortureParser({ bytes: signature, parse, rounds: 1000, seed: 1 });
  tortureParser({ bytes: signatureData("minisign/plain.pub"), parse, rounds: 1000, seed: 2 });
});
