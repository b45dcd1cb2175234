import { ByteReader, guidText } from "./bytes.ts";
import { FormatError } from "./format-error.ts";

/*
 * Lists of certificates and digests as firmware keeps them in the variables `db` and `dbx`: EFI_SIGNATURE_LIST, one behind
 * the other. All fields are little-endian.
 * Source: UEFI 2.10, sections 32.4.1 "Signature Database" and 8.2.2 "Using the EFI_VARIABLE_AUTHENTICATION_2 descriptor".
 */

const format = "efi signature list";

/** Largest file, bytes; a firmware's `dbx` has some tens of thousands. */
export const efiSignatureListBytesMax = 4 << 20;
/** Signatures of one file, all lists together. */
export const efiSignaturesMax = 65_536;

const listHeaderBytes = 28;
const ownerBytes = 16;
const timeBytes = 16;

/** Digests that a list may hold, by the names that node:crypto uses. */
export type EfiDigestName = "sha256" | "sha384" | "sha512";

const digestBytes: Readonly<Record<EfiDigestName, number>> = { sha256: 32, sha384: 48, sha512: 64 };

/** A certificate: in `db` one to trust, in `dbx` one that is taken back. */
export interface EfiCertificate {
  readonly kind: "x509";
  readonly der: Uint8Array;
}

/** The Authenticode digest of a PE image. */
export interface EfiImageDigest {
  readonly kind: "image-digest";
  readonly digest: EfiDigestName;
  readonly value: Uint8Array;
}

/**
 * The digest of a certificate's TBSCertificate, which is taken back. The time that the list gives for that is not read:
 * nobody vouches for when a signature was made, so none is good.
 */
export interface EfiCertificateDigest {
  readonly kind: "tbs-digest";
  readonly digest: EfiDigestName;
  readonly value: Uint8Array;
}

export type EfiSignature = EfiCertificate | EfiImageDigest | EfiCertificateDigest;

interface KnownType {
  readonly name: string;
  /** Null: the type is known and refused. */
  readonly read: ((r: ByteReader) => EfiSignature) | null;
  /** Bytes of a signature with its owner; null: any. */
  readonly bytes: number | null;
}

/** UEFI 2.10, 32.4.1, and 2.11 for SM3: SignatureType. */
const types: ReadonlyMap<string, KnownType> = new Map([
  ["a5c059a1-94e4-4aa7-87b5-ab155c2bf072", { name: "X509", bytes: null, read: readCertificate }],
  ["c1c41626-504c-4092-aca9-41f936934328", imageDigestType("SHA256", "sha256")],
  ["ff3e5307-9fd0-48c9-85f1-8ad56c701e01", imageDigestType("SHA384", "sha384")],
  ["093e0fae-a6c4-4f50-9f1b-d41e2b89c19a", imageDigestType("SHA512", "sha512")],
  ["3bd2a492-96c0-4079-b420-fcf98ef103ed", certificateDigestType("X509_SHA256", "sha256")],
  ["7076876e-80c2-4ee6-aad2-28b349a6865b", certificateDigestType("X509_SHA384", "sha384")],
  ["446dbf63-2502-4cda-bcfa-2465d2b0fe9d", certificateDigestType("X509_SHA512", "sha512")],
  ["826ca512-cf10-4ac9-b187-be01496631bd", refusedType("SHA1")],
  ["0b6e5233-a65c-44c9-9407-d9ab83bfc8bd", refusedType("SHA224")],
  ["3c5766e8-269c-4e34-aa14-ed776e85b3b6", refusedType("RSA2048")],
  ["67f8444f-8743-48f1-a328-1eaab8736080", refusedType("RSA2048_SHA1")],
  ["e2b36190-879b-4a3d-ad8d-f2e7bba32784", refusedType("RSA2048_SHA256")],
  ["452e8ced-dfff-4b8c-ae01-5118862e682c", refusedType("EXTERNAL_MANAGEMENT")],
  ["57347f87-7a9b-403a-b93c-dc4afb7a0ebc", refusedType("SM3")],
  ["60d807e5-10b4-49a9-9331-e40437888d37", refusedType("X509_SM3")],
]);

const takenNames = "X509, SHA256, SHA384, SHA512, X509_SHA256, X509_SHA384 or X509_SHA512";

/** EFI_CERT_TYPE_PKCS7_GUID, of the wrapper around an update of a variable. */
const pkcs7Type = "4aafd29d-68df-49ee-8aa9-347d375665a7";

/** WIN_CERT_TYPE_EFI_GUID and the revision that goes with it. */
const guidCertificate = { revision: 0x0200, type: 0x0ef1 } as const;

/** Bytes of WIN_CERTIFICATE_UEFI_GUID before its data. */
const guidCertificateHeaderBytes = 24;

/** Bytes of attributes before a variable's data, in a file of efivarfs. */
const variableAttributesBytes = 4;

/** Whether bytes are such lists, plain or in one of the wrappers of {@link parseEfiSignatureLists}: by their content. */
export function isEfiSignatureList(bytes: Uint8Array): boolean {
  return listStart(new ByteReader(bytes, format)) !== null;
}

