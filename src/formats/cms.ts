import { derOfBer } from "./ber.ts";
import {
  contextTag,
  type DerElement,
  DerReader,
  derInside,
  derInteger,
  derOid,
  derSmallInteger,
  derTag,
} from "./der.ts";
import { FormatError } from "./format-error.ts";
import { type HashName, oid, oidTitle } from "./object-identifiers.ts";
import {
  type Certificate,
  parseCertificate,
  readHashAlgorithm,
  readSignatureAlgorithm,
  type SignatureAlgorithm,
} from "./x509.ts";

/*
 * CMS signed data, which PKCS #7 is an older edition of. Source: RFC 5652, sections 3, 5 and 11; RFC 2315 for a content that
 * is no OCTET STRING (Authenticode).
 */

const format = "cms";

/** Longest message, bytes. */
export const cmsBytesMax = 262_144;
export const cmsCertificatesMax = 32;
export const cmsSignersMax = 16;
/** Most signed attributes of a signer. */
export const cmsAttributesMax = 32;

/** How a signer names its certificate. */
export type SignerIdentifier =
  | { readonly kind: "issuer-serial"; readonly issuer: Uint8Array; readonly serial: Uint8Array }
  | { readonly kind: "key-id"; readonly keyId: Uint8Array };

/**
 * SignerInfo. Unsigned attributes are not read: time stamps and nested signatures count for nothing. Nor is what further
 * signed attributes say: nobody vouches for a signer's own time.
 */
export interface CmsSigner {
  readonly sid: SignerIdentifier;
  readonly digestAlgorithm: { readonly oid: string; readonly hash: HashName | null };
  readonly signatureAlgorithm: SignatureAlgorithm;
  /** What the signature is over (RFC 5652, section 5.4): the attributes as a SET OF in DER; null: over the content. */
  readonly signedAttributes: Uint8Array | null;
  /** Of the signed attributes; null where they have none. */
  readonly contentType: string | null;
  readonly messageDigest: Uint8Array | null;
  readonly signature: Uint8Array;
}

export interface CmsSignedData {
  /** Object identifier. */
  readonly encapContentType: string;
  /** The content's bytes without tag and length, which is what digests are over; null when it is detached. */
  readonly encapContent: Uint8Array | null;
  /** The same with tag and length. */
  readonly encapContentDer: Uint8Array | null;
  /** Object identifiers. */
  readonly digestAlgorithms: readonly string[];
  readonly certificates: readonly Certificate[];
  readonly signers: readonly CmsSigner[];
}

/** `06 09` and {@link oid.signedData}. */
const signedDataOid = Uint8Array.of(0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02);

/** Whether bytes begin as signed data in DER or BER do. */
export function isCms(bytes: Uint8Array): boolean {
  if (bytes[0] !== derTag.sequence) return false;
  const first = bytes[1] ?? 0;
  const at = first <= 0x80 ? 2 : 2 + (first & 0x7f);
  return signedDataOid.every((byte, index) => bytes[at + index] === byte);
}

/**
 * Parses signed data: DER, or BER where the outermost length is indefinite. CRLs and certificates that are not X.509
 * (RFC 5652, section 10.2.2) are passed over. Nothing is verified; there may be no signers.
 *
 * @throws FormatError with the offset, also for trailing data.
 */
export function parseCms(bytes: Uint8Array): CmsSignedData {
  if (bytes.length > cmsBytesMax) {
    throw new FormatError(format, `${bytes.length} bytes, at most ${cmsBytesMax} are taken`);
  }
  const reader = new DerReader(bytes[1] === 0x80 ? derOfBer(bytes, format) : bytes, format);
  const info = reader.sequence("ContentInfo");
  reader.end("ContentInfo");
  const type = derOid(info.take(derTag.oid, "contentType"), "contentType");
  if (type !== oid.signedData) info.fail(`signed data expected, not ${oidTitle(type)}`, "contentType");
  const wrapper = info.enter(contextTag(0, "constructed"), "content");
  info.end("ContentInfo");
  const signedData = wrapper.sequence("SignedData");
  wrapper.end("content");
  return readSignedData(signedData);
}

