import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { basename, dirname, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { BootEntry, FileRef } from "../discovery/entry.ts";
import { type FileSource, volumeFacts } from "../discovery/source.ts";
import { messageOf } from "../formats/error-text.ts";
import {
  type Manifest,
  type ManifestEntry,
  type ManifestFile,
  type ManifestListedFile,
  type ManifestRole,
  manifestRoles,
  manifestText,
  parseManifest,
} from "../formats/manifest.ts";
import { printable } from "../formats/printable.ts";
import { parseTime } from "../formats/schema.ts";
import {
  joinSignedDocument,
  type SignedDocument,
  signedDocumentBytesMax,
  splitSignedDocument,
} from "../formats/signed-document.ts";
import { writeOutput } from "../image/output.ts";
import { commandSigner, type DocumentSigner, openSecretKey } from "../trust/signing.ts";
import { findEntries } from "./judge.ts";
import { Progress } from "./kexec/progress.ts";
import { askPassword, type PasswordTerminal, readPasswordFile } from "./password.ts";
import { openRoot, parseRoots, type RootSpec, rootUsage } from "./roots.ts";
import { readConfigFile, type Survey, survey } from "./survey.ts";
import { UsageError, type Verb } from "./verb.ts";

/** Where a manifest lies on its volume, unless --output says otherwise. */
export const manifestPath = "slipway/boot.manifest";

const signUsage = `usage: slipway sign KEYS --version N [OPTION]... [--root SPEC]... [ENTRY|FILE]...
       slipway sign KEYS --add MANIFEST [--output FILE] [--replace] [--json]
       slipway sign KEYS --document FILE [--output FILE] [--replace] [--json]

The first form makes a manifest, one signed file that says what may boot: for every entry (of those named, or
of all) the SHA-256 of each file and the options, and for a FILE its SHA-256. It is written to
/${manifestPath} of the directory given with --root; nothing else on the volume is changed.
The second adds signatures to a manifest, so that several people can sign it; the third signs any text,
such as a policy. Signatures that are there already are kept.

KEYS: one or more of
  --key FILE            a secret key: of "slipway keygen" or minisign, or an Ed25519 key of OpenSSH without a password
  --command COMMAND     sign with a command for /bin/sh: it reads the text on its standard input and writes the
                        signature to its standard output, such as
                        'ssh-keygen -Y sign -n slipway -f key', 'gpg --detach-sign --armor'
  --password-file FILE  the password of the secret keys: the first line of a file; default: asked for

  --add MANIFEST        add signatures to this manifest
  --document FILE       add signatures to this document, whatever it holds
  --version N           of what is signed, a whole number that grows: a policy with "rollback" refuses to go back
  --product NAME        what the version counts; a policy with "rollback" asks for it
  --not-before DATE     valid from: 2026-11-20 or 2026-11-20T09:30:00Z, in UTC
  --not-after DATE      valid until then, not later
  --days N              valid for so many days from now
  --role ROLE           what the FILEs are for: file (default), ${manifestRoles.filter((role) => role !== "file").join(", ")}
  --output FILE         where to write; it appears whole or not at all
  --replace             drop the signatures that are there
  --json                tell what was done as JSON (docs/json.md)
${rootUsage}

Exit code: 0 when the file is written, 1 on failure, 3 when no entry was found.
`;

/** The verb's way out and in: the process's own streams and clock, or a test's. */
export interface SignIo {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { readonly isTTY?: boolean | undefined; write(text: string): unknown };
  readonly terminal: PasswordTerminal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export const signVerb: Verb = {
  name: "sign",
  summary: "sign what may boot: a manifest, or a policy",
  usage: signUsage,
  run: (args) =>
    runSign(args, {
      stdout: process.stdout,
      stderr: process.stderr,
      terminal: { input: process.stdin, output: process.stderr },
      now: Date.now,
    }),
};

/** Exit code of the public contract when discovery finds nothing. */
const exitNothing = 3;

/** Runs `slipway sign`; resolves with the exit code. Rejects with a sentence, UsageError for a mistake in `args`. */
export async function runSign(args: readonly string[], io: SignIo): Promise<number> {
  const options = parseOptions(args);
  const signers = await openSigners(options, io);
  const work = options.existing === null ? await newManifest(options, io) : await existingDocument(options.existing);
  if (work === null) {
    io.stderr.write("slipway sign: no entry was found, nothing is signed\n");
    return exitNothing;
  }
  const facts = { fileName: basename(work.output), now: io.now() };
  const blocks: Uint8Array[] = [];
  for (const signer of signers) blocks.push(await signer.sign(work.document.payload, facts));
  // Some keys make the same signature again: it stands there once.
  const isNew = (old: Uint8Array): boolean => !blocks.some((block) => Buffer.compare(block, old) === 0);
  const kept = options.replaces ? [] : work.document.blocks.filter(isNew);
  const bytes = joinSignedDocument(work.document.payload, [...kept, ...blocks]);
  if (work.makesDirectory) await mkdir(dirname(work.output), { recursive: true });
  await writeOutput(work.output, chunksOf(bytes), { kind: "none" });
  const report = { ...work, signers, kept: kept.length };
  io.stdout.write(options.isJson ? `${JSON.stringify(signJson(report), null, 2)}\n` : signText(report));
  return 0;
}

interface KeySource {
  readonly kind: "key" | "command";
  readonly value: string;
}

interface SignOptions {
  /** In the order of the command line. */
  readonly keys: readonly KeySource[];
  readonly passwordFile: string | null;
  /** A document to sign; null: a manifest is made. */
  readonly existing: { readonly path: string; readonly isManifest: boolean; readonly output: string } | null;
  readonly output: string | null;
  readonly replaces: boolean;
  readonly isJson: boolean;
  readonly roots: readonly string[];
  readonly words: readonly string[];
  readonly role: ManifestRole;
  readonly version: number;
  readonly product: string | null;
  readonly notBefore: string | null;
  readonly notAfter: string | null;
  readonly days: number | null;
}

type Arguments = ReturnType<typeof readArguments>;

function readArguments(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    tokens: true,
    options: {
      key: { type: "string", multiple: true },
      command: { type: "string", multiple: true },
      "password-file": { type: "string" },
      version: { type: "string" },
      product: { type: "string" },
      "not-before": { type: "string" },
      "not-after": { type: "string" },
      days: { type: "string" },
      role: { type: "string" },
      output: { type: "string" },
      root: { type: "string", multiple: true },
      document: { type: "string" },
      add: { type: "string" },
      replace: { type: "boolean" },
      json: { type: "boolean" },
    },
  });
}

