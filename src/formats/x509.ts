import { hex, sameBytes } from "./bytes.ts";
import {
  contextTag,
  type DerElement,
  type DerReader,
  derBitStringBytes,
  derBoolean,
  derInside,
  derInteger,
  derNamedBits,
  derOid,
  derSmallInteger,
  derTag,
  derText,
  derTime,
  derWhole,
} from "./der.ts";
import { FormatError } from "./format-error.ts";
import { ecdsaSignatureOids, type HashName, hashOids, oid, oidTitle, rsaSignatureOids } from "./object-identifiers.ts";

/*
 * X.509 certificates, as far as a chain of signatures needs them. Source: RFC 5280, section 4; RFC 4055 (RSA).
 */

const format = "x509";

/** Longest certificate, bytes. */
export const certificateBytesMax = 32_768;
/** Longest serial number, bytes; RFC 5280 allows 20. */
export const serialBytesMax = 32;
/** Most attributes in a name. */
export const nameAttributesMax = 64;
export const extensionsMax = 64;
/** Most key usages, alternative names and subtrees in an extension. */
export const extensionItemsMax = 256;
/** Longest salt of RSA-PSS, bytes. */
export const pssSaltBytesMax = 1024;

/** AlgorithmIdentifier: what it is, and its parameters' DER where there are any. */
export interface AlgorithmIdentifier {
  readonly oid: string;
  readonly parameters: Uint8Array | null;
}

/** How a signature is made; `hash` is null where the algorithm does not name one (CMS names it beside). */
export type SignatureAlgorithm =
  | { readonly kind: "rsa"; readonly hash: HashName | null }
  | { readonly kind: "rsa-pss"; readonly hash: HashName; readonly maskHash: HashName; readonly saltBytes: number }
  | { readonly kind: "ecdsa"; readonly hash: HashName | null }
  | { readonly kind: "ed25519" }
  | { readonly kind: "unknown"; readonly oid: string };

/** The bits of KeyUsage (RFC 5280, section 4.2.1.3). */
export const keyUsageBit = { digitalSignature: 0, nonRepudiation: 1, keyCertSign: 5, cRLSign: 6 } as const;

/** GeneralName: the number of its kind, and its DER. */
export interface GeneralName {
  /** 1: e-mail, 2: DNS, 4: directory, 6: URI, 7: IP address. */
  readonly kind: number;
  /** Of a directory name: its DER; else the element's. */
  readonly der: Uint8Array;
}

/** NameConstraints; a subtree is the name at its root. */
export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

export interface Extensions {
  readonly basicConstraints: { readonly ca: boolean; readonly pathLength: number | null } | null;
  /** See {@link keyUsageBit}. */
  readonly keyUsage: ReadonlySet<number> | null;
  /** Object identifiers. */
  readonly extendedKeyUsage: readonly string[] | null;
  readonly subjectKeyId: Uint8Array | null;
  /** The keyIdentifier of AuthorityKeyIdentifier. */
  readonly authorityKeyId: Uint8Array | null;
  readonly nameConstraints: NameConstraints | null;
  readonly subjectAltNames: readonly GeneralName[];
  /** Object identifiers of critical extensions that are not among the above; such a certificate is not to be used. */
  readonly unknownCritical: readonly string[];
}

export interface Certificate {
  readonly der: Uint8Array;
  /** TBSCertificate, DER: what is signed. */
  readonly tbs: Uint8Array;
  /** 1, 2 or 3. */
  readonly version: number;
  /** The bytes of the INTEGER. */
  readonly serial: Uint8Array;
  /** Name, DER. */
  readonly issuer: Uint8Array;
  /** Name, DER. */
  readonly subject: Uint8Array;
  /** As RFC 4514 writes it: `CN=Acme signing,O=Acme`. */
  readonly issuerText: string;
  readonly subjectText: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly publicKeyAlgorithm: AlgorithmIdentifier;
  /** The public key's BIT STRING. */
  readonly publicKey: Uint8Array;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
  readonly extensions: Extensions;
}

