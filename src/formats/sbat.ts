import { utf8 } from "./bytes.ts";
import { FormatError, quote } from "./format-error.ts";
import { numberedLines } from "./lines.ts";

/*
 * Generations of boot components ("Secure Boot Advanced Targeting"): an image says in its section `.sbat` of which
 * generation its parts are, a level says from which generation on a part is good. Both are lines of fields with commas
 * between them.
 * Source: shim, SBAT.md, sections "SBAT" and "Generation-Based Revocation Overview".
 */

const format = "sbat";

/** Largest section or level, bytes. */
export const sbatBytesMax = 65_536;
/** Components of one section or level. */
export const sbatComponentsMax = 256;
/** Longest name of a component, characters. */
export const sbatNameCharactersMax = 256;
/** Highest generation. */
export const sbatGenerationMax = 0x7fffffff;

/** Fields of a line in a section: component, generation, vendor, package, version, URL. */
const sectionFields = 6;
/** Fields that a line of a level needs; the line `sbat` has its date behind them. */
const levelFields = 2;

/** A component in an image with its generation; in a level: with the lowest generation that is good. */
export interface SbatComponent {
  readonly name: string;
  readonly generation: number;
}

/**
 * The components that an image's section `.sbat` names; zeroes behind the text are padding.
 *
 * @throws FormatError with the line: for fewer than six fields, a name or a generation that is none, a section without
 * a component, or what is over a limit.
 */
export function parseSbatSection(bytes: Uint8Array): readonly SbatComponent[] {
  const end = bytes.indexOf(0);
  const text = end < 0 ? bytes : bytes.subarray(0, end);
  if (bytes.subarray(text.length).some((byte) => byte !== 0)) {
    throw new FormatError(format, "zeroes expected behind the text", { offset: text.length });
  }
  refuseTooLong(text.length);
  return components(utf8(text, format), sectionFields);
}

/**
 * The levels that a text asks for, as the variable `SbatLevel` holds it: `sbat,1,2022052400`, then `grub,2`.
 *
 * @throws FormatError as {@link parseSbatSection} does, for fewer than two fields.
 */
export function parseSbatLevels(text: string): readonly SbatComponent[] {
  refuseTooLong(text.length);
  return components(text, levelFields);
}

/**
 * Why an image is of a generation that was taken back; null when it is not. Components that the levels do not name are
 * good in every generation.
 *
 * @param image null: the image has no section `.sbat`, and nobody can tell
 */
export function sbatRefusal(image: readonly SbatComponent[] | null, levels: readonly SbatComponent[]): string | null {
  if (image === null) return 'the image has no section ".sbat", which SBAT levels ask for';
  for (const { name, generation } of image) {
    const least = Math.max(0, ...levels.filter((level) => level.name === name).map((level) => level.generation));
    if (generation < least) return `${quote(name)} is of the SBAT generation ${generation}, at least ${least} expected`;
  }
  return null;
}

function refuseTooLong(length: number): void {
  if (length > sbatBytesMax) throw new FormatError(format, `${length} bytes, at most ${sbatBytesMax} are taken`);
}

function components(text: string, fieldsMin: number): readonly SbatComponent[] {
  const found: SbatComponent[] = [];
  for (const { number, text: line } of numberedLines(text, format)) {
    if (line === "") continue;
    if (found.length === sbatComponentsMax) {
      throw new FormatError(format, `more than ${sbatComponentsMax} components`, { line: number });
    }
    found.push(component(line, number, fieldsMin));
  }
  if (found.length === 0) throw new FormatError(format, "a component expected, the text is empty");
  return found;
}

function component(text: string, line: number, fieldsMin: number): SbatComponent {
  const fields = text.split(",");
  const [name = "", generation = ""] = fields;
  if (fields.length < fieldsMin) {
    throw new FormatError(format, `at least ${fieldsMin} fields expected, not ${fields.length}`, { line });
  }
  if (!/^[!-~]+$/.test(name) || name.length > sbatNameCharactersMax) {
    throw new FormatError(format, `a component's name expected, not ${quote(name)}`, { line });
  }
  if (!/^[1-9][0-9]{0,9}$/.test(generation) || Number(generation) > sbatGenerationMax) {
    const detail = `a generation from 1 to ${sbatGenerationMax} expected, not ${quote(generation)}`;
    throw new FormatError(format, detail, { line });
  }
  return { name, generation: Number(generation) };
}
