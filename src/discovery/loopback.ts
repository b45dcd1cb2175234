import { messageOf } from "../formats/error-text.ts";
import { isHarmlessText } from "../formats/grub/harmless-text.ts";
import { ConfigBudget } from "./config-budget.ts";
import type { BootEntry, ConfigText, FileRef, FoundMenu, SkippedEntry, SourcePlace } from "./entry.ts";
import type { Finder, FinderContext } from "./finder.ts";
import { findGrubMenus, GrubAllowance } from "./grub.ts";
import { grubDeviceNames } from "./grub-devices.ts";
import { type FileSource, type OpenFile, SourceError, volumeFacts } from "./source.ts";

/** Directories of a volume in which ISO files are looked for, beside `/` and `/boot` themselves; case does not matter. */
const isoDirectories: Readonly<Record<string, readonly string[]>> = {
  "/": ["iso", "isos", "boot-isos", "images", "_iso"],
  "/boot": ["iso", "isos", "boot-isos", "images", "grml"],
};
/** Directories inside of those, one for each distribution (GLIM); further ones are not looked at. */
export const isoSubdirectoriesMax = 50;
/** ISO files of a volume that are opened. */
export const isoFilesMax = 50;

/** Where an image has its loopback.cfg; the first that is there. */
const loopbackPaths = [
  "/boot/grub/loopback.cfg",
  "/boot/grub2/loopback.cfg",
  "/grub/loopback.cfg",
  "/grub2/loopback.cfg",
] as const;

/** Configurations that look for their medium among the disks: named where there is no loopback.cfg. */
const otherConfigPaths = [
  "/boot/grub/grub.cfg",
  "/boot/grub2/grub.cfg",
  "/EFI/BOOT/grub.cfg",
  "/isolinux/isolinux.cfg",
  "/boot/isolinux/isolinux.cfg",
  "/boot/syslinux/syslinux.cfg",
  "/syslinux/syslinux.cfg",
  "/isolinux.cfg",
  "/loader/loader.conf",
] as const;

/**
 * The volume that holds nothing but the script which does what a boot menu's entry for an ISO file would do. No other one
 * can have its name: what is on it needs no signature.
 */
const starterVolume = "(loopback starter)";
const starterPath = "/EFI/loopback-starter/grub.cfg";

/**
 * Finds the entries that ISO files bring along for being booted from a file: their `loopback.cfg`, a GRUB configuration
 * that is told by `iso_path` where the file is, and hands that on to the live system.
 *
 * Each is run by GRUB's evaluator behind a few lines that do what the convention asks of a menu entry: the file is opened
 * as `(loop)`, which becomes `root`, and `iso_path` (`isofile` in some sticks' scripts), `rootuuid` and `imgdevpath` of
 * the volume with the file are exported.
 *
 * Ids are `VOLUME:loopback:/path/of.iso:1>0`; the image's label, or else the file's name, stands above as a sub-menu.
 *
 * Source: https://supergrubdisk.org/wiki/Loopback.cfg
 */
export const loopbackFinder: Finder = {
  format: "loopback",
  async find(context) {
    const { paths, skipped } = await isoFiles(context.source);
    const menus = skipped.length === 0 ? [] : [menuOf(context, [], skipped)];
    const images = new ConfigBudget().chargeImages(context.images);
    const allowance = new GrubAllowance();
    let entriesLeft = context.limits.entriesMax;
    for (const path of paths) {
      const limits = { ...context.limits, entriesMax: entriesLeft };
      const menu = await findInImage({ ...context, images, limits }, path, allowance);
      entriesLeft -= menu.entries.length;
      menus.push(menu);
    }
    return menus;
  },
};

function menuOf(
  { source }: FinderContext,
  entries: readonly BootEntry[],
  skipped: readonly SkippedEntry[],
  choice: Pick<FoundMenu, "defaultId" | "defaultReason" | "timeoutSeconds"> = {
    defaultId: null,
    defaultReason: "",
    timeoutSeconds: null,
  },
): FoundMenu {
  return { volume: source.volume.name, format: "loopback", entries, skipped, ...choice };
}

