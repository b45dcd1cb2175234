import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { FormatError } from "../../src/formats/format-error.ts";
import type { ReadAt } from "../../src/formats/read-at.ts";
import type { FuzzTarget } from "./engine.ts";
import { type Grammar, generateText } from "./grammar.ts";

const data = path.resolve(import.meta.dirname, "../data");
/** Longest real input that is taken for a seed, bytes. */
const seedBytesMax = 1 << 16;

/** Longest text that is tried, bytes: a parser sees all its rules in a few, and more of them in the same time. */
const textBytesMax = 1 << 13;

/** The files of a directory below test/data, unpacked where their names end in `.gz`; large ones are cut. */
export function seedsOf(directory: string, accept: RegExp = /./): Uint8Array[] {
  const at = path.join(data, directory);
  return readdirSync(at, { withFileTypes: true })
    .filter((file) => file.isFile() && accept.test(file.name))
    .map(({ name }) => seedOf(path.join(at, name)));
}

/** As {@link seedsOf}, with the directories below it: by the path from there. */
export function seedsBelow(directory: string, accept: RegExp): Uint8Array[] {
  const at = path.join(data, directory);
  return readdirSync(at, { recursive: true, encoding: "utf8" })
    .filter((name) => accept.test(name))
    .sort()
    .map((name) => seedOf(path.join(at, name)));
}

function seedOf(file: string): Uint8Array {
  const bytes = readFileSync(file);
  return Uint8Array.from((file.endsWith(".gz") ? gunzipSync(bytes) : bytes).subarray(0, seedBytesMax));
}

export const textOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What a finder hands to a parser: bytes that were decoded. */
const decode = (bytes: Uint8Array): string => new TextDecoder("utf-8").decode(bytes);

export const isFormatError = (error: unknown): boolean => error instanceof FormatError;

export function textTarget(
  name: string,
  seeds: readonly Uint8Array[],
  tokens: readonly string[],
  run: (text: string) => unknown,
): FuzzTarget {
  const parse = (bytes: Uint8Array): unknown => run(decode(bytes));
  return { name, seeds, tokens, text: true, run: parse, isExpected: isFormatError, inputBytesMax: textBytesMax };
}

export function binaryTarget(
  name: string,
  seeds: readonly Uint8Array[],
  tokens: readonly (string | Uint8Array)[],
  run: (bytes: Uint8Array) => unknown,
): FuzzTarget {
  return { name, seeds, tokens, text: false, run, isExpected: isFormatError };
}

/** For what does not throw at all. */
export const throwsNothing: Pick<FuzzTarget, "isExpected"> = { isExpected: () => false };

export function generates(grammar: Grammar, start: string): Required<Pick<FuzzTarget, "generate">> {
  return { generate: (random) => textOf(generateText(grammar, start, random)) };
}

/** What a grammar's productions say besides its symbols. */
export function tokensOf(grammar: Grammar): string[] {
  const texts = Object.values(grammar)
    .flat()
    .flatMap((production) => production.split(/<[a-z-]+>|[ \n]/));
  return [...new Set(texts.filter((text) => text !== ""))];
}

/** A device that is a byte array, with zeroes behind it where it is larger. */
export function deviceOf(bytes: Uint8Array, deviceBytes: number = bytes.length): ReadAt {
  return async (offset, length) => {
    const start = Number(offset);
    const found = bytes.slice(start, start + length);
    const wanted = Math.max(0, Math.min(length, deviceBytes - start));
    if (found.length >= wanted) return found;
    const padded = new Uint8Array(wanted);
    padded.set(found);
    return padded;
  };
}

/** A count, roughly, for results to be told apart by: more and more of the same is nothing new. */
export function grade(count: number): number {
  return count < 4 ? count : Math.ceil(Math.log2(count)) + 2;
}
