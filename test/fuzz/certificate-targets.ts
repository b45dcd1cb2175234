import { createHash } from "node:crypto";
import { derOfBer } from "../../src/formats/ber.ts";
import { parseCms } from "../../src/formats/cms.ts";
import { oid } from "../../src/formats/object-identifiers.ts";
import { parsePem } from "../../src/formats/pem.ts";
import { parseCertificate } from "../../src/formats/x509.ts";
import { cmsScheme } from "../../src/trust/schemes/cms.ts";
import {
  type CheckContext,
  type DigestName,
  noRevocations,
  type SignedContent,
} from "../../src/trust/schemes/scheme.ts";
import { x509AnchorReader } from "../../src/trust/schemes/x509-anchors.ts";
import { certificateAnchor, certificateDer, cmsData, fixtureTime } from "../fakes/certificates.ts";
import { derOidOf } from "../fakes/der-writer.ts";
import type { FuzzTarget } from "./engine.ts";
import { binaryTarget, grade, seedsOf } from "./target-kinds.ts";

const identifiers = Object.values(oid).map(derOidOf);
const headers = [
  [0x30, 0x80],
  [0, 0],
  [0x24, 0x80],
  [0x30, 0x82],
  [0xa0, 0x80],
  [0x31, 0],
  [5, 0],
  [1, 1, 0xff],
];
const derTokens = [...identifiers, ...headers.map((bytes) => Uint8Array.from(bytes))];
const certificateSeeds = [
  "root",
  "signing-ca",
  "p256",
  "pss",
  "ed25519",
  "constrained",
  "mail-ca",
  "critical",
  "mail",
].map(certificateDer);
const signatureSeeds = seedsOf("signatures/cms", /^[a-z0-9-]+\.p7s$/);
const pemSeeds = seedsOf("signatures/cms", /^(?:two|text|cms\.pem|root)\.(?:pem|p7s)$/);
const pemTokens = ["-----BEGIN CMS-----\n", "-----END CMS-----\n", "-----BEGIN CERTIFICATE-----\n", "-----END ", "=="];

const message = cmsData("message");
const content: SignedContent = {
  size: message.length,
  digest: (name: DigestName) => createHash(name).update(message).digest(),
  bytes: () => message,
};
const context: CheckContext = {
  anchors: ["root", "pinned", "ed25519"].map(certificateAnchor),
  clock: { now: fixtureTime, atLeast: fixtureTime },
  revocations: noRevocations,
};

/** Judges every signature of a file; reasons without what they quote tell inputs apart. */
function judged(bytes: Uint8Array): string {
  const found = cmsScheme.readSignatures(bytes).map((signature) => {
    const may = signature.mayBeBy(context.anchors);
    return `${may} ${signature.check(content, context).reason?.replace(/"[^"]*"|[0-9a-f]{4,}/g, "") ?? "good"}`;
  });
  return found.join("; ");
}

/** Certificates and what they sign. */
export const certificateTargets: readonly FuzzTarget[] = [
  binaryTarget("X.509 certificate", certificateSeeds, derTokens, (bytes) => {
    const { version, signatureAlgorithm, extensions } = parseCertificate(bytes);
    return [version, signatureAlgorithm.kind, ...Object.values(extensions).map((value) => value !== null)].join();
  }),
  binaryTarget("CMS", signatureSeeds, derTokens, (bytes) => {
    const { certificates, signers, encapContent } = parseCms(bytes);
    const kinds = signers.map(({ sid, signatureAlgorithm }) => `${sid.kind} ${signatureAlgorithm.kind}`);
    return [certificates.length, encapContent !== null, ...kinds].join();
  }),
  binaryTarget("BER", signatureSeeds, derTokens, (bytes) => grade(derOfBer(bytes, "ber").length)),
  binaryTarget("PEM", pemSeeds, pemTokens, (bytes) => {
    const { blocks, textLine } = parsePem(bytes);
    return [...blocks.map(({ label }) => label), textLine !== null].join();
  }),
  {
    ...binaryTarget("CMS, judged", [...signatureSeeds, ...pemSeeds], [...derTokens, ...pemTokens], judged),
    share: 0.1,
  },
  binaryTarget("trusted certificates", [...certificateSeeds, ...pemSeeds], pemTokens, (bytes) =>
    x509AnchorReader.recognises(bytes) ? grade(x509AnchorReader.readAnchors("a", bytes).length) : "none",
  ),
];
