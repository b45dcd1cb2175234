import { quote } from "../../formats/format-error.ts";
import { readPe } from "../../formats/pe.ts";
import {
  efiArchitecture,
  joinUkiCommandLines,
  openUki,
  readAddon,
  readUkiProfile,
  type UkiAddon,
  type UkiFile,
  type UkiImage,
  ukiAllTextBytesMax,
  ukiTextRanges,
} from "../../formats/uki.ts";
import type { ArchiveMember, FileRef, InitrdRef } from "../entry.ts";
import type { FinderContext } from "../finder.ts";
import type { FileSource, OpenFile } from "../source.ts";
import { architectureProblem } from "./candidate.ts";
import { headBytes, RangeFile } from "./range-file.ts";
import { Refusal, type Skip } from "./refusal.ts";

/** What is read of one image at most, in bytes: its headers, and its texts. */
export const imageBytesMax: number = ukiAllTextBytesMax + (1 << 20);
/** What is read of all images and add-ons of a menu, in bytes, besides the first {@link headBytes} of each. */
export const imagesBytesMax: number = 16 << 20;
/** Add-ons of one directory, and files of one directory that go along with an image. */
export const companionsMax = 256;

/** An add-on that can be applied to some image. */
interface FoundAddon {
  readonly ref: FileRef;
  readonly addon: UkiAddon;
}

/** What goes along with an image because of where it lies. */
export interface Companions {
  readonly addons: readonly FoundAddon[];
  /** Wrapped into archives, in the order of systemd-stub. */
  readonly initrd: readonly InitrdRef[];
}

/** An image as one of its profiles sees it, with the add-ons that are for it. */
export interface DescribedImage {
  readonly image: UkiImage;
  readonly options: string;
  readonly addons: readonly FileRef[];
}

/** Where the files of a kind end up, and who may read them (systemd-stub(7), "initrd Resources"). */
const credential = { mode: 0o400, suffix: ".cred" } as const;
const extension = { mode: 0o444 } as const;

/** Reads unified kernel images and what lies beside them on one volume; each directory and each add-on once. */
export class ImageReader {
  readonly #context: FinderContext;
  readonly #source: FileSource;
  /** The directory that stands for the volume's root: `/boot` where that is a mount point. */
  readonly #base: string;
  readonly #skip: Skip;
  readonly #budget: { bytesLeft: number };
  readonly #directories = new Map<string, Promise<readonly string[]>>();
  readonly #addons = new Map<string, Promise<readonly FoundAddon[]>>();
  readonly #wrongAddons = new Set<string>();

  constructor(
    context: FinderContext,
    base: string,
    skip: Skip,
    budget: { bytesLeft: number } = { bytesLeft: imagesBytesMax },
  ) {
    this.#context = context;
    this.#source = context.source;
    this.#base = base;
    this.#skip = skip;
    this.#budget = budget;
  }