/**
 * Parses one certificate in DER. Names, keys and unknown extensions are not judged; nothing is verified.
 *
 * @throws FormatError with the offset for what is no certificate, has anything behind it, or contradicts itself.
 */
export function parseCertificate(der: Uint8Array): Certificate {
  if (der.length > certificateBytesMax) {
    throw new FormatError(format, `${der.length} bytes, at most ${certificateBytesMax} are taken`);
  }
  const outer = derInside(derWhole(der, derTag.sequence, format, "Certificate"));
  const tbs = outer.take(derTag.sequence, "tbsCertificate");
  const algorithmElement = outer.take(derTag.sequence, "signatureAlgorithm");
  const signature = derBitStringBytes(outer.take(derTag.bitString, "signature"), "signature");
  outer.end("Certificate");
  return { der, ...readTbs(tbs, algorithmElement), signature };
}

function readTbs(tbs: DerElement, algorithmElement: DerElement): Omit<Certificate, "der" | "signature"> {
  const reader = derInside(tbs);
  const version = readVersion(reader);
  const serial = derInteger(reader.take(derTag.integer, "serialNumber"), "serialNumber");
  if (serial.length > serialBytesMax) reader.fail(`at most ${serialBytesMax} bytes are taken`, "serialNumber");
  const inner = reader.take(derTag.sequence, "signature");
  // RFC 5280, section 4.1.1.2: both have to be the same; only the inner one is signed.
  if (!sameBytes(inner.der, algorithmElement.der)) reader.fail("the two signature algorithms differ", "signature");
  const issuer = reader.take(derTag.sequence, "issuer");
  const validity = reader.sequence("validity");
  const notBefore = derTime(validity.any("notBefore"), "notBefore");
  const notAfter = derTime(validity.any("notAfter"), "notAfter");
  validity.end("validity");
  const subject = reader.take(derTag.sequence, "subject");
  const spki = reader.take(derTag.sequence, "subjectPublicKeyInfo");
  const key = derInside(spki);
  const publicKeyAlgorithm = readAlgorithm(key.take(derTag.sequence, "algorithm"));
  const publicKey = derBitStringBytes(key.take(derTag.bitString, "subjectPublicKey"), "subjectPublicKey");
  key.end("subjectPublicKeyInfo");
  for (const number of [1, 2]) {
    const unique = reader.optional(contextTag(number, "primitive"), "uniqueID");
    if (unique !== null && version < 2) reader.fail("no unique identifiers expected before version 2", "uniqueID");
  }
  const extensions = readExtensions(reader, version);
  reader.end("tbsCertificate");
  return {
    tbs: tbs.der,
    version,
    serial,
    issuer: issuer.der,
    subject: subject.der,
    issuerText: nameText(issuer, "issuer"),
    subjectText: nameText(subject, "subject"),
    notBefore,
    notAfter,
    spki: spki.der,
    publicKeyAlgorithm,
    publicKey,
    signatureAlgorithm: readSignatureAlgorithm(algorithmElement),
    extensions,
  };
}

function readVersion(reader: DerReader): number {
  const element = reader.optional(contextTag(0, "constructed"), "version");
  if (element === null) return 1;
  const inside = derInside(element);
  const version = derSmallInteger(inside.take(derTag.integer, "version"), "version") + 1;
  inside.end("version");
  if (version > 3) reader.fail(`version 1, 2 or 3 expected, not ${version}`, "version");
  return version;
}

/** AlgorithmIdentifier (RFC 5280, section 4.1.1.2). @throws FormatError */
function readAlgorithm(element: DerElement): AlgorithmIdentifier {
  const reader = derInside(element);
  const identifier = derOid(reader.take(derTag.oid, "algorithm"), "algorithm");
  const parameters = reader.done ? null : reader.any("parameters").der;
  reader.end("algorithm");
  return { oid: identifier, parameters };
}

