import { describe, expect, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import {
  type EfiFacts,
  efiInfo,
  efiMemoryDescriptorBytes,
  efiMemoryMap,
  efiRuntimeRangesMax,
  readEfiInfo,
  type SetupDataItem,
  setupDataBytes,
  setupDataChain,
  setupDataItemsMax,
  setupDataType,
  setupEfi,
} from "../../../src/formats/setup-data.ts";
import { randomNumbers } from "../../fakes/random-numbers.ts";

/** Follows a chain as a kernel does: by its pointers. */
function follow(memory: Uint8Array, address: number): { type: number; data: number[]; address: number }[] {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  const records: { type: number; data: number[]; address: number }[] = [];
  for (let at = address; at !== 0; ) {
    const offset = at - address;
    const length = view.getUint32(offset + 12, true);
    const data = [...memory.subarray(offset + 16, offset + 16 + length)];
    records.push({ type: view.getUint32(offset + 8, true), data, address: at });
    at = Number(view.getBigUint64(offset, true));
  }
  return records;
}

describe("a chain", () => {
  const items: readonly SetupDataItem[] = [
    { type: setupDataType.rngSeed, data: new Uint8Array(32).fill(0xaa) },
    { type: setupDataType.e820Extension, data: Uint8Array.of(1, 2, 3) },
    { type: 0x8000_0001, data: new Uint8Array(0) },
  ];
  test("laid out by hand", () => {
    const bytes = Buffer.from(setupDataChain(items, 0x1_2345_6780));
    expect(bytes.toString("hex")).toBe(
      // next, type, len, data
      `${"b067452301000000"}${"09000000"}${"20000000"}${"aa".repeat(32)}` +
        `${"d067452301000000"}${"01000000"}${"03000000"}010203${"00".repeat(13)}` +
        `${"0000000000000000"}${"01000080"}${"00000000"}`,
    );
    expect(setupDataBytes(items)).toBe(bytes.length);
  });
  test("none", () => {
    expect(setupDataBytes([])).toBe(0);
    expect(setupDataChain([], 0x1000)).toEqual(new Uint8Array(0));
  });
  test("what is put in comes out, whatever the lengths", () => {
    const random = randomNumbers(2);
    for (let round = 0; round < 200; round++) {
      const some = Array.from({ length: 1 + (random() % 9) }, () => ({
        type: random(),
        data: Uint8Array.from({ length: random() % 70 }, () => random() % 256),
      }));
      const address = (random() % 2 ** 20) * 4096 + 2 ** 33;
      const found = follow(setupDataChain(some, address), address);
      expect(found.map(({ type, data }) => ({ type, data }))).toEqual(
        some.map(({ type, data }) => ({ type, data: [...data] })),
      );
      expect(found.every((record) => record.address % 16 === 0)).toBe(true);
    }
  });
  test("refuses a crooked address and too many", () => {
    expect(() => setupDataChain(items, 0x1008)).toThrow(
      new FormatError("setup data", "address 4104: a multiple of 16 expected"),
    );
    const many = Array.from({ length: setupDataItemsMax + 1 }, () => ({ type: 9, data: new Uint8Array(0) }));
    expect(setupDataChain(many.slice(1), 0)).toHaveLength(setupDataItemsMax * 16);
    expect(() => setupDataChain(many, 0)).toThrow("65 items, at most 64 are taken");
  });
});

/** Of the guest in test/data/platform/uefi.tree. */
const facts: EfiFacts = {
  systemTable: 0x7f9e_c018n,
  vendor: 0x7f91_c818n,
  runtime: 0x7f9e_cb98n,
  tables: 0x7f9e_cc98n,
  smbios: 0x7f91_8000n,
  runtimeMap: [
    {
      type: 6,
      physical: 0x7ff5_0000,
      virtual: 0xffff_fffe_fff5_0000n,
      pages: 0x20,
      attributes: 0x8000_0000_0000_000fn,
    },
    {
      type: 5,
      physical: 0x7f9e_d000,
      virtual: 0xffff_fffe_ff9e_d000n,
      pages: 0x100,
      attributes: 0x8000_0000_0000_000fn,
    },
  ],
};

describe("EFI", () => {
  test("SETUP_EFI is 12 words: vendor, runtime, tables, smbios, eight reserved", () => {
    const bytes = Buffer.from(setupEfi(facts));
    const words = Array.from({ length: 12 }, (_, index) => bytes.readBigUInt64LE(index * 8));
    expect(bytes).toHaveLength(96);
    expect(words).toEqual([0x7f91_c818n, 0x7f9e_cb98n, 0x7f9e_cc98n, 0x7f91_8000n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n]);
    expect(Buffer.from(setupEfi({ ...facts, smbios: null })).readBigUInt64LE(24)).toBe(0n);
  });
  test("the memory map is of EFI_MEMORY_DESCRIPTORs", () => {
    const bytes = Buffer.from(efiMemoryMap(facts.runtimeMap));
    expect(bytes.toString("hex", 0, 40)).toBe(
      "06000000000000000000f57f000000000000f5fffeffffff20000000000000000f00000000000080",
    );
    expect(bytes).toHaveLength(2 * efiMemoryDescriptorBytes);
    expect(bytes.readUInt32LE(40)).toBe(5);
    expect(efiMemoryMap([])).toHaveLength(0);
  });
  test("efi_info", () => {
    const bytes = efiInfo({ systemTable: 0x1_7f9e_c018n, memoryMapAddress: 0x2_0000_1000, memoryMapBytes: 80 });
    expect(Buffer.from(bytes).toString("hex")).toBe(
      `${Buffer.from("EL64").toString("hex")}18c09e7f${"28000000"}${"01000000"}${"00100000"}${"50000000"}${"01000000"}${"02000000"}`,
    );
    expect(readEfiInfo(bytes)).toEqual({
      signature: "EL64",
      systemTable: 0x1_7f9e_c018n,
      descriptorBytes: 40,
      descriptorVersion: 1,
      memoryMapBytes: 80,
    });
    expect(readEfiInfo(new Uint8Array(32))).toBeNull();
    expect(() => readEfiInfo(new Uint8Array(31))).toThrow(FormatError);
  });
  test("limits", () => {
    const range = facts.runtimeMap.slice(0, 1);
    expect(() => efiMemoryMap(Array.from({ length: efiRuntimeRangesMax + 1 }, () => range).flat())).toThrow(
      "4097 ranges, at most 4096 are taken",
    );
    expect(() => efiInfo({ systemTable: 1n << 64n, memoryMapAddress: 0, memoryMapBytes: 0 })).toThrow(FormatError);
  });
});
