import { FormatError } from "./format-error.ts";
import { type ByteRange, type ReadRange, readExactly } from "./ranges.ts";

/*
 * What machine a flattened device tree is for, without reading all of it.
 * Source: Devicetree Specification 0.4, sections 2.3.1 "compatible", 5.2 "Header", 5.4 "Structure Block". All fields are
 * big-endian.
 */

const format = "fdt";
const headerBytes = 40;
const token = { beginNode: 1, endNode: 2, property: 3, nop: 4 } as const;
const propertyName = "compatible";

/** Properties of the root node that are looked at. */
export const fdtRootTokensMax = 1024;
/** Longest name of a machine, in bytes. */
export const fdtCompatibleBytesMax = 256;

/**
 * The first string of the root node's `compatible`, which names the board; what follows names its relatives and its
 * processor. Null when the root has none.
 *
 * @throws FormatError with the offset and the field for what is no device tree, is cut, or passes the limits.
 */
export function fdtCompatible(read: ReadRange, range: ByteRange): string | null {
  const within = (offset: number, length: number, field: string) => {
    if (offset + length > range.length) {
      throw new FormatError(format, `${length} byte(s) expected, the tree ends at ${range.length}`, { offset, field });
    }
    return readExactly(read, { offset: range.offset + offset, length }, format, field);
  };
  const header = within(0, headerBytes, "header");
  if (header.u32be(0, "magic") !== 0xd00dfeed) header.fail("0xd00dfeed expected", 0, "magic");
  const strings = header.u32be(12, "off_dt_strings");
  let at = header.u32be(8, "off_dt_struct");
  let depth = 0;
  for (let tokens = 0; tokens < fdtRootTokensMax; tokens++) {
    const kind = within(at, 4, "token").u32be(0, "token");
    if (kind === token.nop) at += 4;
    else if (kind === token.beginNode && depth === 0) {
      depth = 1;
      // The root's name is empty: one NUL, padded.
      at += 8;
    } else if (kind === token.property && depth === 1) {
      const property = within(at + 4, 8, "property");
      const length = property.u32be(0, "len");
      const name = strings + property.u32be(4, "nameoff");
      if (isCompatible(within, name, range.length)) return firstString(within, at + 12, length);
      at += 12 + length + (-length & 3);
    } else if (depth === 1) return null;
    else throw new FormatError(format, `a node expected, not token ${kind}`, { offset: at, field: "token" });
  }
  throw new FormatError(format, `at most ${fdtRootTokensMax} properties of the root are taken`);
}

type ReadWithin = (offset: number, length: number, field: string) => ReturnType<typeof readExactly>;

function isCompatible(within: ReadWithin, offset: number, size: number): boolean {
  if (offset + propertyName.length + 1 > size) return false;
  return within(offset, propertyName.length + 1, "name").hasMagic(0, `${propertyName}\0`);
}

function firstString(within: ReadWithin, offset: number, length: number): string {
  const value = within(offset, Math.min(length, fdtCompatibleBytesMax), propertyName);
  const end = value.bytes.indexOf(0);
  if (end <= 0) value.fail(`a name of 1 to ${fdtCompatibleBytesMax - 1} bytes and NUL expected`, 0, propertyName);
  if (value.bytes.subarray(0, end).some((byte) => byte < 0x20 || byte > 0x7e)) {
    value.fail("printable ASCII expected", 0, propertyName);
  }
  return value.latin1(0, end, propertyName);
}