function keySources({ tokens }: Arguments): readonly KeySource[] {
  const keys = tokens.flatMap((token): KeySource[] =>
    token.kind === "option" && (token.name === "key" || token.name === "command") && token.value !== undefined
      ? [{ kind: token.name, value: token.value }]
      : [],
  );
  if (keys.length === 0) throw new UsageError("sign: --key FILE or --command COMMAND expected");
  return keys;
}

/** Options that do not go together. */
function refuseForeignOptions({ values, positionals }: Arguments): void {
  if (values.document !== undefined && values.add !== undefined) {
    throw new UsageError("sign: --document and --add exclude each other");
  }
  const without = (names: readonly (keyof typeof values)[], when: string): void => {
    const given = names.find((name) => values[name] !== undefined);
    if (given !== undefined) throw new UsageError(`sign: --${given} does not go with ${when}`);
  };
  if (values.document !== undefined || values.add !== undefined) {
    const flag = values.document === undefined ? "--add" : "--document";
    without(["version", "product", "not-before", "not-after", "days", "role", "root"], flag);
    if (positionals.length > 0)
      throw new UsageError(`sign: ${JSON.stringify(positionals[0])} does not go with ${flag}`);
  } else without(["replace"], "a new manifest");
  if (values["not-after"] !== undefined) without(["days"], "--not-after");
}

