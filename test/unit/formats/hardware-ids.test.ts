import { describe, expect, it, test } from "vitest";
import {
  computerHardwareIds,
  hwidsDevicesMax,
  hwidsTextBytesMax,
  matchDevice,
  parseHwids,
  type SmbiosStrings,
  unknownMachine,
} from "../../../src/formats/hardware-ids.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { openUki } from "../../../src/formats/uki.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { withWords } from "../../fakes/kernel-image.ts";
import { ukiData } from "../../fakes/uki-data.ts";

/** The machine of fwupd's docs/hwids.md, whose ids are there as `fwupdtool hwids` and ComputerHardwareIds.exe print them. */
const thinkpad: SmbiosStrings = {
  manufacturer: "LENOVO",
  family: "ThinkPad T440s",
  productName: "20ARS19C0C",
  productSku: "LENOVO_MT_20AR_BU_Think_FM_ThinkPad T440s",
  baseboardManufacturer: "LENOVO",
  baseboardProduct: "20ARS19C0C",
  biosVendor: "LENOVO",
  biosVersion: "GJET75WW (2.25 )",
  biosMajor: 2,
  biosMinor: 25,
  enclosureType: 10,
};

describe("a machine's ids", () => {
  const published = [
    [3, "3faec92a-3ae3-5744-be88-495e90a7d541"],
    [4, "660ccba8-1b78-5a33-80e6-9fb8354ee873"],
    [5, "8dc9b7c5-f5d5-5850-9ab3-bd6f0549d814"],
    [6, "178cd22d-ad9f-562d-ae0a-34009822cdbe"],
    [7, "da1da9b6-62f5-5f22-8aaa-14db7eeda2a4"],
    [8, "059eb22d-6dc7-59af-abd3-94bbe017f67c"],
    [9, "0cf8618d-9eff-537c-9f35-46861406eb9c"],
    [10, "f4275c1f-6130-5191-845c-3426247eb6a1"],
    [11, "db73af4c-4612-50f7-b8a7-787cf4871847"],
    [13, "f8e1de5f-b68c-5f52-9d1a-f1ba52f1f773"],
    [14, "6de5d951-d755-576b-bd09-c5cf66b27234"],
  ] as const;
  test.each(published)("number %i", (number, id) => expect(computerHardwareIds(thinkpad).get(number)).toBe(id));

  // The same machine in fwupd's own test (fu-self-test.c, fu_hwids_func): release numbers "02" and "19", enclosure kind "a".
  test.each([
    [0, "147efce9-f201-5fc8-ab0c-c859751c3440"],
    [1, "b7cceb67-774c-537e-bf8b-22c6107e9a74"],
    [2, "f5ff077f-3eeb-5bae-be1c-e98ffe8ce5f8"],
    [12, "e093d715-70f7-51f4-b6c8-b4a7e31def85"],
  ])("number %i, in hexadecimal", (number, id) => expect(computerHardwareIds(thinkpad).get(number)).toBe(id));

  it("spaces around and zeroes in front do not count", () => {
    const untidy = { ...thinkpad, manufacturer: "  0LENOVO ", family: "000ThinkPad T440s" };
    expect(computerHardwareIds(untidy)).toEqual(computerHardwareIds(thinkpad));
  });
  it("what is not known is in no id", () => {
    const known = (strings: SmbiosStrings): number[] => [...computerHardwareIds(strings).keys()];
    expect(known(unknownMachine)).toEqual([]);
    expect(known({ ...thinkpad, manufacturer: null })).toEqual([]);
    expect(known({ ...thinkpad, productSku: null })).toEqual([1, 2, 5, 8, 9, 10, 11, 12, 13, 14]);
    expect(known({ ...thinkpad, productSku: " 0 ", biosMinor: null })).toEqual([5, 8, 9, 10, 11, 12, 13, 14]);
  });
  it("a megabyte of spaces takes linear time", () => {
    expect(
      computerHardwareIds({ ...unknownMachine, manufacturer: `${" ".repeat(1 << 20)}x${" ".repeat(1 << 20)}` }).size,
    ).toBe(1);
  });
});

