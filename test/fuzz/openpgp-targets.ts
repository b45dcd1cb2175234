import { parseOpenPgpCertificates } from "../../src/formats/openpgp/certificate.ts";
import { parseOpenPgpKeyFile, parseOpenPgpSignatureFile } from "../../src/formats/openpgp/files.ts";
import { readPackets } from "../../src/formats/openpgp/packets.ts";
import { timelessClock } from "../../src/trust/clock.ts";
import { openpgpAnchorReader, openpgpScheme } from "../../src/trust/schemes/openpgp.ts";
import { noRevocations } from "../../src/trust/schemes/scheme.ts";
import type { FuzzTarget } from "./engine.ts";
import { binaryTarget, grade, seedsBelow, seedsOf, textTarget } from "./target-kinds.ts";

const directory = "signatures/openpgp";
const keys = seedsBelow(directory, /\.gpg$/);
const signatures = seedsBelow(directory, /^(?!clear|inline).*\.sig$/);
const armored = [...seedsOf(directory, /^rsa.*asc$/), ...seedsOf(`${directory}/rfc9580`, /asc$/)];

/** Headers of packets, of subpackets, of numbers. */
const tokens = [
  ...[0x99, 0x89, 0x88, 0xc2, 0xc6, 0xce, 0xcd].map((first) => Uint8Array.of(first, 0x20)),
  ...[2, 3, 9, 12, 16, 20, 27, 29, 32, 33].map((type) => Uint8Array.of(5, type)),
  ...[4, 6].flatMap((version) => [0, 0x10, 0x18, 0x1f, 0x20].map((type) => Uint8Array.of(version, type))),
  Uint8Array.of(0x01, 0x00),
  Uint8Array.of(0x08, 0x00),
  Uint8Array.of(0xff, 0, 0, 0),
];
const content = { size: 0, bytes: () => new Uint8Array(), digest: () => new Uint8Array() };

const checks = signatures.flatMap((bytes) => openpgpScheme.readSignatures(bytes));
const checksMax = 4;

/** Has the keys judge the signatures that may be theirs: over another content, so that all come to a refusal. */
function check(bytes: Uint8Array): string {
  const anchors = openpgpAnchorReader.readAnchors("k", bytes);
  const context = { anchors, clock: timelessClock, revocations: noRevocations };
  return checks
    .filter((signature) => signature.mayBeBy(anchors))
    .slice(0, checksMax)
    .map((signature) => (signature.check(content, context).reason ?? "good").replace(/[0-9A-F]{16,}|\d+/g, "N"))
    .join();
}

/** What is read of OpenPGP: keys, signatures, their armor. */
export const openpgpTargets: readonly FuzzTarget[] = [
  binaryTarget("OpenPGP certificates", keys, tokens, (bytes) =>
    parseOpenPgpCertificates(bytes)
      .map(({ signatures: direct, userIds, subkeys, leftOut }) =>
        [direct, userIds, subkeys, leftOut].map((list) => grade(list.length)).join(),
      )
      .join(";"),
  ),
  binaryTarget("OpenPGP signatures", signatures, tokens, (bytes) =>
    parseOpenPgpSignatureFile(bytes)
      .map(({ signature, problem }) => signature?.value.kind ?? problem?.replace(/\d+/g, "N"))
      .join(";"),
  ),
  {
    ...binaryTarget("OpenPGP self-signatures", keys, tokens, check),
    // Each input costs a few operations with public keys.
    share: 0.2,
  },
  textTarget(
    "OpenPGP armor",
    armored,
    [
      "-----BEGIN PGP SIGNATURE-----",
      "-----END PGP SIGNATURE-----",
      "-----BEGIN PGP PUBLIC KEY BLOCK-----",
      "\n\n",
      "=",
      "Hash: ",
    ],
    (text) => {
      const bytes = new TextEncoder().encode(text);
      return `${openpgpScheme.recognises(bytes) ? parseOpenPgpSignatureFile(bytes).length : parseOpenPgpKeyFile(bytes).length}`;
    },
  ),
  binaryTarget("OpenPGP packets", [...keys, ...signatures], tokens, (bytes) =>
    readPackets(bytes, "OpenPGP")
      .map(({ type }) => type)
      .join(),
  ),
];