function parseOptions(args: readonly string[]): SignOptions {
  const given = readArguments(args);
  const keys = keySources(given);
  refuseForeignOptions(given);
  const { values, positionals } = given;
  const path = values.document ?? values.add ?? null;
  return {
    keys,
    passwordFile: values["password-file"] ?? null,
    existing: path === null ? null : { path, isManifest: values.add !== undefined, output: values.output ?? path },
    output: values.output ?? null,
    replaces: values.replace ?? false,
    isJson: values.json ?? false,
    roots: values.root ?? [],
    words: positionals,
    role: parseRole(values.role ?? "file"),
    version: path === null ? parseNumber("version", values.version, 0, Number.MAX_SAFE_INTEGER) : 0,
    product: parseProduct(values.product),
    notBefore: values["not-before"] ?? null,
    notAfter: values["not-after"] ?? null,
    days: values.days === undefined ? null : parseNumber("days", values.days, 1, daysMax),
  };
}

/** A hundred years. */
const daysMax = 36_525;
const dayMilliseconds = 86_400_000;

function parseRole(word: string): ManifestRole {
  const role = manifestRoles.find((known) => known === word);
  if (role === undefined) {
    throw new UsageError(`sign: --role ${JSON.stringify(word)}, one of ${manifestRoles.join(", ")} expected`);
  }
  return role;
}

function parseProduct(product: string | undefined): string | null {
  if (product === "") throw new UsageError("sign: --product NAME expected, the name is empty");
  return product ?? null;
}

function parseNumber(name: string, text: string | undefined, min: number, max: number): number {
  if (text === undefined) throw new UsageError(`sign: --${name} N expected`);
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new UsageError(`sign: --${name} ${JSON.stringify(text)}, a whole number from ${min} to ${max} expected`);
}

function parseDate(name: string, text: string | null): number | null {
  if (text === null) return null;
  const time = parseTime(text);
  if (time !== null) return time;
  throw new UsageError(`sign: --${name} ${JSON.stringify(text)}, 2026-11-20 or 2026-11-20T09:30:00Z expected`);
}

async function openSigners(options: SignOptions, io: SignIo): Promise<DocumentSigner[]> {
  const signers: DocumentSigner[] = [];
  for (const { kind, value } of options.keys) {
    signers.push(kind === "command" ? commandSigner(value) : await openKeyFile(value, options, io));
  }
  return signers;
}

/** Longest secret key file, bytes. */
const keyFileBytesMax = 65_536;

async function openKeyFile(path: string, { passwordFile }: SignOptions, io: SignIo): Promise<DocumentSigner> {
  try {
    const bytes = await readBounded(path, keyFileBytesMax);
    return await openSecretKey(bytes, () =>
      passwordFile === null ? askPassword(`password of ${path}`, io.terminal) : readPasswordFile(passwordFile),
    );
  } catch (error) {
    throw new Error(`--key ${JSON.stringify(path)}: ${messageOf(error)}`, { cause: error });
  }
}

async function readBounded(path: string, bytesMax: number): Promise<Uint8Array> {
  const facts = statSync(path);
  if (!facts.isFile()) throw new Error("a regular file expected");
  if (facts.size > bytesMax) throw new Error(`${facts.size} bytes, at most ${bytesMax} are taken`);
  return new Uint8Array(await readFile(path));
}

/** What is to be signed. */
interface Work {
  readonly document: SignedDocument;
  readonly output: string;
  readonly makesDirectory: boolean;
  /** Null: the document may be anything. */
  readonly manifest: Manifest | null;
}

async function existingDocument(existing: NonNullable<SignOptions["existing"]>): Promise<Work> {
  const { path, isManifest, output } = existing;
  try {
    const document = splitSignedDocument(await readBounded(path, signedDocumentBytesMax));
    const manifest = isManifest ? parseManifest(document.payload) : null;
    return { document: withLastLineFeed(document), output, makesDirectory: false, manifest };
  } catch (error) {
    throw new Error(`sign ${JSON.stringify(path)}: ${messageOf(error)}`, { cause: error });
  }
}

/** A last line without its end gets one before anybody signs it; afterwards it cannot be without. */
function withLastLineFeed(document: SignedDocument): SignedDocument {
  const { payload, blocks } = document;
  const isWhole = blocks.length > 0 || payload.length === 0 || payload.at(-1) === 0x0a;
  return isWhole ? document : { payload: Uint8Array.from(Buffer.concat([payload, Buffer.of(0x0a)])), blocks };
}

