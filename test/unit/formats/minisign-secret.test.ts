import { describe, expect, test } from "vitest";
import { parseMinisignPublicKey, parseMinisignSignature } from "../../../src/formats/minisign.ts";
import {
  isMinisignSecretKey,
  parseMinisignKeyPair,
  parseMinisignSecretKey,
  scryptCost,
  writeMinisignKeyPair,
  writeMinisignPublicKey,
  writeMinisignSecretKey,
  writeMinisignSignature,
} from "../../../src/formats/minisign-secret.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { latin1Bytes, signatureData, signatureText } from "../../fakes/signature-data.ts";

const plain = signatureData("minisign/plain.key");
const locked = signatureData("minisign/locked.key");

describe("secret keys made by minisign 0.11", () => {
  test("without a password", () => {
    const { derivation, hidden } = parseMinisignSecretKey(plain);
    expect(derivation).toBe(null);
    const { key } = parseMinisignPublicKey(signatureData("minisign/plain.pub"));
    expect(parseMinisignKeyPair(hidden).publicKey).toEqual(key);
  });

  test("with one: 1 GiB, once", () => {
    const { derivation, hidden } = parseMinisignSecretKey(locked);
    expect(derivation?.cost).toEqual({ N: 1 << 20, r: 8, p: 1 });
    expect(formatErrorOf(() => parseMinisignKeyPair(hidden))).toBe(
      "minisign secret key: wrong password, or the file is damaged: its checksum does not fit",
    );
  });

  test("told from other files", () => {
    expect([plain, locked].map(isMinisignSecretKey)).toEqual([true, true]);
    const others = ["minisign/plain.pub", "minisign/plain.minisig", "signify/plain.sec", "sshsig/ed25519"];
    expect(others.map((name) => isMinisignSecretKey(signatureData(name)))).toEqual([false, false, false, false]);
  });
});

describe("what libsodium makes of limits", () => {
  // crypto_pwhash_scryptsalsa208sha256: MIN, INTERACTIVE and SENSITIVE, and one that memory does not bind.
  test.each([
    [32_768n, 16_777_216n, { N: 1024, r: 8, p: 1 }],
    [524_288n, 16_777_216n, { N: 16_384, r: 8, p: 1 }],
    [33_554_432n, 1_073_741_824n, { N: 1_048_576, r: 8, p: 1 }],
    [1n, 16_777_216n, { N: 1024, r: 8, p: 1 }],
    [4_194_304n, 16_777_216n, { N: 16_384, r: 8, p: 8 }],
  ])("%i operations, %i bytes", (operations, memory, cost) => {
    expect(scryptCost(operations, memory)).toEqual(cost);
  });

  test.each([
    [1n << 40n, 1n << 40n, "a password that costs 1099511627776 bytes and 32 rounds"],
    [1n << 63n, 1n << 30n, "a password that costs 1073741824 bytes and 274877906944 rounds"],
  ])("refused: %i operations, %i bytes", (operations, memory, what) => {
    expect(formatErrorOf(() => scryptCost(operations, memory))).toBe(
      `minisign secret key: ${what}, at most 1073741824 bytes and 1 to 16 rounds are taken`,
    );
  });
});

describe("written", () => {
  const pair = parseMinisignKeyPair(parseMinisignSecretKey(plain).hidden);

  test("the public key is minisign's own, to the byte", () => {
    expect(writeMinisignPublicKey("plain test key", pair)).toBe(
      signatureText("minisign/plain.pub").replace(/^untrusted comment: .*/, "untrusted comment: plain test key"),
    );
  });

  test("a signature is minisign's own, to the byte", () => {
    const text = signatureText("minisign/plain.minisig");
    const { signature, trustedComment, globalSignature } = parseMinisignSignature(latin1Bytes(text));
    const { keyNumber } = pair;
    const untrustedComment = "untrusted words";
    const parts = { untrustedComment, keyNumber, signature, trustedComment, globalSignature };
    expect(writeMinisignSignature(parts)).toBe(text);
  });

  test("the secret key is read again, and its checksum is minded", () => {
    const hidden = writeMinisignKeyPair(pair);
    const text = writeMinisignSecretKey("mine", null, hidden);
    expect(isMinisignSecretKey(latin1Bytes(text))).toBe(true);
    expect(parseMinisignKeyPair(parseMinisignSecretKey(latin1Bytes(text)).hidden)).toEqual(pair);
    for (const at of [0, 8, 40, 71, 72, 103]) {
      const changed = hidden.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(formatErrorOf(() => parseMinisignKeyPair(changed))).toMatch(/checksum does not fit$/);
    }
  });

  test("with a password's numbers", () => {
    const salt = Uint8Array.from({ length: 32 }, (_, index) => index);
    const limits = { operations: 8_388_608, memory: 268_435_456, salt };
    const text = writeMinisignSecretKey("mine", limits, writeMinisignKeyPair(pair));
    const { derivation } = parseMinisignSecretKey(latin1Bytes(text));
    expect(derivation).toEqual({ salt, cost: { N: 262_144, r: 8, p: 1 } });
  });

  test.each([
    ["two\nlines", 'comment "two\\u{a}lines", one line without NUL expected'],
    ["x".repeat(1006), "comment of 1025 bytes, at most 1024 are taken"],
  ])("not: row %#", (comment, reason) => {
    const error = formatErrorOf(() => writeMinisignPublicKey(comment, pair));
    expect(error).toBe(`minisign public key: ${reason}`);
  });
});

describe("refused", () => {
  const [comment = "", base64 = ""] = signatureText("minisign/locked.key").split("\n");
  /** The first bytes of the file, changed. */
  const head = (letters: string): string => {
    const bytes = Buffer.from(base64, "base64");
    bytes.write(letters, "latin1");
    return `${comment}\n${bytes.toString("base64")}\n`;
  };
  test.each([
    [`${comment}\n`, "line 2: the file ends before this line"],
    [`${comment}\n${base64.slice(4)}\n`, "line 2: 212 characters of base64 expected, not 208"],
    [`${comment}\n${base64}\nx\n`, "line 3: end expected after line 2"],
    [head("EdXx"), 'line 2: algorithms "Ed", "Sc" (or none) and "B2" expected, not "EdXxB2"'],
    [head("ED"), 'line 2: algorithms "Ed", "Sc" (or none) and "B2" expected, not "EDScB2"'],
    [head("EdScb2"), 'line 2: algorithms "Ed", "Sc" (or none) and "B2" expected, not "EdScb2"'],
  ])("row %#", (text, reason) => {
    const error = formatErrorOf(() => parseMinisignSecretKey(latin1Bytes(text)));
    expect(error).toBe(`minisign secret key: ${reason}`);
  });

  test("hostile input", () => {
    const parse = (bytes: Uint8Array): unknown => parseMinisignKeyPair(parseMinisignSecretKey(bytes).hidden);
    tortureParser({ bytes: locked, parse, rounds: 1000, seed: 8 });
    tortureParser({ bytes: plain, parse, rounds: 1000, seed: 9 });
  });
});
