import { decodeBase64 } from "./base64.ts";
import { FormatError, quote } from "./format-error.ts";
import { parseJson } from "./json-fields.ts";
import type { ReadRange } from "./ranges.ts";
import { findZipMember, readZip, type ZipArchive, type ZipMember } from "./zip.ts";

/*
 * OS packages of System Transparency: an archive NAME.zip with a manifest, a kernel and an initramfs, and beside it the
 * descriptor NAME.json with signatures over the archive.
 * Source: System Transparency, reference documentation, "OS package" (version 1 of both files), and stmgr, which makes them.
 * Fields that are not named there are left alone, as stboot does: the version tells when a meaning changes.
 */

const descriptorFormat = "OS package descriptor";
const manifestFormat = "OS package manifest";
const archiveFormat = "OS package";

/** The only version of either file. */
const knownVersion = 1;

/** A descriptor, in bytes; a signature with its certificate takes about 1000. */
export const osPackageDescriptorBytesMax = 65_536;
/** Signatures of a descriptor. */
export const osPackageSignaturesMax = 64;
/** `os_pkg_url` and `label`, in characters. */
export const osPackageTextCharactersMax = 4096;
/** A manifest, in bytes. */
export const osPackageManifestBytesMax = 131_072;
/** `cmdline`, in characters. */
export const osPackageCommandLineCharactersMax = 65_536;

/** The manifest's place in the archive. */
const osPackageManifestName = "manifest.json";

/** A signature over an archive, with the certificate of the key that made it. */
export interface OsPackageSignature {
  /** PEM, as stmgr writes it, or DER. */
  readonly certificate: Uint8Array;
  /** Ed25519 over the SHA-256 of the archive; not judged here. */
  readonly signature: Uint8Array;
}

export interface OsPackageDescriptor {
  /** Where the archive can be fetched from, absolute or from the descriptor's own place; null: it is not said. */
  readonly packageUrl: string | null;
  /** In the descriptor's order; none where nobody signed. */
  readonly signatures: readonly OsPackageSignature[];
}

export interface OsPackageManifest {
  /** What the package calls itself; null: nothing. */
  readonly label: string | null;
  /** The kernel's name in the archive. */
  readonly kernel: string;
  readonly initramfs: string;
  /** The kernel's command line; empty when there is none. */
  readonly commandLine: string;
}

/**
 * Parses a descriptor. Certificates and signatures come in pairs, each in base64; neither is looked into.
 *
 * @throws FormatError with the field
 */
export function parseOsPackageDescriptor(bytes: Uint8Array): OsPackageDescriptor {
  const format = descriptorFormat;
  const fields = fieldsOf(parseJson(bytes, format, osPackageDescriptorBytesMax), format);
  checkVersion(fields, format);
  const certificates = byteStrings(fields, "certificates");
  const signatures = byteStrings(fields, "signatures");
  if (certificates.length !== signatures.length) {
    const found = `${certificates.length} certificates and ${signatures.length} signatures`;
    throw new FormatError(format, `a certificate for each signature expected, found ${found}`);
  }
  return {
    packageUrl: textOf(fields, "os_pkg_url", format, osPackageTextCharactersMax) || null,
    signatures: certificates.map((certificate, index) => ({
      certificate,
      signature: signatures[index] ?? new Uint8Array(0),
    })),
  };
}

/**
 * Parses a manifest.
 *
 * @throws FormatError with the field
 */
export function parseOsPackageManifest(bytes: Uint8Array): OsPackageManifest {
  const format = manifestFormat;
  const fields = fieldsOf(parseJson(bytes, format, osPackageManifestBytesMax), format);
  checkVersion(fields, format);
  const fileName = (field: string): string => {
    const name = textOf(fields, field, format, osPackageTextCharactersMax);
    if (name === "") throw new FormatError(format, "the name of a file in the archive expected", { field });
    return name;
  };
  const commandLine = textOf(fields, "cmdline", format, osPackageCommandLineCharactersMax);
  // What the kernel would take for the end, and what would end a line in a log.
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(commandLine)) {
    throw new FormatError(format, "a command line without control characters expected", { field: "cmdline" });
  }
  return {
    label: textOf(fields, "label", format, osPackageTextCharactersMax) || null,
    kernel: fileName("kernel"),
    initramfs: fileName("initramfs"),
    commandLine,
  };
}

