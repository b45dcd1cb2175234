import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseMinisignSignature } from "../../../src/formats/minisign.ts";
import {
  parseMinisignKeyPair,
  parseMinisignSecretKey,
  scryptCost,
  writeMinisignKeyPair,
  writeMinisignSecretKey,
} from "../../../src/formats/minisign-secret.ts";
import { minisignAnchorReader, minisignScheme } from "../../../src/trust/schemes/minisign.ts";
import { sshAnchorReader, sshsigScheme } from "../../../src/trust/schemes/sshsig.ts";
import { applyPassword, commandSigner, openSecretKey } from "../../../src/trust/signing.ts";
import { anchorsOf, signatureData, signatureText, verdictOf } from "../../fakes/signature-data.ts";

const payload = signatureData("minisign/message.txt");
const facts = { fileName: "boot.manifest", now: Date.UTC(2026, 10, 20) + 999 };
const noPassword = async (): Promise<string> => {
  throw new Error("nobody is there to be asked");
};

async function refusal(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "no error",
    (error: unknown) => (error instanceof Error ? error.message : "no error"),
  );
}

describe("with a key", () => {
  test("of minisign", async () => {
    const signer = await openSecretKey(signatureData("minisign/plain.key"), noPassword);
    const anchors = anchorsOf(minisignAnchorReader, "minisign/plain.pub", "plain");
    expect(signer.what).toBe(`minisign key ${anchors[0]?.id}`);
    const block = await signer.sign(payload, facts);
    expect(verdictOf(minisignScheme, block, payload, anchors)).toBe("by plain");
    expect(parseMinisignSignature(block)).toMatchObject({
      algorithm: "prehashed",
      trustedComment: "timestamp:1795132800\tfile:boot.manifest\thashed",
    });
    // Ed25519 signs alike every time: what minisign itself made of this file.
    const own = parseMinisignSignature(signatureData("minisign/plain.minisig"));
    expect(parseMinisignSignature(block).signature).toEqual(own.signature);
  });

  test("of minisign, with a password, as minisign itself made it (1 GiB for a moment)", async () => {
    const signer = await openSecretKey(signatureData("minisign/locked.key"), async () => "open sesame");
    const own = parseMinisignSignature(signatureData("minisign/locked.minisig"));
    expect(parseMinisignSignature(await signer.sign(payload, facts)).signature).toEqual(own.signature);
  });

  describe("of minisign, with a password that costs little", () => {
    const salt = new Uint8Array(32);
    const limits = { operations: 32_768, memory: 1 << 24, salt };
    const cost = scryptCost(BigInt(limits.operations), BigInt(limits.memory));
    const plain = parseMinisignSecretKey(signatureData("minisign/plain.key")).hidden;
    const lockedWith = async (password: string): Promise<Uint8Array> => {
      const open = writeMinisignKeyPair(parseMinisignKeyPair(plain));
      const hidden = await applyPassword(password, { salt, cost }, open);
      return new TextEncoder().encode(writeMinisignSecretKey("locked", limits, hidden));
    };

    test("the right one", async () => {
      const signer = await openSecretKey(await lockedWith("p\u00e4ss"), async () => "p\u00e4ss");
      const anchors = anchorsOf(minisignAnchorReader, "minisign/plain.pub", "plain");
      expect(verdictOf(minisignScheme, await signer.sign(payload, facts), payload, anchors)).toBe("by plain");
    });

    test("another one", async () => {
      const work = openSecretKey(await lockedWith("open sesame"), async () => "close sesame");
      expect(await refusal(work)).toBe(
        "minisign secret key: wrong password, or the file is damaged: its checksum does not fit",
      );
    });
  });

  test("of OpenSSH: what ssh-keygen itself makes of the file", async () => {
    const signer = await openSecretKey(signatureData("sshsig/ed25519"), noPassword);
    const block = await signer.sign(signatureData("sshsig/message.txt"), facts);
    expect(new TextDecoder().decode(block)).toBe(signatureText("sshsig/ed25519.sig"));
    const anchors = anchorsOf(sshAnchorReader, "sshsig/ed25519.pub", "mine");
    expect(verdictOf(sshsigScheme, block, signatureData("sshsig/message.txt"), anchors)).toBe("by mine");
  });

  test.each([
    [
      "sshsig/locked",
      'ssh secret key: cipher: "aes256-ctr": a key without a password expected; --command "ssh-keygen -Y sign -n slipway -f KEY" signs with keys of every kind',
    ],
    [
      "sshsig/rsa2048",
      'ssh secret key: a key of ssh-rsa, ssh-ed25519 expected; --command "ssh-keygen -Y sign -n slipway -f KEY" signs with keys of every kind',
    ],
    [
      "signify/plain.sec",
      "a secret key of minisign or an Ed25519 key of OpenSSH expected; other keys sign through --command",
    ],
    [
      "minisign/plain.pub",
      "a secret key of minisign or an Ed25519 key of OpenSSH expected; other keys sign through --command",
    ],
  ])("refused: %s", async (name, reason) => {
    expect(await refusal(openSecretKey(signatureData(name), noPassword))).toBe(reason);
  });

  test("refused: a key file of which the halves are of two keys", async () => {
    const mixed = Buffer.from(signatureText("minisign/plain.key").split("\n")[1] ?? "", "base64");
    const other = Buffer.from(signatureText("minisign/locked.pub").split("\n")[1] ?? "", "base64");
    other.copy(mixed, 94, 10);
    const file = new TextEncoder().encode(`untrusted comment: x\n${mixed.toString("base64")}\n`);
    const signer = await openSecretKey(file, noPassword);
    expect(await refusal(signer.sign(payload, facts))).toBe(
      "the signature does not fit the public key in the secret key file: the signature does not match the file",
    );
  });
});

