import {
  createHash,
  createPrivateKey,
  createSign,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from "node:crypto";
import { readFile } from "node:fs/promises";

// Signs PE images, among them kernels, as firmware and Linux want it (Microsoft, "Windows Authenticode Portable
// Executable Signature Format"), and makes signatures that are wrong in one respect.

/** A key with its certificate. */
export interface PeSigner {
  readonly key: KeyObject;
  readonly certificate: X509Certificate;
}

/** The key whose certificate is in the variables of OVMF's "snakeoil" firmware: of the same package, and no secret. */
export async function snakeoilSigner(): Promise<PeSigner> {
  const [key, certificate] = await Promise.all(
    ["key", "pem"].map((kind) => readFile(`/usr/share/ovmf/PkKek-1-snakeoil.${kind}`)),
  );
  return {
    key: createPrivateKey({ key: key ?? "", passphrase: "snakeoil" }),
    certificate: new X509Certificate(certificate ?? ""),
  };
}

/** A new key that nobody knows, with a certificate by itself (RFC 5280, section 4.1). */
export function strangerSigner(): PeSigner {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const one = der(0x02, Buffer.of(1));
  const algorithm = sequence(identifier(oid.sha256WithRsa), der(0x05));
  const name = sequence(der(0x31, sequence(identifier(oid.commonName), der(0x0c, Buffer.from("A stranger")))));
  const times = ["240101000000Z", "490101000000Z"].map((time) => der(0x17, Buffer.from(time)));
  const subjectKey = publicKey.export({ type: "spki", format: "der" });
  const toBeSigned = sequence(
    ...[der(0xa0, der(0x02, Buffer.of(2))), one, algorithm],
    ...[name, sequence(...times), name, subjectKey],
  );
  const signature = createSign("sha256").update(toBeSigned).sign(privateKey);
  const certificate = sequence(toBeSigned, algorithm, der(0x03, Buffer.of(0), signature));
  return { key: privateKey, certificate: new X509Certificate(certificate) };
}

/** Offsets in a PE32+ image (PE/COFF specification, "Optional Header Windows-Specific Fields", "Data Directories"). */
interface PeFields {
  readonly checksum: number;
  /** The certificate table's entry among the data directories: where in the file, how many bytes. */
  readonly certificates: number;
}

function peFields(image: Uint8Array): PeFields {
  const view = Buffer.from(image.buffer, image.byteOffset, image.byteLength);
  const optionalHeader = view.readUInt32LE(0x3c) + 24;
  const magic = view.readUInt16LE(optionalHeader);
  if (magic !== 0x20b) throw new Error(`sign a PE image: PE32+ (0x20b) expected, got 0x${magic.toString(16)}`);
  return { checksum: optionalHeader + 64, certificates: optionalHeader + 112 + 4 * 8 };
}

/** The image without its certificate table, which has to be its end. */
export function unsigned(image: Uint8Array): Buffer {
  const { certificates } = peFields(image);
  const copy = Buffer.from(image);
  const start = copy.readUInt32LE(certificates);
  copy.fill(0, certificates, certificates + 8);
  return start === 0 ? copy : copy.subarray(0, start);
}

/** What is wrong with a signature that is made on purpose. */
export interface SignatureFault {
  /** Object identifier of the digest that the image is said to have; SHA-256 in truth. */
  readonly imageDigest?: string;
  /** Bytes of the image's digest to leave out. */
  readonly cutDigest?: number;
  /** Of the certificate table's entry: 2 is PKCS #7. */
  readonly wrapperType?: number;
  /** In place of the PKCS #7 message. */
  readonly message?: Uint8Array;
}

/** The image with one signature of the signer's. */
export function signPe(image: Uint8Array, signer: PeSigner, fault: SignatureFault = {}): Buffer {
  const bare = padded(unsigned(image));
  const fields = peFields(bare);
  const digest = imageDigest(bare, fields);
  const message =
    fault.message ?? signedData(digest.subarray(0, digest.length - (fault.cutDigest ?? 0)), signer, fault);
  // WIN_CERTIFICATE: bytes, revision 2.0, type
  const header = Buffer.alloc(8);
  const table = padded(Buffer.concat([header, message]));
  table.writeUInt32LE(header.length + message.length, 0);
  table.writeUInt16LE(0x0200, 4);
  table.writeUInt16LE(fault.wrapperType ?? 2, 6);
  bare.writeUInt32LE(bare.length, fields.certificates);
  bare.writeUInt32LE(table.length, fields.certificates + 4);
  return Buffer.concat([bare, table]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 7)]);
}

