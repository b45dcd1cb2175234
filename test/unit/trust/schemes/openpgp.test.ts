import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../../../src/formats/format-error.ts";
import { parseOpenPgpKeyFile, parseOpenPgpSignatureFile } from "../../../../src/formats/openpgp/files.ts";
import { readPackets } from "../../../../src/formats/openpgp/packets.ts";
import { type TrustClock, timelessClock } from "../../../../src/trust/clock.ts";
import { openpgpAnchorReader, openpgpScheme } from "../../../../src/trust/schemes/openpgp.ts";
import { fingerprintOf, verifyOpenPgp } from "../../../../src/trust/schemes/openpgp-verify.ts";
import { type Anchor, noRevocations, type SignedContent } from "../../../../src/trust/schemes/scheme.ts";
import {
  type OpenPgpTestKey,
  type OpenPgpTestSignature,
  packet,
  secondsField,
  signatureBody,
  signaturePacket,
  subpacket,
  testKey,
} from "../../../fakes/openpgp-signer.ts";

const directory = new URL("../../../data/signatures/openpgp/", import.meta.url);
const data = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, directory)));

function contentOf(bytes: Uint8Array): SignedContent {
  return {
    size: bytes.length,
    bytes: () => bytes,
    digest: (name) => {
      throw new Error(`nobody asked for ${name}`);
    },
  };
}

const message = contentOf(data("message.txt"));

function clockAt(text: string): TrustClock {
  const time = Date.parse(text);
  return { now: time, atLeast: time };
}

/** When sqop and gpg judged the files. */
const july = clockAt("2026-07-01T11:00:00Z");

function anchorsOf(...names: readonly string[]): Anchor[] {
  return names.flatMap((name) => [...openpgpAnchorReader.readAnchors(name, data(`${name}.gpg`))]);
}

/** Each signature's signer, or why there is none. */
function verdictsOf(
  bytes: Uint8Array,
  anchors: readonly Anchor[],
  clock: TrustClock = july,
  content: SignedContent = message,
): string[] {
  return openpgpScheme.readSignatures(bytes).map((signature) => {
    const { signer, reason } = signature.check(content, { anchors, clock, revocations: noRevocations });
    return signer === null ? reason : `good: ${signer.label}`;
  });
}

const verdict = (name: string, key: string, clock?: TrustClock): string =>
  verdictsOf(data(`${name}.sig`), anchorsOf(key), clock).join("; ");

describe("good signatures of gpg", () => {
  test.each(["rsa", "ed25519", "nistp256", "nistp384", "nistp521", "certified", "extended", "expiring-key"])(
    "%s",
    (name) => {
      expect(verdict(name, name)).toBe(`good: ${name}`);
      expect(verdictsOf(data(`${name}.sig`), anchorsOf(name), july, contentOf(data("gpg.txt")))).toEqual([
        "the signature does not match the file",
      ]);
    },
  );
  test.each(["sha384", "sha512", "notation"])("by the RSA key: %s", (name) => {
    expect(verdict(name, "rsa")).toBe("good: rsa");
  });
  test("with armor, the key too", () => {
    const anchors = openpgpAnchorReader.readAnchors("release", data("rsa.asc"));
    expect(verdictsOf(data("rsa.sig.asc"), anchors)).toEqual(["good: release"]);
  });
  test("two in one file are two", () => {
    expect(verdictsOf(data("two.sig"), anchorsOf("rsa", "ed25519"))).toEqual(["good: rsa", "good: ed25519"]);
    expect(verdictsOf(data("two.sig"), anchorsOf("ed25519"))).toEqual([
      expect.stringMatching(/^made with key [0-9A-F]{40}, which is not trusted$/),
      "good: ed25519",
    ]);
  });
  test("by a subkey", () => {
    expect(verdict("subkey", "subkey")).toMatch(/^good: subkey \(subkey [0-9A-F]{16}\)$/);
  });
});