/** A digest's AlgorithmIdentifier: parameters absent or NULL (RFC 5754, section 2). @throws FormatError */
export function readHashAlgorithm(element: DerElement): { readonly oid: string; readonly hash: HashName | null } {
  const algorithm = readAlgorithm(element);
  if (!isAbsentOrNull(algorithm.parameters)) {
    throw new FormatError(element.format, "no parameters expected", { offset: element.offset, field: "digest" });
  }
  return { oid: algorithm.oid, hash: hashOids[algorithm.oid] ?? null };
}

function isAbsentOrNull(parameters: Uint8Array | null): boolean {
  return parameters === null || (parameters.length === 2 && parameters[0] === derTag.null && parameters[1] === 0);
}

/**
 * A signature's AlgorithmIdentifier. What is not known, or has other parameters than it should, is `unknown`; a broken
 * RSASSA-PSS-params is an error.
 *
 * @throws FormatError
 */
export function readSignatureAlgorithm(element: DerElement): SignatureAlgorithm {
  const algorithm = readAlgorithm(element);
  const { oid: identifier, parameters } = algorithm;
  if (identifier === oid.rsaPss) return readPss(element, algorithm);
  const isPlain = isAbsentOrNull(parameters);
  const rsa = identifier === oid.rsaEncryption ? null : rsaSignatureOids[identifier];
  if (isPlain && rsa !== undefined) return { kind: "rsa", hash: rsa };
  const ecdsa = identifier === oid.ecPublicKey ? null : ecdsaSignatureOids[identifier];
  if (isPlain && ecdsa !== undefined) return { kind: "ecdsa", hash: ecdsa };
  if (parameters === null && identifier === oid.ed25519) return { kind: "ed25519" };
  return { kind: "unknown", oid: identifier };
}

/** RSASSA-PSS-params (RFC 4055, section 3.1). */
function readPss(element: DerElement, { parameters }: AlgorithmIdentifier): SignatureAlgorithm {
  const outer = derInside(element);
  outer.any("algorithm");
  if (parameters === null) outer.fail("parameters expected", "RSASSA-PSS");
  const reader = outer.sequence("RSASSA-PSS");
  const field = (number: number, name: string): DerReader | null => {
    const tagged = reader.optional(contextTag(number, "constructed"), name);
    return tagged === null ? null : derInside(tagged);
  };
  const hash = pssHash(field(0, "hashAlgorithm"), "hashAlgorithm");
  const maskHash = pssMask(field(1, "maskGenAlgorithm"));
  const saltBytes = pssNumber(field(2, "saltLength"), 20, "saltLength");
  const trailer = pssNumber(field(3, "trailerField"), 1, "trailerField");
  reader.end("RSASSA-PSS");
  if (trailer !== 1) outer.fail(`trailer 1 expected, not ${trailer}`, "trailerField");
  if (saltBytes > pssSaltBytesMax) outer.fail(`at most ${pssSaltBytesMax} bytes are taken`, "saltLength");
  if (hash === null || maskHash === null) return { kind: "unknown", oid: oid.rsaPss };
  return { kind: "rsa-pss", hash, maskHash, saltBytes };
}

function pssHash(reader: DerReader | null, name: string): HashName | null {
  if (reader === null) return "sha1";
  const { hash } = readHashAlgorithm(reader.take(derTag.sequence, name));
  reader.end(name);
  return hash;
}

function pssMask(reader: DerReader | null): HashName | null {
  if (reader === null) return "sha1";
  const mask = reader.sequence("maskGenAlgorithm");
  reader.end("maskGenAlgorithm");
  const identifier = derOid(mask.take(derTag.oid, "maskGenAlgorithm"), "maskGenAlgorithm");
  if (identifier !== oid.mgf1) mask.fail(`MGF1 expected, not ${oidTitle(identifier)}`, "maskGenAlgorithm");
  return pssHash(mask, "maskGenAlgorithm");
}

