import { type BlsEntry, type BlsKey, type BlsSortData, type EntryFileName, parseBls } from "../../formats/bls.ts";
import { ByteReader, latin1, utf8 } from "../../formats/bytes.ts";
import { isBzImage } from "../../formats/bzimage.ts";
import { FormatError, quote } from "../../formats/format-error.ts";
import { asciiLower } from "../../formats/loader-conf.ts";
import { readPe } from "../../formats/pe.ts";
import type { ReadRange } from "../../formats/ranges.ts";
import { efiArchitecture, isUki } from "../../formats/uki.ts";
import { compareVersions } from "../../formats/version-order.ts";
import { isZboot } from "../../formats/zboot.ts";
import type { BootEntry, FileRef, InitrdRef } from "../entry.ts";
import type { FinderContext } from "../finder.ts";
import type { FileSource } from "../source.ts";
import { architectureProblem, type Candidate, optionsProblem, type Place } from "./candidate.ts";
import { checkFileName, isShown, refuseLink } from "./entry-files.ts";
import { extraMemberFor, type ImageReader } from "./image-reader.ts";
import { Refusal, type Skip } from "./refusal.ts";

/** All entry files of one directory together, bytes: they are kept until the boot, to be verified. */
export const entryFilesBytesMax: number = 16 << 20;

/** GRUB variables that a reason names. */
const variablesNamedMax = 4;

/** The usable type 1 entries of one directory; null where there is no such directory or it holds none. */
export async function readTextEntries(
  context: FinderContext,
  place: Place,
  searched: Set<string>,
  reader: ImageReader,
  skip: Skip,
): Promise<Candidate[] | null> {
  const { source } = context;
  const directory = `${place.loader}/entries`;
  let at = directory;
  try {
    const real = await source.realPath(directory);
    const key = `${source.volume.name}:${real}`;
    if (real === null || searched.has(key)) return null;
    searched.add(key);
    const names = (await source.list(directory)).filter((name) => isShown(name, ".conf"));
    if (names.length === 0) return null;
    at = `${place.loader}/entries.srel`;
    await checkMarker(source, at);
    at = directory;
    return await readEntries(context, place, reader, real, names, skip);
  } catch (error) {
    skip(at, null, error);
    return [];
  }
}

/** `entries.srel` beside the directory says whose format the files have ("Standard-conformance Marker File"). */
async function checkMarker(source: FileSource, path: string): Promise<void> {
  if ((await source.stat(path)) === null) return;
  const content = latin1(await source.readFile(path, 64)).trim();
  if (content !== "type1") {
    throw new Refusal(
      `"type1" expected, not ${quote(content)}: the entries do not follow the Boot Loader Specification`,
    );
  }
}

async function readEntries(
  context: FinderContext,
  place: Place,
  reader: ImageReader,
  realDirectory: string,
  names: readonly string[],
  skip: Skip,
): Promise<Candidate[]> {
  const { source, limits } = context;
  const directory = `${place.loader}/entries`;
  // Where there are too many, the newest are the ones to keep.
  const newestFirst = names.toSorted((a, b) => -compareVersions(a, b));
  const { entriesMax } = limits;
  if (names.length > entriesMax) {
    skip(directory, null, new Refusal(`${names.length - entriesMax} more entry files, at most ${entriesMax} are read`));
  }
  const usable: Candidate[] = [];
  let bytesLeft = entryFilesBytesMax;
  for (const name of newestFirst.slice(0, entriesMax)) {
    const path = `${directory}/${name}`;
    let title: string | null = null;
    try {
      const fileName = checkFileName(name, ".conf");
      await refuseLink(source, path, `${realDirectory}/${name}`);
      if (bytesLeft <= 0) throw new Refusal(`more than ${entryFilesBytesMax} bytes in the files of ${directory}`);
      const bytes = await source.readFile(path, limits.configBytesMax);
      bytesLeft -= bytes.length;
      const entry = parseBls(utf8(bytes, "bls"));
      title = entry.title;
      const started = checkSupported(entry, context);
      const volume = source.volume.name;
      usable.push({
        path,
        fileName,
        idSuffix: "",
        sort: sortData(entry, fileName),
        title: entry.title,
        machineId: entry.machineId,
        aliases: [fileName.name, `${fileName.name}.conf`, name],
        boot: {
          submenu: [],
          format: "bls1",
          source: { volume, path, line: 1 },
          ...(await locateFiles(context, place, reader, entry, started)),
          modules: [],
          bootImage: null,
          architecture: entry.architecture === null ? null : asciiLower(entry.architecture),
          version: entry.version,
          tries: fileName.tries,
          configs: [{ ref: { volume, path }, bytes }],
          unsignedInputs: [],
          variables: [],
        },
      });
    } catch (error) {
      skip(path, title, error);
    }
  }
  return usable;
}

