import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import {
  type BootParamsRequest,
  bootParamsBytes,
  e820EntriesMax,
  extendedE820,
  readBootParams,
  realModeHeapEnd,
  writeBootParams,
  writeRealModeSetup,
} from "../../../src/formats/boot-params.ts";
import type { EddDisk } from "../../../src/formats/edd.ts";
import { FormatError } from "../../../src/formats/format-error.ts";
import type { MemoryRange } from "../../../src/formats/memory-map.ts";
import { bzImageHead } from "../../fakes/bzimage-head.ts";
import { kernelTree } from "../../fakes/kernel-tree.ts";
import { randomNumbers } from "../../fakes/random-numbers.ts";

const debian = new Uint8Array(
  gunzipSync(readFileSync(new URL("../../data/bzimage/debian-6.1-cloud-head.gz", import.meta.url))),
);

const plain: BootParamsRequest = {
  head: debian,
  kernelAddress: 0x100_0000,
  commandLineAddress: 0x9_b000,
  initrd: null,
  memory: [],
  screenInfo: null,
  rsdp: null,
  efiInfo: null,
  hardwareSubarch: 0,
  secureBoot: 0,
  edd: [],
  setupData: 0,
};

function request(own: Partial<BootParamsRequest>): BootParamsRequest {
  return { ...plain, ...own };
}

const disk: EddDisk = {
  device: 0x81,
  version: 0x30,
  interfaceSupport: 7,
  legacyMaxCylinder: 0x123,
  legacyMaxHead: 15,
  legacySectorsPerTrack: 63,
  parameters: new Uint8Array(74).fill(0xdd),
  mbrSignature: 0x1234_abcd,
};

/** A page of zeroes with these values at these offsets, little-endian. */
function pageOf(fields: readonly (readonly [offset: number, bytes: number, value: number | bigint])[]): Buffer {
  const page = Buffer.alloc(4096);
  for (const [offset, bytes, value] of fields) {
    for (let i = 0; i < bytes; i++) page[offset + i] = Number((BigInt(value) >> BigInt(8 * i)) & 0xffn);
  }
  return page;
}