describe("good signatures of others", () => {
  test.each(["ed25519", "ed448", "rsa", "p256", "expiring", "sha3", "v4-ed25519"])("OpenPGP.js, %s", (name) => {
    const path = `v6/${name}`;
    expect(verdict(path, path)).toBe(`good: ${path}`);
    expect(verdictsOf(data(`${path}.sig`), anchorsOf(path), july, contentOf(data("gpg.txt")))).toEqual([
      "the signature does not match the file",
    ]);
  });
  test("OpenPGP.js, by a subkey of version 6", () => {
    expect(verdict("v6/subkey", "v6/subkey")).toMatch(/^good: v6\/subkey \(subkey [0-9A-F]{16}\)$/);
  });
  test.each(["cv25519", "rsa3k"])("Sequoia, %s", (name) => {
    const anchors = anchorsOf(`sequoia/${name}`);
    for (const file of [`sequoia/${name}.sig`, `sequoia/${name}.asc`]) {
      expect(verdictsOf(data(file), anchors)).toEqual([
        expect.stringMatching(/^good: sequoia\/\w+ \(subkey [0-9A-F]{16}\)$/),
      ]);
    }
  });
});

describe("RFC 9580, appendix A", () => {
  const text = new TextEncoder();
  const signatureOf = (name: string) => {
    const [first] = parseOpenPgpSignatureFile(data(`rfc9580/${name}.asc`));
    if (first?.signature == null) throw new Error("no signature");
    return first.signature;
  };
  const primaryOf = (name: string) => {
    const [certificate] = parseOpenPgpKeyFile(data(`rfc9580/${name}.asc`));
    if (certificate === undefined) throw new Error("no certificate");
    return certificate.primary;
  };

  test("A.1 and A.2: Ed25519Legacy of version 4", () => {
    const key = primaryOf("v4-key");
    expect(fingerprintOf(key)).toBe("C959BDBAFA32A2F89A153B678CFDE12197965A9A");
    expect(verifyOpenPgp(signatureOf("v4-signature"), key, [text.encode("OpenPGP")])).toBeNull();
    expect(verifyOpenPgp(signatureOf("v4-signature"), key, [text.encode("OpenPGP\n")])?.reason).toBe(
      "the signature does not match",
    );
  });
  test("A.1: a key that says nothing of itself is of no use", () => {
    const anchors = openpgpAnchorReader.readAnchors("a1", data("rfc9580/v4-key.asc"));
    const verdicts = verdictsOf(data("rfc9580/v4-signature.asc"), anchors, july, contentOf(text.encode("OpenPGP")));
    expect(verdicts).toEqual(["the key has no good self-signature"]);
  });
  test("A.3 and A.6: version 6, over the canonical text", () => {
    const key = primaryOf("v6-certificate");
    expect(fingerprintOf(key)).toBe("CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9");
    const signed = "What we need from the grocery store:\r\n\r\n- tofu\r\n- vegetables\r\n- noodles\r\n";
    expect(verifyOpenPgp(signatureOf("cleartext-signature"), key, [text.encode(signed)])).toBeNull();
  });
});

describe("refused for what they are", () => {
  test.each([
    ["sha1", "SHA-1 is too weak"],
    ["sha224", "SHA-224 is too short"],
    ["ripemd160", "RIPEMD-160 is too weak"],
    ["text", "a text signature, which leaves the ends of lines open: a binary one is wanted (gpg --no-textmode)"],
    ["critical-notation", 'its notation "note@example.org" is critical and not understood'],
    ["critical-policy", "its subpacket 26 (policy URI) is critical and not understood"],
    ["future", "the signature is not valid before 2030-01-01T12:00:00Z, and it is 2026-07-01T11:00:00Z"],
  ] as const)("%s", (name, reason) => expect(verdict(name, "rsa")).toBe(reason));

  test("by a key that is not trusted", () => {
    const [signature] = openpgpScheme.readSignatures(data("other.sig"));
    expect(signature?.mayBeBy(anchorsOf("rsa", "subkey"))).toBe(false);
    expect(verdict("other", "rsa")).toMatch(/^made with key [0-9A-F]{40}, which is not trusted$/);
  });
  test("clear-signed and enclosing messages", () => {
    for (const [name, kind] of [
      ["clear.sig", "SIGNED MESSAGE"],
      ["inline.sig", "MESSAGE"],
    ] as const) {
      expect(openpgpScheme.recognises(data(name))).toBe(true);
      expect(() => openpgpScheme.readSignatures(data(name))).toThrow(
        new FormatError("OpenPGP signature", `a detached signature expected, not a "PGP ${kind}"`, { line: 1 }),
      );
    }
  });
});

