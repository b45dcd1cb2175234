import { FormatError, quote } from "./format-error.ts";
import { numberedLines } from "./lines.ts";
import { type AddressRange, type MemoryRange, memoryTypeOfName, normalizeMemory } from "./memory-map.ts";

/** A line of /proc/iomem with what lies inside it. */
export interface IomemNode extends AddressRange {
  /** As the kernel names it: `System RAM`, `Crash kernel`, `Reserved`… */
  readonly name: string;
  readonly children: readonly IomemNode[];
}

/** Most lines that are read; big servers have a few thousand. */
export const iomemLinesMax = 65_536;

/** Deepest nesting; the kernel shows eight levels (kernel/resource.c, MAX_IORES_LEVEL). */
export const iomemDepthMax = 16;

const format = "iomem";
const linePattern = /^( *)([0-9a-f]{1,16})-([0-9a-f]{1,16}) : (.*)$/;

interface OpenNode extends IomemNode {
  readonly children: OpenNode[];
}

/**
 * Reads the text of /proc/iomem (kernel/resource.c, r_show()): a range a line in hexadecimal with its last byte, two
 * spaces for each level of nesting. Without CAP_SYS_ADMIN the kernel shows every address as 0, which is a {@link
 * FormatError} of its own, as is a line of another form, an address from 2^53 on, and more than {@link iomemLinesMax}
 * lines.
 */
export function parseIomem(text: string): readonly IomemNode[] {
  const roots: OpenNode[] = [];
  const open: OpenNode[] = [];
  const lines = numberedLines(text, format);
  if (lines.length > iomemLinesMax) {
    throw new FormatError(format, `${lines.length} lines, at most ${iomemLinesMax} are taken`);
  }
  let seen = false;
  for (const { number, text: line } of lines) {
    const { depth, node } = parseLine(line, number);
    if (depth > open.length || depth >= iomemDepthMax) {
      throw new FormatError(
        format,
        `${quote(line)}: at most ${Math.min(open.length, iomemDepthMax - 1)} levels expected`,
        {
          line: number,
        },
      );
    }
    open.length = depth;
    (open.at(-1)?.children ?? roots).push(node);
    open.push(node);
    seen ||= node.end > 1;
  }
  if (lines.length > 0 && !seen) {
    throw new FormatError(format, "every address is 0, as the kernel shows them to those without CAP_SYS_ADMIN");
  }
  return roots;
}

function parseLine(line: string, number: number): { depth: number; node: OpenNode } {
  const [, indent = "", start = "", last = "", name = ""] = linePattern.exec(line) ?? fail(line, number);
  if (indent.length % 2 !== 0) fail(line, number);
  return {
    depth: indent.length / 2,
    node: { start: address(start, number), end: address(last, number) + 1, name, children: [] },
  };
}

function fail(line: string, number: number): never {
  throw new FormatError(format, `${quote(line)}: "START-END : NAME" expected, indented by two spaces a level`, {
    line: number,
  });
}

function address(digits: string, line: number): number {
  const value = Number.parseInt(digits, 16);
  if (value >= Number.MAX_SAFE_INTEGER) throw new FormatError(format, `0x${digits}: below 2^53 expected`, { line });
  return value;
}

/** All nodes, parents before what lies in them. */
export function* walkIomem(nodes: readonly IomemNode[]): Generator<IomemNode> {
  for (const node of nodes) {
    yield node;
    yield* walkIomem(node.children);
  }
}

/**
 * A memory map from /proc/iomem, where the kernel shows no firmware map: what carries the name of a memory type at any
 * level, but nothing inside System RAM, where `Reserved` is the running kernel's own business.
 */
export function iomemMemoryMap(nodes: readonly IomemNode[]): MemoryRange[] {
  const found: MemoryRange[] = [];
  const visit = (level: readonly IomemNode[]): void => {
    for (const { start, end, name, children } of level) {
      const type = memoryTypeOfName(name);
      if (type !== null) found.push({ start, end, type });
      if (type !== "ram") visit(children);
    }
  };
  visit(nodes);
  return normalizeMemory(found);
}