/** The section of test/data/uki/board: three devices, at 0, 28 and 56, one that ends the list, strings from 112. */
const board = ukiData("board");
const section = openUki(rangesOf(board), board.length).sections.find(({ name }) => name === ".hwids");
if (section === undefined) throw new Error("a section .hwids expected");
const hwids = board.slice(section.range.offset, section.range.offset + section.range.length);

describe("the section .hwids", () => {
  it("devices and their strings", () => {
    expect(parseHwids(hwids)).toEqual([
      { type: "devicetree", id: "00000000-0000-5000-8000-000000000001", name: "Another", key: "acme,board-one" },
      { type: "firmware", id: "3faec92a-3ae3-5744-be88-495e90a7d541", name: "capsule", key: "fw-id" },
      { type: "devicetree", id: "660ccba8-1b78-5a33-80e6-9fb8354ee873", name: "ThinkPad T440s", key: "acme,board-two" },
    ]);
    expect(parseHwids(withWords(hwids, [20, 0], [24, 0]))[0]).toMatchObject({ name: null, key: null });
    expect(parseHwids(new Uint8Array(0))).toEqual([]);
    expect(parseHwids(new Uint8Array(28))).toEqual([]);
  });
  it("the most specific id that a device of the type has", () => {
    const devices = parseHwids(hwids);
    const ids = computerHardwareIds(thinkpad);
    expect(matchDevice(devices, "devicetree", ids)).toMatchObject({ device: { key: "acme,board-two" }, idNumber: 4 });
    expect(matchDevice(devices, "firmware", ids)).toMatchObject({ device: { key: "fw-id" }, idNumber: 3 });
    expect(matchDevice(devices, "devicetree", new Map())).toBeNull();
    // The last of the ids that may name a device, and one that may not.
    const byFamily = { type: "devicetree", id: ids.get(11) ?? "", name: null, key: "family" } as const;
    const byMaker = { type: "devicetree", id: ids.get(14) ?? "", name: null, key: "maker" } as const;
    expect(matchDevice([byMaker, byFamily], "devicetree", ids)).toMatchObject({
      device: { key: "family" },
      idNumber: 11,
    });
    expect(matchDevice([byMaker], "devicetree", ids)).toBeNull();
  });
  const many = new Uint8Array(28 * (hwidsDevicesMax + 1));
  for (let at = 0; at < many.length; at += 28) new DataView(many.buffer).setUint32(at, 0x1000_001c, true);
  const longText = new Uint8Array(60 + hwidsTextBytesMax).fill(0x61);
  longText.set(withWords(hwids.slice(0, 28), [20, 28], [24, 0]));
  test.each([
    [
      "an unknown type",
      withWords(hwids, [0, 0x3000_001c]),
      "hwids: offset 0, descriptor: a device tree (0x1000001c) or firmware (0x2000001c) expected, not 0x3000001c",
    ],
    [
      "an unknown size",
      withWords(hwids, [28, 0x2000_0020]),
      "hwids: offset 28, descriptor: a device tree (0x1000001c) or firmware (0x2000001c) expected, not 0x20000020",
    ],
    [
      "an offset beyond",
      withWords(hwids, [20, hwids.length]),
      `hwids: offset 20, name offset: ${hwids.length}: an offset below ${hwids.length} expected`,
    ],
    [
      "a string without end",
      hwids.slice(0, -1),
      "hwids: offset 173, firmware id offset: a string of at most 1024 bytes that ends with NUL expected",
    ],
    [
      "a long string",
      longText,
      "hwids: offset 28, name offset: a string of at most 1024 bytes that ends with NUL expected",
    ],
    ["no text", withWords(hwids, [112, 0x01020304]), "hwids: offset 112, name offset: printable ASCII expected"],
    [
      "a device cut",
      withWords(hwids, [20, 0]).slice(0, 27),
      "hwids: offset 24, compatible offset: 4 byte(s) expected, the input ends at 27",
    ],
    ["too many", many, "hwids: offset 114688: at most 4096 devices are taken"],
    ["too long", new Uint8Array((1 << 20) + 1), "hwids: 1048577 bytes, at most 1048576 are taken"],
  ])("refused: %s", (_, bytes, message) => expect(formatErrorOf(() => parseHwids(bytes))).toBe(message));
  it("only FormatError, cut or changed", () => {
    tortureParser({ bytes: hwids, parse: parseHwids, rounds: 3000, seed: 17 });
  });
});