/** The ISO files of a volume, each once. */
async function isoFiles(source: FileSource): Promise<{ paths: readonly string[]; skipped: readonly SkippedEntry[] }> {
  const skipped: SkippedEntry[] = [];
  const skip = (path: string, reason: string): void => {
    skipped.push({ source: { volume: source.volume.name, path, line: 1 }, title: null, reason });
  };
  const paths = new Set<string>();
  const list = async (directory: string): Promise<readonly string[]> => {
    try {
      if ((await source.stat(directory))?.type !== "directory") return [];
      const names = await source.list(directory);
      return names.map((name) => `${directory === "/" ? "" : directory}/${name}`);
    } catch (error) {
      skip(directory, messageOf(error));
      return [];
    }
  };
  const take = async (children: readonly string[]): Promise<void> => {
    for (const path of children.filter(isIsoName)) {
      const real = await source.realPath(path).catch(() => null);
      if (real !== null) paths.add(real);
    }
  };
  for (const [parent, wanted] of Object.entries(isoDirectories)) {
    const children = await list(parent);
    await take(children);
    for (const directory of children.filter((path) => wanted.includes(nameOf(path).toLowerCase()))) {
      const inside = await list(directory);
      await take(inside);
      const rest = inside.filter((path) => !isIsoName(path)).slice(0, isoSubdirectoriesMax);
      for (const subdirectory of rest) await take(await list(subdirectory));
    }
  }
  const found = [...paths];
  if (found.length > isoFilesMax) {
    skip(
      found[isoFilesMax] ?? "/",
      `${found.length} ISO files on the volume, only the first ${isoFilesMax} are opened`,
    );
  }
  return { paths: found.slice(0, isoFilesMax), skipped };
}

