import { describe, expect, test } from "vitest";
import { timelessClock } from "../../../../src/trust/clock.ts";
import { noRevocations } from "../../../../src/trust/schemes/scheme.ts";
import { sshAnchorReader, sshsigScheme } from "../../../../src/trust/schemes/sshsig.ts";
import { formatErrorOf, tortureParser } from "../../../fakes/hostile-input.ts";
import {
  anchorsOf,
  bitsThatMayTurn,
  latin1Bytes,
  signatureData,
  signatureText,
  signedContent,
  verdictOf,
} from "../../../fakes/signature-data.ts";

const message = signatureData("sshsig/message.txt");
const keyNames = ["ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa2048", "token-ed25519", "token-ecdsa"];
const keys = keyNames.flatMap((name) => anchorsOf(sshAnchorReader, `sshsig/${name}.pub`, name));
const ed25519 = keys.slice(0, 1);
const signature = signatureData("sshsig/ed25519.sig");
const keyLine = signatureText("sshsig/ed25519.pub").trimEnd();
const fingerprint = "SHA256:HkGp6h2TT1mO9Dt8KhrJBHjuNniVlfePg7UgfToxMvA";

function verdict(name: string, anchors = keys): string {
  return verdictOf(sshsigScheme, signatureData(`sshsig/${name}.sig`), message, anchors);
}

describe("files made by OpenSSH 9.2, or that it verifies", () => {
  test.each([
    ["ed25519", "ed25519", "sha512"],
    ["sha256", "ed25519", "sha256"],
    ["file", "ed25519", "sha512"],
    ["ecdsa256", "ecdsa256", "sha512"],
    ["ecdsa384", "ecdsa384", "sha512"],
    ["ecdsa521", "ecdsa521", "sha512"],
    ["rsa2048", "rsa2048", "sha512"],
    ["rsa-sha256", "rsa2048", "sha256"],
    ["token-ed25519", "token-ed25519", "sha512"],
    ["token-ecdsa", "token-ecdsa", "sha512"],
  ])("%s", (name, label, hash) => {
    const bytes = signatureData(`sshsig/${name}.sig`);
    expect(sshsigScheme.recognises(bytes)).toBe(true);
    const [only] = sshsigScheme.readSignatures(bytes);
    expect(only?.digests).toEqual([hash]);
    expect(only?.mayBeBy(keys)).toBe(true);
    expect(only?.mayBeBy(keys.filter((key) => key.label !== label))).toBe(false);
    expect(verdict(name)).toBe(`by ${label}`);
  });

  test("the content is asked for its digest only", () => {
    const asked: string[] = [];
    const context = { anchors: keys, clock: timelessClock, revocations: noRevocations };
    const result = sshsigScheme.readSignatures(signature)[0]?.check(signedContent(message, asked), context);
    expect(asked).toEqual(["sha512"]);
    expect(result?.signer).toMatchObject({
      scheme: "sshsig",
      identities: ["spki:14364ee4d1091d4551d3aa0d07f8abf85b0dc04af2a63df2524727ac19977b1c"],
    });
  });

  test.each([
    ["ed25519", "ssh-ed25519", null],
    ["rsa2048", "ssh-rsa", null],
    ["token-ecdsa", "sk-ecdsa-sha2-nistp256@openssh.com", "ssh:slipway-test"],
  ])("key %s", (name, algorithm, application) => {
    expect(keys.find((key) => key.label === name)).toMatchObject({ kind: "ssh", algorithm, application });
  });

  test("the key's id is the fingerprint that ssh-keygen -l shows", () => expect(ed25519[0]?.id).toBe(fingerprint));
});

describe("refused by what was judged", () => {
  test.each([
    ["another key", "ed25519", keys.slice(1), `made with key ${fingerprint}, which is not trusted`],
    ["made for something else", "git", keys, 'made for the namespace "git", "slipway" or "file" expected'],
    ["no touch", "token-ed25519-untouched", keys, "made without a touch of the security token, which is asked for"],
    [
      "no touch (ECDSA)",
      "token-ecdsa-untouched",
      keys,
      "made without a touch of the security token, which is asked for",
    ],
  ])("%s", (_, name, anchors, reason) => expect(verdict(name, anchors)).toBe(reason));

  test.each(keyNames)("another file: %s", (name) => {
    const bytes = signatureData(`sshsig/${name}.sig`);
    expect(verdictOf(sshsigScheme, bytes, message.subarray(1), keys)).toBe("the signature does not match the file");
  });

  test.each(["ed25519", "ecdsa256", "rsa2048", "token-ecdsa"])("every bit of the signature: %s", (name) => {
    const file = signatureData(`sshsig/${name}.sig`);
    expect(bitsThatMayTurn(sshsigScheme, file, message, keys, `by ${name}`)).toEqual([]);
  });
});