  /** Opens a file, looks at it by `look`, and closes it. */
  async open<T>(path: string, look: (file: RangeFile) => Promise<T>): Promise<T> {
    await using file: OpenFile = await this.#source.open(path);
    if (this.#budget.bytesLeft <= 0)
      throw new Refusal(`more than ${imagesBytesMax} bytes of headers and texts in images`);
    const ranges = new RangeFile(file, imageBytesMax);
    try {
      return await look(ranges);
    } finally {
      this.#budget.bytesLeft -= Math.max(0, ranges.bytesRead - headBytes);
    }
  }

  /** Loads what {@link describe} reads, and refuses an image that is none, or is for another machine. */
  async openImage(file: RangeFile): Promise<UkiFile> {
    await loadTexts(file);
    const uki = await file.parse(openUki);
    const architecture = efiArchitecture(uki.machine);
    const problem = architectureProblem(architecture, this.#context);
    if (problem !== null) throw new Refusal(`an image for ${quote(architecture)}: ${problem}`);
    return uki;
  }

  /**
   * The image as a profile sees it, with those of the add-ons at hand that are for it.
   *
   * @param ownOptions what takes the place of the image's command line; empty: nothing does
   */
  async describe(
    file: RangeFile,
    uki: UkiFile,
    profile: number,
    companions: Companions,
    ownOptions = "",
  ): Promise<DescribedImage> {
    const image = await file.parse((read) => readUkiProfile(read, uki, profile));
    const applied = companions.addons.filter((found) => this.#isFor(found, image));
    return {
      image,
      options: joinUkiCommandLines(
        ownOptions === "" ? image : { commandLine: ownOptions },
        applied.map(({ addon }) => addon),
      ),
      addons: applied.map(({ ref }) => ref),
    };
  }

  #isFor({ ref, addon }: FoundAddon, image: UkiImage): boolean {
    if (addon.uname === null || image.uname === null || addon.uname === image.uname) return true;
    const reason = `an add-on for kernel ${quote(addon.uname.trim())}: an image has ${quote(image.uname.trim())}`;
    if (!this.#wrongAddons.has(reason + ref.path)) this.#skip(ref.path, null, new Refusal(reason));
    this.#wrongAddons.add(reason + ref.path);
    return false;
  }

  /** What goes along with the image at a path: what is there for all images, and what is in its own directory. */
  async companions(path: string): Promise<Companions> {
    const loader = `${this.#base}/loader`;
    const own = `${withoutCounters(path)}.extra.d`;
    return {
      addons: [...(await this.#addonsIn(`${loader}/addons`)), ...(await this.#addonsIn(own))],
      initrd: [
        ...(await this.#wrap(own, isCredential, "credentials", credential.mode)),
        ...(await this.#wrap(`${loader}/credentials`, isCredential, "global_credentials", credential.mode)),
        ...(await this.#wrap(own, isSystemExtension, "sysext", extension.mode)),
        ...(await this.#wrap(`${loader}/extensions`, isSystemExtension, "global_sysext", extension.mode)),
        ...(await this.#wrap(own, isConfigurationExtension, "confext", extension.mode)),
        ...(await this.#wrap(`${loader}/extensions`, isConfigurationExtension, "global_confext", extension.mode)),
      ],
    };
  }

  /** Add-ons by file name; those that are broken or for another machine cost themselves alone. */
  #addonsIn(directory: string): Promise<readonly FoundAddon[]> {
    const known = this.#addons.get(directory) ?? this.#readAddons(directory);
    this.#addons.set(directory, known);
    return known;
  }

  async #readAddons(directory: string): Promise<readonly FoundAddon[]> {
    const found: FoundAddon[] = [];
    for (const name of await this.#files(directory, (each) => hasSuffix(each, ".addon.efi"))) {
      const path = `${directory}/${name}`;
      try {
        const addon = await this.open(path, async (file) => {
          await loadTexts(file);
          return file.parse(readAddon);
        });
        const architecture = efiArchitecture(addon.machine);
        const problem = architectureProblem(architecture, this.#context);
        if (problem !== null) throw new Refusal(`an add-on for ${quote(architecture)}: ${problem}`);
        found.push({ ref: { volume: this.#source.volume.name, path }, addon });
      } catch (error) {
        this.#skip(path, null, error);
      }
    }
    return found;
  }

  async #wrap(
    directory: string,
    matches: (name: string) => boolean,
    target: string,
    mode: number,
  ): Promise<readonly InitrdRef[]> {
    const names = await this.#files(directory, matches);
    return names.map((name) => ({
      volume: this.#source.volume.name,
      path: `${directory}/${name}`,
      archive: extraMember(target, name, mode),
    }));
  }

  async #files(directory: string, matches: (name: string) => boolean): Promise<readonly string[]> {
    const names = this.#directories.get(directory) ?? this.#list(directory);
    this.#directories.set(directory, names);
    return (await names).filter(matches);
  }

  /** The regular files of a directory that can be meant, in the order of their names. */
  async #list(directory: string): Promise<readonly string[]> {
    try {
      const names = (await this.#source.list(directory)).filter((name) => /^(?!\.)[ -~]{1,255}$/.test(name));
      const files: string[] = [];
      for (const name of names.slice(0, companionsMax)) {
        if ((await this.#source.stat(`${directory}/${name}`))?.type === "file") files.push(name);
      }
      if (names.length > companionsMax) {
        throw new Refusal(`${names.length} files that go along with images, at most ${companionsMax} are taken`);
      }
      return files;
    } catch (error) {
      this.#skip(directory, null, error);
      return [];
    }
  }
}

async function loadTexts(file: RangeFile): Promise<void> {
  await file.load(ukiTextRanges(await file.parse(readPe)));
}

/** A file in a directory of `/.extra`, which whoever may read the file may enter. */
export function extraMember(directory: string, name: string, mode: number): ArchiveMember {
  const directoryMode = mode | ((mode & 0o444) >> 2);
  return { path: `/.extra/${directory}/${name}`, mode, directories: Number.POSITIVE_INFINITY, directoryMode };
}

/** An archive that an `extra` of a type 1 entry becomes, by its suffix; null for a file of none of the kinds. */
export function extraMemberFor(name: string): ArchiveMember | null {
  if (!/^[ -~]{1,255}$/.test(name)) return null;
  if (isCredential(name)) return extraMember("credentials", name, credential.mode);
  if (hasSuffix(name, ".sysext.raw")) return extraMember("sysext", name, extension.mode);
  return isConfigurationExtension(name) ? extraMember("confext", name, extension.mode) : null;
}

function isCredential(name: string): boolean {
  return hasSuffix(name, credential.suffix);
}

function isConfigurationExtension(name: string): boolean {
  return hasSuffix(name, ".confext.raw");
}

/** systemd-stub takes every other image for a system extension. */
function isSystemExtension(name: string): boolean {
  return hasSuffix(name, ".raw") && !isConfigurationExtension(name);
}

/** FAT has no case. */
function hasSuffix(name: string, suffix: string): boolean {
  return name.toLowerCase().endsWith(suffix);
}

/** The directory beside an image keeps its name while the image is counted down. */
function withoutCounters(path: string): string {
  return path.replace(/\+[0-9]+(?:-[0-9]+)?(\.[^./]*)$/, "$1");
}
