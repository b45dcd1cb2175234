/**
 * The purgatory: the code that runs between the running kernel and the target. It is built from `native/purgatory`; what
 * it does is told by a parameter block near its start, which is filled in here.
 */
import blob from "../../../build/native/purgatory-x86_64.bin";
import { hex } from "../../formats/bytes.ts";
import type { BackupCopy, PageTables, PurgatoryConsole, TargetEntry } from "./plan.ts";

/** Physical memory that the digest covers. */
export interface AddressLength {
  readonly address: number;
  readonly bytes: number;
}

/** SHA-256 of the regions' bytes, or their CRC-32 (as zlib's), which is much quicker and finds what happens by accident. */
export type PurgatoryDigest = ({ readonly sha256: Uint8Array } | { readonly crc32: number }) & {
  readonly regions: readonly AddressLength[];
};

export interface PurgatoryRequest {
  /** Where it will lie: physical, page-aligned, within {@link purgatoryLimit}. */
  readonly address: number;
  readonly target: TargetEntry;
  /** What the regions, one after the other, are compared with; null: nothing. */
  readonly digest: PurgatoryDigest | null;
  /** The page tables that a 64-bit target is entered with; null: those of the running kernel. */
  readonly pageTables?: PageTables | null;
  readonly backup: BackupCopy | null;
  readonly console: PurgatoryConsole;
  /**
   * Address of the NUL that ends the target's command line: ` kexec_jump_back_entry=0x…` is put there, at most
   * {@link jumpBackTextBytesMax} bytes. Null: nothing.
   */
  readonly jumpBackCommandLineEnd: number | null;
}

/** native/purgatory/block.h: offsets from the start of the block, values and bits. */
export const purgatoryBlock = {
  start: 0x10,
  version: 3,
  bytes: 0x1b0,
  regionBytes: 16,
  field: {
    magic: 0x00,
    version: 0x08,
    memoryBytes: 0x0c,
    flags: 0x10,
    mode: 0x14,
    serialPort: 0x18,
    serialDivisor: 0x1c,
    jumpBackText: 0x20,
    backupSource: 0x28,
    backupDestination: 0x30,
    backupBytes: 0x38,
    targetAddress: 0x40,
    targetRsi: 0x48,
    targetArgument: 0x50,
    targetEax: 0x58,
    targetEbx: 0x5c,
    targetEsi: 0x60,
    targetIp: 0x64,
    targetCs: 0x66,
    targetDs: 0x68,
    targetSs: 0x6a,
    targetSp: 0x6c,
    regionCount: 0x70,
    sha256: 0x78,
    regions: 0x98,
    pageTables: 0x198,
    tablesStart: 0x1a0,
    tablesBytes: 0x1a8,
  },
  flag: { resetVga: 0x01, consoleVga: 0x02, consoleSerial: 0x04, digest: 0x08, jumpBack: 0x10, crc32: 0x20 },
} as const;

/** More regions do not fit into the block: as many as kexec_load(2) takes segments. */
export const purgatoryRegionsMax = 16;

/** ` kexec_jump_back_entry=0x`, up to 16 digits and a NUL. */
export const jumpBackTextBytesMax: number = " kexec_jump_back_entry=0x".length + 16 + 1;

/** Bytes of memory that it takes, a multiple of the page: the blob and, behind it, its stack. */
export const purgatoryMemoryBytes: number = readMemoryBytes();

const pageBytes = 4096;
const sha256Bytes = 32;
/** Bits per second at a divisor of 1 (a 16550 with its usual crystal). */
const serialBaudMax = 115_200;
/** Physical addresses have at most 52 bits. */
const physicalEnd = 2 ** 52;

/** Below this lie the interrupt vectors and the data of a BIOS. */
const addressMin = 0x3000;
const addressEnd = { "64-bit": physicalEnd, "32-bit": 2 ** 32, "16-bit": 0xa0000 } as const;

/**
 * Where the purgatory may lie for such a target: all of its memory at or above `min` and below `max`. It runs without
 * paging on its way to a 32-bit target, and in real mode on its way to a 16-bit one.
 */
export function purgatoryLimit(target: TargetEntry): { readonly min: number; readonly max: number } {
  return { min: addressMin, max: addressEnd[target.mode] };
}

