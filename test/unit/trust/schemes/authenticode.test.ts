import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { DerReader } from "../../../../src/formats/der.ts";
import { timelessClock } from "../../../../src/trust/clock.ts";
import { readRevocations } from "../../../../src/trust/revocations.ts";
import { authenticodeScheme } from "../../../../src/trust/schemes/authenticode.ts";
import { eslAnchorReader } from "../../../../src/trust/schemes/esl-anchors.ts";
import {
  type Anchor,
  type ImageDigestAnchor,
  noRevocations,
  type Revocations,
} from "../../../../src/trust/schemes/scheme.ts";
import { sequence, setOf, tagged } from "../../../fakes/der-writer.ts";
import { formatErrorOf } from "../../../fakes/hostile-input.ts";
import { signatureText, signedContent } from "../../../fakes/signature-data.ts";
import { testData } from "../../../fakes/tree-data.ts";
import { certificateAnchor, verdicts } from "./enclosed.ts";

const image = (name: string): Uint8Array => testData(`signatures/authenticode/${name}`);
const list = (name: string): Uint8Array => testData(`signatures/esl/${name}`);
const anchor = certificateAnchor;

/** The verdict on the image's signatures, the last of which is its digest. */
function judge(bytes: Uint8Array, anchors: readonly Anchor[], revocations?: Revocations): string[] {
  return verdicts(authenticodeScheme, bytes, anchors, revocations).slice(0, -1);
}

