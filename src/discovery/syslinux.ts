import { messageOf } from "../formats/error-text.ts";
import { quote } from "../formats/format-error.ts";
import { evaluateSyslinux, type SyslinuxEvaluation } from "../formats/syslinux/evaluate.ts";
import { locationText, type SyslinuxHost, type SyslinuxLocation } from "../formats/syslinux/host.ts";
import { defaultSyslinuxLimits } from "../formats/syslinux/limits.ts";
import { machineWord } from "../formats/syslinux/machine-words.ts";
import {
  chooseSyslinuxDefault,
  type SyslinuxEntry,
  type SyslinuxFileUse,
  type SyslinuxLoad,
  type SyslinuxMenu,
} from "../formats/syslinux/menu.ts";
import { evaluateUBoot, isForUBoot } from "../formats/syslinux/u-boot.ts";
import { type MachineDescription, unknownMachineDescription } from "../machine/machine-description.ts";
import {
  type BootEntry,
  type ConfigText,
  emptyMenu,
  type FileRef,
  type FoundMenu,
  type InitrdRef,
  type SkippedEntry,
} from "./entry.ts";
import type { Finder, FinderContext } from "./finder.ts";
import type { FileSource } from "./source.ts";

/**
 * Where the programs of the family look on a disk, and by which names; each reads the first that is there. syslinux looks
 * in its own directory first (core/fs/lib/loadconfig.c), which distributions call `extlinux`; isolinux has names of its own
 * (core/fs/iso9660/iso9660.c); the program for UEFI starts where its file is; U-Boot reads `extlinux/extlinux.conf` of both.
 */
const places: readonly { readonly directory: string; readonly names: readonly string[] }[] = [
  { directory: "/boot/extlinux", names: ["extlinux.conf", "syslinux.cfg"] },
  { directory: "/extlinux", names: ["extlinux.conf", "syslinux.cfg"] },
  { directory: "/boot/isolinux", names: ["isolinux.cfg", "syslinux.cfg"] },
  { directory: "/isolinux", names: ["isolinux.cfg", "syslinux.cfg"] },
  { directory: "/boot/syslinux", names: ["extlinux.conf", "isolinux.cfg", "syslinux.cfg"] },
  { directory: "/syslinux", names: ["extlinux.conf", "isolinux.cfg", "syslinux.cfg"] },
  { directory: "/", names: ["extlinux.conf", "isolinux.cfg", "syslinux.cfg"] },
  { directory: "/EFI/syslinux", names: ["extlinux.conf", "syslx64.cfg", "syslia32.cfg", "syslinux.cfg"] },
  { directory: "/EFI/BOOT", names: ["extlinux.conf", "syslx64.cfg", "syslia32.cfg", "syslinux.cfg"] },
];

/** Filesystems whose names have no case, and those that may be a copy of one. */
const withoutCase: readonly (string | null)[] = ["vfat", "exfat", "ntfs", "iso9660", null];

/** ldlinux.sys has 70 to 130 KB. */
const loaderBytesMax = 1 << 20;

/** Bit 18 of `sysappend`. */
const filesystemUuidBit = 18;

/**
 * Finds what syslinux, extlinux, isolinux and U-Boot would offer: one menu for each of their directories that has a
 * configuration (see {@link evaluateSyslinux}, {@link evaluateUBoot}).
 *
 * Ids are `VOLUME:syslinux:LABEL`; entries of a configuration that is not the volume's first are
 * `VOLUME:syslinux:/its/path:LABEL`.
 */
export const syslinuxFinder: Finder = {
  format: "syslinux",
  find: (context) => new Search(context).menus(),
};

class Search {
  readonly #context: FinderContext;
  readonly #files: VolumeFiles;
  /** The configurations whose entries were found, by the path that was evaluated. */
  readonly #covered = new Set<string>();
  #first: string | null = null;
  #entriesLeft: number;
  #bytesLeft: number;

  constructor(context: FinderContext) {
    this.#context = context;
    this.#files = new VolumeFiles(context.source);
    this.#entriesLeft = context.limits.entriesMax;
    // One file of the operator's largest size is always taken.
    this.#bytesLeft = Math.max(defaultSyslinuxLimits.allConfigsBytesMax, context.limits.configBytesMax);
  }

