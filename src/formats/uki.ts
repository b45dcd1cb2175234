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

/** An image as one of its profiles sees it. Ranges are bytes of the file. */
export interface UkiImage {
  /** See `peMachine` in pe.ts. */
  readonly machine: number;
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
  /** The first device tree that is not tied to a machine's identity. */
  readonly devicetree: ByteRange | null;
  readonly splash: ByteRange | null;
  /** Empty when the image has the base only. */
  readonly profiles: readonly UkiProfile[];
  /** Every section with a meaning, of all profiles, in the order of the table. */
  readonly sections: readonly UkiSection[];
}

/** Whether a PE image is a unified kernel image: what is left of the specification's demands is for {@link readUki}. */
export function isUki(image: PeImage): boolean {
  return image.sections.some((section) => section.name === ".linux");
}

/**
 * Reads a unified kernel image of `size` bytes as its profile number `profile` sees it; 0 is what boots when nothing
 * was asked for, and the base where there are no profiles.
 *
 * @throws FormatError for what is no PE image or has no kernel, lacks the profile, has a section twice where one is
 * allowed, or text that is too long or not UTF-8.
 */
export function readUki(read: ReadRange, size: number, profile = 0): UkiImage {
  const image = readPe(read, size);
  const sections = findSections(image);
  const markers = sections.filter((section) => section.name === ".profile");
  if (profile !== 0 && markers[profile] === undefined) {
    throw new FormatError(format, `profile ${profile} expected, the image has ${markers.length}`, {
      field: ".profile",
    });
  }
  const inForce = (name: UkiSectionName): ByteRange | null => sectionInForce(sections, name, profile)?.range ?? null;
  const filled = (name: UkiSectionName): ByteRange | null => {
    const range = inForce(name);
    return range === null || range.length === 0 ? null : range;
  };
  const text = (name: UkiSectionName): string | null => {
    const range = inForce(name);
    return range === null ? null : readText(read, range, name);
  };
  const linux = filled(".linux");
  if (linux === null) throw new FormatError(format, "a kernel expected", { field: ".linux" });
  const commandLine = text(".cmdline");
  return {
    machine: image.machine,
    linux,
    initrd: filled(".initrd"),
    ucode: filled(".ucode"),
    commandLine: commandLine === null ? null : tidyCommandLine(commandLine),
    osRelease: text(".osrel"),
    kernelVersion: text(".uname")?.trim() ?? null,
    devicetree: filled(".dtb"),
    splash: filled(".splash"),
    profiles: markers.map((marker) => readProfile(readText(read, marker.range, ".profile"))),
    sections,
  };
}

function findSections(image: PeImage): UkiSection[] {
  const sections: UkiSection[] = [];
  let profile: number | null = null;
  for (const section of image.sections) {
    const name = sectionNames.find((known) => known === section.name);
    if (name === undefined) continue;
    if (name === ".profile") profile = profile === null ? 0 : profile + 1;
    else refuseSecond(sections, name, profile);
    if (profile === ukiProfilesMax) {
      throw new FormatError(format, `at most ${ukiProfilesMax} profiles are taken`, { field: name });
    }
    sections.push({ name, range: contentOf(section), profile });
  }
  return sections;
}

function refuseSecond(sections: readonly UkiSection[], name: UkiSectionName, profile: number | null): void {
  if (repeatable.includes(name)) return;
  if (!sections.some((section) => section.name === name && section.profile === profile)) return;
  const where = profile === null ? "the base" : `profile ${profile}`;
  throw new FormatError(format, `one section ${quote(name)} expected in ${where}, not a second`, { field: name });
}

/** The file pads a section to its alignment; memory pads it with zeroes. Both have the content. */
function contentOf(section: PeSection): ByteRange {
  return { offset: section.raw.offset, length: Math.min(section.virtualBytes, section.raw.length) };
}

/** A profile's own sections override those of the same name in the base. */
function sectionInForce(sections: readonly UkiSection[], name: UkiSectionName, profile: number): UkiSection | null {
  const named = sections.filter((section) => section.name === name);
  return (
    named.find((section) => section.profile === profile) ?? named.find((section) => section.profile === null) ?? null
  );
}

/** Text up to the first NUL. */
function readText(read: ReadRange, range: ByteRange, name: UkiSectionName): string {
  if (range.length > ukiTextBytesMax) {
    const place = { offset: range.offset, field: name };
    throw new FormatError(format, `${range.length} bytes, at most ${ukiTextBytesMax} are taken`, place);
  }
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