function readSignedData(reader: DerReader): CmsSignedData {
  const version = derSmallInteger(reader.take(derTag.integer, "version"), "version");
  const digests = reader.enter(derTag.set, "digestAlgorithms");
  const digestAlgorithms: string[] = [];
  while (!digests.done) {
    if (digestAlgorithms.length === cmsSignersMax) {
      digests.fail(`at most ${cmsSignersMax} digest algorithms are taken`, "digestAlgorithms");
    }
    digestAlgorithms.push(readHashAlgorithm(digests.take(derTag.sequence, "digestAlgorithm")).oid);
  }
  const content = readEncapsulated(reader.sequence("encapContentInfo"));
  const { certificates, others } = readCertificates(reader);
  const crls = reader.optional(contextTag(1, "constructed"), "crls");
  const signerInfos = reader.enter(derTag.set, "signerInfos");
  const signers: CmsSigner[] = [];
  while (!signerInfos.done) {
    if (signers.length === cmsSignersMax) signerInfos.fail(`at most ${cmsSignersMax} signers are taken`, "signerInfos");
    signers.push(readSigner(signerInfos.sequence("SignerInfo")));
  }
  reader.end("SignedData");
  const unlisted = signers.find(({ digestAlgorithm }) => !digestAlgorithms.includes(digestAlgorithm.oid));
  if (unlisted !== undefined) {
    reader.fail(
      `${oidTitle(unlisted.digestAlgorithm.oid)}, which a signer names, expected among them`,
      "digestAlgorithms",
    );
  }
  const expected = versionsOf(content.encapContentType, signers, others || crls !== null);
  if (!expected.includes(version)) reader.fail(`version ${expected.join(" or ")} expected, not ${version}`, "version");
  return { ...content, digestAlgorithms, certificates, signers };
}

/** RFC 5652, section 5.1; RFC 2315, section 9.1, has version 1 for every content. Nobody signs the number. */
function versionsOf(contentType: string, signers: readonly CmsSigner[], hasOthers: boolean): readonly number[] {
  if (hasOthers) return [1, 3, 4, 5];
  if (signers.some(({ sid }) => sid.kind === "key-id")) return [3];
  return contentType === oid.data ? [1] : [1, 3];
}

function readEncapsulated(
  reader: DerReader,
): Pick<CmsSignedData, "encapContentType" | "encapContent" | "encapContentDer"> {
  const encapContentType = derOid(reader.take(derTag.oid, "eContentType"), "eContentType");
  const wrapper = reader.optional(contextTag(0, "constructed"), "eContent");
  reader.end("encapContentInfo");
  if (wrapper === null) return { encapContentType, encapContent: null, encapContentDer: null };
  const inside = derInside(wrapper);
  const isPlain = encapContentType === oid.data;
  const content = isPlain ? inside.take(derTag.octetString, "eContent") : inside.any("eContent");
  inside.end("eContent");
  return { encapContentType, encapContent: content.content, encapContentDer: content.der };
}

/** `others`: whether there are any that are no X.509 certificates. */
function readCertificates(reader: DerReader): {
  readonly certificates: readonly Certificate[];
  readonly others: boolean;
} {
  const certificates: Certificate[] = [];
  let others = false;
  const wrapper = reader.optional(contextTag(0, "constructed"), "certificates");
  if (wrapper === null) return { certificates, others };
  const list = derInside(wrapper);
  while (!list.done) {
    const choice = list.any("certificates");
    if (choice.tag !== derTag.sequence) {
      others = true;
      continue;
    }
    if (certificates.length === cmsCertificatesMax) {
      list.fail(`at most ${cmsCertificatesMax} certificates are taken`, "certificates");
    }
    certificates.push(parseCertificate(choice.der));
  }
  return { certificates, others };
}

