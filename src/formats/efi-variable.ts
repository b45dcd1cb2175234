import { ByteReader } from "./bytes.ts";
import { FormatError } from "./format-error.ts";

/*
 * An EFI variable as the kernel shows it: a file NAME-VENDOR with 4 bytes of attributes, little-endian, then the data.
 * Source: Linux, Documentation/filesystems/efivarfs.rst; UEFI 2.10, section 8.2, "Variable Services".
 */

const format = "efi variable";

/** Largest variable that is taken, bytes with the attributes. */
export const efiVariableBytesMax = 65_536;

/** The vendor of the variables of the Boot Loader Interface. */
export const loaderVendor = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/** Bits of {@link EfiVariable.attributes}. */
export const efiAttribute = { nonVolatile: 1, bootServiceAccess: 2, runtimeAccess: 4 } as const;

export interface EfiVariable {
  /** See {@link efiAttribute}. */
  readonly attributes: number;
  readonly data: Uint8Array;
}

/** @throws FormatError for fewer than 4 bytes and for more than {@link efiVariableBytesMax}. */
export function parseEfiVariable(bytes: Uint8Array): EfiVariable {
  if (bytes.length > efiVariableBytesMax) {
    throw new FormatError(format, `${bytes.length} bytes, at most ${efiVariableBytesMax} are taken`);
  }
  const reader = new ByteReader(bytes, format);
  return { attributes: reader.u32le(0, "attributes"), data: bytes.subarray(4) };
}

/**
 * Text in UTF-16, little-endian, up to the first NUL or to the end: some write none.
 *
 * @throws FormatError for an odd number of bytes and for a surrogate without its other half.
 */
export function efiText(data: Uint8Array): string {
  if (data.length % 2 !== 0) throw new FormatError(format, `${data.length} bytes of text: an even number expected`);
  let end = 0;
  while (end < data.length && (data[end] !== 0 || data[end + 1] !== 0)) end += 2;
  try {
    return new TextDecoder("utf-16le", { fatal: true, ignoreBOM: true }).decode(data.subarray(0, end));
  } catch {
    throw new FormatError(format, "text in UTF-16 expected");
  }
}

/** The name of a variable's file; the vendor is a GUID as in {@link loaderVendor}. */
export function efiVariableFileName(name: string, vendor: string): string {
  return `${name}-${vendor}`;
}

/** The name and the vendor, in lower case, of a variable's file; null when it is none. */
export function parseEfiVariableFileName(fileName: string): { readonly name: string; readonly vendor: string } | null {
  const [, name, vendor] =
    /^(.+)-([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$/s.exec(fileName) ?? [];
  return name === undefined || vendor === undefined ? null : { name, vendor: vendor.toLowerCase() };
}