describe("a planned start of Debian's kernel", () => {
  const page = writeBootParams(
    request({
      commandLineAddress: 0x1_3fff_e000,
      initrd: { address: 0x1_3c00_0000, bytes: 0x1_0000_0123 },
      memory: [
        { start: 0x1000, end: 0x9_fc00, type: "ram" },
        { start: 0x9_fc00, end: 0xa_0000, type: "reserved" },
        { start: 0x10_0000, end: 0x7ffd_c000, type: "ram" },
        { start: 0x7ffd_c000, end: 0x8000_0000, type: "acpi-nvs" },
        { start: 0x1_0000_0000, end: 0x1_c000_0000, type: "ram" },
      ],
      screenInfo: new Uint8Array(64).fill(0x5a),
      rsdp: 0x7fb7_e014,
      efiInfo: new Uint8Array(32).fill(0xef),
      hardwareSubarch: 4,
      secureBoot: 2,
      edd: [{ ...disk, device: 0x80, mbrSignature: null }, disk],
      setupData: 0x1_3fff_0010,
    }),
  );

  /** Offsets from Documentation/arch/x86/zero-page.rst and boot.rst; the image's own fields as test/data/bzimage has them. */
  const expected = pageOf([
    [0x070, 8, 0x7fb7_e014],
    [0x0c0, 4, 1], // ext_ramdisk_image
    [0x0c4, 4, 1], // ext_ramdisk_size
    [0x0c8, 4, 1], // ext_cmd_line_ptr
    [0x1e0, 4, (0x7ffd_c000 - 0x10_0000) / 1024], // alt_mem_k
    [0x1e8, 1, 5], // e820_entries
    [0x1e9, 1, 2], // eddbuf_entries
    [0x1ea, 1, 2], // edd_mbr_sig_buf_entries
    [0x1ec, 1, 2], // secure_boot
    [0x290 + 4, 4, 0x1234_abcd],
    [0x2d0 + 0, 8, 0x1000],
    [0x2d0 + 8, 8, 0x9_ec00],
    [0x2d0 + 16, 4, 1],
    [0x2d0 + 20, 8, 0x9_fc00],
    [0x2d0 + 28, 8, 0x400],
    [0x2d0 + 36, 4, 2],
    [0x2d0 + 40, 8, 0x10_0000],
    [0x2d0 + 48, 8, 0x7fed_c000],
    [0x2d0 + 56, 4, 1],
    [0x2d0 + 60, 8, 0x7ffd_c000],
    [0x2d0 + 68, 8, 0x2_4000],
    [0x2d0 + 76, 4, 4],
    [0x2d0 + 80, 8, 0x1_0000_0000],
    [0x2d0 + 88, 8, 0xc000_0000],
    [0x2d0 + 96, 4, 1],
    ...[0x80, 0x81].flatMap(
      (device, index) =>
        [
          [0xd00 + index * 82, 1, device],
          [0xd00 + index * 82 + 1, 1, 0x30],
          [0xd00 + index * 82 + 2, 2, 7],
          [0xd00 + index * 82 + 4, 2, 0x123],
          [0xd00 + index * 82 + 6, 1, 15],
          [0xd00 + index * 82 + 7, 1, 63],
        ] as const,
    ),
  ]);
  expected.fill(0x5a, 0, 64);
  expected.writeUInt16LE(0xfc00, 0x02); // ext_mem_k
  expected.fill(0xef, 0x1c0, 0x1e0);
  expected.fill(0xdd, 0xd08, 0xd08 + 74);
  expected.fill(0xdd, 0xd5a, 0xd5a + 74);
  expected.set(debian.subarray(0x1f1, 0x26c), 0x1f1);
  expected[0x210] = 0xd0; // type_of_loader
  expected[0x211] = 0x01; // loadflags
  expected.writeUInt32LE(0x100_0000, 0x214); // code32_start
  expected.writeUInt32LE(0x3c00_0000, 0x218); // ramdisk_image
  expected.writeUInt32LE(0x123, 0x21c); // ramdisk_size
  expected.writeUInt32LE(0x3fff_e000, 0x228); // cmd_line_ptr
  expected.writeUInt32LE(4, 0x23c); // hardware_subarch
  expected.writeBigUInt64LE(0x1_3fff_0010n, 0x250); // setup_data

  test("every byte is what the specification says, and all others are zero", () => {
    expect(page).toHaveLength(bootParamsBytes);
    const lines = (bytes: Uint8Array): string[] =>
      Array.from({ length: 256 }, (_, row) => {
        const at = row * 16;
        return `${at.toString(16)}: ${Buffer.from(bytes.subarray(at, at + 16)).toString("hex")}`;
      });
    expect(lines(page)).toEqual(lines(expected));
  });
  test("the sentinel, which header.S sets to 0xff, is cleared", () => {
    expect(debian[0x1ef]).toBeDefined();
    expect(page[0x1ef]).toBe(0);
  });
  test("what is told again can be read back", () => {
    const readable = writeBootParams(
      request({
        rsdp: 0xf_59a0,
        hardwareSubarch: 3,
        secureBoot: 3,
        edd: [{ ...disk, device: 0x80, mbrSignature: 7 }, disk],
      }),
    );
    expect(readBootParams(readable)).toEqual({
      rsdp: 0xf_59a0,
      efi: null,
      hardwareSubarch: 3,
      secureBoot: 3,
      edd: [{ ...disk, device: 0x80, mbrSignature: 7 }, disk],
    });
  });
});

