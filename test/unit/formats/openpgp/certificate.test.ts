import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type OpenPgpCertificate, parseOpenPgpCertificates } from "../../../../src/formats/openpgp/certificate.ts";
import {
  isOpenPgpKeyFile,
  isOpenPgpSignatureFile,
  parseOpenPgpKeyFile,
} from "../../../../src/formats/openpgp/files.ts";
import { parseOpenPgpKey } from "../../../../src/formats/openpgp/key.ts";
import { tortureParser } from "../../../fakes/hostile-input.ts";
import { integer, packet, signaturePacket, testKey } from "../../../fakes/openpgp-signer.ts";

const data = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../../../data/signatures/openpgp/${name}`, import.meta.url)));

function only(certificates: readonly OpenPgpCertificate[]): OpenPgpCertificate {
  const [first, ...rest] = certificates;
  if (first === undefined || rest.length > 0) throw new Error(`${rest.length + 1} certificates`);
  return first;
}
const typesOf = ({ signatures }: { signatures: OpenPgpCertificate["signatures"] }) =>
  signatures.map((read) => read.signature?.type ?? read.problem);

describe("certificates of the tools", () => {
  test("gpg: a subkey that signs and one that encrypts", () => {
    const certificate = only(parseOpenPgpKeyFile(data("subkey.gpg")));
    expect(certificate.primary).toMatchObject({
      version: 4,
      algorithm: 22,
      created: Date.parse("2026-01-01T12:00:00Z"),
      material: { kind: "eddsa", curve: "Ed25519" },
    });
    expect(certificate.userIds.map(({ text }) => text)).toEqual(["subkey"]);
    expect(certificate.userIds.map(typesOf)).toEqual([[0x13]]);
    expect(certificate.subkeys.map(typesOf)).toEqual([[0x18], [0x18]]);
    expect(certificate.subkeys.map(({ key }) => key.material)).toMatchObject([
      { kind: "rsa", bits: 2048 },
      { kind: "unsupported", reason: "ECDH is not supported" },
    ]);
    const [binding] = certificate.subkeys[0]?.signatures ?? [];
    expect(binding?.signature?.embedded.map(({ type }) => type)).toEqual([0x19]);
    expect(certificate.leftOut).toEqual([]);
  });
  test("gpg: signatures of others are kept, also those of DSA", () => {
    const { userIds } = only(parseOpenPgpKeyFile(data("certified.gpg")));
    expect(userIds.map(typesOf)).toEqual([[0x13, 0x10, 0x10]]);
  });
  test("gpg: revocations stand behind the key, the subkey, the user ID", () => {
    expect(typesOf(only(parseOpenPgpKeyFile(data("revoked-1.gpg"))))).toEqual([0x20]);
    expect(only(parseOpenPgpKeyFile(data("revoked-subkey.gpg"))).subkeys.map(typesOf)).toEqual([[0x28, 0x18]]);
    expect(only(parseOpenPgpKeyFile(data("revoked-uid.gpg"))).userIds.map(typesOf)).toEqual([[0x30, 0x13]]);
    const { signatures } = only(parseOpenPgpKeyFile(data("designated.gpg")));
    expect(signatures.flatMap(({ signature }) => signature?.revocationKeys ?? [])).toHaveLength(1);
  });
  // RFC 9580, appendix A.3
  test("version 6", () => {
    const certificate = only(parseOpenPgpKeyFile(data("rfc9580/v6-certificate.asc")));
    expect(certificate.primary).toMatchObject({
      version: 6,
      algorithm: 27,
      created: Date.parse("2022-11-30T16:08:03Z"),
    });
    expect(typesOf(certificate)).toEqual([0x1f]);
    expect(certificate.subkeys.map(({ key }) => key.material)).toEqual([
      { kind: "unsupported", reason: "X25519 is not supported" },
    ]);
    expect(Buffer.from(certificate.primary.hashed.subarray(0, 5)).toString("hex")).toBe("9b0000002a");
  });
  test.each([
    ["nistp256", "P-256", 32],
    ["nistp384", "P-384", 48],
    ["nistp521", "P-521", 66],
  ] as const)("%s", (name, curve, length) => {
    const { material } = only(parseOpenPgpKeyFile(data(`${name}.gpg`))).primary;
    expect(material).toMatchObject({ kind: "ecdsa", curve });
    if (material.kind !== "ecdsa") throw new Error("no curve");
    expect([material.x.length, material.y.length]).toEqual([length, length]);
  });
});

const key = testKey("ed25519", 1);
const head = packet(6, key.body);
const signature = signaturePacket({ key, type: 0x1f, parts: [key.hashed] });
const certificates = (...packets: readonly Buffer[]) => parseOpenPgpCertificates(Buffer.concat(packets));

describe("packets of certificates", () => {
  test("what is passed over", () => {
    const certificate = only(
      certificates(
        packet(10, Buffer.from("PGP")),
        head,
        packet(21),
        packet(12, Buffer.of(1)),
        signature,
        packet(17),
        signature,
        packet(60),
        signature,
      ),
    );
    expect(typesOf(certificate)).toEqual([0x1f]);
    expect(certificate.subkeys).toEqual([]);
  });
  test("a user ID in no text form, and one for the terminal", () => {
    const { userIds } = only(certificates(head, packet(13, Buffer.of(0xff, 0x1b)), packet(13, Buffer.from("ä"))));
    expect(userIds.map(({ text }) => text)).toEqual(["\ufffd?", "ä"]);
  });
  test("what is left out", () => {
    const { leftOut, subkeys, userIds } = only(
      certificates(
        head,
        packet(14, Buffer.of(3)),
        signature,
        packet(14, Buffer.concat([Buffer.of(6), Buffer.alloc(4), Buffer.of(27, 0, 0, 0, 32), Buffer.alloc(32)])),
        packet(13, Buffer.alloc(4097)),
        packet(14, key.body),
      ),
    );
    expect(leftOut).toEqual([
      expect.stringMatching(
        /^a subkey: OpenPGP key: offset \d+, version: version 4 or 6 expected, not 3: keys of PGP 2\.6 are not supported$/,
      ),
      "a subkey of version 6 below a key of version 4",
      "a user ID of 4097 bytes, at most 4096 are taken",
    ]);
    expect([subkeys.length, userIds.length]).toEqual([1, 0]);
  });
  const secret = "a secret key, which belongs nowhere near a boot image: take the public key (gpg --export)";
  test.each([
    [[], "OpenPGP certificate: a public key packet expected, there is none"],
    [[signature], "OpenPGP certificate: offset 0: a public key packet expected, not a signature packet"],
    [
      [head, packet(11)],
      "OpenPGP certificate: offset 44: a user ID, a subkey or a signature expected, not a literal data packet",
    ],
    [
      [head, packet(39)],
      "OpenPGP certificate: offset 44: a user ID, a subkey or a signature expected, not a packet of type 39",
    ],
    [[packet(5, key.body)], `OpenPGP certificate: offset 0: ${secret}`],
    [[head, packet(7, key.body)], `OpenPGP certificate: offset 44: ${secret}`],
    [
      [packet(6, Buffer.of(5))],
      "OpenPGP key: offset 0, version: version 4 or 6 expected, not 5: keys of LibrePGP are not supported",
    ],
    [new Array<Buffer>(257).fill(head), "OpenPGP certificate: offset 11264: at most 256 certificates are taken"],
    [
      [head, ...new Array<Buffer>(257).fill(packet(14, key.body))],
      "OpenPGP certificate: offset 11308: at most 256 subkeys are taken",
    ],
    [[Buffer.alloc(4_194_305)], "OpenPGP certificate: 4194305 bytes, at most 4194304 are taken"],
  ] as const)("refused: row %#", (packets, error) => {
    expect(() => certificates(...packets)).toThrow(expect.objectContaining({ name: "FormatError", message: error }));
  });
});

describe("keys", () => {
  const v4 = (algorithm: number, ...material: readonly Uint8Array[]) =>
    parseOpenPgpKey(Buffer.concat([Buffer.of(4, 0, 0, 0, 1, algorithm), ...material]), 0);
  const oid = (text: string): Buffer => Buffer.concat([Buffer.of(text.length / 2), Buffer.from(text, "hex")]);
  const point = (length: number, first: number): Buffer =>
    integer(Buffer.concat([Buffer.of(first), Buffer.alloc(length, 1)]));

  test.each([
    [17, Buffer.alloc(5), "DSA is not supported"],
    [16, Buffer.alloc(5), "ElGamal (encrypt only) is not supported"],
    [2, Buffer.alloc(5), "RSA (encrypt only) is not supported"],
    [30, Buffer.alloc(5), "ML-DSA-65 with Ed25519 is not supported"],
    [19, Buffer.concat([oid("2b240303020801010b"), point(96, 4)]), "ECDSA on brainpoolP384r1 is not supported"],
    [19, Buffer.concat([oid("2a03"), point(96, 4)]), "ECDSA on curve 2a03 is not supported"],
    [22, Buffer.concat([oid("2b6571"), point(56, 0x40)]), "EdDSA (legacy) on Ed448 (RFC 8410) is not supported"],
  ] as const)("algorithm %s: %#", (algorithm, material, reason) => {
    expect(v4(algorithm, material).material).toEqual({ kind: "unsupported", reason });
  });
  test.each([
    [1, integer(Buffer.of(5)), "offset 9, RSA exponent: 2 byte(s) expected, the input ends at 9"],
    [
      1,
      Buffer.concat([integer(Buffer.of(5)), integer(Buffer.of(3)), Buffer.of(0)]),
      "offset 12: 1 byte(s) behind the key",
    ],
    [
      19,
      Buffer.concat([oid("2a8648ce3d030107"), point(64, 2)]),
      "offset 15, public point: an uncompressed point of 65 bytes expected",
    ],
    [
      19,
      Buffer.concat([oid("2a8648ce3d030107"), point(63, 4)]),
      "offset 15, public point: an uncompressed point of 65 bytes expected",
    ],
    [19, Buffer.of(0), "offset 6, curve: an identifier of 0 bytes is reserved"],
    [
      22,
      Buffer.concat([oid("2b06010401da470f01"), point(32, 4)]),
      "offset 16, public point: a point of 33 bytes expected that begins with 0x40",
    ],
    [27, Buffer.alloc(31), "offset 6, public key: 32 byte(s) expected, the input ends at 37"],
    [28, Buffer.alloc(58), "offset 63: 1 byte(s) behind the key"],
    [17, Buffer.alloc(65_536), "65542 bytes, a key has at most 65535"],
  ] as const)("refused: algorithm %s: %#", (algorithm, material, error) => {
    expect(() => v4(algorithm, material)).toThrow(
      expect.objectContaining({ name: "FormatError", message: `OpenPGP key: ${error}` }),
    );
  });
  test("version 6 counts its material, and knows no legacy EdDSA", () => {
    const v6 = (length: number, algorithm: number, material: Buffer) =>
      parseOpenPgpKey(Buffer.concat([Buffer.of(6, 0, 0, 0, 1, algorithm, 0, 0, 0, length), material]), 0);
    expect(v6(32, 27, Buffer.alloc(32)).material).toMatchObject({ kind: "eddsa", curve: "Ed25519" });
    expect(() => v6(31, 27, Buffer.alloc(32))).toThrow(
      "OpenPGP key: offset 6, length of the key material: 32 expected, not 31",
    );
    const legacy = Buffer.concat([oid("2b06010401da470f01"), point(32, 0x40)]);
    expect(v6(legacy.length, 22, legacy).material).toEqual({
      kind: "unsupported",
      reason: "EdDSA (legacy) is not allowed in a key of version 6",
    });
  });
});

describe("files", () => {
  test("blocks of one kind only", () => {
    const text = (name: string): string => new TextDecoder().decode(data(name));
    const bytes = (...names: readonly string[]) => new TextEncoder().encode(names.map(text).join("\n"));
    expect(parseOpenPgpKeyFile(bytes("rsa.asc", "rfc9580/v6-certificate.asc"))).toHaveLength(2);
    expect(() => parseOpenPgpKeyFile(bytes("rsa.asc", "rsa.sig.asc"))).toThrow(
      /^OpenPGP key file: line \d+: "PGP PUBLIC KEY BLOCK" expected, not "PGP SIGNATURE"$/,
    );
    expect(() => parseOpenPgpKeyFile(bytes("rsa.asc", "secret-keys.asc"))).toThrow(
      /^OpenPGP certificate: line \d+: a secret key/,
    );
  });
  test.each([
    ["version 4, legacy header", [0x88, 9, 4], true, false],
    ["version 3: refused by name", [0x89, 0, 9, 3], true, false],
    ["version 6", [0xc2, 9, 6], true, false],
    ["a key", [0x98, 9, 4], false, true],
    ["a secret key", [0x94, 9, 4], false, true],
    ["another version", [0x88, 9, 7], false, false],
    ["a message", [0x90, 9, 4], false, false],
    ["DER", [0x30, 0x82, 4], false, false],
    ["nothing", [], false, false],
  ] as const)("recognised: %s", (_, bytes, isSignature, isKey) => {
    const file = Uint8Array.from(bytes);
    expect([isOpenPgpSignatureFile(file), isOpenPgpKeyFile(file)]).toEqual([isSignature, isKey]);
  });
  test("anything gives certificates or a FormatError", () => {
    for (const name of ["subkey.gpg", "v6/subkey.gpg", "nistp256.gpg", "revoked-uid.gpg"]) {
      tortureParser({ bytes: data(name), parse: parseOpenPgpKeyFile, rounds: 500, seed: 14 });
    }
  });
});