/** Null: no entry was found. */
async function newManifest(options: SignOptions, io: SignIo): Promise<Work | null> {
  const { roots, words, version, product } = options;
  const output = options.output ?? defaultOutput(roots);
  const notAfter =
    options.days === null
      ? parseDate("not-after", options.notAfter)
      : Math.floor(io.now() / 1000) * 1000 + options.days * dayMilliseconds;
  const validity = { notBefore: parseDate("not-before", options.notBefore), notAfter };
  const missing = words.find((word) => /^\.{0,2}\//.test(word) && !existsSync(word));
  if (missing !== undefined) throw new Error(`sign ${JSON.stringify(missing)}: no such file`);
  // Disks are searched only when something that is no file is asked for.
  const isSearched = roots.length > 0 || words.length === 0 || words.some((word) => !isFile(word));
  const listed = isSearched ? await surveyed(options, io) : { entries: [], files: await hashFiles(words, options, io) };
  if (listed.entries.length + listed.files.length === 0) return null;
  const manifest: Manifest = { product, version, ...validity, ...listed };
  const payload = new TextEncoder().encode(manifestText(manifest));
  return {
    document: { payload, blocks: [] },
    output,
    makesDirectory: options.output === null,
    manifest,
  };
}

function defaultOutput(roots: readonly string[]): string {
  const [root, ...more] = parseRoots(roots);
  if (root !== undefined && more.length === 0) return resolve(root.directory, manifestPath);
  const why = root === undefined ? "without --root" : "with several --root";
  throw new UsageError(`sign: --output FILE expected ${why}`);
}

function isFile(word: string): boolean {
  return existsSync(word) && statSync(word).isFile();
}

type Listed = Pick<Manifest, "entries" | "files">;

async function surveyed(options: SignOptions, io: SignIo): Promise<Listed> {
  await using result = await survey(await readConfigFile(undefined), options.roots);
  const entries: BootEntry[] = [];
  const files: string[] = [];
  for (const word of options.words) {
    const found = findEntries(result, word);
    if (found.length > 0) entries.push(...found);
    else if (isFile(word)) files.push(word);
    else {
      throw new Error(
        `sign ${JSON.stringify(word)}: neither an entry nor a file; "slipway list" shows the entries' ids`,
      );
    }
  }
  if (options.words.length === 0) {
    entries.push(...result.found.entries);
    const skipped = result.found.skipped.length;
    if (skipped > 0) io.stderr.write(`slipway sign: ${skipped} skipped; "slipway explain" tells why\n`);
  }
  const hashed = await hashEntries(result, [...new Set(entries)], io);
  return { entries: hashed, files: await hashFiles(files, options, io) };
}

/** Bytes read at a time. */
const chunkBytes = 1 << 20;

/** Hashes files, each once, and shows on a terminal how far it is. */
class FileHasher implements Disposable {
  readonly #known = new Map<string, Promise<Pick<ManifestFile, "sha256" | "size">>>();
  readonly #progress: Progress;

  constructor(io: SignIo) {
    const { stderr, now } = io;
    const side = { err: (text: string) => stderr.write(text), isTerminal: stderr.isTTY === true, now };
    this.#progress = new Progress(side, "hashing");
  }

  async hash(source: FileSource, path: string, shown = path): Promise<ManifestFile> {
    const key = `${source.volume.name}:${path}`;
    const hashed = this.#known.get(key) ?? this.#read(source, path);
    this.#known.set(key, hashed);
    return { path: shown, ...(await hashed) };
  }

  async #read(source: FileSource, path: string): Promise<Pick<ManifestFile, "sha256" | "size">> {
    await using file = await source.open(path);
    const hash = createHash("sha256");
    const buffer = new Uint8Array(chunkBytes);
    let size = 0;
    for (;;) {
      const length = await file.read(buffer, size);
      if (length === 0) break;
      hash.update(buffer.subarray(0, length));
      size += length;
      this.#progress.update(size, file.size);
    }
    if (size !== file.size) throw new Error(`${JSON.stringify(path)}: ${size} bytes read, ${file.size} expected`);
    return { sha256: hash.digest("hex"), size };
  }

  [Symbol.dispose](): void {
    this.#progress[Symbol.dispose]();
  }
}

