import { type CmsSignedData, cmsBytesMax, parseCms } from "./cms.ts";
import { contextTag, DerReader, derOid, derSmallInteger, derTag } from "./der.ts";
import { FormatError, quote } from "./format-error.ts";
import { hexadecimal } from "./hexadecimal.ts";
import { type HashName, oid, oidTitle } from "./object-identifiers.ts";
import { type PeImage, readPe } from "./pe.ts";
import { type ByteRange, type ReadRange, readExactly } from "./ranges.ts";
import { readHashAlgorithm } from "./x509.ts";

/*
 * Signatures inside images in the Portable Executable format, in a table at the end of the file. One signature covers all of
 * the image but for its checksum, the table, and the 8 bytes that say where the table stands.
 * Source: Microsoft, "Windows Authenticode Portable Executable Signature Format", sections "Calculating the PE Image Hash" and
 * "Authenticode Signature Format"; "PE Format", section "The Attribute Certificate Table". Fields of the table are little-endian.
 */

const format = "authenticode";

/** Signatures taken in one image. */
export const authenticodeSignaturesMax = 16;
/** Largest table, bytes. */
export const authenticodeTableBytesMax = 1 << 20;

const dosHeaderBytes = 64;
const certificateHeaderBytes = 8;
/** Each certificate begins at a multiple of this, and so does the table. */
const alignment = 8;
const revision2 = 0x0200;
const pkcsSignedData = 2;

/** Values of `wCertificateType` that are not taken. */
const certificateTypes: Readonly<Record<number, string>> = {
  1: "X509",
  3: "RESERVED_1",
  4: "TS_STACK_SIGNED",
  [0x0ef0]: "EFI_PKCS115",
  [0x0ef1]: "EFI_GUID",
};

/** An entry of the certificate table: a PKCS #7 message with up to 7 zeroes behind it, or why it is none. */
export type WinCertificate =
  | { readonly message: Uint8Array; readonly reason: null }
  | { readonly message: null; readonly reason: string };

export interface AuthenticodeImage {
  readonly pe: PeImage;
  /** What the digest is over, in this order: all of the file but the checksum and the certificate table with its place. */
  readonly covered: readonly ByteRange[];
  /**
   * Zeroes behind that until the next multiple of 8. Some tools hash them when they judge an unsigned image, as if it had
   * been signed; a signed one has them in the file, and this is 0.
   */
  readonly paddingBytes: number;
  /**
   * Bytes that lie in no section, or in two: tools that hash section by section then come to another digest than those that
   * hash the file from its start to the table.
   */
  readonly irregular: ByteRange | null;
  readonly certificates: readonly WinCertificate[];
}

/** Whether a file of `size` bytes has the two magic numbers of a PE image. */
export function isPe(read: ReadRange, size: number): boolean {
  if (size < dosHeaderBytes) return false;
  const dos = readExactly(read, { offset: 0, length: dosHeaderBytes }, format, "DOS header");
  const offset = dos.u32le(60, "e_lfanew");
  if (!dos.hasMagic(0, "MZ") || offset + 4 > size) return false;
  return readExactly(read, { offset, length: 4 }, format, "Signature").hasMagic(0, "PE\0\0");
}

/**
 * Reads headers and certificate table of an image of `size` bytes.
 *
 * @throws FormatError with the offset as `readPe` does, and for a table that does not end where the file ends, does not begin
 * at a multiple of 8, shares bytes with a section, is over a limit, or whose entries do not fill it.
 */
export function readAuthenticode(read: ReadRange, size: number): AuthenticodeImage {
  const pe = readPe(read, size);
  const place = pe.certificateDirectoryOffset;
  const table = pe.certificates;
  if (table !== null) refuseTable(pe, table, size);
  const end = table === null ? size : table.offset;
  const skipped = [{ offset: pe.checksumOffset, length: 4 }];
  if (place !== null) skipped.push({ offset: place, length: 8 });
  const covered: ByteRange[] = [];
  let at = 0;
  for (const { offset, length } of skipped) {
    covered.push({ offset: at, length: offset - at });
    at = offset + length;
  }
  covered.push({ offset: at, length: end - at });
  return {
    pe,
    covered,
    paddingBytes: -end & (alignment - 1),
    irregular: findIrregular(pe),
    certificates: table === null ? [] : readTable(read, table),
  };
}

function refuseTable(pe: PeImage, table: ByteRange, size: number): void {
  const place = { offset: pe.certificateDirectoryOffset ?? 0, field: "Certificate Table" };
  const end = table.offset + table.length;
  if (end !== size) {
    throw new FormatError(format, `the table ends at ${end}, the file's end at ${size} expected`, place);
  }
  if (table.offset % alignment !== 0) {
    throw new FormatError(format, `a multiple of ${alignment} expected for its start, not ${table.offset}`, place);
  }
  if (table.length > authenticodeTableBytesMax) {
    throw new FormatError(format, `${table.length} bytes, at most ${authenticodeTableBytesMax} are taken`, place);
  }
  // What a section holds would not be signed.
  for (const { name, raw } of pe.sections) {
    if (raw.length > 0 && raw.offset + raw.length > table.offset) {
      throw new FormatError(format, `the section ${quote(name)} reaches into the table`, place);
    }
  }
}

/** The first bytes between the headers and the end of the last section that are not in exactly one section; null: none. */
function findIrregular(pe: PeImage): ByteRange | null {
  const sections = pe.sections.map(({ raw }) => raw).filter(({ length }) => length > 0);
  let at = pe.headerBytes;
  for (const { offset, length } of sections.toSorted((a, b) => a.offset - b.offset)) {
    if (offset > at) return { offset: at, length: offset - at };
    if (offset < at) return { offset, length: Math.min(at, offset + length) - offset };
    at = offset + length;
  }
  return null;
}