describe("the image's header", () => {
  test("ends where its jump does", () => {
    const head = Buffer.from(debian);
    head[0x26b] = 0xaa;
    head[0x26c] = 0xbb;
    const page = writeBootParams(request({ head }));
    expect([page[0x26b], page[0x26c]]).toEqual([0xaa, 0]);
  });
  test("other flags than LOADED_HIGH are the loader's", () => {
    expect(writeBootParams(request({ head: bzImageHead({ loadFlags: 0xe3 }) }))[0x211]).toBe(1);
  });
  test("a kernel above 4 GiB has no 32-bit entry", () => {
    expect(Buffer.from(writeBootParams(request({ kernelAddress: 2 ** 32 }))).readUInt32LE(0x214)).toBe(0);
  });
  test("a kernel without one gets one made up", () => {
    const page = Buffer.from(writeBootParams(request({ head: null, setupData: 0x2_0000_0000 })));
    expect(page.readUInt16LE(0x1fe)).toBe(0xaa55);
    expect(page.toString("latin1", 0x202, 0x206)).toBe("HdrS");
    expect(page.readUInt16LE(0x206)).toBe(0x20f);
    expect([page[0x210], page[0x211]]).toEqual([0xd0, 1]);
    expect(page.readUInt32LE(0x228)).toBe(0x9_b000);
    expect(page.readUInt32LE(0x22c)).toBe(0x37ff_ffff);
    expect(page.readUInt32LE(0x238)).toBe(2047);
    expect(page.readBigUInt64LE(0x250)).toBe(0x2_0000_0000n);
  });

  const refused: readonly (readonly [string, Partial<BootParamsRequest>, string])[] = [
    ["no image", { head: new Uint8Array(512) }, "bzimage: offset 510, boot_flag: 0xaa55 expected, not 0x0"],
    [
      "an old kernel and a high command line",
      { head: bzImageHead({ protocol: 0x20b }), commandLineAddress: 0x1_0000_0000 },
      "boot parameters: cmd_line_ptr 0x100000000: a kernel of boot protocol 2.12 or later expected, this one has 2.11",
    ],
    [
      "an old kernel and a high initrd",
      { head: bzImageHead({ protocol: 0x20b }), initrd: { address: 0x1_0000_0000, bytes: 1 } },
      "boot parameters: ramdisk_image 0x100000000: a kernel of boot protocol 2.12 or later expected, this one has 2.11",
    ],
    [
      "an older kernel and setup data",
      { head: bzImageHead({ protocol: 0x208 }), setupData: 0x10_0000 },
      "boot parameters: setup data: a kernel of boot protocol 2.09 or later expected, this one has 2.08",
    ],
    [
      "a short screen_info",
      { screenInfo: new Uint8Array(63) },
      "boot parameters: offset 0, screen_info: 63 bytes, 64 expected",
    ],
    [
      "seven disks",
      { edd: Array.from({ length: 7 }, () => disk) },
      "boot parameters: eddbuf: 7 BIOS disks, at most 6 are taken",
    ],
    [
      "an address beyond 64 bits",
      { commandLineAddress: 2 ** 64 },
      "boot parameters: offset 200, ext_cmd_line_ptr: 0x100000000: a whole number up to 0xffffffff expected",
    ],
  ];
  test.each(refused)("refuses %s", (_, own, message) => {
    expect(() => writeBootParams(request(own))).toThrow(FormatError);
    expect(() => writeBootParams(request(own))).toThrow(expect.objectContaining({ message }));
  });
  test("an old kernel with all below 4 GiB is told what it knows", () => {
    const page = Buffer.from(writeBootParams(request({ head: bzImageHead({ protocol: 0x206 }), hardwareSubarch: 5 })));
    expect(page.readUInt32LE(0x228)).toBe(0x9_b000);
    expect(page.readUInt32LE(0x23c)).toBe(0);
  });
});

describe("memory", () => {
  const ranges = (count: number): MemoryRange[] =>
    Array.from({ length: count }, (_, index) => ({ start: index * 8192, end: index * 8192 + 4096, type: "ram" }));

  test("128 ranges stand in the page, the rest in SETUP_E820_EXT", () => {
    const many = ranges(e820EntriesMax + 2);
    const page = Buffer.from(writeBootParams(request({ memory: many })));
    expect(page[0x1e8]).toBe(128);
    expect(page.readBigUInt64LE(0x2d0 + 127 * 20)).toBe(127n * 8192n);
    expect(page.subarray(0xcd0, 0xd00).every((byte) => byte === 0)).toBe(true);
    const rest = Buffer.from(extendedE820(many) ?? []);
    expect(rest).toHaveLength(40);
    expect([rest.readBigUInt64LE(20), rest.readBigUInt64LE(28), rest.readUInt32LE(36)]).toEqual([
      129n * 8192n,
      4096n,
      1,
    ]);
  });
  test("128 fit", () => expect(extendedE820(ranges(e820EntriesMax))).toBeNull());

  const extended: readonly (readonly [string, MemoryRange[], number, number])[] = [
    ["none", [{ start: 0x20_0000, end: 0x40_0000, type: "ram" }], 0, 0],
    ["reserved there", [{ start: 0x10_0000, end: 0x40_0000, type: "reserved" }], 0, 0],
    ["3 MiB", [{ start: 0x10_0000, end: 0x40_0000, type: "ram" }], 3072, 3072],
    ["from below", [{ start: 0x1000, end: 0x40_0000, type: "ram" }], 3072, 3072],
    ["up to 1 MiB", [{ start: 0x1000, end: 0x10_0000, type: "ram" }], 0, 0],
    ["64 MiB", [{ start: 0x10_0000, end: 0x410_0000, type: "ram" }], 0xfc00, 0x1_0000],
    ["8 TiB", [{ start: 0x10_0000, end: 2 ** 43, type: "ram" }], 0xfc00, 0xffff_ffff],
  ];
  test.each(extended)("extended memory: %s", (_, memory, short, long) => {
    const page = Buffer.from(writeBootParams(request({ memory })));
    expect([page.readUInt16LE(2), page.readUInt32LE(0x1e0)]).toEqual([short, long]);
  });
});