/**
 * The purgatory's bytes, to be put at `request.address`. The rest of its {@link purgatoryMemoryBytes} may hold anything.
 * Throws RangeError for what cannot be: an address outside of the limit, more than {@link purgatoryRegionsMax} regions, a
 * region that covers the purgatory itself (it would never match), numbers that a register or a port cannot hold.
 */
export function makePurgatory(request: PurgatoryRequest): Uint8Array {
  const bytes = Uint8Array.from(blob);
  const block = new BlockWriter(bytes.subarray(purgatoryBlock.start, purgatoryBlock.start + purgatoryBlock.bytes));
  const own = { address: request.address, bytes: purgatoryMemoryBytes };
  checkPlace(own, request.target);
  writeTarget(block, request.target);
  writeConsole(block, request.console);
  if (request.digest !== null) writeDigest(block, request.digest, own);
  if (request.pageTables !== undefined && request.pageTables !== null) {
    block.u64("pageTables", request.pageTables.root);
    block.u64("tablesStart", request.pageTables.address);
    block.u64("tablesBytes", request.pageTables.bytes);
  }
  if (request.backup !== null) writeBackup(block, request.backup, own);
  if (request.jumpBackCommandLineEnd !== null) {
    checkRange("jump-back text", { address: request.jumpBackCommandLineEnd, bytes: jumpBackTextBytesMax }, own);
    block.u64("jumpBackText", request.jumpBackCommandLineEnd);
    block.flag("jumpBack");
  }
  return bytes;
}

function checkPlace(own: AddressLength, target: TargetEntry): void {
  const { min, max } = purgatoryLimit(target);
  const { address } = own;
  if (!Number.isSafeInteger(address) || address % pageBytes !== 0) {
    throw new RangeError(`place purgatory: ${hexText(address)}: the address of a page expected`);
  }
  if (address < min || address + own.bytes > max) {
    const text = `${hexText(own.bytes)} bytes between ${hexText(min)} and ${hexText(max)} expected`;
    throw new RangeError(`place purgatory: ${hexText(address)}: ${text}, for a ${target.mode} target`);
  }
}

function writeTarget(block: BlockWriter, target: TargetEntry): void {
  block.u32("mode", Number.parseInt(target.mode, 10));
  switch (target.mode) {
    case "64-bit":
      block.u64("targetAddress", target.address);
      block.u64("targetRsi", target.rsi);
      block.u64("targetArgument", target.argument ?? 0);
      break;
    case "32-bit":
      block.u64("targetAddress", target.address, 2 ** 32);
      block.u64("targetArgument", target.argument ?? 0, 2 ** 32);
      block.u32("targetEax", target.eax);
      block.u32("targetEbx", target.ebx);
      block.u32("targetEsi", target.esi);
      break;
    case "16-bit":
      block.u16("targetCs", target.cs);
      block.u16("targetIp", target.ip);
      block.u16("targetDs", target.ds);
      block.u16("targetSs", target.ss);
      block.u16("targetSp", target.sp);
      break;
  }
}

function writeConsole(block: BlockWriter, { vga, serial, resetVga }: PurgatoryConsole): void {
  if (resetVga) block.flag("resetVga");
  if (vga) block.flag("consoleVga");
  if (serial === null) return;
  block.flag("consoleSerial");
  // The last of its eight registers is a port as well.
  if (!(Number.isInteger(serial.port) && serial.port > 0 && serial.port <= 0xfff8)) {
    throw new RangeError(`purgatory: serial port ${hexText(serial.port)}: an I/O port from 0x1 to 0xfff8 expected`);
  }
  block.u32("serialPort", serial.port);
  block.u32("serialDivisor", serialDivisor(serial.baud));
}

/** 0, which leaves the speed as it is, for a baud rate of 0. */
function serialDivisor(baud: number): number {
  if (baud === 0) return 0;
  const divisor = serialBaudMax / baud;
  if (!Number.isInteger(divisor) || divisor < 1 || divisor > 0xffff) {
    throw new RangeError(`purgatory: ${baud} bits per second: a rate that divides ${serialBaudMax}, or 0, expected`);
  }
  return divisor;
}

