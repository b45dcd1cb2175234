import { describe, expect, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import { findRsdp, parseRsdp } from "../../../src/formats/rsdp.ts";
import { kernelTree } from "../../fakes/kernel-tree.ts";
import { randomNumbers } from "../../fakes/random-numbers.ts";

const memory = kernelTree("bios").get("dev/mem") ?? new Uint8Array();
const seabios = memory.slice(0xf_59a0, 0xf_59a0 + 20);

/** ACPI 6.5, section 5.2.5.3: revision 2, length 36, an XSDT at 0x1_0000_1000. */
function second(change: (bytes: Buffer) => void = () => {}): Buffer {
  const bytes = Buffer.alloc(36);
  bytes.write("RSD PTR ");
  bytes.write("SLIPWY", 9);
  bytes[15] = 2;
  bytes.writeUInt32LE(36, 20);
  bytes.writeBigUInt64LE(0x1_0000_1000n, 24);
  bytes[8] = -sum(bytes.subarray(0, 20)) & 0xff;
  bytes[32] = -sum(bytes) & 0xff;
  change(bytes);
  return bytes;
}

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => total + byte, 0);
}

describe("a root pointer", () => {
  test("SeaBIOS", () => {
    expect(seabios[15]).toBe(0);
    expect(parseRsdp(seabios)).toEqual(seabios);
    expect(parseRsdp(memory.subarray(0xf_59a0))).toEqual(seabios);
  });
  test("of ACPI 2.0 and later", () => {
    expect(parseRsdp(new Uint8Array([...second(), 1, 2, 3]))).toEqual(new Uint8Array(second()));
  });

  const broken: readonly (readonly [string, Uint8Array, string])[] = [
    ["nothing", new Uint8Array(64), 'rsdp: offset 0, Signature: "RSD PTR " expected'],
    ["a wrong byte", second((b) => b.writeUInt8(1, 16)), "rsdp: offset 8, Checksum: a sum of 0 over 20 bytes expected"],
    [
      "a wrong byte behind",
      second((b) => b.writeUInt8(1, 35)),
      "rsdp: offset 32, Extended Checksum: a sum of 0 over the whole length expected",
    ],
    ["a short length", second((b) => b.writeUInt32LE(35, 20)), "rsdp: offset 20, Length: 35: 36 to 256 expected"],
    ["a long length", second((b) => b.writeUInt32LE(257, 20)), "rsdp: offset 20, Length: 257: 36 to 256 expected"],
  ];
  test.each(broken)("%s", (_, bytes, message) => {
    expect(() => parseRsdp(bytes)).toThrow(FormatError);
    expect(() => parseRsdp(bytes)).toThrow(expect.objectContaining({ message }));
  });
  test("cut off anywhere", () => {
    for (let length = 0; length < 36; length++)
      expect(() => parseRsdp(second().subarray(0, length))).toThrow(FormatError);
    for (let length = 0; length < 20; length++)
      expect(() => parseRsdp(seabios.subarray(0, length))).toThrow(FormatError);
  });
  test("any changed byte is noticed, or gives a FormatError", () => {
    const random = randomNumbers(9);
    for (let round = 0; round < 1000; round++) {
      const at = random() % 36;
      const bytes = second((b) => b.writeUInt8((b.readUInt8(at) + 1 + (random() % 255)) & 0xff, at));
      expect(() => parseRsdp(bytes)).toThrow(FormatError);
    }
  });
});

describe("in a BIOS' memory", () => {
  test("SeaBIOS", () => expect(findRsdp(memory.subarray(0xe_0000))).toBe(0x1_59a0));
  test("only at multiples of 16, only with the right sum, and the first", () => {
    const place = (...offsets: readonly number[]): Buffer => {
      const bytes = Buffer.alloc(256);
      for (const offset of offsets) bytes.set(seabios, offset);
      return bytes;
    };
    expect(findRsdp(place(8))).toBeNull();
    expect(findRsdp(place(32, 96))).toBe(32);
    const spoiled = place(32, 96);
    spoiled[40] = 1 + (spoiled[40] ?? 0);
    expect(findRsdp(spoiled)).toBe(96);
    expect(findRsdp(place(0).subarray(0, 19))).toBeNull();
    expect(findRsdp(new Uint8Array(0))).toBeNull();
  });
});