describe("time", () => {
  test.each([
    ["expiring", "rsa", "2026-06-30T00:00:00Z", "good: rsa"],
    ["expiring", "rsa", "2026-07-02T00:00:00Z", "the signature expired on 2026-07-01T12:00:00Z"],
    ["expiring-key", "expiring-key", "2026-12-31T00:00:00Z", "good: expiring-key"],
    ["expiring-key", "expiring-key", "2027-01-02T00:00:00Z", "the key expired on 2027-01-01T12:00:00Z"],
    ["expiring-subkey", "expiring-subkey", "2027-01-02T00:00:00Z", "the subkey expired on 2027-01-01T12:00:00Z"],
    ["expired-before", "expired-before", "2026-07-01T00:00:00Z", "the key expired on 2026-04-01T00:00:00Z"],
    ["v6/expiring", "v6/expiring", "2027-01-02T00:00:00Z", "the key expired on 2027-01-01T12:00:00Z"],
  ] as const)("%s by %s at %s", (name, key, time, expected) => {
    expect(verdict(name, key, clockAt(time))).toBe(expected);
  });
  test("nothing is known of it: nothing has expired, but a signature made too late stays bad", () => {
    expect(verdict("expiring", "rsa", timelessClock)).toBe("good: rsa");
    expect(verdict("future", "rsa", timelessClock)).toBe("good: rsa");
    expect(verdict("expiring-key", "expiring-key", timelessClock)).toBe("good: expiring-key");
    expect(verdict("expired-before", "expired-before", timelessClock)).toBe(
      "the signature was made after the key expired on 2026-04-01T00:00:00Z",
    );
  });
  test("a clock that lags does not bring back what has expired", () => {
    const clock = { now: Date.parse("2026-06-02T00:00:00Z"), atLeast: Date.parse("2026-08-01T00:00:00Z") };
    expect(verdict("expiring", "rsa", clock)).toBe("the signature expired on 2026-07-01T12:00:00Z");
  });
});

describe("keys that may not sign", () => {
  test.each([
    ["certify-only", "the key may not sign: it is for certification only"],
    ["encrypt-only", "the subkey may not sign: it is for other uses only"],
    ["sha1-key", "the key has no good self-signature: SHA-1 is too weak"],
    ["weak-subkey", "RSA of 1024 bits is too weak, at least 2048 are wanted"],
    ["revoked-subkey", "the subkey was revoked on 2026-05-01T12:00:00Z (compromised)"],
    ["revoked-uid", "the key has no good self-signature: its user ID was revoked"],
    ["designated", "the key was revoked on 2026-05-01T12:00:00Z by its designated revoker"],
    ["v6/revoked", "the key was revoked on 2026-05-01T12:00:00Z (compromised)"],
  ] as const)("%s", (name, reason) => expect(verdict(name, name)).toBe(reason));

  test.each([
    ["0", "no reason given", false],
    ["1", "compromised", false],
    ["2", "superseded", true],
    ["3", "retired", true],
  ] as const)("revoked, reason %s: %s", (number, why, isSoft) => {
    const reason = `the key was revoked on 2026-05-01T12:00:00Z (${why})`;
    expect(verdict(`revoked-${number}-after`, `revoked-${number}`)).toBe(reason);
    expect(verdict(`revoked-${number}-before`, `revoked-${number}`)).toBe(isSoft ? `good: revoked-${number}` : reason);
  });

  test.each([
    ["dsa", "DSA is not supported"],
    ["rsa1024", "RSA of 1024 bits is too weak, at least 2048 are wanted"],
    ["secp256k1", "ECDSA on secp256k1 is not supported"],
  ] as const)("%s is refused when it is read", (name, reason) => {
    expect(() => anchorsOf(name)).toThrow(
      new RegExp(`^OpenPGP certificate: key [0-9A-F]{40} is of no use: ${reason.replaceAll(".", "\\.")}$`),
    );
  });
});