function writeDigest(block: BlockWriter, digest: PurgatoryDigest, own: AddressLength): void {
  const { regions } = digest;
  if ("sha256" in digest && digest.sha256.length !== sha256Bytes) {
    throw new RangeError(`purgatory: digest "${hex(digest.sha256)}": ${sha256Bytes} bytes expected`);
  }
  if (regions.length > purgatoryRegionsMax) {
    throw new RangeError(`purgatory: ${regions.length} digested regions: ${purgatoryRegionsMax} at most expected`);
  }
  if ("sha256" in digest) {
    block.flag("digest");
    block.raw("sha256", digest.sha256);
  } else {
    block.flag("crc32");
    block.u32("sha256", digest.crc32);
  }
  block.u32("regionCount", regions.length);
  regions.forEach((region, index) => {
    checkRange("digested region", region, own);
    block.region(index, region);
  });
}

function writeBackup(block: BlockWriter, { source, destination, bytes }: BackupCopy, own: AddressLength): void {
  checkRange("memory to back up", { address: source, bytes });
  checkRange("backup", { address: destination, bytes }, own);
  if (overlap({ address: source, bytes }, { address: destination, bytes })) {
    throw new RangeError(
      `purgatory: backup at ${hexText(destination)}: a place outside of the ${hexText(bytes)} bytes at ${hexText(source)} expected`,
    );
  }
  block.u64("backupSource", source);
  block.u64("backupDestination", destination);
  block.u64("backupBytes", bytes);
}

/** @param own what the range must leave alone */
function checkRange(name: string, range: AddressLength, own?: AddressLength): void {
  const { address, bytes } = range;
  const text = `purgatory: ${name} of ${hexText(bytes)} bytes at ${hexText(address)}`;
  const isMemory = [address, bytes].every((value) => Number.isSafeInteger(value) && value >= 0);
  if (!isMemory || address + bytes > physicalEnd) throw new RangeError(`${text}: a range of memory expected`);
  if (own !== undefined && overlap(range, own)) {
    throw new RangeError(`${text}: a range outside of the purgatory itself, at ${hexText(own.address)}, expected`);
  }
}

function overlap(one: AddressLength, other: AddressLength): boolean {
  if (one.bytes === 0 || other.bytes === 0) return false;
  return one.address < other.address + other.bytes && other.address < one.address + one.bytes;
}

type Field = keyof typeof purgatoryBlock.field;

/** Writes little-endian fields; a value that a field cannot hold is a RangeError. */
class BlockWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #flags = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u16(field: Field, value: number): void {
    this.#view.setUint16(purgatoryBlock.field[field], checked(field, value, 2 ** 16), true);
  }

  u32(field: Field, value: number): void {
    this.#view.setUint32(purgatoryBlock.field[field], checked(field, value, 2 ** 32), true);
  }

  u64(field: Field, value: number, end = physicalEnd): void {
    this.#view.setBigUint64(purgatoryBlock.field[field], BigInt(checked(field, value, end)), true);
  }

  region(index: number, { address, bytes }: AddressLength): void {
    const offset = purgatoryBlock.field.regions + index * purgatoryBlock.regionBytes;
    this.#view.setBigUint64(offset, BigInt(address), true);
    this.#view.setBigUint64(offset + 8, BigInt(bytes), true);
  }

  raw(field: Field, bytes: Uint8Array): void {
    this.#bytes.set(bytes, purgatoryBlock.field[field]);
  }

  flag(name: keyof typeof purgatoryBlock.flag): void {
    this.#flags |= purgatoryBlock.flag[name];
    this.u32("flags", this.#flags);
  }
}

function checked(field: Field, value: number, end: number): number {
  if (Number.isInteger(value) && value >= 0 && value < end) return value;
  throw new RangeError(`purgatory: ${field} ${hexText(value)}: a whole number below ${hexText(end)} expected`);
}

function hexText(value: number): string {
  return Number.isInteger(value) && value >= 0 ? `0x${value.toString(16)}` : String(value);
}

/** The blob says how much memory it needs; that it is the right blob shows at the same time. */
function readMemoryBytes(): number {
  const view = new DataView(blob.buffer, blob.byteOffset + purgatoryBlock.start, purgatoryBlock.bytes);
  const { field, version } = purgatoryBlock;
  // "SLIPPURG", read as a big-endian number.
  if (view.getBigUint64(field.magic) !== 0x534c495050555247n || view.getUint32(field.version, true) !== version) {
    throw new Error(`purgatory: a blob with a parameter block of version ${version} expected`);
  }
  return view.getUint32(field.memoryBytes, true);
}
