import type { OnlyFile } from "./cpio.ts";
import { JsonFields, parseJson, utcTimeText } from "./json-fields.ts";

const format = "manifest";

/** Largest manifest without its signatures, bytes. */
export const manifestBytesMax = 4 << 20;
export const manifestEntriesMax = 1000;
export const manifestFilesMax = 10_000;
/** Initrds, modules, add-ons or overlays of one entry. */
export const manifestEntryFilesMax = 1000;
/** Longest path, title or product name, UTF-16 code units. */
export const manifestTextCharactersMax = 4096;
/** Longest options of an entry or a module, UTF-16 code units. */
export const manifestOptionsCharactersMax = 65_536;

/** The content of a file. Its digest binds it; the path is for people. */
export interface ManifestFile {
  readonly path: string;
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

export interface ManifestInitrd extends ManifestFile {
  /** The place in an archive of its own that the file is wrapped into; null: the file is an archive itself. */
  readonly archive: OnlyFile | null;
}

export interface ManifestModule extends ManifestFile {
  readonly options: string;
}

/** All that boots together. */
export interface ManifestEntry {
  /** For people. */
  readonly title: string;
  readonly linux: ManifestFile;
  /** What of a kernel file that holds several: `@1`, `#conf-1`; null: its default. */
  readonly part: string | null;
  readonly initrd: readonly ManifestInitrd[];
  readonly options: string;
  /** What a multiboot kernel gets, in order. */
  readonly modules: readonly ManifestModule[];
  readonly addons: readonly ManifestFile[];
  readonly devicetree: ManifestFile | null;
  readonly overlays: readonly ManifestFile[];
}

export const manifestRoles = [
  "config",
  "environment",
  "linux",
  "initrd",
  "devicetree",
  "module",
  "addon",
  "overlay",
  "file",
] as const;
export type ManifestRole = (typeof manifestRoles)[number];

/** A file that is vouched for by itself, for one purpose. */
export interface ManifestListedFile extends ManifestFile {
  readonly role: ManifestRole;
}

/** What the owner of a volume signs: contents and options that may boot, under one version. */
export interface Manifest {
  /** What the version counts; null: versions are the signer's. */
  readonly product: string | null;
  readonly version: number;
  /** Milliseconds since 1970; null: open. */
  readonly notBefore: number | null;
  readonly notAfter: number | null;
  readonly entries: readonly ManifestEntry[];
  readonly files: readonly ManifestListedFile[];
}

/**
 * Parses the payload of a signed manifest (docs/trust.md, "The manifest"): JSON, in which every field is known. Throws
 * {@link FormatError} with the path of the field.
 */
export function parseManifest(payload: Uint8Array): Manifest {
  const names = ["slipwayManifest", "product", "version", "notBefore", "notAfter", "entries", "files"];
  const fields = new JsonFields(parseJson(payload, format, manifestBytesMax), format, "", names);
  fields.integer("slipwayManifest", 1, 1);
  const [notBefore, notAfter] = [fields.time("notBefore"), fields.time("notAfter")];
  if (notBefore !== null && notAfter !== null && notBefore > notAfter) {
    fields.fail("notAfter", `${utcTimeText(notAfter)} is before notBefore, ${utcTimeText(notBefore)}`);
  }
  return {
    product: fields.optionalText("product", manifestTextCharactersMax),
    version: fields.integer("version", 0, Number.MAX_SAFE_INTEGER),
    notBefore,
    notAfter,
    entries: fields.list("entries", manifestEntriesMax, readEntry),
    files: fields.list("files", manifestFilesMax, readListedFile),
  };
}

function readEntry(value: unknown, path: string): ManifestEntry {
  const names = ["title", "linux", "part", "initrd", "options", "modules", "addons", "devicetree", "overlays"];
  const fields = new JsonFields(value, format, path, names);
  const linux = fields.value("linux");
  const devicetree = fields.has("devicetree") ? fields.value("devicetree") : { value: null, path };
  return {
    title: fields.text("title", manifestTextCharactersMax),
    linux: readFile(linux.value, linux.path),
    part: fields.optionalText("part", manifestTextCharactersMax),
    initrd: fields.list("initrd", manifestEntryFilesMax, readInitrd),
    options: fields.text("options", manifestOptionsCharactersMax),
    modules: fields.list("modules", manifestEntryFilesMax, readModule),
    addons: fields.list("addons", manifestEntryFilesMax, readFile),
    devicetree: devicetree.value === null ? null : readFile(devicetree.value, devicetree.path),
    overlays: fields.list("overlays", manifestEntryFilesMax, readFile),
  };
}

const fileNames = ["path", "sha256", "size"];

function readFile(value: unknown, path: string): ManifestFile {
  return fileOf(new JsonFields(value, format, path, fileNames));
}

function fileOf(fields: JsonFields): ManifestFile {
  return {
    path: fields.text("path", manifestTextCharactersMax),
    sha256: fields.matching("sha256", /^[0-9a-f]{64}$/, "64 lower-case hexadecimal digits"),
    size: fields.integer("size", 0, Number.MAX_SAFE_INTEGER),
  };
}

function readInitrd(value: unknown, path: string): ManifestInitrd {
  const fields = new JsonFields(value, format, path, [...fileNames, "archive"]);
  if (!fields.has("archive")) return { ...fileOf(fields), archive: null };
  const archive = fields.value("archive");
  return { ...fileOf(fields), archive: archive.value === null ? null : readArchive(archive.value, archive.path) };
}

function readArchive(value: unknown, path: string): OnlyFile {
  const fields = new JsonFields(value, format, path, ["path", "mode", "directories", "directoryMode"]);
  const directories = fields.has("directories") && fields.value("directories").value === "all";
  return {
    path: fields.text("path", manifestTextCharactersMax),
    mode: permissions(fields, "mode"),
    directories: directories ? Number.POSITIVE_INFINITY : fields.integer("directories", 0, manifestTextCharactersMax),
    ...(fields.has("directoryMode") ? { directoryMode: permissions(fields, "directoryMode") } : {}),
  };
}

/** As chmod(1) takes them. */
function permissions(fields: JsonFields, name: string): number {
  return Number.parseInt(fields.matching(name, /^[0-7]{4}$/, "four octal digits"), 8);
}

function readModule(value: unknown, path: string): ManifestModule {
  const fields = new JsonFields(value, format, path, [...fileNames, "options"]);
  return { ...fileOf(fields), options: fields.text("options", manifestOptionsCharactersMax) };
}

function readListedFile(value: unknown, path: string): ManifestListedFile {
  const fields = new JsonFields(value, format, path, ["role", ...fileNames]);
  return { role: fields.choice("role", manifestRoles), ...fileOf(fields) };
}

/**
 * The payload of a manifest: JSON, indented by two, a line feed at the end. The same manifest gives the same text. Throws
 * {@link FormatError} when {@link parseManifest} would not take it.
 */
export function manifestText(manifest: Manifest): string {
  const { product, version, notBefore, notAfter } = manifest;
  const document = {
    slipwayManifest: 1,
    ...(product === null ? {} : { product }),
    version,
    ...(notBefore === null ? {} : { notBefore: utcTimeText(notBefore) }),
    ...(notAfter === null ? {} : { notAfter: utcTimeText(notAfter) }),
    entries: manifest.entries.map(entryDocument),
    files: manifest.files.map((file) => ({ role: file.role, ...fileDocument(file) })),
  };
  const text = `${JSON.stringify(document, null, 2)}\n`;
  parseManifest(new TextEncoder().encode(text));
  return text;
}

function entryDocument(entry: ManifestEntry): object {
  const { title, linux, part, initrd, options, modules, addons, devicetree, overlays } = entry;
  return {
    title,
    linux: fileDocument(linux),
    ...(part === null ? {} : { part }),
    initrd: initrd.map(({ archive, ...file }) => ({
      ...fileDocument(file),
      ...(archive === null ? {} : { archive: archiveDocument(archive) }),
    })),
    options,
    ...(modules.length === 0 ? {} : { modules: modules.map((m) => ({ ...fileDocument(m), options: m.options })) }),
    ...(addons.length === 0 ? {} : { addons: addons.map(fileDocument) }),
    ...(devicetree === null ? {} : { devicetree: fileDocument(devicetree) }),
    ...(overlays.length === 0 ? {} : { overlays: overlays.map(fileDocument) }),
  };
}

/** The fields in their order, whatever else the object holds. */
function fileDocument({ path, sha256, size }: ManifestFile): ManifestFile {
  return { path, sha256, size };
}

function archiveDocument({ path, mode, directories, directoryMode }: OnlyFile): object {
  return {
    path,
    mode: octal(mode),
    directories: directories === Number.POSITIVE_INFINITY ? "all" : directories,
    ...(directoryMode === undefined ? {} : { directoryMode: octal(directoryMode) }),
  };
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