/** Differences that are wanted: this is stricter than Sequoia. */
const stricter: ReadonlyMap<string, string> = new Map([
  ["critical-policy.sig", "a policy cannot be shown to anybody here"],
  ["designated.sig", "the designated revoker is believed without its key"],
  ["dsa.sig", "DSA"],
  ["revoked-uid.sig", "no user ID is left"],
  ["sha224.sig", "SHA-224"],
  ["text.sig", "a text signature"],
]);

test("the verdicts of sqop", () => {
  const [head = "", ...rows] = new TextDecoder().decode(data("sqop.txt")).trimEnd().split("\n");
  const clock = clockAt(head.replace("# judged at ", ""));
  const keys = readdirSync(directory).filter((name) => name.endsWith(".gpg") && !/^(?:secret|keyring)/.test(name));
  const anchors = keys.flatMap((name) => {
    try {
      return anchorsOf(name.replace(".gpg", ""));
    } catch (error) {
      if (error instanceof FormatError) return [];
      throw error;
    }
  });
  const isGood = (name: string): boolean => {
    try {
      return verdictsOf(data(name), anchors, clock).some((reason) => reason.startsWith("good: "));
    } catch (error) {
      if (error instanceof FormatError) return false;
      throw error;
    }
  };
  const different = rows
    .map((row) => row.split(" "))
    .filter(([name = "", status]) => isGood(name) !== (status === "0"));
  expect(rows.length).toBeGreaterThan(40);
  expect(different).toEqual([...stricter.keys()].map((name) => [name, "0"]));
});

describe("key files", () => {
  test("identifiers are fingerprints; several certificates are labelled apart", () => {
    const anchors = openpgpAnchorReader.readAnchors("team", data("keyring.gpg"));
    const single = anchorsOf("rsa", "ed25519", "subkey");
    expect(anchors.map(({ id }) => id).sort()).toEqual(single.map(({ id }) => id).sort());
    expect(anchors.map(({ label }) => label)).toEqual(["team", "team#2", "team#3"]);
    expect(anchors.map(({ id }) => id).join()).toMatch(/^(?:[0-9A-F]{40},?){3}$/);
  });
  test.each(["secret-key.gpg", "secret-keys.asc"])("%s is refused by name", (name) => {
    expect(openpgpAnchorReader.recognises(data(name))).toBe(true);
    expect(() => openpgpAnchorReader.readAnchors("x", data(name))).toThrow(
      /^OpenPGP certificate: (?:offset 0|line 1): a secret key, which belongs nowhere near a boot image: take the public key \(gpg --export\)$/,
    );
  });
  test("what is a key and what is a signature", () => {
    for (const name of ["rsa.gpg", "rsa.asc", "v6/ed25519.gpg"]) {
      expect([openpgpAnchorReader.recognises(data(name)), openpgpScheme.recognises(data(name))]).toEqual([true, false]);
    }
    for (const name of ["rsa.sig", "rsa.sig.asc", "v6/ed25519.sig"]) {
      expect([openpgpAnchorReader.recognises(data(name)), openpgpScheme.recognises(data(name))]).toEqual([false, true]);
    }
    expect(openpgpScheme.recognises(data("message.txt"))).toBe(false);
    expect(openpgpScheme.recognises(new Uint8Array())).toBe(false);
  });
});

describe("signers", () => {
  const signerOf = (name: string, key: string) => {
    const [signature] = openpgpScheme.readSignatures(data(`${name}.sig`));
    const [anchor] = anchorsOf(key);
    const context = { anchors: anchorsOf(key), clock: july, revocations: noRevocations };
    return { signer: signature?.check(message, context).signer, id: anchor?.id ?? "" };
  };
  test("are known by the primary key's fingerprint and the key's own digest", () => {
    const { signer, id } = signerOf("rsa", "rsa");
    const spki = new TextDecoder().decode(data("rsa.spki")).trim();
    expect(signer?.identities).toEqual([`openpgp:${id}`, `spki:${spki}`]);
    expect(signer).toMatchObject({ scheme: "openpgp", label: "rsa" });
    expect(signerOf("sha512", "rsa").signer?.identities).toEqual(signer?.identities);
  });
  test("a subkey shares its primary key's identity only", () => {
    const { signer, id } = signerOf("subkey", "subkey");
    expect(signer?.identities[0]).toBe(`openpgp:${id}`);
    expect(signer?.identities[1]).not.toBe(signerOf("ed25519", "ed25519").signer?.identities[1]);
  });
});