function readTable(read: ReadRange, table: ByteRange): readonly WinCertificate[] {
  const r = readExactly(read, table, format, "Certificate Table");
  const certificates: WinCertificate[] = [];
  for (let at = 0; at < r.length; ) {
    if (certificates.length === authenticodeSignaturesMax) r.fail(`more than ${authenticodeSignaturesMax} entries`, at);
    const length = r.u32le(at, "dwLength");
    const revision = r.u16le(at + 4, "wRevision");
    const type = r.u16le(at + 6, "wCertificateType");
    if (length <= certificateHeaderBytes || !r.has(at, length)) {
      r.fail(`${certificateHeaderBytes + 1} to ${r.length - at} expected, not ${length}`, at, "dwLength");
    }
    const content = r.slice(at + certificateHeaderBytes, length - certificateHeaderBytes, "bCertificate");
    certificates.push(certificateOf(content, revision, type));
    const next = at + length + (-length & (alignment - 1));
    refuseFilled(r.slice(at + length, next - at - length, "padding"), r.base + at + length);
    at = next;
  }
  return certificates;
}

function certificateOf(content: Uint8Array, revision: number, type: number): WinCertificate {
  if (revision !== revision2) {
    return {
      message: null,
      reason: `a certificate of revision ${hexadecimal(revision2)} expected, not ${hexadecimal(revision)}`,
    };
  }
  if (type !== pkcsSignedData) {
    const name = certificateTypes[type] ?? hexadecimal(type);
    return { message: null, reason: `a certificate of the type PKCS_SIGNED_DATA expected, not ${name}` };
  }
  return { message: content, reason: null };
}

/** Nothing signs padding: it has to be zero. */
function refuseFilled(padding: Uint8Array, offset: number): void {
  if (padding.some((byte) => byte !== 0))
    throw new FormatError(format, "zeroes expected", { offset, field: "padding" });
}

/** What one signature says of the image. */
export interface AuthenticodeSignature {
  readonly cms: CmsSignedData;
  /** Of the signed content, which is what the signer's digest is over. */
  readonly content: Uint8Array;
  /** Null: an algorithm that is not known, by `algorithmTitle`. */
  readonly imageHash: HashName | null;
  readonly algorithmTitle: string;
  /** The image's digest. */
  readonly imageDigest: Uint8Array;
}

/**
 * Parses an entry's message: signed data (DER) whose content is SpcIndirectDataContent with the digest of a PE image. Up to 7
 * zeroes may follow. Nested signatures and time stamps (unsigned attributes) are not read.
 *
 * @throws FormatError with the offset in the message.
 */
export function parseAuthenticodeSignature(message: Uint8Array): AuthenticodeSignature {
  if (message.length > cmsBytesMax) {
    throw new FormatError(format, `a message of ${message.length} bytes, at most ${cmsBytesMax} are taken`);
  }
  const outer = new DerReader(message, format).take(derTag.sequence, "ContentInfo").der;
  const padding = message.subarray(outer.length);
  if (padding.length >= alignment) {
    throw new FormatError(format, `${padding.length} bytes behind the message, at most ${alignment - 1} expected`, {
      offset: outer.length,
    });
  }
  refuseFilled(padding, outer.length);
  const cms = parseCms(outer);
  refuseVersion(outer);
  if (cms.encapContentType !== oid.spcIndirectData) {
    throw new FormatError(format, `a digest of an image expected, not ${oidTitle(cms.encapContentType)}`, {
      field: "eContentType",
    });
  }
  const { encapContent: content, encapContentDer: der } = cms;
  if (content === null || der === null) {
    throw new FormatError(format, "a digest of an image expected, the message has no content", { field: "eContent" });
  }
  return { cms, content, ...readIndirectData(der) };
}

/** "Authenticode Signature Format", SignedData: CMS would allow other versions. */
function refuseVersion(der: Uint8Array): void {
  const info = new DerReader(der, format).sequence("ContentInfo");
  info.any("contentType");
  const signedData = info.enter(contextTag(0, "constructed"), "content").sequence("SignedData");
  const version = derSmallInteger(signedData.take(derTag.integer, "version"), "version");
  if (version !== 1) signedData.fail(`version 1 expected, not ${version}`, "version");
}

/**
 * What is hashed: a PE image. Firmware does not look at it, and images of Debian's (fwupd 1.4) have the identifier of
 * individual code signing there. Scripts and cabinets have others: their digests are over other bytes.
 */
const imageTypes: readonly string[] = [oid.spcPeImageData, "1.3.6.1.4.1.311.2.1.21"];

/** SpcIndirectDataContent: what was hashed, then its digest (DigestInfo). */
function readIndirectData(der: Uint8Array): Omit<AuthenticodeSignature, "cms" | "content"> {
  const outer = new DerReader(der, format);
  const reader = outer.sequence("SpcIndirectDataContent");
  const subject = reader.sequence("data");
  const type = derOid(subject.take(derTag.oid, "type"), "type");
  if (!imageTypes.includes(type)) subject.fail(`a PE image (${oid.spcPeImageData}) expected, not ${type}`, "type");
  if (!subject.done) subject.any("value");
  subject.end("data");
  const info = reader.sequence("messageDigest");
  reader.end("SpcIndirectDataContent");
  const algorithm = readHashAlgorithm(info.take(derTag.sequence, "digestAlgorithm"));
  const digest = info.take(derTag.octetString, "digest").content;
  info.end("messageDigest");
  return { imageHash: algorithm.hash, algorithmTitle: oidTitle(algorithm.oid), imageDigest: digest };
}
