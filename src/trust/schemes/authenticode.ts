import { createHash } from "node:crypto";
import {
  type AuthenticodeImage,
  type AuthenticodeSignature,
  isPe,
  parseAuthenticodeSignature,
  readAuthenticode,
  type WinCertificate,
} from "../../formats/authenticode.ts";
import { hex, sameBytes } from "../../formats/bytes.ts";

import { FormatError } from "../../formats/format-error.ts";
import { oid } from "../../formats/object-identifiers.ts";
import { rangesOf } from "../../formats/ranges.ts";
import { parseSbatSection, sbatRefusal } from "../../formats/sbat.ts";
import { checkCmsSigner, mayBeByAnchor } from "./cms-signer.ts";
import type {
  CheckContext,
  CheckResult,
  DigestName,
  EnclosedScheme,
  Revocations,
  SignedContent,
  UntrustedSignature,
} from "./scheme.ts";
import { strongHash } from "./x509-key.ts";

const scheme = "authenticode";

/**
 * Signatures inside PE images, judged as firmware does with `db` and `dbx`: an anchor may be the signer's certificate, one
 * above it, or the image's digest; periods are not looked at; what was taken back is refused whoever signed it. Stricter than
 * firmware: a certificate below one that is trusted must not be for something else than code signing, a web server's say.
 * A signature covers the whole file, and so the kernel, the initrd and the options inside. The last signature of an image is the
 * one that claims nothing: the image's own digest, which may be trusted itself.
 */
export const authenticodeScheme: EnclosedScheme = {
  name: scheme,

  readSignatures(content: SignedContent): readonly UntrustedSignature[] {
    const image = judgedImage(content);
    return image === null ? [] : [...signaturesOf(image), byDigest(image)];
  },
};

/** The same without the image's own digest, which has nothing to say where no digest is trusted. */
export const authenticodeSignaturesScheme: EnclosedScheme = {
  name: scheme,

  readSignatures(content: SignedContent): readonly UntrustedSignature[] {
    const image = judgedImage(content);
    return image === null ? [] : signaturesOf(image);
  },
};

/** Null for what is no PE image. */
function judgedImage(content: SignedContent): JudgedImage | null {
  return isPe(rangesOf(content.bytes()), content.size) ? new JudgedImage(content) : null;
}

function signaturesOf(image: JudgedImage): UntrustedSignature[] {
  return image.layout.certificates.map((certificate) => readSignature(certificate, image));
}

/** An image with its digests, each computed once. */
class JudgedImage {
  readonly content: SignedContent;
  readonly layout: AuthenticodeImage;
  readonly #digests = new Map<string, readonly Uint8Array[]>();

  /** @throws FormatError as `readAuthenticode` does */
  constructor(content: SignedContent) {
    this.content = content;
    this.layout = readAuthenticode(rangesOf(content.bytes()), content.size);
  }

  /** The image's digest; of one whose size is no multiple of 8 also the one with zeroes up to there. */
  digests(name: DigestName): readonly Uint8Array[] {
    const known = this.#digests.get(name);
    if (known !== undefined) return known;
    const { covered, paddingBytes } = this.layout;
    const bytes = this.content.bytes();
    const hash = createHash(name);
    for (const { offset, length } of covered) hash.update(bytes.subarray(offset, offset + length));
    const padded = paddingBytes === 0 ? [] : [hash.copy().update(new Uint8Array(paddingBytes)).digest()];
    const digests = [hash.digest(), ...padded];
    this.#digests.set(name, digests);
    return digests;
  }

  has(name: DigestName, value: Uint8Array): boolean {
    return this.digests(name).some((digest) => sameBytes(digest, value));
  }