/** A certificate that is good, of which each row makes one that is not. Seconds since 1970. */
const made = 1_770_000_000;
const signed = 1_780_000_000;
const sign = subpacket(27, Buffer.of(2));
const certify = subpacket(27, Buffer.of(1));

describe("certificates that no program makes", () => {
  const primary = testKey("ed25519", made);
  const subkey = testKey("ed25519", made);
  const curve = testKey("P-384", made);
  const both = [primary.hashed, subkey.hashed];
  const userId = Buffer.from("test");
  const hashedUserId = Buffer.concat([Buffer.of(0xb4), secondsField(userId.length), userId]);

  const own = (type: number, parts: readonly Uint8Array[], rest: Partial<OpenPgpTestSignature> = {}): Buffer =>
    signaturePacket({ key: primary, type, parts, created: made, ...rest });
  const direct = (...hashed: readonly Buffer[]): Buffer => own(0x1f, [primary.hashed], { hashed });
  const back = (rest: Partial<OpenPgpTestSignature> = {}): Buffer =>
    subpacket(32, signatureBody({ key: subkey, type: 0x19, parts: both, created: made, ...rest }));
  const binding = (rest: Partial<OpenPgpTestSignature> = {}): Buffer =>
    own(0x18, both, { hashed: [sign, back()], ...rest });
  const subkeyPacket = packet(14, subkey.body);

  function judge(
    packets: readonly Buffer[],
    by: OpenPgpTestKey = subkey,
    rest: Partial<OpenPgpTestSignature> = {},
  ): string {
    const anchors = openpgpAnchorReader.readAnchors("k", Buffer.concat(packets));
    const wanted = { key: by, type: 0, parts: [message.bytes()], created: signed, ...rest };
    return verdictsOf(signaturePacket(wanted), anchors, timelessClock).join("; ");
  }
  const head = packet(6, primary.body);
  const withSubkey = (...signatures: readonly Buffer[]): string =>
    judge([head, direct(certify), subkeyPacket, ...signatures]);

  test("the good one", () => {
    expect(judge([head, direct(sign)], primary)).toBe("good: k");
    expect(withSubkey(binding())).toMatch(/^good: k \(subkey [0-9A-F]{16}\)$/);
    expect(
      judge([head, packet(13, userId), own(0x13, [primary.hashed, hashedUserId], { hashed: [sign] })], primary),
    ).toBe("good: k");
  });

  test.each([
    ["no binding", [], "the subkey is not bound to its key"],
    ["no signature for its key", [{ hashed: [sign] }], "the subkey has no good signature for its key: it has none"],
    [
      "one over another key",
      [{ hashed: [sign, back({ parts: [primary.hashed, curve.hashed] })] }],
      "the subkey has no good signature for its key: the signature does not match",
    ],
    [
      "one with SHA-1",
      [{ hashed: [sign, back({ hash: "SHA1" })] }],
      "the subkey has no good signature for its key: SHA-1 is too weak",
    ],
    [
      "one that is not understood",
      [{ hashed: [sign, back({ hashed: [subpacket(99, Buffer.of(), true)] })] }],
      "the subkey has no good signature for its key: its subpacket 99 is critical and not understood",
    ],
    ["no key flags", [{ hashed: [back()] }], "the subkey may not sign: it has no key flags"],
    ["a binding with SHA-1", [{ hash: "SHA1" }], "the subkey is not bound to its key: SHA-1 is too weak"],
    [
      "a binding over another",
      [{ parts: [primary.hashed] }],
      "the subkey is not bound to its key: the signature does not match",
    ],
    [
      "a binding before its time",
      [{ created: made - 1 }],
      "the subkey is not bound to its key: it is older than the key",
    ],
    [
      "a binding that is not understood",
      [{ hashed: [sign, back(), subpacket(5, Buffer.of(1, 60), true)] }],
      "the subkey is not bound to its key: its subpacket 5 (trust) is critical and not understood",
    ],
    [
      "a life that ended before",
      [{ hashed: [sign, back(), subpacket(9, secondsField(86_400))] }],
      "the signature was made after the subkey expired on 2026-02-03T02:40:00Z",
    ],
  ] as const satisfies readonly (readonly [string, readonly Partial<OpenPgpTestSignature>[], string])[])(
    "subkey: %s",
    (_, bindings, reason) => expect(withSubkey(...bindings.map((rest) => binding(rest)))).toBe(reason),
  );

  test("the newest binding counts, and one that is bad does not", () => {
    const encrypt = { hashed: [subpacket(27, Buffer.of(12))], created: made + 5 };
    expect(withSubkey(binding(), binding(encrypt))).toBe("the subkey may not sign: it is for other uses only");
    expect(withSubkey(binding({ ...encrypt, hash: "SHA1" }), binding())).toMatch(/^good: /);
  });
  test("the signature for the key may stand where nobody signs it", () => {
    const issuer = subpacket(16, primary.keyId);
    expect(withSubkey(binding({ hashed: [sign], unhashed: [issuer, back()] }))).toMatch(/^good: /);
  });

  test("revocations of subkeys", () => {
    const revocation = (reason: number, created: number, rest: Partial<OpenPgpTestSignature> = {}): Buffer =>
      own(0x28, both, { created, hashed: [subpacket(29, Buffer.of(reason))], ...rest });
    const revoked = "the subkey was revoked on 2026-05-28T20:26:41Z";
    expect(withSubkey(binding(), revocation(1, signed + 1))).toMatch(/^good: /);
    expect(withSubkey(binding(), revocation(2, signed + 1))).toBe(`${revoked} (compromised)`);
    expect(withSubkey(binding(), revocation(77, signed + 1))).toBe(`${revoked} (reason 77)`);
    expect(withSubkey(binding(), revocation(2, signed + 1, { hash: "SHA1" }))).toBe(`${revoked} (compromised)`);
    expect(withSubkey(binding(), own(0x28, both, { created: signed + 1 }))).toBe(`${revoked} (no reason given)`);
    expect(withSubkey(binding(), revocation(2, signed, { parts: [primary.hashed] }))).toMatch(/^good: /);
    expect(withSubkey(binding(), revocation(2, signed, { key: curve }))).toMatch(/^good: /);
  });
  test("a revocation that cannot be judged is one", () => {
    const body = signatureBody({ key: primary, type: 0x28, parts: both });
    body[3] = 77;
    expect(withSubkey(binding(), packet(2, body))).toBe(
      "the subkey holds a revocation that cannot be judged: hash algorithm 77 is not supported",
    );
    expect(withSubkey(binding(), packet(2, Buffer.of(3, 5, 0x28)))).toMatch(
      /^the subkey holds a revocation that cannot be read: OpenPGP signature: offset \d+, version: version 4 or 6 expected, not 3: signatures of PGP 2\.6 are not supported$/,
    );
    expect(withSubkey(binding(), packet(2, Buffer.of(3, 5, 0x10)))).toMatch(/^good: /);
  });

  test.each([
    ["none", [], "the key has no good self-signature"],
    ["by another key", [{ key: curve }], "the key has no good self-signature"],
    ["SHA-1", [{ hash: "SHA1" }], "the key has no good self-signature: SHA-1 is too weak"],
    ["no key flags", [{ hashed: [] }], "the key may not sign: it has no key flags"],
    [
      "flags of no bytes",
      [{ hashed: [subpacket(27, Buffer.of())] }],
      "the key may not sign: it is for other uses only",
    ],
    ["older than the key", [{ created: made - 1 }], "the key has no good self-signature: it is older than the key"],
    [
      "not understood",
      [{ hashed: [sign, subpacket(31, Buffer.of(), true)] }],
      "the key has no good self-signature: its subpacket 31 (signature target) is critical and not understood",
    ],
    [
      "key flags where nobody signs them",
      [{ hashed: [], unhashed: [sign] }],
      "the key may not sign: it has no key flags",
    ],
  ] as const satisfies readonly (readonly [string, readonly Partial<OpenPgpTestSignature>[], string])[])(
    "self-signature: %s",
    (_, signatures, reason) => {
      const packets = signatures.map((rest) => own(0x1f, [primary.hashed], { hashed: [sign], ...rest }));
      expect(judge([head, ...packets], primary)).toBe(reason);
    },
  );

  test("a self-signature that has expired does not count", () => {
    const packets = [head, own(0x1f, [primary.hashed], { hashed: [sign, subpacket(3, secondsField(60))] })];
    const anchors = openpgpAnchorReader.readAnchors("k", Buffer.concat(packets));
    const bytes = signaturePacket({ key: primary, type: 0, parts: [message.bytes()], created: signed });
    expect(verdictsOf(bytes, anchors, timelessClock)).toEqual(["good: k"]);
    expect(verdictsOf(bytes, anchors, july)).toEqual([
      "the key has no good self-signature: it expired on 2026-02-02T02:41:00Z",
    ]);
  });
  test("a direct-key signature says more than a user ID's, and the primary user ID more than another", () => {
    const bind = (flags: Buffer, ...rest: readonly Buffer[]): Buffer =>
      own(0x13, [primary.hashed, hashedUserId], { hashed: [flags, ...rest] });
    const id = packet(13, userId);
    expect(judge([head, direct(certify), id, bind(sign)], primary)).toBe(
      "the key may not sign: it is for certification only",
    );
    expect(judge([head, direct(), id, bind(sign)], primary)).toBe("good: k");
    const first = subpacket(25, Buffer.of(1));
    expect(judge([head, id, bind(certify), id, bind(sign, first)], primary)).toBe("good: k");
    expect(judge([head, id, bind(sign), id, bind(certify, first)], primary)).toBe(
      "the key may not sign: it is for certification only",
    );
  });

  test.each([
    [
      "older than the key",
      { created: made - 1 },
      "the signature is older than the key, which was made on 2026-02-02T02:40:00Z",
    ],
    ["another type", { type: 0x10 }, "a signature of type 0x10 (generic certification), which is none of a file"],
    ["standalone", { type: 0x02 }, "a signature of type 0x02 (standalone), which is none of a file"],
    [
      "facts where nobody signs them",
      { unhashed: [subpacket(16, primary.keyId), subpacket(3, secondsField(1))] },
      "its subpacket 3 (signature expiration time) is not part of what is signed",
    ],
    [
      "something critical that is known elsewhere",
      { hashed: [subpacket(35, Buffer.alloc(21), true)] },
      "its subpacket 35 (intended recipient) is critical and not understood",
    ],
    [
      "by another issuer",
      { unhashed: [subpacket(16, curve.keyId)] },
      `made with key ${curve.keyId.toString("hex").toUpperCase()}, which is not trusted`,
    ],
    [
      "two issuers",
      { unhashed: [subpacket(16, primary.keyId), subpacket(16, curve.keyId)] },
      `made with key ${primary.keyId.toString("hex").toUpperCase()}, which is not trusted`,
    ],
    ["another content", { parts: [Buffer.from("x")] }, "the signature does not match the file"],
    [
      "no creation time",
      { created: null },
      "a signature that cannot be read: OpenPGP signature: the creation time is not part of what is signed",
    ],
  ] as const satisfies readonly (readonly [string, Partial<OpenPgpTestSignature>, string])[])(
    "signature: %s",
    (_, rest, reason) => expect(judge([head, direct(sign)], primary, rest)).toBe(reason),
  );

  test("a signature by a key of another algorithm", () => {
    const reason = judge([head, direct(sign)], curve, { unhashed: [subpacket(16, primary.keyId)] });
    expect(reason).toBe("a signature of ECDSA by a key of Ed25519");
  });
  test("a digest that is too short for the curve", () => {
    const packets = [
      packet(6, curve.body),
      signaturePacket({ key: curve, type: 0x1f, parts: [curve.hashed], created: made, hashed: [sign] }),
    ];
    expect(judge(packets, curve)).toBe("good: k");
    expect(judge(packets, curve, { hash: "SHA384" })).toBe("good: k");
    expect(judge(packets, curve, { hash: "SHA256" })).toBe("SHA-256 is too short for P-384");
  });
  test("a key that is no point of its curve", () => {
    const change = (bytes: Buffer): Buffer =>
      Buffer.concat([bytes.subarray(0, -1), Buffer.of((bytes.at(-1) ?? 0) ^ 1)]);
    const hashed = change(curve.hashed);
    const keyId = createHash("sha1").update(hashed).digest().subarray(-8);
    const key = { ...curve, body: change(curve.body), hashed, keyId };
    const self = signaturePacket({ key, type: 0x1f, parts: [key.hashed], created: made, hashed: [sign] });
    expect(judge([packet(6, key.body), self], key)).toMatch(
      /^the key has no good self-signature: OpenSSL refuses the key: ./,
    );
  });
  test("a key that nobody named, and one that cannot be read", () => {
    const anchors = openpgpAnchorReader.readAnchors("k", Buffer.concat([head, direct(sign)]));
    const nameless = signaturePacket({ key: primary, type: 0, parts: [message.bytes()], unhashed: [] });
    expect(verdictsOf(nameless, anchors)).toEqual(["the signature does not name its key"]);
    expect(openpgpScheme.readSignatures(nameless)[0]?.mayBeBy(anchors)).toBe(false);
    const [unreadable] = openpgpScheme.readSignatures(packet(2, Buffer.of(3, 5, 0)));
    expect([unreadable?.mayBeBy(anchors), unreadable?.mayBeBy([])]).toEqual([true, false]);
  });
});