/** Where the parts of a package are in its archive. */
export interface OsPackageArchive {
  readonly archive: ZipArchive;
  readonly manifest: ZipMember;
}

/**
 * Reads the directory of a package of `size` bytes and finds the manifest in it, which still has to be unpacked.
 *
 * @throws FormatError for what is no such archive
 */
export function readOsPackageArchive(read: ReadRange, size: number): OsPackageArchive {
  const archive = readZip(read, size);
  const manifest = findZipMember(archive, osPackageManifestName);
  if (manifest === null)
    throw new FormatError(archiveFormat, `${quote(osPackageManifestName)} expected in the archive`);
  if (manifest.size > osPackageManifestBytesMax || manifest.data.length > osPackageManifestBytesMax) {
    const bytes = Math.max(manifest.size, manifest.data.length);
    throw new FormatError(manifestFormat, `${bytes} bytes, at most ${osPackageManifestBytesMax} are taken`);
  }
  return { archive, manifest };
}

/**
 * The kernel and the initramfs that a manifest names.
 *
 * @throws FormatError where one is missing or empty
 */
export function osPackageFiles(
  archive: ZipArchive,
  manifest: OsPackageManifest,
): { readonly kernel: ZipMember; readonly initramfs: ZipMember } {
  const find = (field: "kernel" | "initramfs"): ZipMember => {
    const name = manifest[field];
    const member = findZipMember(archive, name);
    if (member === null) throw new FormatError(archiveFormat, `${field} ${quote(name)} is not in the archive`);
    if (member.size === 0) throw new FormatError(archiveFormat, `${field} ${quote(name)} is empty`);
    return member;
  };
  return { kernel: find("kernel"), initramfs: find("initramfs") };
}

/** The path of the archive that a descriptor belongs to: they differ in the suffix. Null for another file's path. */
export function osPackageArchivePath(descriptorPath: string): string | null {
  return descriptorPath.endsWith(".json") ? `${descriptorPath.slice(0, -".json".length)}.zip` : null;
}

type Fields = ReadonlyMap<string, unknown>;

function fieldsOf(value: unknown, format: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FormatError(format, "a JSON object expected");
  }
  return new Map(Object.entries(value));
}

function checkVersion(fields: Fields, format: string): void {
  const version = fields.get("version");
  if (version === knownVersion) return;
  throw new FormatError(format, `version ${knownVersion} expected, found ${describe(version)}`, { field: "version" });
}

/** Lists and objects are named and not shown: they may be of any depth. */
function describe(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  if (value === undefined) return "none";
  return typeof value === "string" ? quote(value) : String(value);
}

/** Empty where the field is missing or null. */
function textOf(fields: Fields, field: string, format: string, charactersMax: number): string {
  const value = fields.get(field) ?? "";
  if (typeof value !== "string") throw new FormatError(format, `text expected, found ${describe(value)}`, { field });
  if (value.length <= charactersMax) return value;
  throw new FormatError(format, `${value.length} characters, at most ${charactersMax} are taken`, { field });
}

function byteStrings(fields: Fields, name: string): Uint8Array[] {
  const values = fields.get(name) ?? [];
  if (!Array.isArray(values)) throw new FormatError(descriptorFormat, "a list expected", { field: name });
  if (values.length > osPackageSignaturesMax) {
    const detail = `${values.length} items, at most ${osPackageSignaturesMax} are taken`;
    throw new FormatError(descriptorFormat, detail, { field: name });
  }
  return values.map((value: unknown, index) => {
    const place = { field: `${name}[${index}]` };
    if (typeof value !== "string") throw new FormatError(descriptorFormat, "base64 expected", place);
    return decodeBase64(value, descriptorFormat, place);
  });
}
