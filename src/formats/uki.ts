import { utf8 } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";
import { parseOsRelease } from "./os-release.ts";
import { type PeImage, type PeSection, readPe } from "./pe.ts";
import { type ByteRange, type ReadRange, readExactly } from "./ranges.ts";

/*
 * Unified kernel images: a PE image whose sections hold a kernel, its initrd, its command line.
 * Source: UAPI.5 "Unified Kernel Image", sections "UKI Components" and "Multi-Profile UKIs"; systemd-stub(7).
 */

const format = "uki";

/** Longest section that is read as text, in bytes. */
export const ukiTextBytesMax = 65_536;
/** All sections of one image that are read as text, in bytes. */
export const ukiAllTextBytesMax = 1 << 20;
/** Profiles taken. */
export const ukiProfilesMax = 256;

/** Sections that the specification, or systemd-stub, gives a meaning. */
const sectionNames = [
  ".linux",
  ".osrel",
  ".cmdline",
  ".initrd",
  ".ucode",
  ".splash",
  ".fwauto",
  ".efifw",
  ".dtb",
  ".dtbauto",
  ".hwids",
  ".uname",
  ".sbat",
  ".pcrsig",
  ".pcrpkey",
  ".profile",
] as const;
export type UkiSectionName = (typeof sectionNames)[number];

/** Those that are read as text. */
const textNames: readonly UkiSectionName[] = [".osrel", ".cmdline", ".uname", ".profile"];

/** Those that may stand several times in the base or in a profile; one is chosen by what the machine is. */
const repeatable: readonly UkiSectionName[] = [".dtb", ".dtbauto", ".efifw", ".fwauto"];

export interface UkiSection {
  readonly name: UkiSectionName;
  /** Its bytes in the file, without padding. */
  readonly range: ByteRange;
  /** Null: the base, which every profile has unless it overrides the section. */
  readonly profile: number | null;
}

/** What a profile says of itself, for menus. */
export interface UkiProfile {
  readonly id: string | null;
  readonly title: string | null;
}

/** A unified kernel image, with all its profiles. */
export interface UkiFile {
  /** See `peMachine` in pe.ts. */
  readonly machine: number;
  /** Empty when the image has the base only. */
  readonly profiles: readonly UkiProfile[];
  /** Every section with a meaning, of all profiles, in the order of the table. */
  readonly sections: readonly UkiSection[];
}

/** A section that systemd-stub makes a file of, for the system that it starts. */
export interface UkiExtraFile {
  /** Absolute, in the initrd. */
  readonly path: string;
  readonly range: ByteRange;
}

/** An image as one of its profiles sees it. Ranges are bytes of the file. */
export interface UkiImage extends UkiFile {
  /** The kernel: a bzImage, an arm64 Image, perhaps wrapped. */
  readonly linux: ByteRange;
  readonly initrd: ByteRange | null;
  /** Microcode, which has to come before every other initrd. */
  readonly ucode: ByteRange | null;
  /**
   * As systemd-stub hands it over: control characters are spaces, none stand at either end. Null: there is no section.
   */
  readonly commandLine: string | null;
  /** The text of os-release(5). */
  readonly osRelease: string | null;
  /** What `uname -r` will say. */
  readonly kernelVersion: string | null;
  /** As it stands there: add-ons for another one are not for this image. */
  readonly uname: string | null;
  /** The first device tree that is not tied to a machine's identity. */
  readonly devicetree: ByteRange | null;
  /** Device trees for one machine each; the profile's own come first. */
  readonly boardDevicetrees: readonly ByteRange[];
  /** What binds hardware ids to machines' names; see hardware-ids.ts. */
  readonly hwids: ByteRange | null;
  readonly splash: ByteRange | null;
  /** In the order in which systemd-stub hands them over. */
  readonly extraFiles: readonly UkiExtraFile[];
}

