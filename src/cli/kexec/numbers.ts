import { UsageError } from "../verb.ts";

/** kexec-tools finds a bad serial port only when it reads the options for the second time. */
export class BadSerial extends UsageError {}

/** The highest physical address that x86_64 can have. */
const addressMax = 2 ** 52 - 1;

/** As strtoul(3) with base 0 reads it: unsigned 64 bits, more stays at the most, and what is negative counts from there. */
function readNumber(text: string): bigint | null {
  if (text === "") return 0n;
  const [, sign, digits] = /^([-+]?)(0[0-7]*|[1-9]\d*|0x[0-9a-f]+)$/i.exec(text) ?? [];
  if (digits === undefined) return null;
  const value = BigInt(/^0\d/.test(digits) ? `0o${digits}` : digits);
  if (value >= 2n ** 64n) return 2n ** 64n - 1n;
  return sign === "-" ? BigInt.asUintN(64, -value) : value;
}

/** An address of `--mem-min` or `--mem-max`, at most the highest that there is. */
export function memoryBound(option: string, text: string): number {
  const value = readNumber(text);
  if (value === null) throw new UsageError(`Bad option value in ${option}=${text}`);
  return Math.min(Number(value), addressMax);
}

/** Null: 0, which stands for the image's own entry. */
export function entryAddress(text: string): number | null {
  const value = readNumber(text);
  if (value === null || value > addressMax) throw new UsageError(`Bad option value in --entry=${text}`);
  return value === 0n ? null : Number(value);
}

/** I/O ports have 16 bits. */
const portMax = 0xffff;

/** The I/O port that `--serial` names. */
export function serialPort(text: string): number {
  if (text === "ttyS0") return 0x3f8;
  if (text === "ttyS1") return 0x2f8;
  const port = /^0x[0-9a-f]{1,8}$/i.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  if (port > portMax) throw new BadSerial(`Bad serial port base '${text}'`);
  return port;
}

const baudMin = 9600;
const baudMax = 115_200;

/** Bits per second: what the 16550's divisor of 115200 can make. */
export function baudRate(text: string): number {
  const rate = Number(readNumber(text) ?? 0n);
  if (rate < baudMin || rate > baudMax || baudMax % rate !== 0) {
    throw new BadSerial(`Bad serial port baud rate '${text}'`);
  }
  return rate;
}