function pssNumber(reader: DerReader | null, absent: number, name: string): number {
  if (reader === null) return absent;
  const value = derSmallInteger(reader.take(derTag.integer, name), name);
  reader.end(name);
  return value;
}

const attributeNames: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.9": "STREET",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "2.5.4.5": "serialNumber",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
  [oid.emailAddress]: "emailAddress",
};

/** A Name as RFC 4514 writes it, the last attribute first; text is not made printable. */
function nameText(name: DerElement, field: string): string {
  const reader = derInside(name);
  const parts: string[] = [];
  let count = 0;
  while (!reader.done) {
    const set = reader.enter(derTag.set, field);
    const values: string[] = [];
    do {
      count++;
      if (count > nameAttributesMax) reader.fail(`at most ${nameAttributesMax} attributes are taken`, field);
      values.push(attributeText(set.sequence(field), field));
    } while (!set.done);
    parts.unshift(values.join("+"));
  }
  return parts.join(",");
}

function attributeText(attribute: DerReader, field: string): string {
  const identifier = derOid(attribute.take(derTag.oid, field), field);
  const value = attribute.any(field);
  attribute.end(field);
  const text = derText(value);
  const name = attributeNames[identifier];
  if (name === undefined || text === null) return `${name ?? identifier}=#${hex(value.der)}`;
  return `${name}=${text.replace(/[,+"\\<>;]|^[# ]| $/g, "\\$&")}`;
}

/** The attributes' object identifiers of a Name in DER. @throws FormatError */
export function nameAttributeOids(name: Uint8Array): readonly string[] {
  const reader = derInside(derWhole(name, derTag.sequence, format, "name"));
  const found: string[] = [];
  while (!reader.done) {
    const set = reader.enter(derTag.set, "name");
    while (!set.done) found.push(derOid(set.sequence("name").take(derTag.oid, "name"), "name"));
  }
  return found;
}

