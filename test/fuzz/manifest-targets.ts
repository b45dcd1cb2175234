import { decodeBase64, encodeBase64 } from "../../src/formats/base64.ts";
import { manifestText, parseManifest } from "../../src/formats/manifest.ts";
import { isMinisignSignature, parseMinisignSignature } from "../../src/formats/minisign.ts";
import { parseMinisignKeyPair, parseMinisignSecretKey } from "../../src/formats/minisign-secret.ts";
import { joinSignedDocument, splitSignedDocument } from "../../src/formats/signed-document.ts";
import { parseSignifySignature } from "../../src/formats/signify.ts";
import { hasSshKeyLines, parseSshKeyLines, parseSshPublicKey, parseSshSecretKey } from "../../src/formats/ssh-key.ts";
import { parseSshSignature } from "../../src/formats/sshsig.ts";
import type { FuzzTarget } from "./engine.ts";
import { binaryTarget, seedsOf, textOf } from "./target-kinds.ts";

const decoder = new TextDecoder("latin1");

/** An armored file as its bytes, so that changes reach what the base64 holds. */
function unarmored(file: Uint8Array): Uint8Array {
  return decodeBase64(decoder.decode(file).split("\n").slice(1, -2).join(""), "seed", {});
}

function armored(label: string, body: Uint8Array): Uint8Array {
  return textOf(`-----BEGIN ${label}-----\n${encodeBase64(body)}\n-----END ${label}-----\n`);
}

const sshFiles = seedsOf("signatures/sshsig", /\.sig$/);
const sshSecrets = seedsOf("signatures/sshsig", /^(?:ed25519|other|locked|rsa2048)$/);
const sshKeys = seedsOf("signatures/sshsig", /\.pub$/);
const sshWords = ["SSHSIG", "ssh-ed25519", "ssh-rsa", "nistp256", "slipway", "sha256", "sha512", "rsa-sha2-256"];
const commentWords = ["untrusted comment: ", "trusted comment: ", "RW", "RU", "\n"];
const commented = [...seedsOf("signatures/minisign", /\.minisig$/), ...seedsOf("signatures/signify", /\.(?:sig|gz)$/)];
const blocks = [
  ...seedsOf("signatures/minisign", /\.minisig$/),
  ...seedsOf("signatures/signify", /^detached\.sig$/),
  ...seedsOf("signatures/sshsig", /^ed25519\.sig$/),
];
const manifests = seedsOf("manifest", /\.json$/);

/** What was read, written and read again is the same. */
function roundTrip(bytes: Uint8Array): number {
  const manifest = parseManifest(bytes);
  const text = manifestText(manifest);
  if (manifestText(parseManifest(textOf(text))) !== text) throw new Error("a manifest is another one when written");
  return manifest.entries.length;
}

function takeApart(bytes: Uint8Array): string {
  const { payload, blocks } = splitSignedDocument(bytes);
  if (payload.length > 0 && payload.at(-1) !== 0x0a) return "no last line feed";
  const again = splitSignedDocument(joinSignedDocument(payload, blocks));
  if (again.payload.length !== payload.length) throw new Error("a payload is another one when put together");
  return `${blocks.length}`;
}

/** Parsers of manifests, signed documents, and the keys and signatures that are made for them. */
export const manifestTargets: readonly FuzzTarget[] = [
  {
    ...binaryTarget("manifest", manifests, ["slipwayManifest", "entries", "null", "{", "[", "1e99"], roundTrip),
    text: true,
  },
  {
    ...binaryTarget(
      "signed document",
      blocks.map((block) => joinSignedDocument(textOf("{}\n"), [block, block])),
      ["--- signatures ---\n", "-----BEGIN CMS-----\n", "-----END CMS-----\n", ...commentWords],
      takeApart,
    ),
    text: true,
  },
  binaryTarget("minisign and signify signatures", commented, commentWords, (bytes) =>
    isMinisignSignature(bytes) ? parseMinisignSignature(bytes).algorithm : parseSignifySignature(bytes).keyId.length,
  ),
  binaryTarget("minisign secret key", seedsOf("signatures/minisign", /\.key$/), commentWords, (bytes) => {
    const { derivation, hidden } = parseMinisignSecretKey(bytes);
    return derivation === null ? parseMinisignKeyPair(hidden).seed.length : derivation.cost.N;
  }),
  binaryTarget(
    "ssh signature",
    sshFiles,
    ["-----BEGIN SSH SIGNATURE-----", "=", "\n"],
    (bytes) => parseSshSignature(bytes).hash,
  ),
  binaryTarget("ssh signature's fields", sshFiles.map(unarmored), sshWords, (bytes) => {
    const { key, namespace } = parseSshSignature(armored("SSH SIGNATURE", bytes));
    return `${key.algorithm} ${namespace.length}`;
  }),
  {
    ...binaryTarget(
      "ssh public keys",
      [
        ...sshKeys,
        textOf(
          `* namespaces="file,!x",valid-after="20260101",valid-before="202601012359Z" ${decoder.decode(sshKeys[0])}`,
        ),
      ],
      ["cert-authority", "namespaces=", "valid-after=", "valid-before=", '"', ",", "#", " ", "AAAA", "ssh-ed25519"],
      (bytes) => (hasSshKeyLines(decoder.decode(bytes)) ? parseSshKeyLines(bytes).length : "none"),
    ),
    text: true,
  },
  binaryTarget(
    "ssh public key",
    sshKeys.map((key) => decodeBase64(decoder.decode(key).split(" ")[1] ?? "", "seed", {})),
    sshWords,
    (bytes) => parseSshPublicKey(bytes).parts.type,
  ),
  binaryTarget("ssh secret key", sshSecrets.map(unarmored), ["none", "bcrypt", ...sshWords], (bytes) => {
    return parseSshSecretKey(armored("OPENSSH PRIVATE KEY", bytes)).comment.length;
  }),
];