  async menus(): Promise<readonly FoundMenu[]> {
    const menus: FoundMenu[] = [];
    for (const { directory, names } of places) {
      const at = directory === "/" ? "/" : `${directory}/`;
      try {
        const path = await this.#configIn(at, names);
        const menu = path === null ? null : await this.#menu(path);
        if (menu !== null) menus.push(menu);
      } catch (error) {
        const skipped = [
          { source: { volume: this.#volume, path: at, line: 1 }, title: null, reason: messageOf(error) },
        ];
        menus.push(emptyMenu(this.#volume, "syslinux", skipped));
      }
    }
    return menus;
  }

  get #volume(): string {
    return this.#context.source.volume.name;
  }

  /** The first name that is a file; null where none is, or where its entries were found before. */
  async #configIn(directory: string, names: readonly string[]): Promise<string | null> {
    for (const name of names) {
      const path = await this.#files.find(directory + name);
      if (path === null) continue;
      const real = (await this.#context.source.realPath(path)) ?? path;
      if (this.#covered.has(path) || this.#covered.has(real)) return null;
      this.#covered.add(path);
      this.#covered.add(real);
      return path;
    }
    return null;
  }

  async #menu(path: string): Promise<FoundMenu | null> {
    const first = this.#first === null;
    this.#first ??= path;
    const evaluation = await this.#evaluate(path);
    this.#entriesLeft -= evaluation.entriesMade;
    this.#bytesLeft -= evaluation.textBytes;
    const { menu, messages } = evaluation;
    const found = new MenuResult(this.#context, this.#files, first ? path : null, evaluation.remembered);
    for (const { place, text } of messages) found.skip(place, null, text);
    if (menu === null) return emptyMenu(this.#volume, "syslinux", found.skipped);
    for (const { config } of menu.entries) this.#covered.add(locationText(config));
    return found.menu(menu);
  }

  async #evaluate(path: string): Promise<SyslinuxEvaluation & { readonly remembered: ConfigText | null }> {
    const { source, architecture, limits } = this.#context;
    const directory = path.slice(0, path.lastIndexOf("/")) || "/";
    const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
    const isIso = name === "isolinux.cfg" || source.volume.fstype === "iso9660";
    const machine = this.#context.machine?.() ?? unknownMachineDescription;
    const host = new VolumeHost(this.#files, isIso ? "isolinux" : "syslinux", architecture, directory, machine);
    const location = { kind: "path", path } as const;
    const { configBytesMax } = limits;
    const bounds = {
      configBytesMax,
      allConfigsBytesMax: Math.max(this.#bytesLeft, 0),
      entriesMax: Math.max(this.#entriesLeft, 0),
    };
    const isBoard = name === "extlinux.conf" && (await this.#isBoard(path));
    const evaluation = isBoard
      ? await evaluateUBoot(host, location, directory, machine.compatible, bounds)
      : await evaluateSyslinux(host, location, directory, bounds);
    return { ...evaluation, remembered: host.remembered };
  }

  /** syslinux is a program for x86 alone. */
  async #isBoard(path: string): Promise<boolean> {
    const { source, architecture, limits } = this.#context;
    if (architecture !== "x86_64" && !/^i[3-6]86$/.test(architecture)) return true;
    return isForUBoot(await source.readFile(path, limits.configBytesMax));
  }
}

/** Looks names up as the programs do. */
class VolumeFiles {
  readonly source: FileSource;
  readonly #ignoresCase: boolean;
  readonly #lists = new Map<string, Promise<DirectoryNames>>();

  constructor(source: FileSource) {
    this.source = source;
    this.#ignoresCase = withoutCase.includes(source.volume.fstype);
  }

  /** The path of a file; on a volume without case, as the volume writes it. Null where there is no such file. */
  async find(path: string): Promise<string | null> {
    if ((await this.source.stat(path))?.type === "file") return path;
    if (!this.#ignoresCase) return null;
    let found = "";
    for (const part of path.split("/").slice(1)) {
      const { names, byLowerCase } = await this.#list(found || "/");
      const name = names.has(part) ? part : byLowerCase.get(part.toLowerCase());
      if (name === undefined) return null;
      found += `/${name}`;
    }
    return (await this.source.stat(found))?.type === "file" ? found : null;
  }

  #list(directory: string): Promise<DirectoryNames> {
    const known = this.#lists.get(directory) ?? this.source.list(directory).then(indexNames);
    this.#lists.set(directory, known);
    return known;
  }
}

interface DirectoryNames {
  readonly names: ReadonlySet<string>;
  /** Of names that differ by case alone the first one. */
  readonly byLowerCase: ReadonlyMap<string, string>;
}

function indexNames(names: readonly string[]): DirectoryNames {
  const byLowerCase = new Map(names.toReversed().map((name) => [name.toLowerCase(), name]));
  return { names: new Set(names), byLowerCase };
}

/** A volume as the world of a configuration. */
class VolumeHost implements SyslinuxHost {
  readonly variant: "syslinux" | "isolinux";
  readonly cpu: string;
  readonly #files: VolumeFiles;
  /** Null for the program for UEFI, which does not ask the firmware. */
  readonly #machine: MachineDescription | null;

  /** The file that remembers choices, when it was read. */
  remembered: ConfigText | null = null;
  readonly #loaderPath: string;

  constructor(
    files: VolumeFiles,
    variant: "syslinux" | "isolinux",
    cpu: string,
    directory: string,
    machine: MachineDescription,
  ) {
    this.#machine = directory.startsWith("/EFI/") ? null : machine;
    this.#loaderPath = `${directory === "/" ? "" : directory}/ldlinux.sys`;
    this.variant = variant;
    this.cpu = cpu;
    this.#files = files;
  }

  async readFile(location: SyslinuxLocation, bytesMax: number): Promise<Uint8Array | null> {
    const path = await this.#files.find(pathOf(location));
    return path === null ? null : this.#files.source.readFile(path, bytesMax);
  }

  /** Its own directory is that of the configuration. */
  async loaderFile(): Promise<Uint8Array | null> {
    if (this.variant !== "syslinux") return null;
    const path = await this.#files.find(this.#loaderPath);
    if (path === null) return null;
    const bytes = await this.#files.source.readFile(path, loaderBytesMax);
    this.remembered = { ref: { volume: this.#files.source.volume.name, path }, bytes };
    return bytes;
  }

  async exists(location: SyslinuxLocation): Promise<boolean> {
    return (await this.#files.find(pathOf(location))) !== null;
  }

  /** The network's words are empty on a disk. */
  sysappend(bit: number): string | null {
    if (bit < filesystemUuidBit) return this.#machine === null ? null : machineWord(this.#machine.smbios, bit);
    const { fstype, uuid } = this.#files.source.volume;
    const isTold = fstype === "vfat" || fstype?.startsWith("ext") === true;
    return isTold && uuid !== null ? `FSUUID=${uuid}` : null;
  }
}

function pathOf(location: SyslinuxLocation): string {
  if (location.kind === "path") return location.path;
  throw new Error(`${quote(locationText(location))} is a file of a server, a file of this volume expected`);
}

/** Turns an evaluated menu into entries. */
class MenuResult {
  readonly skipped: SkippedEntry[] = [];
  readonly #context: FinderContext;
  readonly #files: VolumeFiles;
  /** The volume's first configuration, where this is it. */
  readonly #own: string | null;
  readonly #remembered: ConfigText | null;
  readonly #entries: BootEntry[] = [];
  /** Only entries that are offered. */
  readonly #ids = new Map<SyslinuxEntry, string>();

  constructor(context: FinderContext, files: VolumeFiles, own: string | null, remembered: ConfigText | null) {
    this.#remembered = remembered;
    this.#context = context;
    this.#files = files;
    this.#own = own;
  }

  async menu(menu: SyslinuxMenu): Promise<FoundMenu> {
    for (const entry of menu.entries) {
      try {
        if (entry.outcome.kind === "refused") this.skip(entry.place, entry.title, entry.outcome.reason);
        else this.#offer(entry, await this.#boot(entry, entry.outcome.load));
      } catch (error) {
        this.skip(entry.place, entry.title, messageOf(error));
      }
    }
    const choice = chooseSyslinuxDefault(menu, (entry) => this.#ids.has(entry));
    return {
      volume: this.#context.source.volume.name,
      format: "syslinux",
      entries: this.#entries,
      skipped: this.skipped,
      defaultId: choice.entry === null ? null : (this.#ids.get(choice.entry) ?? null),
      defaultReason: choice.reason,
      timeoutSeconds: menu.timeoutSeconds,
    };
  }

  skip(
    place: { readonly location: SyslinuxLocation; readonly line: number },
    title: string | null,
    reason: string,
  ): void {
    const source = { volume: this.#context.source.volume.name, path: locationText(place.location), line: place.line };
    this.skipped.push({ source, title, reason });
  }

  /** Throws an error whose message is the reason where there is no room: what a prompt boots comes on top of the labels. */
  #offer(entry: SyslinuxEntry, boot: BootEntry): void {
    const { entriesMax } = this.#context.limits;
    if (this.#entries.length >= entriesMax) throw new Error(`at most ${entriesMax} entries are taken`);
    this.#ids.set(entry, boot.id);
    this.#entries.push(boot);
  }

  /** Throws an error whose message is the reason where the entry cannot be offered. */
  async #boot(entry: SyslinuxEntry, load: SyslinuxLoad): Promise<BootEntry> {
    const volume = this.#context.source.volume.name;
    const config = locationText(entry.config);
    const linux = await this.#file("linux", load.kernel);
    const initrd: InitrdRef[] = [];
    for (const use of load.initrds) {
      const ref = await this.#file("initrd", use);
      const { member } = use;
      if (member === null) initrd.push(ref);
      else {
        const { path, mode, withDirectories } = member;
        initrd.push({ ...ref, archive: { path, mode, directories: withDirectories ? Number.POSITIVE_INFINITY : 0 } });
      }
    }
    const modules = [];
    for (const { file, options } of load.modules) modules.push({ file: await this.#file("module", file), options });
    const devicetree = load.devicetree === null ? await this.#board(load) : await this.#file("fdt", load.devicetree);
    const overlays = await this.#overlays(entry, load);
    const bytes = new TextEncoder().encode(load.options).length;
    const { optionsBytesMax } = this.#context.limits;
    if (bytes > optionsBytesMax) throw new Error(`options: ${bytes} bytes, at most ${optionsBytesMax} are taken`);
    return {
      id: `${volume}:syslinux:${config === this.#own ? "" : `${config}:`}${entry.label}`,
      title: entry.title,
      submenu: entry.submenu,
      format: "syslinux",
      source: { volume, path: locationText(entry.place.location), line: entry.place.line },
      linux,
      part: load.part,
      initrd,
      modules,
      options: load.options,
      embedded: false,
      addons: [],
      bootImage: load.bootImage,
      devicetree,
      overlays,
      architecture: null,
      version: null,
      tries: null,
      aliases: [entry.label],
      configs: entry.configs.map(({ location, bytes }) => ({ ref: { volume, path: locationText(location) }, bytes })),
      unsignedInputs:
        entry.isRemembered && this.#remembered !== null
          ? [{ config: this.#remembered, what: "the choice for the next boot" }]
          : [],
      variables: [],
    };
  }

  async #file(what: string, { location }: SyslinuxFileUse): Promise<FileRef> {
    const wanted = pathOf(location);
    const path = await this.#files.find(wanted);
    if (path !== null) return { volume: this.#context.source.volume.name, path };
    const stat = await this.#files.source.stat(wanted);
    throw new Error(`${what} ${quote(wanted)}${stat === null ? " is missing" : ": a regular file expected"}`);
  }

  /** The board's device tree in the directory that `fdtdir` names; null: the one that the machine has goes on. */
  async #board(load: SyslinuxLoad): Promise<FileRef | null> {
    for (const { location } of load.devicetreeNames) {
      const path = await this.#files.find(pathOf(location));
      if (path !== null) return { volume: this.#context.source.volume.name, path };
    }
    return null;
  }

  /** U-Boot goes on without an overlay that it cannot read. */
  async #overlays(entry: SyslinuxEntry, load: SyslinuxLoad): Promise<FileRef[]> {
    const overlays: FileRef[] = [];
    for (const { location } of load.overlays) {
      const wanted = pathOf(location);
      const path = await this.#files.find(wanted);
      if (path !== null) overlays.push({ volume: this.#context.source.volume.name, path });
      else this.skip(entry.place, entry.title, `overlay ${quote(wanted)} is missing: the entry is offered without it`);
    }
    return overlays;
  }
}