/** Its RelativeDistinguishedNames in hexadecimal, the most general first, of a Name in DER. @throws FormatError */
export function nameParts(name: Uint8Array): readonly string[] {
  const reader = derInside(derWhole(name, derTag.sequence, format, "name"));
  const parts: string[] = [];
  while (!reader.done) parts.push(hex(reader.take(derTag.set, "name").der));
  return parts;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** How the extensions that are understood change the result. `certificatePolicies` asks nothing of a path by itself. */
const extensionReaders: Readonly<Record<string, (found: Mutable<Extensions>, value: DerReader) => void>> = {
  [oid.basicConstraints]: (found, value) => {
    found.basicConstraints = readBasicConstraints(value.sequence("basicConstraints"));
  },
  [oid.keyUsage]: (found, value) => {
    found.keyUsage = derNamedBits(value.take(derTag.bitString, "keyUsage"), "keyUsage");
  },
  [oid.extendedKeyUsage]: (found, value) => {
    const usages = readItems(value.sequence("extKeyUsage"), "extKeyUsage");
    found.extendedKeyUsage = usages.map((usage) => {
      if (usage.tag !== derTag.oid) value.fail("object identifiers expected", "extKeyUsage");
      return derOid(usage, "extKeyUsage");
    });
  },
  [oid.subjectKeyIdentifier]: (found, value) => {
    found.subjectKeyId = value.take(derTag.octetString, "subjectKeyIdentifier").content;
  },
  [oid.authorityKeyIdentifier]: (found, value) => {
    const fields = readItems(value.sequence("authorityKeyIdentifier"), "authorityKeyIdentifier");
    found.authorityKeyId = fields.find(({ tag }) => tag === contextTag(0, "primitive"))?.content ?? null;
  },
  [oid.nameConstraints]: (found, value) => {
    found.nameConstraints = readNameConstraints(value.sequence("nameConstraints"));
  },
  [oid.subjectAltName]: (found, value) => {
    found.subjectAltNames = readItems(value.sequence("subjectAltName"), "subjectAltName").map(generalName);
  },
  [oid.certificatePolicies]: (_found, value) => {
    value.take(derTag.sequence, "certificatePolicies");
  },
};

function readExtensions(tbs: DerReader, version: number): Extensions {
  const found: Mutable<Extensions> & { unknownCritical: string[] } = {
    basicConstraints: null,
    keyUsage: null,
    extendedKeyUsage: null,
    subjectKeyId: null,
    authorityKeyId: null,
    nameConstraints: null,
    subjectAltNames: [],
    unknownCritical: [],
  };
  const wrapper = tbs.optional(contextTag(3, "constructed"), "extensions");
  if (wrapper === null) return found;
  if (version !== 3) tbs.fail("no extensions expected before version 3", "extensions");
  const explicit = derInside(wrapper);
  const list = explicit.sequence("extensions");
  explicit.end("extensions");
  const seen = new Set<string>();
  while (!list.done) {
    const extension = list.sequence("extension");
    const identifier = derOid(extension.take(derTag.oid, "extnID"), "extnID");
    if (seen.has(identifier)) list.fail(`${oidTitle(identifier)}: a second time`, "extension");
    seen.add(identifier);
    if (seen.size > extensionsMax) list.fail(`at most ${extensionsMax} extensions are taken`, "extensions");
    const criticalElement = extension.optional(derTag.boolean, "critical");
    const critical = criticalElement !== null && derBoolean(criticalElement, "critical");
    const value = derInside(extension.take(derTag.octetString, "extnValue"));
    extension.end("extension");
    const read = extensionReaders[identifier];
    if (read !== undefined) {
      read(found, value);
      value.end("extension");
    } else if (critical) found.unknownCritical.push(identifier);
  }
  return found;
}

function readItems(reader: DerReader, field: string): DerElement[] {
  const items: DerElement[] = [];
  while (!reader.done) {
    if (items.length === extensionItemsMax) reader.fail(`at most ${extensionItemsMax} items are taken`, field);
    items.push(reader.any(field));
  }
  return items;
}

function readBasicConstraints(reader: DerReader): Extensions["basicConstraints"] {
  const caElement = reader.optional(derTag.boolean, "cA");
  const ca = caElement !== null && derBoolean(caElement, "cA");
  const lengthElement = reader.optional(derTag.integer, "pathLenConstraint");
  reader.end("basicConstraints");
  return { ca, pathLength: lengthElement === null ? null : derSmallInteger(lengthElement, "pathLenConstraint") };
}

function readNameConstraints(reader: DerReader): NameConstraints {
  const subtrees = (number: number): GeneralName[] => {
    const list = reader.optional(contextTag(number, "constructed"), "nameConstraints");
    if (list === null) return [];
    return readItems(derInside(list), "nameConstraints").map((subtree) => {
      if (subtree.tag !== derTag.sequence) reader.fail("subtrees expected", "nameConstraints");
      const fields = derInside(subtree);
      const base = generalName(fields.any("base"));
      // RFC 5280, section 4.2.1.10: minimum is always 0, which DER leaves out, and there is no maximum.
      fields.end("nameConstraints");
      return base;
    });
  };
  const permitted = subtrees(0);
  const excluded = subtrees(1);
  reader.end("nameConstraints");
  return { permitted, excluded };
}

/** The number of a GeneralName that holds a Name. */
const directoryName = 4;

function generalName(element: DerElement): GeneralName {
  const kind = element.tag & 0x1f;
  if (element.tag >>> 6 !== 2 || element.tag === contextTag(directoryName, "primitive")) {
    throw new FormatError(format, "a GeneralName expected", { offset: element.offset, field: "name" });
  }
  if (kind !== directoryName) return { kind, der: element.der };
  const inside = derInside(element);
  const name = inside.take(derTag.sequence, "directoryName");
  inside.end("directoryName");
  nameText(name, "directoryName");
  return { kind, der: name.der };
}