function changed(bytes: Uint8Array, ...places: number[]): Uint8Array {
  const copy = bytes.slice();
  for (const at of places) copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

describe("osslsigncode's verdicts, where root is trusted", () => {
  /** It takes weak digests, and a nested signature for another one. */
  const taken = ["sha1.efi", "md5.efi", "nested.efi"];
  const lines = signatureText("authenticode/judged.txt").matchAll(/^osslsigncode (\S+): (ok|failed)$/gm);
  const rows = Array.from(lines, ([, name = "", verdict = ""]) => [name, verdict] as const);
  it.each(rows.filter(([name]) => !taken.includes(name)))("%s: %s", (name, verdict) => {
    const [ours = ""] = judge(image(name === "uki-signed.efi" ? `${name}.gz` : name), [anchor("root")]);
    expect(ours.startsWith("root") ? "ok" : "failed").toBe(verdict);
  });
  it("are there", () => {
    expect(rows.length).toBeGreaterThan(12);
  });
});

describe("signatures by sbsign and osslsigncode", () => {
  it.each([
    ["sbsign.efi", "root", ["root: CN=leaf,O=Slipway tests"]],
    ["sbsign.efi", "middle", ["middle: CN=leaf,O=Slipway tests"]],
    ["sbsign.efi", "leaf", ["leaf"]],
    ["osslsigncode.efi", "root", ["root: CN=leaf,O=Slipway tests"]],
    ["sha384.efi", "root", ["root: CN=leaf,O=Slipway tests"]],
    ["sha512.efi", "leaf", ["leaf"]],
    ["curve.efi", "root", ["root: CN=curve,O=Slipway tests"]],
    ["leaf-only.efi", "leaf", ["leaf"]],
    ["leaf-only.efi", "middle", ["middle: CN=leaf,O=Slipway tests"]],
    ["uki-signed.efi.gz", "root", ["root: CN=leaf,O=Slipway tests"]],
    ["unaligned-signed.efi", "leaf", ["leaf"]],
    // As firmware, which has no clock to believe.
    ["expired.efi", "expired", ["expired"]],
    ["stranger.efi", "stranger", ["stranger"]],
    // A certificate for web servers signs nothing for its issuer; for itself it does where it is trusted itself.
    [
      "server.efi",
      "root",
      [
        'refused: certificate "CN=server,O=Slipway tests" is for server authentication, client authentication, not for code signing',
      ],
    ],
    ["server.efi", "server", ["server"]],
    // Two signatures, each judged alone.
    ["twice.efi", "stranger", ["stranger", "other"]],
    ["twice.efi", "leaf", ["other", "leaf"]],
    // The outer one is the stranger's; the leaf's is nested and not looked at.
    ["nested.efi", "stranger", ["stranger"]],
    ["nested.efi", "leaf", ["other"]],
  ])("%s for %s: %j", (name, by, expected) => {
    expect(judge(image(name), [anchor(by)])).toEqual(expected);
  });

  it("the signer's identities are its key, and its root and name", () => {
    const content = signedContent(image("sbsign.efi"));
    const [signature] = authenticodeScheme.readSignatures(content);
    const root = anchor("root");
    const context = { anchors: [root], clock: timelessClock, revocations: noRevocations };
    const { certificate } = anchor("leaf");
    const spki = createHash("sha256").update(certificate.spki).digest("hex");
    const subject = Buffer.from(certificate.subject).toString("hex");
    expect(signature?.check(content, context).signer).toMatchObject({
      anchor: root,
      scheme: "authenticode",
      identities: [`spki:${spki}`, `x509:${root.id}:${subject}`],
    });
  });
});

describe("what is refused", () => {
  it.each([
    ["stranger.efi", "root", 'refused: certificate "CN=stranger" is issued by itself, which is not trusted'],
    ["expired.efi", "leaf", 'refused: certificate "CN=expired" is issued by itself, which is not trusted'],
    ["sha1.efi", "leaf", "refused: the signature is made with SHA-1, which is too weak"],
    ["md5.efi", "leaf", "refused: the signature is made with MD5, which is too weak"],
    [
      "gap-signed.efi",
      "leaf",
      "refused: the signature does not match the image, whose bytes 1536 to 2048 are not in exactly one section",
    ],
    [
      "overlap-signed.efi",
      "leaf",
      "refused: the signature does not match the image, whose bytes 1024 to 1536 are not in exactly one section",
    ],
  ])("%s for %s", (name, by, reason) => {
    // sbsign puts middle.crt into every file, so that each of these may be by root.
    expect(judge(image(name), [anchor(by), anchor("root")])).toContain(reason);
  });

  const signed = image("sbsign.efi");
  const tableAt = image("image.efi").length;

  it.each([
    ["the headers", 0x3f0],
    ["a section", 0x400],
    ["the last byte before the table", tableAt - 1],
    ["the version of the image", 64 + 24 + 44],
  ])("a bit changed in %s", (_, at) => {
    expect(judge(changed(signed, at), [anchor("root")])).toEqual(["refused: the signature does not match the image"]);
  });

  it("a digest of the image changed in the signature", () => {
    const at = Buffer.from(signed).indexOf(Buffer.from("7036821cd03b5200", "hex"));
    expect(judge(changed(signed, at), [anchor("root")])).toEqual(["refused: the signature does not match the file"]);
  });

  it("the signature's value changed", () => {
    expect(judge(changed(signed, signed.length - 9), [anchor("root")])).toEqual([
      "refused: the signature's attributes were changed",
    ]);
  });

  /** The unsigned image with one signature: the message of sbsign.efi after a change. */
  function withMessage(
    change: (parts: { readonly before: Uint8Array[]; readonly signer: Uint8Array }) => Uint8Array[],
  ) {
    const info = new DerReader(signed.subarray(tableAt + 8), "test").sequence("ContentInfo");
    const type = info.any("contentType").der;
    const signedData = info.enter(0xa0, "content").sequence("SignedData");
    const before = ["version", "digests", "content", "certificates"].map((field) => signedData.any(field).der);
    const signer = signedData.enter(0x31, "signers").any("signer").der;
    const message = sequence(type, tagged(0, sequence(...change({ before, signer }))));
    const table = new Uint8Array((8 + message.length + 7) & ~7);
    table.set(message, 8);
    new DataView(table.buffer).setUint32(0, 8 + message.length, true);
    table.set([0, 2, 2, 0], 4);
    const whole = Uint8Array.from(Buffer.concat([signed.subarray(0, tableAt), table]));
    new DataView(whole.buffer).setUint32(64 + 24 + 112 + 4 * 8 + 4, table.length, true);
    return whole;
  }

  /** Another last number for SHA-256's identifier where the image's digest is named. */
  function withImageHash(number: number): Uint8Array {
    return withMessage(({ before: [version, digests, content, certificates], signer }) => {
      const copy = Buffer.from(content ?? []);
      copy[copy.indexOf(Buffer.from("0609608648016503040201", "hex")) + 10] = number;
      return [version, digests, copy, certificates, setOf(signer)].map((part) => part ?? new Uint8Array());
    });
  }

  it.each([
    ["nothing", withMessage(({ before, signer }) => [...before, setOf(signer)]), "leaf"],
    [
      "two signers",
      withMessage(({ before, signer }) => [...before, setOf(signer, signer)]),
      "refused: the signature has 2 signers, one expected",
    ],
    // Nobody it may be by.
    ["no signer", withMessage(({ before }) => [...before, setOf()]), "other"],
    ["SHA-224 for the image", withImageHash(4), "refused: the signature is made with SHA-224, which is not taken"],
    [
      "an unknown digest for the image",
      withImageHash(63),
      "refused: the signature's digest of the image is 2.16.840.1.101.3.4.2.63, which is not taken",
    ],
  ])("a message with %s changed", (_, bytes, expected) => {
    expect(judge(bytes, [anchor("leaf")])).toEqual([expected]);
  });

  it("a broken signature costs itself alone", () => {
    const twice = image("twice.efi");
    const [refusal, good] = judge(changed(twice, tableAt + 8), [anchor("leaf"), anchor("stranger")]);
    expect([refusal, good]).toEqual(["other", "leaf"]);
  });

  it("a table that is broken costs them all", () => {
    const cut = signed.subarray(0, -8);
    expect(formatErrorOf(() => authenticodeScheme.readSignatures(signedContent(cut)))).toBe(
      "pe: offset 232, Certificate Table: bytes 3584 to 6000 leave what is behind the headers, 1024 to 5992",
    );
  });

  it("a broken signature says why when it is asked all the same", () => {
    const content = signedContent(changed(signed, tableAt + 8));
    const [signature] = authenticodeScheme.readSignatures(content);
    const context = { anchors: [anchor("leaf")], clock: timelessClock, revocations: noRevocations };
    expect(signature?.check(content, context).reason).toBe(
      "authenticode: offset 0, ContentInfo: tag 0x30 expected, not 0x31",
    );
  });

  it("a signature over another image", () => {
    const [signature] = authenticodeScheme.readSignatures(signedContent(signed));
    const context = { anchors: [anchor("leaf")], clock: timelessClock, revocations: noRevocations };
    expect(signature?.check(signedContent(image("plain-signed.efi")), context).reason).toBe(
      "the signature does not match the image",
    );
  });
});

describe("bits of the headers and of the signature table", () => {
  it("only the checksum's may be changed", () => {
    const bytes = image("sbsign.efi");
    const tableAt = image("image.efi").length;
    const anchors = [anchor("root")];
    const places = [];
    for (let at = 64; at < 64 + 24 + 240; at++) places.push(at);
    for (let at = tableAt; at < bytes.length; at += 5) places.push(at);
    const survivors = places.filter((at) => {
      const mask = 1 << (at % 8);
      bytes[at] = (bytes[at] ?? 0) ^ mask;
      let verdict: string[] = [];
      formatErrorOf(() => {
        verdict = judge(bytes, anchors);
      });
      bytes[at] = (bytes[at] ?? 0) ^ mask;
      return verdict.some((text) => text.startsWith("root"));
    });
    expect(survivors).toEqual([152, 153, 154, 155]);
  });
});

describe("what was taken back", () => {
  const root = [anchor("root")];
  const dbx = (...names: string[]): Revocations => readRevocations({ dbx: names.map(list), sbat: [] });
  const sbat = (...texts: string[]): Revocations => readRevocations({ dbx: [], sbat: texts });
  const good = ["root: CN=leaf,O=Slipway tests"];
  const imageReason =
    "refused: the image is revoked: sha256 7036821cd03b52008bef116e28bd177a3467692181193bf17424386c3d3ccede";

  it.each([
    ["sbsign.efi", dbx("image.esl"), [imageReason]],
    ["sbsign.efi", dbx("images.esl", "leaf.esl"), ['refused: certificate "CN=leaf,O=Slipway tests" is revoked']],
    ["plain-signed.efi", dbx("image.esl"), good],
    // A signature with another digest does not save the image.
    ["sha512.efi", dbx("image.esl"), [imageReason]],
    [
      "twice.efi",
      dbx("image.esl"),
      ['refused: certificate "CN=stranger" is issued by itself, which is not trusted', imageReason],
    ],
    ["sbsign.efi", dbx("leaf.esl"), ['refused: certificate "CN=leaf,O=Slipway tests" is revoked']],
    ["sbsign.efi", dbx("middle.esl"), ['refused: certificate "CN=middle,O=Slipway tests" is revoked']],
    ["sbsign.efi", dbx("root.esl"), ['refused: certificate "CN=root,O=Slipway tests" is revoked']],
    ["sbsign.efi", dbx("leaf-sha256.esl"), ['refused: certificate "CN=leaf,O=Slipway tests" is revoked']],
    ["sbsign.efi", dbx("leaf-sha384.esl"), ['refused: certificate "CN=leaf,O=Slipway tests" is revoked']],
    ["sbsign.efi", dbx("leaf-sha512.esl"), ['refused: certificate "CN=leaf,O=Slipway tests" is revoked']],
    ["sbsign.efi", dbx("middle-time.esl"), ['refused: certificate "CN=middle,O=Slipway tests" is revoked']],
    ["curve.efi", dbx("leaf.esl", "leaf-sha256.esl"), ["root: CN=curve,O=Slipway tests"]],
    ["sbsign.efi", sbat("sbat,1\nslipway.test,3\n"), good],
    ["sbsign.efi", sbat("sbat,1\nother,9\n"), good],
    [
      "sbsign.efi",
      sbat("sbat,1\nslipway.test,4\n"),
      ['refused: "slipway.test" is of the SBAT generation 3, at least 4 expected'],
    ],
    ["plain-signed.efi", sbat("sbat,1\n"), ['refused: the image has no section ".sbat", which SBAT levels ask for']],
    ["two-sbat.efi", sbat("sbat,1\n"), ['refused: the image has 2 sections ".sbat", one expected']],
    ["bad-sbat.efi", sbat("sbat,1\n"), ["refused: sbat: line 1: at least 6 fields expected, not 2"]],
    ["bad-sbat.efi", noRevocations, good],
    ["uki-signed.efi.gz", sbat("sbat,1\nsystemd,1\n"), good],
    [
      "uki-signed.efi.gz",
      sbat("sbat,1\nsystemd.debian,2\n"),
      ['refused: "systemd.debian" is of the SBAT generation 1, at least 2 expected'],
    ],
  ])("%s, row %#", (name, revocations, expected) => {
    expect(judge(image(name), root, revocations)).toEqual(expected);
  });

  it("an image of an odd size, taken back with or without zeroes behind it", () => {
    const bytes = image("unaligned.efi");
    const trusted = eslAnchorReader.readAnchors("db", list("unaligned.esl"));
    const last = (revocations: Revocations): string | undefined =>
      verdicts(authenticodeScheme, bytes, trusted, revocations).at(-1);
    expect(last(noRevocations)).toBe("db");
    expect(last(dbx("unaligned.esl"))).toBe(
      "refused: the image is revoked: sha256 9928dd611bf2b6be38bcd2af2f5f47ae11a1363a73bd7081461c6bfb3fb3fa52",
    );
    // The checksum at 152, the table's place at 232.
    const parts = [bytes.subarray(0, 152), bytes.subarray(156, 232), bytes.subarray(240)];
    const digest = createHash("sha256").update(Buffer.concat(parts)).digest("hex");
    const imageDigests = new Set([`sha256:${digest}`]);
    expect(last({ ...noRevocations, imageDigests })).toBe(`refused: the image is revoked: sha256 ${digest}`);
  });
});

describe("images that are trusted by their digest", () => {
  const byDigest = (name: string): readonly Anchor[] => eslAnchorReader.readAnchors("db", list(name));
  const last = (name: string, anchors: readonly Anchor[], revocations?: Revocations): string | undefined =>
    verdicts(authenticodeScheme, image(name), anchors, revocations).at(-1);

  it.each([
    ["image.efi", "image.esl", "db"],
    ["sbsign.efi", "image.esl", "db"],
    ["plain.efi", "images.esl", "db#2"],
    ["unaligned.efi", "unaligned.esl", "db"],
    ["plain.efi", "image.esl", "refused: the image's digest is not among those that are trusted"],
    ["plain.efi", "root.esl", "other"],
  ])("%s by %s: %s", (name, anchors, expected) => {
    expect(last(name, byDigest(anchors))).toBe(expected);
  });

  it("are refused when they were taken back", () => {
    expect(last("image.efi", byDigest("image.esl"), readRevocations({ dbx: [list("images.esl")], sbat: [] }))).toBe(
      "refused: the image is revoked: sha256 7036821cd03b52008bef116e28bd177a3467692181193bf17424386c3d3ccede",
    );
    expect(last("plain.efi", byDigest("images.esl"), readRevocations({ dbx: [], sbat: ["sbat,1"] }))).toBe(
      'refused: the image has no section ".sbat", which SBAT levels ask for',
    );
  });

  it("have the digest for their identity", () => {
    const value = Buffer.from("7036821cd03b52008bef116e28bd177a3467692181193bf17424386c3d3ccede", "hex");
    const digest: ImageDigestAnchor = { kind: "image-digest", label: "it", id: "sha256:7036", digest: "sha256", value };
    const content = signedContent(image("image.efi"));
    const [signature] = authenticodeScheme.readSignatures(content);
    const context = { anchors: [digest], clock: timelessClock, revocations: noRevocations };
    expect(signature?.check(content, context).signer?.identities).toEqual(["image:sha256:7036"]);
  });
});

it("a file that is no PE image holds no signature of this kind", () => {
  for (const bytes of [new Uint8Array(0), new TextEncoder().encode("MZ is how it begins"), list("db.esl")]) {
    expect(verdicts(authenticodeScheme, bytes, [anchor("root")])).toEqual([]);
  }
});
