import { FormatError } from "../../formats/format-error.ts";
import { minisignAnchorReader, minisignScheme } from "./minisign.ts";
import {
  type Anchor,
  type AnchorReader,
  anchorIdentity,
  type DetachedScheme,
  type EnclosedScheme,
  type UntrustedSignature,
} from "./scheme.ts";
import { signifyScheme } from "./signify.ts";

/** What stands behind a file's name to make the name of its signature. What a file holds is told by its content. */
export const signatureSuffixes = [".minisig", ".sig", ".asc", ".gpg", ".p7s", ".cms"] as const;

/** Kinds of signatures and keys that share code: it is loaded when a file looks like one of them. */
interface Family {
  /** Whether a file may be of this family: a glance, nothing is parsed. */
  fits(bytes: Uint8Array, text: string): boolean;
  load(): Promise<{ readonly signatures: readonly DetachedScheme[]; readonly keys: readonly AnchorReader[] }>;
}

/** Characters of a file that tell its family. */
const glanceBytes = 4096;

const families: readonly Family[] = [
  {
    // Also a public key on one line, and what signify packs (gzip), which it refuses by name.
    fits: (bytes, text) =>
      text.startsWith("untrusted comment:") || /^RW[Q-T]/.test(text) || (bytes[0] === 0x1f && bytes[1] === 0x8b),
    // What most images have is small, and at hand.
    async load() {
      return { signatures: [minisignScheme, signifyScheme], keys: [minisignAnchorReader] };
    },
  },
  {
    fits: (_, text) => text.startsWith("-----BEGIN SSH ") || /(?:^|\s)(?:ssh-|ecdsa-sha2-|sk-)/.test(text),
    async load() {
      const { sshsigScheme, sshAnchorReader } = await import("./sshsig.ts");
      return { signatures: [sshsigScheme], keys: [sshAnchorReader] };
    },
  },
  {
    fits: (bytes, text) => text.includes("-----BEGIN PGP ") || (bytes[0] ?? 0) >= 0x80,
    async load() {
      const { openpgpScheme, openpgpAnchorReader } = await import("./openpgp.ts");
      return { signatures: [openpgpScheme], keys: [openpgpAnchorReader] };
    },
  },
  {
    fits: (bytes, text) => text.includes("-----BEGIN ") || bytes[0] === 0x30,
    async load() {
      const [cms, x509] = await Promise.all([import("./cms.ts"), import("./x509-anchors.ts")]);
      return { signatures: [cms.cmsScheme], keys: [x509.x509AnchorReader] };
    },
  },
  {
    fits: (bytes, text) => bytes.length >= 28 && !text.includes("-----BEGIN "),
    async load() {
      return { signatures: [], keys: [(await import("./esl-anchors.ts")).eslAnchorReader] };
    },
  },
];

async function candidates(bytes: Uint8Array): ReturnType<Family["load"]> {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, glanceBytes));
  const loaded = await Promise.all(families.filter((family) => family.fits(bytes, text)).map((each) => each.load()));
  return { signatures: loaded.flatMap((each) => each.signatures), keys: loaded.flatMap((each) => each.keys) };
}

/** Every signature of a signature file. Rejects with FormatError for one that is broken or of no known kind. */
export async function readSignatureFile(bytes: Uint8Array): Promise<readonly UntrustedSignature[]> {
  const scheme = (await candidates(bytes)).signatures.find((each) => each.recognises(bytes));
  if (scheme === undefined) {
    const kinds = "minisign, signify, OpenSSH, OpenPGP or CMS";
    throw new FormatError("signature", `of no known kind: a signature of ${kinds} expected`);
  }
  return scheme.readSignatures(bytes);
}

/** Every key of a key file; null when it is of no known kind. Rejects with FormatError for one that is broken. */
export async function readAnchorFile(label: string, bytes: Uint8Array): Promise<readonly Anchor[] | null> {
  const reader = (await candidates(bytes)).keys.find((each) => each.recognises(bytes));
  return reader === undefined ? null : reader.readAnchors(label, bytes);
}

/** The identities (see `Signer`) that every signer with an anchor's own key has; of a certificate also `anchor:` and its id. */
export async function identitiesOf(anchor: Anchor): Promise<readonly string[]> {
  switch (anchor.kind) {
    case "minisign":
    case "ssh":
      return [(await import("./public-key.ts")).keyIdentity(anchor.key)];
    case "openpgp":
      return (await import("./openpgp.ts")).openpgpIdentities(anchor);
    case "x509": {
      const { found } = (await import("./x509-key.ts")).certificateKey(anchor.certificate);
      return [anchorIdentity(anchor), ...(found === null ? [] : [found.identity])];
    }
    case "image-digest":
      return [anchorIdentity(anchor)];
  }
}

/** The kinds of signatures that stand inside files, as far as one of the anchors could have made them. */
export async function enclosedSchemes(anchors: readonly Anchor[]): Promise<readonly EnclosedScheme[]> {
  if (!anchors.some(({ kind }) => kind === "x509" || kind === "image-digest")) return [];
  const [authenticode, appended] = await Promise.all([import("./authenticode.ts"), import("./appended.ts")]);
  const trustsDigests = anchors.some(({ kind }) => kind === "image-digest");
  const { authenticodeScheme, authenticodeSignaturesScheme } = authenticode;
  return [trustsDigests ? authenticodeScheme : authenticodeSignaturesScheme, appended.appendedScheme];
}