describe("refused by what it is", () => {
  const text = signatureText("sshsig/ed25519.sig");
  const label = "SSH SIGNATURE";
  test.each([
    [
      "RSA with SHA-1",
      signatureText("sshsig/sha1.sig"),
      'ssh signature: signature algorithm: "ssh-rsa" (RSA with SHA-1, which is too weak), rsa-sha2-512 or rsa-sha2-256 expected',
    ],
    [
      "a short RSA key",
      signatureText("sshsig/rsa1024.sig"),
      "ssh public key: modulus: RSA key of 1024 bits, at least 2048 expected",
    ],
    [
      "a certificate",
      signatureText("sshsig/certificate.sig"),
      'ssh public key: certificate "ssh-ed25519-cert-v01@openssh.com", a plain public key expected',
    ],
    ["truncated", text.slice(0, -40), `ssh signature: line 5: the file ends before "-----END ${label}-----"`],
    ["something behind it", `${text}x\n`, "ssh signature: line 7: something behind the end line"],
    ["two of them", text + text, "ssh signature: line 7: something behind the end line"],
    [
      "nothing in it",
      `-----BEGIN ${label}-----\n-----END ${label}-----\n`,
      "ssh signature: offset 0, magic: 6 byte(s) expected, the input ends at 0",
    ],
    ["no base64", text.replace("U1NI", "U1N!"), 'ssh signature: line 2: base64 expected, not "!"'],
  ])("%s", (_, bytes, reason) => {
    expect(sshsigScheme.recognises(latin1Bytes(bytes))).toBe(true);
    expect(formatErrorOf(() => sshsigScheme.readSignatures(latin1Bytes(bytes)))).toBe(reason);
  });

  /** The armored bytes with one change. */
  function changed(change: (bytes: Buffer) => Buffer): Uint8Array {
    const body = change(Buffer.from(text.split("\n").slice(1, -2).join(""), "base64"));
    return latin1Bytes(`-----BEGIN ${label}-----\n${body.toString("base64")}\n-----END ${label}-----\n`);
  }
  const replaced = (from: string, to: string) => (bytes: Buffer) => {
    const at = bytes.indexOf(from);
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(to, "latin1"), bytes.subarray(at + from.length)]);
  };
  test.each([
    ["magic", replaced("SSHSIG", "SSHSIX"), 'magic: "SSHSIG" expected'],
    ["version", replaced("SSHSIG\0\0\0\x01", "SSHSIG\0\0\0\x02"), "version: 2, 1 expected"],
    ["an empty namespace", replaced("\0\0\0\x07slipway", "\0\0\0\0"), "namespace: empty, a name expected"],
    [
      "another hash",
      replaced("\0\0\0\x06sha512", "\0\0\0\x04sha1"),
      'hash algorithm: "sha1", sha256 or sha512 expected',
    ],
    [
      "a short signature",
      replaced("\0\0\0\x53\0\0\0\x0bssh-ed25519\0\0\0\x40", "\0\0\0\x53\0\0\0\x0bssh-ed25519\0\0\0\x3f"),
      "signature: 63 bytes, 64 expected",
    ],
    [
      "bytes behind the signature",
      (bytes: Buffer) => Buffer.concat([bytes, Buffer.of(0)]),
      "offset 177: 1 byte(s) behind the last field",
    ],
    [
      "another algorithm",
      replaced("\0\0\0\x53\0\0\0\x0bssh-ed25519", "\0\0\0\x53\0\0\0\x0bssh-ed25518"),
      'signature algorithm: "ssh-ed25518", ssh-ed25519 expected',
    ],
  ])("%s", (_, change, reason) => {
    const error = formatErrorOf(() => sshsigScheme.readSignatures(changed(change)));
    expect(error).toBe(`ssh signature: ${reason}`);
  });
});