test("a certificate of version 6 needs a direct-key signature", () => {
  const packets = readPackets(data("v6/ed25519.gpg"), "test");
  const first = packets.findIndex(({ type }) => type === 2);
  const stripped = packets.filter((_, index) => index !== first).map(({ type, body }) => packet(type, body));
  const anchors = openpgpAnchorReader.readAnchors("k", Buffer.concat(stripped));
  expect(verdictsOf(data("v6/ed25519.sig"), anchors)).toEqual(["the key has no good self-signature"]);
});

test("a subkey that was left out may be the one that is missed", () => {
  const packets = readPackets(data("subkey.gpg"), "test").map(({ type, body }) =>
    packet(type, type === 14 ? Buffer.concat([Buffer.of(5), body.subarray(1)]) : body),
  );
  const anchors = openpgpAnchorReader.readAnchors("k", Buffer.concat(packets));
  expect(verdictsOf(data("subkey.sig"), anchors)).toEqual([
    expect.stringMatching(
      /^made with key [0-9A-F]{40}, which is not trusted \(left out of "k": a subkey: OpenPGP key: offset \d+, version: version 4 or 6 expected, not 5: keys of LibrePGP are not supported, and 1 more\)$/,
    ),
  ]);
});

describe("any bit of a signature file that is changed", () => {
  test.each([
    ["rsa", "rsa.sig"],
    ["rsa", "rsa.sig.asc"],
    ["ed25519", "ed25519.sig"],
    ["nistp256", "nistp256.sig"],
    ["v6/ed25519", "v6/ed25519.sig"],
  ] as const)("%s: %s", (key, file) => {
    const anchors = anchorsOf(key);
    const bytes = data(file);
    const accepted = [];
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        if (verdictsOf(changed, anchors).some((reason) => reason.startsWith("good: "))) accepted.push(bit);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    }
    expect(accepted).toEqual([]);
  });
});

test("any byte of a certificate that is changed makes no error but FormatError", () => {
  for (const name of ["subkey", "v6/subkey", "revoked-1", "nistp256"]) {
    const bytes = data(`${name}.gpg`);
    const signature = name === "revoked-1" ? data("revoked-1-after.sig") : data(`${name}.sig`);
    for (let at = 0; at < bytes.length; at += 2) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ (1 << ((at >> 1) % 8));
      try {
        const anchors = openpgpAnchorReader.readAnchors("k", changed);
        expect(verdictsOf(signature, anchors).join()).not.toBe("");
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    }
  }
});
