import { quote } from "../format-error.ts";
import { inputsOf, type OptionDefinition, optionValue, type ParsedArguments, parseArguments } from "./arguments.ts";
import { fileTypes } from "./file-type.ts";
import { type HashAlgorithm, hashAlgorithms } from "./host.ts";
import type { Tainted } from "./inputs.ts";
import type { CommandCall, Located, Machine } from "./machine.ts";
import { grubStatus } from "./status.ts";

/** A list of checksums, bytes. */
export const checksumListBytesMax = 1 << 20;

/** `file --is-TYPE FILE` (commands/file.c): true where the content is of that type. */
export async function fileType(machine: Machine, { words }: CommandCall): Promise<number> {
  const definitions: OptionDefinition[] = [...fileTypes.keys()].map((long) => ({ long, value: "none" }));
  const parsed = parseArguments(words, definitions);
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `file: ${parsed}`);
  const [word] = parsed.operands;
  const [option, ...more] = parsed.options.keys();
  if (word === undefined) return machine.fail(grubStatus.badArgument, "file: a file expected");
  if (option === undefined || more.length > 0) return machine.fail(grubStatus.badArgument, "file: one type expected");
  const test = fileTypes.get(option);
  if (test === undefined || typeof test === "string") {
    machine.refuse(`file --${option}: ${test ?? "is not known"}`);
    return grubStatus.notImplemented;
  }
  const { device, found, use } = await machine.locate(word);
  if (device === null || found === null) {
    return machine.fail(grubStatus.fileNotFound, `file: ${use.problem ?? "not found"}`);
  }
  const read = (position: number, length: number): Promise<Uint8Array> =>
    machine.host.readRange(device, use.writtenPath, position, length);
  const asked = await machine.ask(() => test(read, found.size));
  if ("error" in asked) return machine.fail(grubStatus.fileReadError, `file: ${asked.error}`);
  return asked.answer ? grubStatus.none : grubStatus.testFailure;
}

/** `cmp FILE FILE` (commands/cmp.c of 2.06): it prints differences and succeeds where both files can be read. */
export async function compareFiles(machine: Machine, { words }: CommandCall): Promise<number> {
  if (words.length !== 2) return machine.fail(grubStatus.badArgument, "cmp: two files expected");
  for (const word of words) {
    const { found, use } = await machine.locate(word);
    if (found === null) return machine.fail(grubStatus.fileNotFound, `cmp: ${use.problem ?? "not found"}`);
  }
  return grubStatus.none;
}

const hashOptions: readonly OptionDefinition[] = [
  { long: "hash", short: "h", value: "required" },
  { long: "check", short: "c", value: "required" },
  { long: "prefix", short: "p", value: "required" },
  { long: "keep-going", short: "k", value: "none" },
  { long: "uncompress", short: "u", value: "none" },
];

const hashCommands: ReadonlyMap<string, HashAlgorithm> = new Map([
  ["md5sum", "md5"],
  ["sha1sum", "sha1"],
  ["sha256sum", "sha256"],
  ["sha512sum", "sha512"],
  ["crc", "crc32"],
]);

/** `hashsum --hash NAME`, `md5sum`, `sha1sum` … : `FILE…` or `--check LIST [--prefix DIRECTORY]` (commands/hashsum.c). */
export async function hashSum(machine: Machine, { name, words }: CommandCall): Promise<number> {
  const parsed = parseArguments(words, hashOptions);
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `${name}: ${parsed}`);
  const wanted = optionValue(parsed, "hash")?.text.toLowerCase();
  const algorithm = hashCommands.get(name) ?? hashAlgorithms.find((each) => each === wanted);
  if (algorithm === undefined) {
    machine.refuse(`${name}: one of ${hashAlgorithms.join(", ")} expected, not ${quote(wanted ?? "")}`);
    return grubStatus.badArgument;
  }
  if (parsed.options.has("uncompress")) {
    machine.refuse(`${name} --uncompress: files are not unpacked`);
    return grubStatus.notImplemented;
  }
  const list = optionValue(parsed, "check");
  if (list !== null) {
    if (parsed.operands.length > 0) return machine.fail(grubStatus.badArgument, `${name}: --check takes no files`);
    return checkSums(machine, name, algorithm, list, parsed);
  }
  let status: number = grubStatus.none;
  for (const word of parsed.operands) {
    const hashed = await hashOf(machine, name, algorithm, await machine.locate(word));
    if (typeof hashed === "number") status = hashed;
    else machine.print(`${hashed.digits}  ${word.text}\n`);
    if (status !== grubStatus.none && !parsed.options.has("keep-going")) return status;
  }
  return status;
}