/** All bytes but the checksum and the certificate table's entry; the table itself is not there yet. */
function imageDigest(image: Buffer, { checksum, certificates }: PeFields): Buffer {
  const hash = createHash("sha256").update(image.subarray(0, checksum));
  hash.update(image.subarray(checksum + 4, certificates));
  return hash.update(image.subarray(certificates + 8)).digest();
}

const oid = {
  sha256: "2.16.840.1.101.3.4.2.1",
  rsa: "1.2.840.113549.1.1.1",
  sha256WithRsa: "1.2.840.113549.1.1.11",
  commonName: "2.5.4.3",
  signedData: "1.2.840.113549.1.7.2",
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  spcIndirectData: "1.3.6.1.4.1.311.2.1.4",
  spcPeImageData: "1.3.6.1.4.1.311.2.1.15",
} as const;

/** PKCS #7 (RFC 2315), section 9.1: the image's digest, signed. */
function signedData(digest: Buffer, { key, certificate }: PeSigner, fault: SignatureFault): Buffer {
  const sha256 = sequence(identifier(oid.sha256), der(0x05));
  const digestAlgorithm = sequence(identifier(fault.imageDigest ?? oid.sha256), der(0x05));
  // SpcPeImageData: no flags, and an empty name of a file.
  const noFile = sequence(der(0x03, Buffer.of(0)), der(0xa0, der(0xa2, der(0x80))));
  const pe = sequence(identifier(oid.spcPeImageData), noFile);
  const content = sequence(pe, sequence(digestAlgorithm, der(0x04, digest)));
  const attributes = Buffer.concat([
    sequence(identifier(oid.contentType), der(0x31, identifier(oid.spcIndirectData))),
    sequence(identifier(oid.messageDigest), der(0x31, der(0x04, digestOf(contentsOf(content))))),
  ]);
  const signature = createSign("sha256").update(der(0x31, attributes)).sign(key);
  const one = der(0x02, Buffer.of(1));
  const signerInfo = sequence(
    ...[one, issuerAndSerial(certificate), sha256, der(0xa0, attributes)],
    ...[sequence(identifier(oid.rsa), der(0x05)), der(0x04, signature)],
  );
  const parts = sequence(
    ...[one, der(0x31, sha256), sequence(identifier(oid.spcIndirectData), der(0xa0, content))],
    ...[der(0xa0, certificate.raw), der(0x31, signerInfo)],
  );
  return sequence(identifier(oid.signedData), der(0xa0, parts));
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** Of a certificate (RFC 5280, section 4.1): version, serial number, algorithm, issuer and more. */
function issuerAndSerial(certificate: X509Certificate): Buffer {
  const [toBeSigned] = elementsOf(contentsOf(certificate.raw));
  const [, serial, , issuer] = elementsOf(contentsOf(toBeSigned ?? Buffer.alloc(0)));
  if (serial === undefined || issuer === undefined) throw new Error("read a certificate: its issuer is not found");
  return sequence(issuer, serial);
}

// ITU-T X.690, DER: a tag, a length, the contents.

function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(contents);
  return Buffer.concat([Buffer.of(tag, ...lengthBytes(bytes.length)), bytes]);
}

function lengthBytes(length: number): readonly number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

function sequence(...elements: readonly Uint8Array[]): Buffer {
  return der(0x30, ...elements);
}

function identifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...others] = dotted.split(".").map(Number);
  const bytes = others.flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let rest = arc >>> 7; rest > 0; rest >>>= 7) groups.unshift(0x80 | (rest & 0x7f));
    return groups;
  });
  return der(0x06, Buffer.of(first * 40 + second, ...bytes));
}

/** Bytes of tag and length. */
function headerBytes(element: Buffer): number {
  const first = element[1] ?? 0;
  return first < 0x80 ? 2 : 2 + (first & 0x7f);
}

function contentsOf(element: Buffer): Buffer {
  const start = headerBytes(element);
  const length = start === 2 ? (element[1] ?? 0) : element.readUIntBE(2, start - 2);
  return element.subarray(start, start + length);
}

function elementsOf(contents: Buffer): Buffer[] {
  const elements: Buffer[] = [];
  for (let rest = contents; rest.length > 0; ) {
    const bytes = headerBytes(rest) + contentsOf(rest).length;
    elements.push(rest.subarray(0, bytes));
    rest = rest.subarray(bytes);
  }
  return elements;
}