  refusal({ imageDigests, sbat }: Revocations): string | null {
    for (const name of ["sha256", "sha384", "sha512"] as const) {
      if (![...imageDigests].some((digest) => digest.startsWith(`${name}:`))) continue;
      const found = this.digests(name).find((digest) => imageDigests.has(`${name}:${hex(digest)}`));
      if (found !== undefined) return `the image is revoked: ${name} ${hex(found)}`;
    }
    if (sbat === null) return null;
    const sections = this.layout.pe.sections.filter((section) => section.name === ".sbat");
    if (sections.length > 1) return `the image has ${sections.length} sections ".sbat", one expected`;
    const [raw] = sections.map((section) => section.raw);
    const bytes = raw === undefined ? null : this.content.bytes().subarray(raw.offset, raw.offset + raw.length);
    return sbatRefusal(bytes === null || bytes.length === 0 ? null : parseSbatSection(bytes), sbat);
  }
}

function refused(reason: string): CheckResult {
  return { signer: null, reason };
}

/** Turns what a parser throws into a reason. */
function reasonOr(judge: () => CheckResult): CheckResult {
  try {
    return judge();
  } catch (error) {
    if (error instanceof FormatError) return refused(error.message);
    throw error;
  }
}

function signatureOf(
  image: JudgedImage,
  mayBeBy: UntrustedSignature["mayBeBy"],
  judge: (image: JudgedImage, context: CheckContext) => CheckResult,
): UntrustedSignature {
  return {
    scheme,
    digests: [],
    mayBeBy,
    check: (content, context) =>
      reasonOr(() => judge(content === image.content ? image : new JudgedImage(content), context)),
  };
}

/** A signature that is broken costs itself alone. */
function readSignature({ message, reason }: WinCertificate, image: JudgedImage): UntrustedSignature {
  const none = (): boolean => false;
  if (message === null) return signatureOf(image, none, () => refused(reason));
  let parsed: AuthenticodeSignature;
  try {
    parsed = parseAuthenticodeSignature(message);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const { message: problem } = error;
    return signatureOf(image, none, () => refused(problem));
  }
  const { cms } = parsed;
  return signatureOf(
    image,
    (anchors) => cms.signers.some((signer) => mayBeByAnchor(cms, signer, anchors)),
    (judged, context) => judgeSignature(parsed, judged, context),
  );
}

function judgeSignature(signature: AuthenticodeSignature, image: JudgedImage, context: CheckContext): CheckResult {
  const { cms, content, imageHash, algorithmTitle, imageDigest } = signature;
  const [signer, ...others] = cms.signers;
  if (signer === undefined || others.length > 0)
    return refused(`the signature has ${cms.signers.length} signers, one expected`);
  if (imageHash === null)
    return refused(`the signature's digest of the image is ${algorithmTitle}, which is not taken`);
  const { name, reason } = strongHash(imageHash);
  if (name === null) return refused(`the signature is made with ${reason}`);
  const result = checkCmsSigner({
    data: cms,
    signer,
    content: {
      digest: (hash) => createHash(hash).update(content).digest(),
      bytes: () => content,
    },
    contentType: oid.spcIndirectData,
    scheme,
    context,
    usage: "codeSigningIfSaid",
    checkTimes: false,
  });
  if (result.signer === null) return result;
  if (!image.has(name, imageDigest)) return refused(`the signature does not match the image${irregularText(image)}`);
  const taken = image.refusal(context.revocations);
  return taken === null ? result : refused(taken);
}

/** Such an image may have been signed section by section, by a tool that leaves bytes out or takes some twice. */
function irregularText({ layout }: JudgedImage): string {
  const { irregular } = layout;
  if (irregular === null) return "";
  return `, whose bytes ${irregular.offset} to ${irregular.offset + irregular.length} are not in exactly one section`;
}

/** The image's own digest. */
function byDigest(image: JudgedImage): UntrustedSignature {
  return signatureOf(
    image,
    (anchors) => anchors.some((anchor) => anchor.kind === "image-digest"),
    (judged, { anchors, revocations }) => {
      const anchor = anchors.find((each) => each.kind === "image-digest" && judged.has(each.digest, each.value));
      if (anchor === undefined) return refused("the image's digest is not among those that are trusted");
      const taken = judged.refusal(revocations);
      if (taken !== null) return refused(taken);
      return { signer: { anchor, label: anchor.label, scheme, identities: [`image:${anchor.id}`] }, reason: null };
    },
  );
}