function sortData({ sortKey, machineId, version }: BlsEntry, { name, tries }: EntryFileName): BlsSortData {
  return { name, tries, sortKey, machineId, version };
}

/** What an entry starts: the key that says so, and the path. */
interface Started {
  readonly key: "linux" | "efi" | "uki";
  readonly path: string;
}

function lineOf(entry: BlsEntry, key: BlsKey, index = 0): number {
  return entry.lines.get(key)?.[index] ?? 1;
}

/** Refuses what would boot something else than the entry says, and what is for another machine. */
function checkSupported(entry: BlsEntry, context: FinderContext): Started {
  const refuse = (key: BlsKey, reason: string): never => {
    throw new Refusal(reason, lineOf(entry, key));
  };
  if (entry.architecture !== null) {
    const problem = architectureProblem(asciiLower(entry.architecture), context);
    if (problem !== null) refuse("architecture", `architecture ${quote(entry.architecture)}: ${problem}`);
  }
  const started = startedBy(entry);
  if (entry.profile !== null && !/^\d{1,3}$/.test(entry.profile)) {
    refuse("profile", `profile ${quote(entry.profile)}: the number of a profile expected`);
  }
  if (entry.devicetree === null && entry.devicetreeOverlay.length > 0) {
    refuse("devicetree-overlay", `"devicetree-overlay" without "devicetree": there is nothing to apply it to`);
  }
  refuseVariables(started.key, [started.path], entry);
  refuseVariables("initrd", entry.initrd, entry);
  refuseVariables("devicetree", entry.devicetree === null ? [] : [entry.devicetree], entry);
  refuseVariables("devicetree-overlay", [entry.devicetreeOverlay.join(" ")], entry);
  refuseVariables("extra", entry.extra, entry);
  refuseVariables("options", [entry.options], entry);
  const problem = optionsProblem(entry.options, context);
  if (problem !== null) refuse("options", problem);
  return started;
}

/** The one of the keys that start something; two of them contradict each other (as in systemd-boot). */
function startedBy(entry: BlsEntry): Started {
  const [first, second] = (["linux", "efi", "uki", "uki-url"] as const).flatMap((key) => {
    const path = key === "uki-url" ? entry.ukiUrl : entry[key];
    return path === null ? [] : [{ key, path }];
  });
  if (first === undefined) throw new Refusal(`no "linux", "efi" or "uki" key: nothing to start`);
  if (second !== undefined) {
    throw new Refusal(`"${first.key}" and "${second.key}": one of them expected`, lineOf(entry, second.key));
  }
  const { key, path } = first;
  if (key === "uki-url") {
    throw new Refusal(`"uki-url" ${quote(path)} needs the network; local images are started only`, lineOf(entry, key));
  }
  return { key, path };
}

/** `$name` and `${name}`; `$` before anything else is text (`memmap=64K$0x18690000`). */
function refuseVariables(key: BlsKey, values: readonly string[], entry: BlsEntry): void {
  for (const [index, value] of values.entries()) {
    const names = new Set(value.match(/\$(?:\{[^}]*\}?|[A-Za-z_][A-Za-z0-9_]*)/g) ?? []);
    if (names.size === 0) continue;
    const named = [...names].slice(0, variablesNamedMax).map(quote).join(", ");
    const rest = names.size > variablesNamedMax ? ` and ${names.size - variablesNamedMax} more` : "";
    throw new Refusal(
      `"${key}" uses ${named}${rest}: GRUB variables, which only GRUB's environment gives`,
      lineOf(entry, key, index),
    );
  }
}

type Files = Pick<
  BootEntry,
  "linux" | "part" | "initrd" | "options" | "embedded" | "addons" | "devicetree" | "overlays"
>;

/**
 * The entry's files. Paths start at the volume's root; on a volume that holds the entries below a mount point, all files
 * may stand below it instead, as the boot volume sees them: what is started decides for all.
 */