/** What an add-on brings to an image. Ranges are bytes of the add-on's file. */
export interface UkiAddon {
  readonly machine: number;
  /** As {@link UkiImage.commandLine}. */
  readonly commandLine: string | null;
  readonly initrd: ByteRange | null;
  readonly ucode: ByteRange | null;
  readonly devicetree: ByteRange | null;
  readonly boardDevicetrees: readonly ByteRange[];
  readonly hwids: ByteRange | null;
  /** The only kernel version that it is for, as it stands there; null: it is for all. */
  readonly uname: string | null;
}

/** Whether a PE image is a unified kernel image: what is left of the specification's demands is for {@link readUki}. */
export function isUki(image: PeImage): boolean {
  return image.sections.some((section) => section.name === ".linux");
}

/** What {@link openUki}, {@link readUkiProfile} and {@link readAddon} read besides the headers. */
export function ukiTextRanges(image: PeImage): readonly ByteRange[] {
  return image.sections.filter(({ name }) => textNames.some((known) => known === name)).map(contentOf);
}

/**
 * Reads a unified kernel image of `size` bytes as its profile number `profile` sees it; 0 is what boots when nothing
 * was asked for, and the base where there are no profiles.
 *
 * @throws FormatError as {@link openUki} and {@link readUkiProfile} do.
 */
export function readUki(read: ReadRange, size: number, profile = 0): UkiImage {
  return readUkiProfile(read, openUki(read, size), profile);
}

/**
 * Reads headers and profiles of a unified kernel image of `size` bytes.
 *
 * @throws FormatError for what is no PE image, has a section twice where one is allowed, too many profiles, or text that
 * is too long or not UTF-8.
 */
export function openUki(read: ReadRange, size: number): UkiFile {
  const image = readPe(read, size);
  const sections = findSections(image);
  const texts = sections.filter(({ name }) => textNames.includes(name));
  const textBytes = texts.reduce((sum, { range }) => sum + range.length, 0);
  for (const { name, range } of texts) refuseLongText(range, name);
  if (textBytes > ukiAllTextBytesMax) {
    throw new FormatError(format, `${textBytes} bytes of text, at most ${ukiAllTextBytesMax} are taken`);
  }
  const markers = sections.filter((section) => section.name === ".profile");
  return {
    machine: image.machine,
    profiles: markers.map((marker) => readProfile(readText(read, marker.range, ".profile"))),
    sections,
  };
}

/**
 * The image as its profile number `profile` sees it.
 *
 * @throws FormatError where there is no such profile, no kernel, or text that is not UTF-8.
 */
export function readUkiProfile(read: ReadRange, uki: UkiFile, profile: number): UkiImage {
  if (profile !== 0 && uki.profiles[profile] === undefined) {
    throw new FormatError(format, `profile ${profile} expected, the image has ${uki.profiles.length}`, {
      field: ".profile",
    });
  }
  const own = uki.sections.filter((section) => section.profile === profile);
  const base = basePart(uki.sections);
  // A profile's own sections override those of the same name in the base.
  const inForce = (name: UkiSectionName): ByteRange | null => rangeOf(own, name) ?? rangeOf(base, name);
  const filled = (name: UkiSectionName): ByteRange | null => ifFilled(inForce(name));
  const text = (name: UkiSectionName): string | null => {
    const range = inForce(name);
    return range === null ? null : readText(read, range, name);
  };
  const linux = filled(".linux");
  if (linux === null) throw new FormatError(format, "a kernel expected", { field: ".linux" });
  const commandLine = text(".cmdline");
  const uname = text(".uname");
  return {
    ...uki,
    linux,
    initrd: filled(".initrd"),
    ucode: filled(".ucode"),
    commandLine: commandLine === null ? null : tidyCommandLine(commandLine),
    osRelease: text(".osrel"),
    kernelVersion: uname?.trim() ?? null,
    uname,
    devicetree: filled(".dtb"),
    boardDevicetrees: [...boardDevicetrees(own), ...boardDevicetrees(base)],
    hwids: filled(".hwids"),
    splash: filled(".splash"),
    extraFiles: extraFileNames.flatMap(({ section, path }) => {
      const range = filled(section);
      return range === null ? [] : [{ path, range }];
    }),
  };
}