function readSigner(reader: DerReader): CmsSigner {
  const version = derSmallInteger(reader.take(derTag.integer, "version"), "version");
  const sid = readSignerIdentifier(reader);
  const expected = sid.kind === "issuer-serial" ? 1 : 3;
  // RFC 5652, section 5.3: the version follows from how the certificate is named.
  if (version !== expected) reader.fail(`version ${expected} expected, not ${version}`, "version");
  const digestAlgorithm = readHashAlgorithm(reader.take(derTag.sequence, "digestAlgorithm"));
  const attributes = readAttributes(reader.optional(contextTag(0, "constructed"), "signedAttrs"));
  const signatureAlgorithm = readSignatureAlgorithm(reader.take(derTag.sequence, "signatureAlgorithm"));
  const signature = reader.take(derTag.octetString, "signature").content;
  reader.optional(contextTag(1, "constructed"), "unsignedAttrs");
  reader.end("SignerInfo");
  return { sid, digestAlgorithm, signatureAlgorithm, ...attributes, signature };
}

function readSignerIdentifier(reader: DerReader): SignerIdentifier {
  const keyId = reader.optional(contextTag(0, "primitive"), "sid");
  if (keyId !== null) return { kind: "key-id", keyId: keyId.content };
  const name = reader.sequence("sid");
  const issuer = name.take(derTag.sequence, "issuer").der;
  const serial = derInteger(name.take(derTag.integer, "serialNumber"), "serialNumber");
  name.end("sid");
  return { kind: "issuer-serial", issuer, serial };
}

type Attributes = Pick<CmsSigner, "signedAttributes" | "contentType" | "messageDigest">;

const noAttributes: Attributes = { signedAttributes: null, contentType: null, messageDigest: null };

function readAttributes(wrapper: DerElement | null): Attributes {
  if (wrapper === null) return noAttributes;
  const list = derInside(wrapper);
  const values = new Map<string, DerElement>();
  while (!list.done) {
    const attribute = list.sequence("attribute");
    const identifier = derOid(attribute.take(derTag.oid, "attrType"), "attrType");
    if (values.has(identifier)) list.fail(`${oidTitle(identifier)}: a second time`, "attribute");
    values.set(identifier, attribute.take(derTag.set, "attrValues"));
    attribute.end("attribute");
    if (values.size > cmsAttributesMax) list.fail(`at most ${cmsAttributesMax} attributes are taken`, "signedAttrs");
  }
  /** Inside the values of an attribute that has exactly one; null where the attribute is missing. */
  const single = <T>(identifier: string, field: string, read: (value: DerReader) => T): T | null => {
    const set = values.get(identifier);
    if (set === undefined) return null;
    const inside = derInside(set);
    const value = read(inside);
    inside.end(field);
    return value;
  };
  const signedAttributes = wrapper.der.slice();
  signedAttributes[0] = derTag.set;
  return {
    signedAttributes,
    contentType: single(oid.contentType, "contentType", (value) =>
      derOid(value.take(derTag.oid, "contentType"), "contentType"),
    ),
    messageDigest: single(
      oid.messageDigest,
      "messageDigest",
      (value) => value.take(derTag.octetString, "messageDigest").content,
    ),
  };
}

/**
 * Whether bytes are signed attributes. A signature over attributes is also one over a content that has their bytes, so
 * such a content is not to be taken from a signature without attributes (RFC 5652, section 5.4).
 */
export function isSignedAttributes(bytes: Uint8Array): boolean {
  if (bytes[0] !== derTag.set || bytes.length > cmsBytesMax) return false;
  try {
    const reader = new DerReader(bytes, format);
    const { contentType, messageDigest } = readAttributes(reader.take(derTag.set, "signedAttrs"));
    return reader.done && contentType !== null && messageDigest !== null;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}
