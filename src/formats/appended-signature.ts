import { ByteReader } from "./bytes.ts";
import type { ByteRange } from "./ranges.ts";

/*
 * A signature behind the file that it signs, as the kernel takes it for its modules and, with IMA, for kernels: the file, a
 * PKCS #7 message, `struct module_signature`, a line of text.
 * Source: Linux, Documentation/admin-guide/module-signing.rst, include/linux/module_signature.h, kernel/module_signature.c.
 */

const format = "appended signature";
const magic = "~Module signature appended~\n";
const descriptorBytes = 12;
const trailerBytes = descriptorBytes + magic.length;
/** PKEY_ID_PKCS7 */
const pkcs7Type = 2;
const typeNames = ["PGP", "X509"];

/** Largest message, bytes. */
export const appendedSignatureBytesMax = 1 << 20;

/** Bytes at a file's end in which a signature is looked for that something was put behind. */
const searchedBytes = 4096;

export interface AppendedSignature {
  /** What is signed: the file from its start. */
  readonly content: ByteRange;
  /** The PKCS #7 message, DER. */
  readonly message: ByteRange;
}

/**
 * Where the signature behind a file stands; null when there is none. A file that was signed twice is one whose content ends
 * with the first signature.
 *
 * @throws FormatError with the offset: for another kind of signature than PKCS #7 (by its name), fields that are not zero, a
 * message that is empty, too long or longer than the file, and for bytes behind what is a signature otherwise.
 */
export function findAppendedSignature(bytes: Uint8Array): AppendedSignature | null {
  const r = new ByteReader(bytes, format);
  if (!r.hasMagic(r.length - magic.length, magic)) {
    refuseTrailing(r);
    return null;
  }
  if (!r.has(r.length - trailerBytes, trailerBytes)) {
    r.fail(`${descriptorBytes} bytes of module_signature expected before the last line`, 0);
  }
  return readDescriptor(r, r.length - trailerBytes);
}

/** `at`: where module_signature stands. */
function readDescriptor(r: ByteReader, at: number): AppendedSignature {
  const type = r.u8(at + 2, "id_type");
  if (type !== pkcs7Type) {
    r.fail(`PKCS7 (${pkcs7Type}) expected, not ${typeNames[type] ?? type}`, at + 2, "id_type");
  }
  for (const [offset, field] of zeroFields) {
    const value = r.u8(at + offset, field);
    if (value !== 0) r.fail(`0 expected, not ${value}`, at + offset, field);
  }
  const length = r.u32be(at + 8, "sig_len");
  const most = Math.min(at, appendedSignatureBytesMax);
  if (length === 0 || length > most) r.fail(`1 to ${most} expected, not ${length}`, at + 8, "sig_len");
  return { content: { offset: 0, length: at - length }, message: { offset: at - length, length } };
}

/** Only other types than PKCS #7 use these. */
const zeroFields = [
  [0, "algo"],
  [1, "hash"],
  [3, "signer_len"],
  [4, "key_id_len"],
  [5, "pad"],
  [6, "pad"],
  [7, "pad"],
] as const;

/** The text alone may stand in any kernel; with a descriptor before it, it is a signature. */
function refuseTrailing(r: ByteReader): void {
  const first = Math.max(descriptorBytes, r.length - searchedBytes);
  let line = r.length - magic.length;
  while (line >= first && !r.hasMagic(line, magic)) line--;
  if (line < first) return;
  const at = line - descriptorBytes;
  if (r.u8(at + 2, "id_type") !== pkcs7Type) return;
  const isDescriptor = zeroFields.every(([offset, field]) => r.u8(at + offset, field) === 0);
  const length = r.u32be(at + 8, "sig_len");
  if (!isDescriptor || length === 0 || length > at) return;
  const end = at + trailerBytes;
  r.fail(`${r.length - end} byte(s) behind the signature, which has to be the file's end`, end);
}