describe("the 16-bit entry", () => {
  const setup = {
    setup: debian,
    address: 0x9_0000,
    kernelAddress: 0x10_0000,
    commandLineAddress: 0x9_e000,
    initrd: { address: 0x3700_0000, bytes: 0x12_3456 },
  };
  test("changes only what a boot loader fills in", () => {
    const written = Buffer.from(writeRealModeSetup(setup));
    const expected = Buffer.from(debian.subarray(0, 20_480));
    expected[0x210] = 0xd0;
    expected[0x211] = 0x81;
    expected.writeUInt32LE(0x10_0000, 0x214);
    expected.writeUInt32LE(0x3700_0000, 0x218);
    expected.writeUInt32LE(0x12_3456, 0x21c);
    expected.writeUInt16LE(realModeHeapEnd - 0x200, 0x224);
    expected.writeUInt32LE(0x9_e000, 0x228);
    expect(written.equals(expected)).toBe(true);
  });
  test("protocol 2.01 has the command line relative to the boot sector", () => {
    const written = Buffer.from(writeRealModeSetup({ ...setup, setup: bzImageHead({ protocol: 0x201 }) }));
    expect([written.readUInt16LE(0x20), written.readUInt16LE(0x22)]).toEqual([0xa33f, 0xe000]);
    expect(written.readUInt16LE(0x212)).toBe(0xe100);
    expect(written.readUInt32LE(0x228)).toBe(0);
  });
  test("an image cut off in its setup code, and an address that 32 bits do not hold", () => {
    expect(() => writeRealModeSetup({ ...setup, setup: debian.subarray(0, 20_479) })).toThrow(FormatError);
    expect(() => writeRealModeSetup({ ...setup, commandLineAddress: 2 ** 32 })).toThrow(FormatError);
  });
});

describe("boot_params of running kernels", () => {
  const bios = kernelTree("bios").get("sys/kernel/boot_params/data") ?? new Uint8Array();
  const uefi = kernelTree("uefi").get("sys/kernel/boot_params/data") ?? new Uint8Array();

  test("started by a BIOS", () => {
    const { edd, ...rest } = readBootParams(bios);
    expect(rest).toEqual({ rsdp: 0xf_59a0, efi: null, hardwareSubarch: 0, secureBoot: 0 });
    // As /sys/firmware/edd has them.
    expect(edd.map(({ parameters: _, ...facts }) => facts)).toEqual([
      {
        device: 0x80,
        version: 0x30,
        interfaceSupport: 7,
        legacyMaxCylinder: 14,
        legacyMaxHead: 15,
        legacySectorsPerTrack: 63,
        mbrSignature: 0,
      },
      {
        device: 0x81,
        version: 0x30,
        interfaceSupport: 7,
        legacyMaxCylinder: 30,
        legacyMaxHead: 15,
        legacySectorsPerTrack: 63,
        mbrSignature: 0x1234_abcd,
      },
    ]);
  });
  test("started by EFI", () => {
    expect(readBootParams(uefi)).toEqual({
      rsdp: null,
      efi: {
        signature: "EL64",
        systemTable: 0x7f9e_c018n,
        descriptorBytes: 48,
        descriptorVersion: 1,
        memoryMapBytes: 0x1a40,
      },
      hardwareSubarch: 0,
      secureBoot: 2,
      edd: [],
    });
  });
  test("cut off anywhere, or with more disks than there is room", () => {
    for (let length = 0; length < bootParamsBytes; length += 61) {
      expect(() => readBootParams(bios.subarray(0, length))).toThrow(`${length} bytes, 4096 expected`);
    }
    const many = bios.slice();
    many[0x1e9] = 7;
    expect(() => readBootParams(many)).toThrow("boot parameters: offset 489, eddbuf_entries: 7: at most 6 expected");
  });
  test("changed bytes give facts or a FormatError", () => {
    const random = randomNumbers(5);
    for (let round = 0; round < 2000; round++) {
      const bytes = (round % 2 === 0 ? bios : uefi).slice();
      for (let i = 0; i < 8; i++) bytes[random() % bytes.length] = random() % 256;
      try {
        readBootParams(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }
  });
});
