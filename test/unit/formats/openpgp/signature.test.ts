import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseOpenPgpSignatureFile } from "../../../../src/formats/openpgp/files.ts";
import {
  parseOpenPgpSignature,
  readSignaturePacket,
  signatureTypeName,
} from "../../../../src/formats/openpgp/signature.ts";
import { tortureParser } from "../../../fakes/hostile-input.ts";
import { integer, packet, secondsField, signatureBody, subpacket, testKey } from "../../../fakes/openpgp-signer.ts";

const data = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../../../data/signatures/openpgp/${name}`, import.meta.url)));

const signaturesOf = (name: string) => parseOpenPgpSignatureFile(data(name)).map(({ signature }) => signature);

describe("signatures of the tools", () => {
  test("gpg: version 4", () => {
    const [signature] = signaturesOf("rsa.sig");
    expect(signature).toMatchObject({
      version: 4,
      type: 0,
      publicKeyAlgorithm: 1,
      hashAlgorithm: 10,
      created: Date.parse("2026-06-01T12:00:00Z"),
      expires: null,
      keyLifetime: null,
      statesKeyLifetime: false,
      keyFlags: null,
      isPrimaryUserId: false,
      revocationReason: null,
      notUnderstood: null,
      unsignedSurplus: null,
    });
    expect(signature?.issuerFingerprints[0]?.slice(-16)).toBe(signature?.issuerKeyIds[0]);
    expect(signature?.salt).toHaveLength(0);
  });
  test("gpg: one that expires", () => {
    expect(signaturesOf("expiring.sig")[0]?.expires).toBe(Date.parse("2026-07-01T12:00:00Z"));
  });
  // RFC 9580, appendix A.6
  test("version 6", () => {
    const [signature] = signaturesOf("rfc9580/cleartext-signature.asc");
    expect(signature).toMatchObject({
      version: 6,
      type: 1,
      publicKeyAlgorithm: 27,
      hashAlgorithm: 10,
      created: Date.parse("2022-12-13T16:08:03Z"),
      issuerFingerprints: ["CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9"],
      issuerKeyIds: [],
    });
    expect(Buffer.from(signature?.salt ?? []).toString("hex")).toBe(
      "7649" + "5f50218890f7f5e2ee3c1822514f70500f551d86e5c921e404e34a53fbac",
    );
    expect(Buffer.from(signature?.digestStart ?? []).toString("hex")).toBe("6936");
  });
  test("names", () => expect([signatureTypeName(0x1f), signatureTypeName(5)]).toEqual(["0x1f (direct key)", "0x05"]));
});

/** A signature by hand, of version 4. */
const head = [4, 0, 27, 8];
const time = [0, 6, 5, 2, 0, 0, 0, 1];
const good = Uint8Array.from([...head, ...time, 0, 0, 0xab, 0xcd, ...new Array<number>(64).fill(1)]);
const parse = (bytes: Uint8Array) => parseOpenPgpSignature(bytes, 0);

describe("signatures by hand", () => {
  test("the good one", () => {
    expect(parse(good)).toMatchObject({ created: 1000, issuerKeyIds: [], issuerFingerprints: [] });
    expect([...parse(good).trailer]).toEqual([...head, ...time, 4, 0xff, 0, 0, 0, 12]);
  });

  const hashed = (...subpackets: readonly Buffer[]): Uint8Array => {
    const area = Buffer.concat([Buffer.from(time.slice(2)), ...subpackets]);
    return Buffer.concat([Buffer.from(head), Buffer.of(area.length >> 8, area.length & 0xff), area, good.subarray(12)]);
  };
  const fill = (length: number): Buffer => Buffer.alloc(length);
  test.each([
    [
      Uint8Array.from([3, 5, 0]),
      "offset 0, version: version 4 or 6 expected, not 3: signatures of PGP 2.6 are not supported",
    ],
    [
      Uint8Array.from([5, 0, 0]),
      "offset 0, version: version 4 or 6 expected, not 5: signatures of LibrePGP are not supported",
    ],
    [Uint8Array.from([9]), "offset 0, version: version 4 or 6 expected, not 9"],
    [good.subarray(0, -1), "offset 16, signature value: 64 byte(s) expected, the input ends at 79"],
    [Buffer.concat([good, fill(2)]), "offset 80: 2 byte(s) behind the signature"],
    [Uint8Array.from([...head, 0, 0, 0, 0, ...good.subarray(14)]), "the creation time is not part of what is signed"],
    [hashed(subpacket(2, secondsField(5))), "offset 18: subpacket 2 (creation time) stands there twice"],
    [hashed(subpacket(9, fill(3))), "offset 18, subpacket 9 (key expiration time): 4 bytes expected, not 3"],
    [hashed(subpacket(12, fill(20))), "offset 18, subpacket 12 (revocation key): 22 bytes expected, not 20"],
    [hashed(subpacket(16, fill(7))), "offset 18, subpacket 16 (issuer key ID): 8 bytes expected, not 7"],
    [
      hashed(subpacket(33, Buffer.concat([Buffer.of(4), fill(19)]))),
      "offset 18, subpacket 33 (issuer fingerprint): 21 bytes expected, not 20",
    ],
    [
      hashed(subpacket(33, Buffer.concat([Buffer.of(6), fill(20)]))),
      "offset 18, subpacket 33 (issuer fingerprint): 33 bytes expected, not 21",
    ],
    [hashed(subpacket(20, fill(9), true)), "offset 18, subpacket 20 (notation): 8 bytes expected, not 9"],
    [hashed(...Array.from({ length: 5 }, () => subpacket(32, good))), "at most 4 embedded signatures are taken"],
  ] as const)("refused: row %#", (bytes, error) => {
    expect(() => parse(bytes)).toThrow(
      expect.objectContaining({ name: "FormatError", message: `OpenPGP signature: ${error}` }),
    );
  });

  test("an embedded one that is broken is left out; one holds no other", () => {
    const once = hashed(subpacket(32, good));
    expect(parse(once).embedded).toHaveLength(1);
    expect(parse(hashed(subpacket(32, good.subarray(1)))).embedded).toHaveLength(0);
    expect(parse(hashed(subpacket(32, once))).embedded).toHaveLength(0);
  });
  test("what is critical", () => {
    const known = [2, 3, 4, 7, 9, 11, 16, 21, 22, 23, 24, 25, 27, 28, 29, 30, 32, 33, 34, 39];
    const problemOf = (type: number): string | null => {
      const length = type === 16 ? 8 : type === 33 ? 21 : 4;
      const body = type === 33 ? Buffer.concat([Buffer.of(4), fill(20)]) : fill(length);
      const created = type === 2 ? [] : [...time.slice(2)];
      const area = Buffer.concat([Buffer.from(created), subpacket(type, body, true)]);
      const bytes = [...head, 0, area.length, ...area, ...good.subarray(12)];
      return parse(Uint8Array.from(bytes)).notUnderstood;
    };
    expect(known.map(problemOf).filter((problem) => problem !== null)).toEqual([]);
    for (const type of [5, 6, 26, 31, 35, 37, 66, 127])
      expect(problemOf(type)).toContain("is critical and not understood");
    const notation = Buffer.concat([fill(5), Buffer.of(3, 0, 1), Buffer.from("a@b="), Buffer.of()]);
    expect(parse(hashed(subpacket(20, notation, true))).notUnderstood).toBe(
      'its notation "a@b" is critical and not understood',
    );
    expect(parse(hashed(subpacket(20, notation))).notUnderstood).toBeNull();
  });
  test("what is not signed has no say, and is told", () => {
    const key = testKey("ed25519", 1);
    const body = (unhashed: readonly Buffer[]) => parse(signatureBody({ key, type: 0, parts: [], unhashed }));
    const surplus = body([subpacket(3, secondsField(1)), subpacket(27, Buffer.of(2)), subpacket(2, secondsField(7))]);
    expect(surplus).toMatchObject({ expires: null, keyFlags: null, created: 1_780_000_000_000 });
    expect(surplus.unsignedSurplus).toBe("its subpacket 3 (signature expiration time) is not part of what is signed");
    expect(body([subpacket(16, key.keyId)]).unsignedSurplus).toBeNull();
    expect(body([subpacket(16, key.keyId, true)]).unsignedSurplus).toBe(
      "its subpacket 16 (issuer key ID) is not part of what is signed",
    );
  });
  test("algorithms that are not supported cost nothing but the signature", () => {
    const of = (algorithm: number) => parse(Uint8Array.from([4, 0, algorithm, ...good.subarray(3)])).value;
    expect(of(17)).toEqual({ kind: "unsupported", reason: "DSA is not supported" });
    expect(of(99)).toEqual({ kind: "unsupported", reason: "public-key algorithm 99 is not supported" });
  });
  test("numbers that are longer than any curve's", () => {
    const numbers = Buffer.concat([integer(Buffer.alloc(33, 1)), integer(Buffer.of(1))]);
    expect(() => parse(Buffer.concat([Buffer.of(4, 0, 22, 8), good.subarray(4, 16), numbers]))).toThrow(
      "OpenPGP signature: offset 16, signature value: 33 bytes, at most 32 expected",
    );
  });
  test("salts of version 6", () => {
    const of = (hash: number, salt: readonly number[]) =>
      parse(
        Uint8Array.from([6, 0, 27, hash, 0, 0, ...time, 0, 0, 0, 0, 1, 2, salt.length, ...salt, ...good.subarray(16)]),
      );
    expect(of(8, new Array<number>(16).fill(3)).salt).toHaveLength(16);
    expect(() => of(8, [1, 2])).toThrow("OpenPGP signature: offset 20, salt: 16 bytes expected for SHA-256, not 2");
    expect([...of(77, [1, 2]).salt]).toEqual([1, 2]);
    expect([...of(8, new Array<number>(16).fill(3)).trailer].slice(-6)).toEqual([6, 0xff, 0, 0, 0, 14]);
  });
});

describe("signatures that cannot be read", () => {
  test("tell their type where they can", () => {
    const typeOf = (...bytes: number[]) => {
      const read = readSignaturePacket(Uint8Array.from(bytes), 0);
      return read.signature === null ? read.type : "read";
    };
    expect([typeOf(3, 5, 0x20), typeOf(5, 0x20), typeOf(4, 0x28), typeOf(9, 9, 9), typeOf()]).toEqual([
      0x20,
      0x20,
      0x28,
      null,
      null,
    ]);
  });
  test("a file with something else", () => {
    const file =
      (...packets: readonly Buffer[]) =>
      () =>
        parseOpenPgpSignatureFile(Buffer.concat(packets));
    const one = packet(2, good);
    expect(file(one, one)()).toHaveLength(2);
    expect(file(one, packet(13, good))).toThrow(
      "OpenPGP signature: offset 86: a signature packet expected, not a user ID packet",
    );
    expect(file()).toThrow("OpenPGP signature: a signature packet expected, there is none");
    expect(file(one, Buffer.of(10))).toThrow("OpenPGP signature: offset 86: a packet header expected, not byte 10");
    expect(file(...new Array<Buffer>(17).fill(one))).toThrow("OpenPGP signature: 17 packets, at most 16 are taken");
    expect(file(Buffer.alloc(65_537))).toThrow("OpenPGP signature: 65537 bytes, at most 65536 are taken");
  });
});

test("anything gives a signature or a FormatError", () => {
  for (const name of ["rsa.sig", "v6/ed25519.sig", "notation.sig"]) {
    tortureParser({ bytes: data(name), parse: parseOpenPgpSignatureFile, rounds: 1000, seed: 13 });
  }
});
