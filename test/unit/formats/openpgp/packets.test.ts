import { describe, expect, test } from "vitest";
import { ByteReader } from "../../../../src/formats/bytes.ts";
import { integerBitsMax, readInteger } from "../../../../src/formats/openpgp/integers.ts";
import { firstPacket, packetsMax, packetTypeName, readPackets } from "../../../../src/formats/openpgp/packets.ts";
import { readSubpackets } from "../../../../src/formats/openpgp/subpackets.ts";
import { tortureParser } from "../../../fakes/hostile-input.ts";

const filled = (length: number): Buffer => Buffer.alloc(length, 7);
const withHeader = (header: readonly number[], length: number): Buffer =>
  Buffer.concat([Buffer.from(header), filled(length)]);

describe("packets", () => {
  // RFC 9580, section 4.2.1.4: 100, 1723 and 100000 bytes; the legacy forms of section 4.2.2.
  test.each([
    ["one byte", [0xc2, 0x64], 100],
    ["two bytes", [0xc2, 0xc5, 0xfb], 1723],
    ["two bytes, the smallest", [0xc2, 0xc0, 0x00], 192],
    ["two bytes, the largest", [0xc2, 0xdf, 0xff], 8383],
    ["five bytes", [0xc2, 0xff, 0x00, 0x01, 0x86, 0xa0], 100_000],
    ["legacy, one byte", [0x88, 0x64], 100],
    ["legacy, two bytes", [0x89, 0x06, 0xbb], 1723],
    ["legacy, four bytes", [0x8a, 0x00, 0x01, 0x86, 0xa0], 100_000],
  ] as const)("a length of %s", (_, header, length) => {
    const [packet, ...rest] = readPackets(withHeader(header, length), "test");
    expect([packet?.type, packet?.offset, packet?.body.length, rest.length]).toEqual([2, 0, length, 0]);
    expect(firstPacket(withHeader(header, length))).toEqual({ type: 2, firstByte: 7 });
  });
  test("several, with their places", () => {
    const bytes = Buffer.concat([withHeader([0xc6, 2], 2), withHeader([0x98, 0], 0), withHeader([0xff, 1], 1)]);
    expect(readPackets(bytes, "test").map(({ type, offset }) => [type, offset])).toEqual([
      [6, 0],
      [6, 4],
      [63, 6],
    ]);
    expect(readPackets(new Uint8Array(), "test")).toEqual([]);
  });
  test.each([
    [[0x42], "test: offset 0: a packet header expected, not byte 66"],
    [
      [0xc2, 0xe1, 7, 7],
      "test: offset 0, packet length: a partial length: keys and signatures are packets of a known length",
    ],
    [
      [0x8b, 7],
      "test: offset 0, packet length: an indeterminate length: keys and signatures are packets of a known length",
    ],
    [[0xc2], "test: offset 1, packet length: 1 byte(s) expected, the input ends at 1"],
    [[0xc2, 2, 7], "test: offset 2, body of a signature packet: 2 byte(s) expected, the input ends at 3"],
    [
      [0xc2, 0xff, 0xff, 0xff, 0xff, 0xff],
      "test: offset 6, body of a signature packet: 4294967295 byte(s) expected, the input ends at 6",
    ],
    [[0xff, 5], "test: offset 2, body of a packet of type 63: 5 byte(s) expected, the input ends at 2"],
  ] as const)("refused: row %#", (bytes, error) => {
    expect(() => readPackets(Uint8Array.from(bytes), "test")).toThrow(
      expect.objectContaining({ name: "FormatError", message: error }),
    );
  });
  test("limits", () => {
    const bytes = Buffer.alloc((packetsMax + 1) * 2, Buffer.of(0xca, 0));
    expect(() => readPackets(bytes, "test")).toThrow(`test: offset ${packetsMax * 2}: at most 65536 packets are taken`);
  });
  test("no first packet", () => {
    for (const bytes of [[], [0x42], [0xc2], [0xc2, 5], [0x8b, 1]])
      expect(firstPacket(Uint8Array.from(bytes))).toBeNull();
  });
  test("names", () =>
    expect([packetTypeName(11), packetTypeName(60)]).toEqual(["literal data packet", "packet of type 60"]));
  test("anything gives packets or a FormatError", () => {
    const bytes = Buffer.concat([withHeader([0xc2, 20], 20), withHeader([0x89, 0, 9], 9), withHeader([0xff, 1], 1)]);
    tortureParser({ bytes, parse: (input) => readPackets(input, "test"), rounds: 1000, seed: 12 });
  });
});

describe("integers (RFC 9580, section 3.2)", () => {
  const read = (...bytes: number[]) => readInteger(new ByteReader(Uint8Array.from(bytes), "test"), 0, "n");
  test("the examples", () => {
    expect(read(0, 1, 1)).toMatchObject({ bits: 1, end: 3 });
    expect([...read(0, 9, 1, 0xff).value]).toEqual([1, 0xff]);
    expect(read(0, 0)).toMatchObject({ bits: 0, end: 2 });
  });
  test.each([
    [[0, 2, 1], "test: offset 0, n: a number of 2 bits expected, it has 1"],
    [[0, 1, 3], "test: offset 0, n: a number of 1 bits expected, it has 2"],
    [[0, 9, 0, 0xff], "test: offset 0, n: a number of 9 bits expected, it has 8"],
    [[0, 8, 0], "test: offset 0, n: a number of 8 bits expected, it has 0"],
    [[0, 9, 1], "test: offset 2, n: 2 byte(s) expected, the input ends at 3"],
    [[0x40, 1, 1], `test: offset 0, n: a number of ${integerBitsMax + 1} bits, at most 16384 are taken`],
  ])("refused: row %#", (bytes, error) => expect(() => read(...bytes)).toThrow(error));
});

describe("subpackets (RFC 9580, section 5.2.3.7)", () => {
  const read = (bytes: Uint8Array) => readSubpackets(bytes, "test", 100);
  test.each([
    ["one byte", [5], 4],
    ["two bytes", [0xc0, 0], 191],
    ["two bytes, the largest", [0xfe, 0xff], 16_318],
    ["five bytes", [0xff, 0, 0, 0, 5], 4],
  ] as const)("a length of %s", (_, header, length) => {
    const [subpacket] = read(Buffer.concat([Buffer.from(header), Buffer.of(0x82), filled(length)]));
    expect([subpacket?.type, subpacket?.critical, subpacket?.body.length]).toEqual([2, true, length]);
    expect(subpacket?.body.base).toBe(100 + header.length + 1);
  });
  test.each([
    [[0], "test: offset 100: a subpacket without a type"],
    [[2, 2], "test: offset 102, subpacket 2 (creation time): 1 byte(s) expected, the input ends at 102"],
    [[1], "test: offset 101, subpacket type: 1 byte(s) expected, the input ends at 101"],
    [[0xff, 0, 0], "test: offset 101, subpacket length: 4 byte(s) expected, the input ends at 103"],
  ])("refused: row %#", (bytes, error) => expect(() => read(Uint8Array.from(bytes))).toThrow(error));
});