/** Counts what is about to be read; false where it is too much, which has been told. */
function mayRead(machine: Machine, name: string, written: string, bytes: number): boolean {
  const { hashedBytesMax } = machine.limits;
  machine.session.hashedBytes += bytes;
  if (machine.session.hashedBytes <= hashedBytesMax) return true;
  machine.refuse(`${name} ${quote(written)}: more than ${hashedBytesMax} bytes in all hashed files`);
  return false;
}

async function hashOf(
  machine: Machine,
  name: string,
  algorithm: HashAlgorithm,
  { device, found, use }: Located,
): Promise<{ readonly digits: string } | number> {
  if (device === null || found === null) {
    return machine.fail(grubStatus.fileNotFound, `${name}: ${use.problem ?? "not found"}`);
  }
  const { hashedBytesMax } = machine.limits;
  if (!mayRead(machine, name, use.written, found.size)) return grubStatus.outOfRange;
  const asked = await machine.ask(() => machine.host.hash(device, use.writtenPath, algorithm, hashedBytesMax));
  return "error" in asked
    ? machine.fail(grubStatus.fileReadError, `${name}: ${asked.error}`)
    : { digits: asked.answer };
}

async function checkSums(
  machine: Machine,
  name: string,
  algorithm: HashAlgorithm,
  list: Tainted,
  parsed: ParsedArguments,
): Promise<number> {
  const { device, found, use } = await machine.locate(list);
  if (device === null || found === null) {
    return machine.fail(grubStatus.fileNotFound, `${name}: ${use.problem ?? "not found"}`);
  }
  if (found.size > checksumListBytesMax) {
    return machine.fail(grubStatus.outOfRange, `${name}: a list of at most ${checksumListBytesMax} bytes expected`);
  }
  if (!mayRead(machine, name, use.written, found.size)) return grubStatus.outOfRange;
  const asked = await machine.ask(() => machine.host.readRange(device, use.writtenPath, 0, found.size));
  if ("error" in asked) return machine.fail(grubStatus.fileReadError, `${name}: ${asked.error}`);
  const prefix = optionValue(parsed, "prefix");
  let mismatches = 0;
  for (const line of new TextDecoder().decode(asked.answer).split("\n")) {
    if (line === "") continue;
    machine.budget.spend(1);
    const match = /^([0-9a-fA-F]+)[ \t][ \t*]?(.+?)\r?$/.exec(line);
    if (match === null) return machine.fail(grubStatus.badArgument, `${name}: ${quote(line)} is no checksum and file`);
    const text = prefix === null ? (match[2] ?? "") : `${prefix.text}/${match[2]}`;
    const located = await machine.locate({ text, inputs: inputsOf([list]) });
    const hashed = await hashOf(machine, name, algorithm, located);
    const isSame = typeof hashed !== "number" && hashed.digits === match[1]?.toLowerCase();
    machine.print(`${match[2]}: ${isSame ? "OK" : "HASH MISMATCH"}\n`);
    if (isSame) continue;
    mismatches++;
    if (!parsed.options.has("keep-going")) break;
  }
  if (mismatches === 0) return grubStatus.none;
  return machine.fail(
    grubStatus.testFailure,
    `${name}: ${mismatches} of the files are not as ${quote(use.written)} says`,
  );
}