/** Source: systemd-stub(7), "initrd Resources". */
const extraFileNames: readonly { readonly section: UkiSectionName; readonly path: string }[] = [
  { section: ".pcrsig", path: "/.extra/tpm2-pcr-signature.json" },
  { section: ".pcrpkey", path: "/.extra/tpm2-pcr-public-key.pem" },
  { section: ".osrel", path: "/.extra/os-release" },
  { section: ".profile", path: "/.extra/profile" },
];

/**
 * Reads an add-on of `size` bytes (UAPI.5, "PE Addons"; systemd-stub(7)): what it has before its first profile, if any.
 *
 * @throws FormatError for what is no PE image, has a kernel, brings nothing, has a section twice where one is allowed, or
 * text that is too long or not UTF-8.
 */
export function readAddon(read: ReadRange, size: number): UkiAddon {
  const image = readPe(read, size);
  const sections = basePart(findSections(image));
  const range = (name: UkiSectionName): ByteRange | null => rangeOf(sections, name);
  const text = (name: UkiSectionName): string | null => {
    const found = range(name);
    if (found === null) return null;
    refuseLongText(found, name);
    return readText(read, found, name);
  };
  if (range(".linux") !== null) {
    throw new FormatError("addon", "a unified kernel image: an add-on has no kernel", { field: ".linux" });
  }
  const commandLine = text(".cmdline");
  const addon: UkiAddon = {
    machine: image.machine,
    commandLine: commandLine === null ? null : tidyCommandLine(commandLine),
    initrd: ifFilled(range(".initrd")),
    ucode: ifFilled(range(".ucode")),
    devicetree: ifFilled(range(".dtb")),
    boardDevicetrees: boardDevicetrees(sections),
    hwids: ifFilled(range(".hwids")),
    uname: text(".uname"),
  };
  const { initrd, ucode, devicetree } = addon;
  if (
    [addon.commandLine, initrd, ucode, devicetree].every((part) => part === null) &&
    addon.boardDevicetrees.length === 0
  ) {
    throw new FormatError("addon", "one of .cmdline, .initrd, .ucode, .dtb and .dtbauto expected");
  }
  return addon;
}

/** The image's command line with those of its add-ons, in their order; the ones that are empty add nothing. */
export function joinUkiCommandLines(
  image: Pick<UkiImage, "commandLine">,
  addons: readonly Pick<UkiAddon, "commandLine">[],
): string {
  return [image, ...addons]
    .map(({ commandLine }) => commandLine ?? "")
    .filter((text) => text !== "")
    .join(" ");
}

/** What menus show and sort by, of an image that says what system it holds. */
export interface UkiSystem {
  readonly title: string;
  readonly version: string | null;
  readonly sortKey: string | null;
}

/**
 * Picks from the text of os-release(5) as systemd-boot does: the name for people before the one for machines, the image
 * before the system that it was made from. Null when it has no name at all.
 */
export function ukiSystem(osRelease: string): UkiSystem | null {
  const values = parseOsRelease(osRelease);
  const first = (...names: readonly string[]): string | null =>
    names.map((name) => values.get(name)).find((value) => value !== undefined && value !== "") ?? null;
  const title = first("PRETTY_NAME", "IMAGE_ID", "NAME", "ID");
  if (title === null) return null;
  return {
    title,
    version: first("IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID"),
    sortKey: first("IMAGE_ID", "ID"),
  };
}

/** The title of a profile: what systemd-boot adds tells the profiles of one image apart. */
export function ukiProfileTitle(title: string, profile: UkiProfile | null, number: number): string {
  const added = profile?.title ?? (number === 0 ? null : (profile?.id ?? `Profile #${number + 1}`));
  return added === null ? title : `${title} (${added})`;
}

