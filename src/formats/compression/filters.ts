/**
 * Undoes a filter that an encoder put in front of LZMA2 (The .xz File Format 1.1.0, section 5.3). Filters keep the number
 * of bytes.
 */
export interface Filter {
  /**
   * Undoes it in place, from the start of `bytes`. Returns how many bytes are done; the rest, 4 at most, comes again with
   * more bytes behind it, or is the end of the data and stays as it is.
   */
  undo(bytes: Uint8Array): number;
}

/** Filters one after the other, each with the bytes that it could not undo yet. */
export class FilterChain {
  readonly #stages: readonly Stage[];

  /** @param filters in the order in which they are undone: the encoder's last one first */
  constructor(filters: readonly Filter[]) {
    this.#stages = filters.map((filter) => ({ filter, buffer: new Uint8Array(0), length: 0, done: 0 }));
  }

  /**
   * Takes bytes, which stay as they are, and returns what is undone of them and the bytes before: a view that is valid
   * until the next call.
   *
   * @param isLast nothing comes after these: everything is returned
   */
  undo(bytes: Uint8Array, isLast: boolean): Uint8Array {
    return this.#stages.reduce((input, stage) => undoStage(stage, input, isLast), bytes);
  }
}

interface Stage {
  readonly filter: Filter;
  buffer: Uint8Array;
  /** Bytes in the buffer. */
  length: number;
  /** Bytes of them that are undone and were returned. */
  done: number;
}

function undoStage(stage: Stage, bytes: Uint8Array, isLast: boolean): Uint8Array {
  const rest = stage.buffer.subarray(stage.done, stage.length);
  stage.length = rest.length + bytes.length;
  if (stage.buffer.length < stage.length) stage.buffer = new Uint8Array(stage.length);
  stage.buffer.set(rest);
  stage.buffer.set(bytes, rest.length);
  const undone = stage.filter.undo(stage.buffer.subarray(0, stage.length));
  stage.done = isLast ? stage.length : undone;
  return stage.buffer.subarray(0, stage.done);
}

/** Section 5.3.3: each byte is the difference to the one `distance` bytes before, 1 to 256. */
export function deltaFilter(distance: number): Filter {
  const history = new Uint8Array(256);
  let position = 0;
  return {
    undo(bytes) {
      for (let i = 0; i < bytes.length; i++, position++) {
        const value = ((bytes[i] ?? 0) + (history[(position - distance) & 0xff] ?? 0)) & 0xff;
        history[position & 0xff] = value;
        bytes[i] = value;
      }
      return bytes.length;
    },
  };
}

/**
 * ARM64 (section 5.3.2): the target of BL, and of ADRP within 512 MiB, was made absolute.
 *
 * @param start of the code, a multiple of 4
 */
export function arm64Filter(start: number): Filter {
  let position = start;
  return {
    undo(bytes) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const whole = bytes.length - (bytes.length % 4);
      for (let i = 0; i < whole; i += 4) {
        const instruction = view.getInt32(i, true);
        const address = (position + i) | 0;
        if (instruction >>> 26 === 0x25) {
          view.setInt32(i, 0x94000000 | ((instruction - (address >>> 2)) & 0x03ffffff), true);
        } else if ((instruction & 0x9f000000) >>> 0 === 0x90000000) {
          view.setInt32(i, relativeAdrp(instruction, address), true);
        }
      }
      position = (position + whole) | 0;
      return whole;
    },
  };
}

/** ADRP's page is split: two bits at 29, nineteen at 5. The filter uses 18 of these 21 and repeats the highest in the rest. */
function relativeAdrp(instruction: number, address: number): number {
  const page = ((instruction >>> 29) & 3) | ((instruction >>> 3) & 0x001ffffc);
  const isNear = ((page + 0x00020000) & 0x001c0000) === 0;
  if (!isNear) return instruction;
  const relative = page - (address >>> 12);
  const sign = (relative & 0x00020000) === 0 ? 0 : 0x00e00000;
  return (instruction & 0x9000001f) | ((relative & 3) << 29) | ((relative & 0x0003fffc) << 3) | sign;
}

// What is known of the last opcodes that were not converted: bit n, of one n bytes ago; bit n + 4, that its highest operand
// byte was plausible, too.
const seenOpcode = 0x01;
const seenOperand = 0x10;
const seenBits = 0x77;
const seenBytes = 4;
/** By the opcodes seen 1, 2 and 3 bytes ago: which operand byte tells whether an encoder converted; -1: it did not. */
const decidingByte = Int8Array.of(0, 1, 2, -1, 3, -1, -1, -1);

/**
 * x86 (section 5.3.2): the 32-bit targets of CALL and JMP (0xe8, 0xe9) were made absolute, where their highest byte is a
 * sign. Bytes with these values stand in operands, too: those in the way of each other are told apart by rules that are the
 * encoder's (LZMA SDK, Bra86.c).
 *
 * @param start of the code
 */
export function x86Filter(start: number): Filter {
  let position = start;
  let seen = 0;
  let lastOpcode = start;
  return {
    undo(bytes) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const end = bytes.length - 4;
      let i = 0;
      while (i < end) {
        if (((bytes[i] ?? 0) & 0xfe) !== 0xe8) {
          i++;
          continue;
        }
        const place = (position + i) | 0;
        seen = agedBy((place - lastOpcode) >>> 0, seen);
        lastOpcode = place;
        const deciding = seen >> 1 < 8 ? (decidingByte[seen >> 1] ?? -1) : -1;
        const isPlausible = isSign(bytes[i + 4] ?? 0);
        if (isPlausible && deciding >= 0) {
          makeRelative(view, i + 1, place + 5, deciding);
          seen = 0;
          i += 5;
        } else {
          seen |= isPlausible ? seenOpcode | seenOperand : seenOpcode;
          i++;
        }
      }
      position = (position + i) | 0;
      return i;
    },
  };
}

function isSign(byte: number): boolean {
  return byte === 0 || byte === 0xff;
}

/** What is known, `distance` bytes later. */
function agedBy(distance: number, seen: number): number {
  if (distance > seenBytes) return 0;
  let aged = seen;
  for (let i = 0; i < distance; i++) aged = (aged & seenBits) << 1;
  return aged;
}

/** Changes the 32-bit operand at `index` back: relative to `next`, the address behind it. */
function makeRelative(view: DataView, index: number, next: number, deciding: number): void {
  const target = view.getInt32(index, true);
  let relative = (target - next) | 0;
  if (deciding > 0 && isSign((relative >>> (24 - 8 * deciding)) & 0xff)) {
    relative = ((relative ^ ((1 << (32 - 8 * deciding)) - 1)) - next) | 0;
  }
  // The highest byte is the sign: 25 bits are significant.
  view.setInt32(index, (relative << 7) >> 7, true);
}
