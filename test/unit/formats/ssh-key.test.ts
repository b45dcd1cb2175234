import { createPrivateKey, createPublicKey } from "node:crypto";
import { describe, expect, test } from "vitest";
import { isSshSecretKey, parseSshSecretKey } from "../../../src/formats/ssh-key.ts";
import { parseSshTime } from "../../../src/formats/ssh-time.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { latin1Bytes, signatureData, signatureText } from "../../fakes/signature-data.ts";

// Public keys and signatures are tested with their scheme.

describe("secret keys made by ssh-keygen", () => {
  const bytes = signatureData("sshsig/ed25519");
  const text = signatureText("sshsig/ed25519");
  const body = Buffer.from(text.split("\n").slice(1, -2).join(""), "base64");

  test("Ed25519", () => {
    expect(isSshSecretKey(bytes)).toBe(true);
    const key = parseSshSecretKey(bytes);
    const [, base64, ...comment] = signatureText("sshsig/ed25519.pub").trimEnd().split(" ");
    expect(Buffer.from(key.blob).toString("base64")).toBe(base64);
    expect(key.comment).toBe(comment.join(" "));
    // The seed gives the public key.
    const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), key.seed]);
    const secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    expect(createPublicKey(secret).export({ format: "jwk" }).x).toBe(Buffer.from(key.publicKey).toString("base64url"));
  });

  function changed(from: string | Buffer, to: string): Uint8Array {
    const at = body.lastIndexOf(from);
    expect(at).toBeGreaterThan(0);
    const other = Buffer.concat([body.subarray(0, at), Buffer.from(to, "latin1"), body.subarray(at + from.length)]);
    const label = "OPENSSH PRIVATE KEY";
    return latin1Bytes(`-----BEGIN ${label}-----\n${other.toString("base64")}\n-----END ${label}-----\n`);
  }

  test.each([
    ["a password", signatureData("sshsig/locked"), 'cipher: "aes256-ctr": a key without a password expected'],
    ["RSA", signatureData("sshsig/rsa2048"), "a key of ssh-rsa, ssh-ed25519 expected"],
    ["ECDSA", signatureData("sshsig/ecdsa256"), "a key of ecdsa-sha2-nistp256, ssh-ed25519 expected"],
    ["no key", latin1Bytes("hello\n"), 'line 1: "-----BEGIN OPENSSH PRIVATE KEY-----" expected'],
    ["cut", latin1Bytes(text.slice(0, -40)), 'line 6: the file ends before "-----END OPENSSH PRIVATE KEY-----"'],
    ["several keys", changed("none\0\0\0\0\0\0\0\x01", "none\0\0\0\0\0\0\0\x02"), "keys: 2, 1 expected"],
    ["KDF", changed("\0\0\0\x04none\0\0\0\0", "\0\0\0\x04some\0\0\0\0"), 'kdf: "none" expected'],
    ["padding", changed(body.subarray(-1), "\x09"), "padding: 1, 2, 3… expected"],
    [
      "the other key",
      changed("\0\0\0\x0bssh-ed25519", "\0\0\0\x0bssh-ed25518"),
      'algorithm: "ssh-ed25518", ssh-ed25519 expected',
    ],
  ])("refused: %s", (_, key, reason) => {
    expect(formatErrorOf(() => parseSshSecretKey(key))).toBe(`ssh secret key: ${reason}`);
  });

  test("refused: halves that do not belong together", () => {
    const other = Buffer.from(body);
    // Public key: 4 + 11 + 4 bytes before its 32; it stands in the file three times.
    const half = body.subarray(body.indexOf("ssh-ed25519") + 15, body.indexOf("ssh-ed25519") + 47);
    const at = other.lastIndexOf(half);
    other[at] = (other[at] ?? 0) ^ 1;
    const label = "OPENSSH PRIVATE KEY";
    const file = latin1Bytes(`-----BEGIN ${label}-----\n${other.toString("base64")}\n-----END ${label}-----\n`);
    const error = formatErrorOf(() => parseSshSecretKey(file));
    expect(error).toBe("ssh secret key: secret part: it does not fit the public key");
  });

  test("hostile input", () => {
    tortureParser({ bytes, parse: parseSshSecretKey, rounds: 1000, seed: 11 });
  });
});

describe("times", () => {
  test.each([
    ["20261120", "2026-11-20T00:00:00Z"],
    ["20261120Z", "2026-11-20T00:00:00Z"],
    ["202611200930", "2026-11-20T09:30:00Z"],
    ["20261120093015Z", "2026-11-20T09:30:15Z"],
  ])("%s", (text, time) => expect(parseSshTime(text)).toBe(Date.parse(time)));

  test.each(["", "2026112", "20260230", "2026112024", "202611202400", "20261120093060", "forever", "20261120 "])(
    "none: %j",
    (text) => expect(parseSshTime(text)).toBe(null),
  );
});