/** The words of the EFI specification (2.10, section 3.5.1.1) for values of a PE image's `Machine`. */
const architectures: ReadonlyMap<number, string> = new Map([
  [0x14c, "ia32"],
  [0x8664, "x64"],
  [0x200, "ia64"],
  [0x1c2, "arm"],
  [0xaa64, "aa64"],
  [0x5032, "riscv32"],
  [0x5064, "riscv64"],
  [0x6232, "loongarch32"],
  [0x6264, "loongarch64"],
]);

/** What machine an image is for, as EFI names it: `x64`, or `0x1234` for one that has no name. */
export function efiArchitecture(machine: number): string {
  return architectures.get(machine) ?? `0x${machine.toString(16)}`;
}

function findSections(image: PeImage): UkiSection[] {
  const sections: UkiSection[] = [];
  let seen = new Set<UkiSectionName>();
  let profile: number | null = null;
  for (const section of image.sections) {
    const name = sectionNames.find((known) => known === section.name);
    if (name === undefined) continue;
    if (name === ".profile") {
      profile = profile === null ? 0 : profile + 1;
      seen = new Set();
    } else if (seen.has(name) && !repeatable.includes(name)) refuseSecond(name, profile);
    seen.add(name);
    if (profile === ukiProfilesMax) {
      throw new FormatError(format, `at most ${ukiProfilesMax} profiles are taken`, { field: name });
    }
    sections.push({ name, range: contentOf(section), profile });
  }
  return sections;
}

function refuseSecond(name: UkiSectionName, profile: number | null): never {
  const where = profile === null ? "the base" : `profile ${profile}`;
  throw new FormatError(format, `one section ${quote(name)} expected in ${where}, not a second`, { field: name });
}

/** The file pads a section to its alignment; memory pads it with zeroes. Both have the content. */
function contentOf(section: PeSection): ByteRange {
  return { offset: section.raw.offset, length: Math.min(section.virtualBytes, section.raw.length) };
}

function ifFilled(range: ByteRange | null): ByteRange | null {
  return range === null || range.length === 0 ? null : range;
}

/** What stands before the first profile. */
function basePart(sections: readonly UkiSection[]): readonly UkiSection[] {
  const end = sections.findIndex(({ profile }) => profile !== null);
  return end < 0 ? sections : sections.slice(0, end);
}

function rangeOf(sections: readonly UkiSection[], name: UkiSectionName): ByteRange | null {
  return sections.find((section) => section.name === name)?.range ?? null;
}

function boardDevicetrees(sections: readonly UkiSection[]): ByteRange[] {
  return sections.filter(({ name, range }) => name === ".dtbauto" && range.length > 0).map(({ range }) => range);
}

function refuseLongText(range: ByteRange, name: UkiSectionName): void {
  if (range.length <= ukiTextBytesMax) return;
  const place = { offset: range.offset, field: name };
  throw new FormatError(format, `${range.length} bytes, at most ${ukiTextBytesMax} are taken`, place);
}

/** Text up to the first NUL. */
function readText(read: ReadRange, range: ByteRange, name: UkiSectionName): string {
  const { bytes } = readExactly(read, range, format, name);
  const end = bytes.indexOf(0);
  return utf8(end < 0 ? bytes : bytes.subarray(0, end), `${format} ${name}`);
}

function tidyCommandLine(text: string): string {
  const spaced = text.replace(/[\u0001-\u001f\u007f]/g, " ");
  let end = spaced.length;
  while (end > 0 && spaced[end - 1] === " ") end--;
  return spaced.slice(0, end).replace(/^ +/, "");
}

function readProfile(text: string): UkiProfile {
  const values = parseOsRelease(text);
  return { id: values.get("ID") ?? null, title: values.get("TITLE") ?? null };
}