async function hashEntries(result: Survey, entries: readonly BootEntry[], io: SignIo): Promise<ManifestEntry[]> {
  using hasher = new FileHasher(io);
  const sources = [...result.sources, ...result.found.images];
  const hash = (ref: FileRef): Promise<ManifestFile> => {
    const source = sources.find(({ volume }) => volume.name === ref.volume);
    if (source === undefined) throw new Error(`the volume ${ref.volume} is not there`);
    return hasher.hash(source, ref.path);
  };
  const hashed: ManifestEntry[] = [];
  for (const entry of entries) {
    try {
      hashed.push(await hashEntry(entry, hash));
    } catch (error) {
      throw new Error(`sign ${JSON.stringify(entry.id)}: ${messageOf(error)}`, { cause: error });
    }
  }
  return hashed;
}

async function hashEntry(entry: BootEntry, hash: (ref: FileRef) => Promise<ManifestFile>): Promise<ManifestEntry> {
  const { title, part, options, devicetree } = entry;
  // One after the other: a disk reads so at its best, and the progress is of one file.
  const each = async <T, R>(items: readonly T[], make: (item: T) => Promise<R>): Promise<R[]> => {
    const made: R[] = [];
    for (const item of items) made.push(await make(item));
    return made;
  };
  return {
    title,
    linux: await hash(entry.linux),
    part,
    initrd: await each(entry.initrd, async (ref) => ({ ...(await hash(ref)), archive: ref.archive ?? null })),
    options,
    modules: await each(entry.modules, async (module) => ({ ...(await hash(module.file)), options: module.options })),
    addons: await each(entry.addons, hash),
    devicetree: devicetree === null ? null : await hash(devicetree),
    overlays: await each(entry.overlays, hash),
  };
}

const fileTimeoutSeconds = 60;

async function hashFiles(
  words: readonly string[],
  { roots, role }: SignOptions,
  io: SignIo,
): Promise<ManifestListedFile[]> {
  using hasher = new FileHasher(io);
  const files: ManifestListedFile[] = [];
  const volumes = parseRoots(roots);
  for (const word of words) {
    const full = resolve(word);
    // Named by its directory, for files of the same name are told apart by it.
    const volume = volumeFacts({ name: dirname(full) });
    const source = openRoot({ directory: dirname(full), volume }, fileTimeoutSeconds);
    try {
      files.push({ role, ...(await hasher.hash(source, `/${basename(full)}`, shownPath(full, volumes))) });
    } finally {
      await source.close();
    }
  }
  return files;
}

/** From the volume's root where the file lies on one of them. */
function shownPath(full: string, volumes: readonly RootSpec[]): string {
  for (const { directory } of volumes) {
    const below = relative(resolve(directory), full);
    if (below !== "" && !below.startsWith("..")) return `/${below}`;
  }
  return full;
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}

interface SignReport extends Work {
  readonly signers: readonly DocumentSigner[];
  /** Signatures that were there before. */
  readonly kept: number;
}

function signJson({ output, manifest, document, signers, kept }: SignReport): unknown {
  return {
    version: 1,
    output,
    sha256: createHash("sha256").update(document.payload).digest("hex"),
    manifest:
      manifest === null
        ? null
        : {
            product: manifest.product,
            version: manifest.version,
            entries: manifest.entries.map(({ title }) => title),
            files: manifest.files.map(({ path }) => path),
          },
    signedBy: signers.map(({ what }) => what),
    signaturesKept: kept,
  };
}

function signText({ output, manifest, signers, kept }: SignReport): string {
  const lines = [`${output}: signed with ${signers.map(({ what }) => what).join(", ")}`];
  if (manifest !== null) {
    const product = manifest.product === null ? "" : `${manifest.product} `;
    lines.push(`  ${product}version ${manifest.version}`);
    for (const entry of manifest.entries) lines.push(`  entry "${entry.title}", options "${entry.options}"`);
    for (const { role, path } of manifest.files) lines.push(`  ${role} ${path}`);
  }
  if (kept > 0) lines.push(`  ${kept} signature${kept === 1 ? "" : "s"} kept`);
  return `${lines.map(printable).join("\n")}\n`;
}