describe("with a command", () => {
  const at = (name: string): string => `'${new URL(`../../data/signatures/${name}`, import.meta.url).pathname}'`;

  test("it gets the bytes and gives a signature", async () => {
    const block = await commandSigner(
      `cmp - ${at("minisign/message.txt")} && cat ${at("minisign/plain.minisig")}`,
    ).sign(payload, facts);
    const file = new URL("../../data/signatures/minisign/plain.minisig", import.meta.url);
    expect(block).toEqual(readFileSync(file));
  });

  test("one that reads nothing of much", async () => {
    const block = await commandSigner(`cat ${at("sshsig/ed25519.sig")}`).sign(new Uint8Array(1 << 22), facts);
    expect(new TextDecoder().decode(block)).toBe(signatureText("sshsig/ed25519.sig"));
  });

  test.each([
    ["exit 3", 'command "exit 3": it ended with exit code 3, 0 expected'],
    ["kill -9 $$", 'command "kill -9 $$": it ended with signal SIGKILL, 0 expected'],
    ["true", 'command "true": it wrote nothing, a signature expected'],
    [
      "head -c 70000 /dev/zero",
      'command "head -c 70000 /dev/zero": it wrote more than 65536 bytes, a signature expected',
    ],
    [
      "echo hello",
      'command "echo hello": its output is not taken: signed document: line 2: "hello", a signature expected: "untrusted comment: " or "-----BEGIN " and one of SSH SIGNATURE, PGP SIGNATURE, CMS, PKCS7',
    ],
    [
      "echo untrusted comment: x",
      'command "echo untrusted comment: x": its output is not taken: signify signature: line 2: the file ends before this line',
    ],
  ])("refused: %s", async (command, reason) => {
    expect(await refusal(commandSigner(command).sign(payload, facts))).toBe(reason);
  });

  test("refused: several signatures at once", async () => {
    const command = `cat ${at("sshsig/ed25519.sig")} ${at("sshsig/file.sig")}`;
    expect(await refusal(commandSigner(command).sign(payload, facts))).toMatch(
      /its output is not taken: signed document: 1 signatures read as 2$/,
    );
  });
});