/**
 * Every signature of the lists in a file. It may be plain (`.esl`), the content of a variable as efivarfs shows it (4 bytes
 * of attributes before the lists), or an update of a variable (`.auth`, EFI_VARIABLE_AUTHENTICATION_2). The signature of such
 * an update is not verified: whoever hands over the bytes vouches for them.
 *
 * @throws FormatError with the offset: for what is no list, a size that does not fit, a type that is refused (by its name)
 * or unknown (by its GUID), what is over a limit.
 */
export function parseEfiSignatureLists(bytes: Uint8Array): readonly EfiSignature[] {
  if (bytes.length > efiSignatureListBytesMax) {
    throw new FormatError(format, `${bytes.length} bytes, at most ${efiSignatureListBytesMax} are taken`);
  }
  const r: ByteReader = new ByteReader(bytes, format);
  const start = listStart(r);
  if (start === null) r.fail(`a list of the type ${takenNames} expected`, 0, "SignatureType");
  const signatures: EfiSignature[] = [];
  for (let at = start; at < r.length; ) at = readList(r, at, signatures);
  return signatures;
}

/** Where the first list begins; null when the bytes are none of the three kinds. */
function listStart(r: ByteReader): number | null {
  if (isKnownType(r, 0)) return 0;
  if (isKnownType(r, variableAttributesBytes)) return variableAttributesBytes;
  if (!r.has(timeBytes, guidCertificateHeaderBytes)) return null;
  const isUpdate =
    r.u16le(timeBytes + 4, "wRevision") === guidCertificate.revision &&
    r.u16le(timeBytes + 6, "wCertificateType") === guidCertificate.type &&
    guidText(r.slice(timeBytes + 8, 16, "CertType")) === pkcs7Type;
  if (!isUpdate) return null;
  const length = r.u32le(timeBytes, "dwLength");
  if (length < guidCertificateHeaderBytes || timeBytes + length > r.length) {
    r.fail(`${guidCertificateHeaderBytes} to ${r.length - timeBytes} expected, not ${length}`, timeBytes, "dwLength");
  }
  return timeBytes + length;
}

function isKnownType(r: ByteReader, at: number): boolean {
  return r.has(at, 16) && types.has(guidText(r.slice(at, 16, "SignatureType")));
}

/** Reads the list at `at`; where the next begins. */
function readList(r: ByteReader, at: number, into: EfiSignature[]): number {
  const typeText = guidText(r.slice(at, 16, "SignatureType"));
  const listBytes = r.u32le(at + 16, "SignatureListSize");
  const headerBytes = r.u32le(at + 20, "SignatureHeaderSize");
  const signatureBytes = r.u32le(at + 24, "SignatureSize");
  const type = types.get(typeText);
  if (type === undefined) r.fail(`${takenNames} expected, not ${typeText}`, at, "SignatureType");
  if (type.read === null) r.fail(`${takenNames} expected; ${type.name} is not taken`, at, "SignatureType");
  if (headerBytes !== 0) r.fail(`0 expected, not ${headerBytes}`, at + 20, "SignatureHeaderSize");
  if (signatureBytes <= ownerBytes || (type.bytes !== null && signatureBytes !== type.bytes)) {
    const expected = type.bytes ?? `more than ${ownerBytes}`;
    r.fail(`${expected} expected for ${type.name}, not ${signatureBytes}`, at + 24, "SignatureSize");
  }
  const count = (listBytes - listHeaderBytes) / signatureBytes;
  if (!Number.isInteger(count) || count < 1 || !r.has(at, listBytes)) {
    const expected = `${listHeaderBytes} and a multiple of ${signatureBytes}, up to ${r.length - at}, expected`;
    r.fail(`${expected}, not ${listBytes}`, at + 16, "SignatureListSize");
  }
  if (into.length + count > efiSignaturesMax) r.fail(`more than ${efiSignaturesMax} signatures`, at);
  for (let index = 0; index < count; index++) {
    const from = at + listHeaderBytes + index * signatureBytes;
    into.push(type.read(new ByteReader(r.slice(from, signatureBytes, "SignatureData"), format, from)));
  }
  return at + listBytes;
}

function readCertificate(r: ByteReader): EfiCertificate {
  return { kind: "x509", der: r.slice(ownerBytes, r.length - ownerBytes, "SignatureData") };
}

function imageDigestType(name: string, digest: EfiDigestName): KnownType {
  const length = digestBytes[digest];
  return {
    name,
    bytes: ownerBytes + length,
    read: (r) => ({
      kind: "image-digest",
      digest,
      value: r.slice(ownerBytes, length, "SignatureData"),
    }),
  };
}

function certificateDigestType(name: string, digest: EfiDigestName): KnownType {
  const length = digestBytes[digest];
  return {
    name,
    bytes: ownerBytes + length + timeBytes,
    read: (r) => ({
      kind: "tbs-digest",
      digest,
      value: r.slice(ownerBytes, length, "ToBeSignedHash"),
    }),
  };
}

function refusedType(name: string): KnownType {
  return { name, bytes: null, read: null };
}