function isIsoName(path: string): boolean {
  return path.toLowerCase().endsWith(".iso");
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The menu of one ISO file; what keeps it from having one is told as skipped. */
async function findInImage(context: FinderContext, path: string, allowance: GrubAllowance): Promise<FoundMenu> {
  const { source, sources, images } = context;
  const place = { volume: source.volume.name, path, line: 1 };
  const skip = (reason: string): FoundMenu => menuOf(context, [], [{ source: place, title: null, reason }]);
  // Nobody signs a file's name, and the configuration puts it into the options.
  if (!isHarmlessText(path))
    return skip("a path without white space and quotes expected: it becomes part of the options");
  try {
    const image = await images.open(source, path);
    const config = await firstFile(image, loopbackPaths);
    if (config === null) return skip(await whyNone(image));
    const script = starterScript(context, path, config);
    const starter = starterSource(script);
    const found = await findGrubMenus({ ...context, source: starter, sources: [...sources, starter] }, allowance);
    return new LoopbackMenu(context, path, image).menu(found);
  } catch (error) {
    return skip(messageOf(error));
  }
}

async function firstFile(source: FileSource, paths: readonly string[]): Promise<string | null> {
  for (const path of paths) if ((await source.stat(path))?.type === "file") return path;
  return null;
}

async function whyNone(image: FileSource): Promise<string> {
  const other = await firstFile(image, otherConfigPaths);
  return other === null
    ? "the image has no loopback.cfg, and no other boot configuration that is known"
    : `the image has no loopback.cfg; its ${other} looks for a disc and would not find this file`;
}

/** What an entry of a boot menu does for an ISO file. */
function starterScript(context: FinderContext, path: string, config: string): string {
  const { source, sources } = context;
  const device = grubDeviceNames(sources.map(({ volume }) => volume))[sources.indexOf(source)] ?? "";
  const { uuid } = source.volume;
  const knownUuid = uuid !== null && isHarmlessText(uuid) ? uuid : null;
  const variables: readonly (readonly [name: string, value: string])[] = [
    ["iso_path", path],
    ["isofile", path],
    ...(knownUuid === null
      ? []
      : ([
          ["rootuuid", knownUuid],
          ["imgdevpath", `/dev/disk/by-uuid/${knownUuid}`],
        ] as const)),
  ];
  return [
    ...variables.flatMap(([name, value]) => [`set ${name}='${value}'`, `export ${name}`]),
    `loopback loop '(${device})${path}'`,
    "set root=(loop)",
    `set prefix='(loop)${config.slice(0, config.lastIndexOf("/"))}'`,
    `configfile '${config}'`,
    "",
  ].join("\n");
}

/** A volume in memory that holds the script, where the finder of GRUB's configurations looks. */
function starterSource(script: string): FileSource {
  const bytes = new TextEncoder().encode(script);
  const children: Readonly<Record<string, readonly string[]>> = {
    "/": ["EFI"],
    "/EFI": ["loopback-starter"],
    "/EFI/loopback-starter": ["grub.cfg"],
  };
  const missing = (path: string): SourceError => new SourceError(`open ${JSON.stringify(path)}: no such file`);
  return {
    // Something is known of it, so that it is never taken for a volume that a script asks for.
    volume: volumeFacts({ name: starterVolume, fstype: "iso9660" }),
    async stat(path) {
      if (path === starterPath) return { type: "file", size: bytes.length };
      return children[path] === undefined ? null : { type: "directory", size: 0 };
    },
    async readFile(path) {
      if (path !== starterPath) throw missing(path);
      return bytes;
    },
    list: async (path) => children[path] ?? [],
    async open(path): Promise<OpenFile> {
      throw missing(path);
    },
    realPath: async (path) => (path === starterPath || children[path] !== undefined ? path : null),
    async close() {},
  };
}

/** GRUB's menus of one image as the image's own. */
class LoopbackMenu {
  readonly #context: FinderContext;
  readonly #path: string;
  readonly #image: FileSource;

  constructor(context: FinderContext, path: string, image: FileSource) {
    this.#context = context;
    this.#path = path;
    this.#image = image;
  }

  menu(found: readonly FoundMenu[]): FoundMenu {
    const entries = found.flatMap((menu) => menu.entries.map((entry, index) => this.#entry(entry, index)));
    const skipped = found.flatMap((menu) => menu.skipped.map((skip) => this.#skipped(skip)));
    const [first] = found.filter((menu) => menu.entries.length > 0);
    if (first === undefined) return menuOf(this.#context, [], skipped);
    const { defaultReason, timeoutSeconds } = first;
    const chosen = first.entries.findIndex((entry) => entry.id === first.defaultId);
    const defaultId = entries[chosen]?.id ?? null;
    return menuOf(this.#context, entries, skipped, { defaultId, defaultReason, timeoutSeconds });
  }

  #entry(entry: BootEntry, index: number): BootEntry {
    return {
      ...entry,
      id: `${this.#context.source.volume.name}:loopback:${this.#path}:${numberOf(entry) ?? index}`,
      submenu: [this.#image.volume.label ?? nameOf(this.#path), ...entry.submenu],
      format: "loopback",
      configs: entry.configs.filter(({ ref }) => !isStarter(ref)),
      unsignedInputs: entry.unsignedInputs.map(({ config, what }) => ({ config: this.#config(config), what })),
      source: this.#place(entry.source),
      variables: entry.variables.map((variable) => ({
        ...variable,
        place: variable.place === null ? null : this.#place(variable.place),
      })),
    };
  }

  #skipped({ source, title, reason }: SkippedEntry): SkippedEntry {
    return { source: this.#place(source), title, reason };
  }

  #config(config: ConfigText): ConfigText {
    return isStarter(config.ref) ? { ...config, ref: this.#file() } : config;
  }

  /** What the starter's lines did is told of the ISO file. */
  #place(place: SourcePlace): SourcePlace {
    return isStarter(place) ? { ...this.#file(), line: 1 } : place;
  }

  #file(): FileRef {
    return { volume: this.#context.source.volume.name, path: this.#path };
  }
}

function isStarter({ volume }: FileRef): boolean {
  return volume === starterVolume;
}

/** GRUB's number of an entry, which ends its id. */
function numberOf({ id }: BootEntry): string | null {
  return /(?:^|:)(\d+(?:>\d+)*)$/.exec(id)?.[1] ?? null;
}