describe("keys in allowed-signers lines", () => {
  const read = (text: string) => sshAnchorReader.readAnchors("k", latin1Bytes(text));
  const day = (text: string): number => Date.parse(text);
  const clock = (text: string) => ({ now: day(text), atLeast: day(text) });
  const judged = (text: string, at = timelessClock, name = "ed25519"): string =>
    verdictOf(sshsigScheme, signatureData(`sshsig/${name}.sig`), message, read(text), at);

  test("several of a file are told apart", () => {
    const text = `# people\n\n${keyLine}\n\talice,bob@example.org ${signatureText("sshsig/other.pub")}`;
    expect(sshAnchorReader.recognises(latin1Bytes(text))).toBe(true);
    expect(read(text).map(({ label }) => label)).toEqual(["k#1", "k#2"]);
    expect(judged(text)).toBe("by k#1");
  });

  test.each([
    [`alice ${keyLine}`, "by k"],
    [`"alice smith" ${keyLine}`, "by k"],
    [`* namespaces="slipway" ${keyLine}`, "by k"],
    [`* namespaces="git,sl*" ${keyLine}`, "by k"],
    [`* namespaces=slipway ${keyLine}`, "by k"],
    [`* NAMESPACES="file" ${keyLine}`, `made for the namespace "slipway", and key ${fingerprint} is only for "file"`],
    [
      `* namespaces="*,!slipway" ${keyLine}`,
      `made for the namespace "slipway", and key ${fingerprint} is only for "file"`,
    ],
    [`* valid-after="20260101",valid-before="20270101" ${keyLine}`, "by k"],
    [
      `* valid-after="20261201" ${keyLine}`,
      `key ${fingerprint} is not valid before 2026-12-01T00:00:00Z, and it is 2026-11-20T00:00:00Z`,
    ],
    [`* valid-before="20261119235959Z" ${keyLine}`, `key ${fingerprint} expired on 2026-11-19T23:59:59Z`],
    [`* valid-before="202611192359" ${keyLine}`, `key ${fingerprint} expired on 2026-11-19T23:59:00Z`],
    [`* valid-before="20261119" ${keyLine}\n* ${keyLine}`, "by k#2"],
  ])("row %#", (text, expected) => expect(judged(text, clock("2026-11-20"))).toBe(expected));

  test("a key for files signs files", () => {
    expect(judged(`* namespaces="file" ${keyLine}`, timelessClock, "file")).toBe("by k");
  });

  test.each([
    [
      `* cert-authority ${keyLine}`,
      'line 1: option "cert-authority": certificates are not taken, a plain public key expected',
    ],
    [
      `* no-touch-required ${keyLine}`,
      'line 1: option "no-touch-required", namespaces=, valid-after= or valid-before= expected',
    ],
    [`* namespaces="git" ${keyLine}`, `key ${fingerprint} is for the namespaces "git", "slipway" or "file" expected`],
    [`* namespaces="[a]" ${keyLine}`, 'line 1: namespaces: "[a]", a name or a pattern with * and ? expected'],
    [`* namespaces="file",namespaces="slipway" ${keyLine}`, 'line 1: option "namespaces" stands twice'],
    [
      `* valid-before="20260230" ${keyLine}`,
      'line 1: valid-before "20260230", a time like "20261120" or "202611200930Z" expected',
    ],
    [`* valid-after="" ${keyLine}`, 'line 1: valid-after "", a time like "20261120" or "202611200930Z" expected'],
    [`\n* "x ${keyLine}`, "line 2: a quote that does not end"],
    [signatureText("sshsig/dsa.pub"), 'line 1: DSA key "ssh-dss", which is too weak'],
    [signatureText("sshsig/rsa1024.pub"), "line 1, modulus: RSA key of 1024 bits, at least 2048 expected"],
    [
      signatureText("sshsig/certified-cert.pub"),
      'line 1: certificate "ssh-ed25519-cert-v01@openssh.com", a plain public key expected',
    ],
    [keyLine.replace("ssh-ed25519 ", "ssh-rsa "), 'line 1: a key of ssh-ed25519 behind "ssh-rsa"'],
    [
      keyLine.replace("ssh-ed25519 ", "ssh-magic "),
      'line 1: algorithm "ssh-magic", one of ssh-ed25519, sk-ssh-ed25519@openssh.com, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521, sk-ecdsa-sha2-nistp256@openssh.com, ssh-rsa expected',
    ],
    [`${keyLine.split(" ").slice(0, 2).join(" ")}AAAA`, "line 1, offset 51: 3 byte(s) behind the last field"],
    ["ssh-ed25519", "line 1: an algorithm and a key in base64 expected"],
    ["", "a key expected, there is none"],
    [`${keyLine}\n`.repeat(1001), "line 1001: more than 1000 keys"],
    ["x".repeat((1 << 20) + 1), "1048577 bytes, at most 1048576 are taken"],
  ])("refused: row %#", (text, reason) => {
    expect(formatErrorOf(() => read(text))).toBe(`ssh public key: ${reason}`);
  });

  test("a point that is on no curve", () => {
    const [algorithm, base64 = ""] = signatureText("sshsig/ecdsa256.pub").split(" ");
    const blob = Buffer.from(base64, "base64");
    blob[blob.length - 1] = (blob.at(-1) ?? 0) ^ 1;
    expect(formatErrorOf(() => read(`${algorithm} ${blob.toString("base64")}`))).toMatch(
      /^ssh public key: no such key: /,
    );
  });

  test.each(["", "hello", "RWQJkqw9LgekCmUFOtXlswak1nlXsxNKgJiaAydiV41sehHmmgEfNdnL", "# ssh-ed25519 AAAA"])(
    "not recognised: %j",
    (text) => expect(sshAnchorReader.recognises(latin1Bytes(text))).toBe(false),
  );
});

test("hostile input", () => {
  for (const name of ["ed25519.sig", "ecdsa521.sig", "token-ecdsa.sig"]) {
    const parse = (bytes: Uint8Array): unknown => sshsigScheme.readSignatures(bytes);
    tortureParser({ bytes: signatureData(`sshsig/${name}`), parse, rounds: 500, seed: 6 });
  }
  const text = `alice namespaces="file",valid-after="20260101" ${keyLine}\n${signatureText("sshsig/ecdsa256.pub")}`;
  const parse = (bytes: Uint8Array): unknown =>
    sshAnchorReader.recognises(bytes) ? sshAnchorReader.readAnchors("x", bytes) : null;
  tortureParser({ bytes: latin1Bytes(text), parse, rounds: 1000, seed: 7 });
});