async function locateFiles(
  context: FinderContext,
  place: Place,
  reader: ImageReader,
  entry: BlsEntry,
  { key, path }: Started,
): Promise<Files> {
  const { source } = context;
  const kernel = normalise(path, lineOf(entry, key));
  let base = "";
  if (place.base !== "" && (await source.stat(kernel)) === null) {
    if ((await source.stat(place.base + kernel)) === null) {
      throw new Refusal(`${key} ${quote(kernel)} is missing, below ${place.base} too`, lineOf(entry, key));
    }
    base = place.base;
  }
  const file = async (of: BlsKey, value: string, index = 0): Promise<FileRef> => {
    const path = base + normalise(value, lineOf(entry, of, index));
    const stat = await source.stat(path);
    if (stat === null) throw new Refusal(`${of} ${quote(path)} is missing`, lineOf(entry, of, index));
    if (stat.type !== "file")
      throw new Refusal(`${of} ${quote(path)}: a regular file expected`, lineOf(entry, of, index));
    return { volume: source.volume.name, path };
  };
  const linux = await file(key, kernel);
  const own: InitrdRef[] = [];
  // Only a kernel of its own takes them; systemd-boot does not look at them for the other keys either.
  const initrds = key === "linux" ? entry.initrd : [];
  for (const [index, value] of initrds.entries()) own.push(await file("initrd", value, index));
  for (const [index, value] of entry.extra.entries())
    own.push(wrapExtra(await file("extra", value, index), entry, index));
  const devicetree = entry.devicetree === null ? null : await file("devicetree", entry.devicetree);
  const overlays: FileRef[] = [];
  for (const value of entry.devicetreeOverlay) overlays.push(await file("devicetree-overlay", value));
  const image = await lookInto(context, reader, linux.path, entry, key);
  return {
    linux,
    part: image?.part ?? null,
    initrd: [...own, ...(image?.initrd ?? [])],
    options: image?.options ?? entry.options,
    embedded: entry.options === "" && image !== null,
    addons: image?.addons ?? [],
    devicetree,
    overlays,
  };
}

function wrapExtra(ref: FileRef, entry: BlsEntry, index: number): InitrdRef {
  const archive = extraMemberFor(ref.path.slice(ref.path.lastIndexOf("/") + 1));
  if (archive !== null) return { ...ref, archive };
  throw new Refusal(
    `extra ${quote(ref.path)}: a name that ends with .cred, .sysext.raw or .confext.raw expected`,
    lineOf(entry, "extra", index),
  );
}

type OfImage = Pick<Files, "part" | "initrd" | "options" | "addons">;

/**
 * What a unified kernel image adds to the entry that starts it: options of the entry take the place of the image's own, and
 * its add-ons go along with it. Null for a kernel; what `linux` names may also be anything that is judged when it is read.
 */
async function lookInto(
  context: FinderContext,
  reader: ImageReader,
  path: string,
  entry: BlsEntry,
  key: Started["key"],
): Promise<OfImage | null> {
  const refuse = (of: BlsKey, reason: string): never => {
    throw new Refusal(`${of} ${quote(of === "profile" ? (entry.profile ?? "") : path)}: ${reason}`, lineOf(entry, of));
  };
  return reader.open(path, async (file) => {
    const kind = await file.parse(programKind);
    if (kind === "kernel" && key === "uki") refuse(key, "a unified kernel image expected, not a kernel");
    if (kind === "kernel" || (key === "linux" && kind !== "uki")) {
      if (entry.profile === null) return null;
      return refuse("profile", "a kernel has no profiles, a unified kernel image has");
    }
    if (kind !== "uki") {
      return refuse(key, `${kind}; a kernel with an EFI stub or a unified kernel image expected`);
    }
    const ofImage = <T>(work: Promise<T>): Promise<T> =>
      work.catch((error: unknown) => {
        if (error instanceof FormatError || error instanceof Refusal) return refuse(key, error.message);
        throw error;
      });
    const uki = await ofImage(reader.openImage(file));
    const profile = Number(entry.profile ?? "0");
    if (profile > 0 && profile >= uki.profiles.length) {
      return refuse("profile", `the image has ${uki.profiles.length}`);
    }
    const companions = await reader.companions(path);
    const { options, addons } = await ofImage(reader.describe(file, uki, profile, companions, entry.options));
    const problem = optionsProblem(options, context);
    if (problem !== null) refuse(key, problem);
    return { part: profile === 0 ? null : `@${profile}`, initrd: companions.initrd, options, addons };
  });
}

/** What a program is by its head; text: what it is instead of a kernel or a unified kernel image. */
function programKind(read: ReadRange, size: number): "kernel" | "uki" | (string & {}) {
  const head = read(0, kernelHeadBytes);
  if (isKernelHead(head)) return "kernel";
  try {
    const image = readPe(read, size);
    if (isUki(image)) return "uki";
    return `an EFI program for ${efiArchitecture(image.machine)} that only the firmware can run`;
  } catch (error) {
    if (error instanceof FormatError) return "no EFI program";
    throw error;
  }
}

/** Enough for the setup header of a bzImage. */
const kernelHeadBytes = 1024;

/** Linux with an EFI stub: a bzImage, an Image of arm64 or riscv64 (magic at byte 56), or one that unpacks itself. */
function isKernelHead(head: Uint8Array): boolean {
  const reader = new ByteReader(head, "kernel");
  return isZboot(head) || isBzImage(head) || reader.hasMagic(56, "ARM\x64") || reader.hasMagic(56, "RSC\x05");
}

/** Absolute from the volume's root, with or without the slash in front, as the specification has it. */
function normalise(value: string, line: number): string {
  const parts: string[] = [];
  for (const part of value.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) throw new Refusal(`path ${quote(value)} leaves the volume`, line);
  }
  return `/${parts.join("/")}`;
}
