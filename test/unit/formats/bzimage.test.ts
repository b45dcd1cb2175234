import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { bzImageFileProblem, isBzImage, kernelVersionText, parseBzImage } from "../../../src/formats/bzimage.ts";
import { FormatError, type FormatPlace } from "../../../src/formats/format-error.ts";

const debian = new Uint8Array(
  gunzipSync(readFileSync(new URL("../../data/bzimage/debian-6.1-cloud-head.gz", import.meta.url))),
);

function changed(...changes: readonly (readonly [number, readonly number[]])[]): Uint8Array {
  const bytes = debian.slice();
  for (const [offset, values] of changes) bytes.set(values, offset);
  return bytes;
}

function expectError(bytes: Uint8Array, message: string, place: FormatPlace): void {
  expect(() => parseBzImage(bytes)).toThrow(new FormatError("bzimage", message, place));
}

describe("Debian's 6.1 cloud kernel", () => {
  // Read with Python's struct at the offsets of boot.rst; see test/data/bzimage/README.md.
  test("fields", () => {
    expect(parseBzImage(debian)).toEqual({
      protocol: 0x20f,
      setupSectors: 0x27,
      setupBytes: 20_480,
      headerEnd: 0x26c,
      // 14 186 432 bytes of file are the setup area, this, and Debian's Secure Boot signature.
      systemBytes: 0xd8220 * 16,
      kernelVersionPointer: 0x42c0,
      loadFlags: 1,
      code32Start: 0x100000,
      initrdAddressMax: 0x7fffffff,
      relocatable: true,
      kernelAlignmentBytes: 0x200000,
      alignmentBytesMin: 0x200000,
      xloadFlags: 0x7f,
      kernel64: true,
      canBeLoadedAbove4G: true,
      efiHandover32: true,
      efiHandover64: true,
      efiKexec: true,
      fiveLevelPaging: true,
      fiveLevelPagingEnabled: true,
      memoryEncryption: false,
      commandLineBytesMax: 2047,
      hardwareSubarch: 0,
      setupData: 0n,
      payloadOffset: 0x2cc,
      payloadBytes: 0xd696cc,
      preferredAddress: 0x1000000n,
      initBytes: 0x3378000,
      handoverOffset: 0xd72f10,
      kernelInfoOffset: 0xd7f91c,
    });
  });

  // As file(1) prints it.
  test("version text", () => {
    expect(kernelVersionText(debian, parseBzImage(debian))).toBe(
      "6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)",
    );
  });

  test("is recognised", () => {
    expect(isBzImage(debian)).toBe(true);
    expect(isBzImage(changed([0x202, [0]]))).toBe(false);
    expect(isBzImage(changed([0x1fe, [0]]))).toBe(false);
    for (let end = 0; end < 0x208; end++) expect(isBzImage(debian.subarray(0, end))).toBe(false);
  });
});

describe("older protocols (boot.rst, table of the header)", () => {
  test("2.00 has none of the later fields", () => {
    expect(parseBzImage(changed([0x206, [0x00, 0x02]]))).toMatchObject({
      protocol: 0x200,
      systemBytes: null,
      initrdAddressMax: 0x37ffffff,
      relocatable: false,
      kernelAlignmentBytes: 0,
      alignmentBytesMin: null,
      xloadFlags: 0,
      kernel64: false,
      fiveLevelPaging: false,
      commandLineBytesMax: 255,
      hardwareSubarch: 0,
      setupData: 0n,
      payloadOffset: 0,
      preferredAddress: null,
      initBytes: 0,
      handoverOffset: 0,
      kernelInfoOffset: 0,
    });
  });

  test("2.05 knows alignment, not the command line's size", () => {
    expect(parseBzImage(changed([0x206, [0x05, 0x02]]))).toMatchObject({
      systemBytes: 0xd8220 * 16,
      initrdAddressMax: 0x7fffffff,
      relocatable: true,
      kernelAlignmentBytes: 0x200000,
      alignmentBytesMin: null,
      commandLineBytesMax: 255,
    });
  });

  test("0 sectors of setup are 4", () => {
    expect(parseBzImage(changed([0x1f1, [0]]))).toMatchObject({ setupSectors: 4, setupBytes: 2560 });
  });
});

test("flags and fields that this kernel leaves empty", () => {
  const image = parseBzImage(changed([0x236, [0x80, 0]], [0x23c, [3, 0, 0, 0]], [0x250, [0, 0, 0, 0x80, 1, 0, 0, 0]]));
  expect(image).toMatchObject({
    fiveLevelPaging: false,
    fiveLevelPagingEnabled: false,
    memoryEncryption: true,
    hardwareSubarch: 3,
    setupData: 0x180000000n,
  });
  expect(parseBzImage(changed([0x206, [6, 2]], [0x23c, [3]], [0x250, [1]]))).toMatchObject({
    hardwareSubarch: 0,
    setupData: 0n,
  });
});

describe("bzImageFileProblem", () => {
  const image = parseBzImage(debian);
  // The file is as long as its setup code and kernel, and has a signature of 1472 bytes behind them.
  const whole = 20_480 + 0xd8220 * 16;
  const cut = "the file is cut: going by the header,";
  test.each([
    ["with its signature", image, 14_186_432, null],
    ["without", image, whole, null],
    ["the last 16 bytes are rounded up", image, whole - 15, null],
    ["cut", image, whole - 16, `${cut} the kernel ends at byte ${whole}, but the file at byte ${whole - 16}`],
    ["setup code only", image, 20_480, `${cut} the setup code ends at byte 20480, but the file at byte 20480`],
    [
      "payload beyond the kernel",
      { ...image, payloadBytes: whole },
      whole,
      `${cut} the compressed kernel ends at byte ${20_480 + 0x2cc + whole}, but the file at byte ${whole}`,
    ],
    ["an old one that does not say", parseBzImage(changed([0x206, [0, 2]])), 20_481, null],
  ])("%s", (_name, header, size, problem) => expect(bzImageFileProblem(header, size)).toBe(problem));
});

describe("images that are refused", () => {
  test.each([
    ["no boot sector", changed([0x1fe, [0, 0]]), "0xaa55 expected, not 0x0", { offset: 0x1fe, field: "boot_flag" }],
    ["no HdrS", changed([0x202, [0x50]]), '"HdrS" expected, not "PdrS"', { offset: 0x202, field: "header" }],
    [
      "too old",
      changed([0x206, [3, 1]]),
      "protocol 2.00 or later expected, not 0x103",
      { offset: 0x206, field: "version" },
    ],
    [
      "zImage",
      changed([0x211, [0]]),
      "LOADED_HIGH expected: this is a zImage, not a bzImage",
      { offset: 0x211, field: "loadflags" },
    ],
    ["no jump", changed([0x200, [0x4d]]), "short jump 0xeb expected, not 0x4d", { offset: 0x200, field: "jump" }],
    [
      "jump too short",
      changed([0x201, [0x10]]),
      "header end 0x212 outside 0x224..0x281",
      { offset: 0x201, field: "jump" },
    ],
    [
      "jump backwards",
      changed([0x201, [0x80]]),
      "header end 0x282 outside 0x224..0x281",
      { offset: 0x201, field: "jump" },
    ],
    [
      "odd alignment",
      changed([0x230, [0, 0, 0x30, 0]]),
      "power of two expected, not 0x300000",
      { offset: 0x230, field: "kernel_alignment" },
    ],
    [
      "no alignment",
      changed([0x230, [0, 0, 0, 0]]),
      "power of two expected, not 0x0",
      { offset: 0x230, field: "kernel_alignment" },
    ],
    [
      "huge alignment",
      changed([0x235, [32]]),
      "exponent up to 31 expected, not 32",
      { offset: 0x235, field: "min_alignment" },
    ],
    ["empty", new Uint8Array(0), "2 byte(s) expected, the input ends at 0", { offset: 0x1fe, field: "boot_flag" }],
    [
      "cut",
      debian.subarray(0, 0x26a),
      "4 byte(s) expected, the input ends at 618",
      { offset: 0x268, field: "kernel_info_offset" },
    ],
  ] as const)("%s", (_name, bytes, message, place) => expectError(bytes, message, place));
});

describe("kernelVersionText", () => {
  const text = (bytes: Uint8Array): string | null => kernelVersionText(bytes, parseBzImage(bytes));
  test("none", () => expect(text(changed([0x20e, [0, 0]]))).toBeNull());
  test.each([
    [
      "outside the setup code",
      changed([0x20e, [0x00, 0x4e]]),
      "pointer 0x4e00 leaves the setup code",
      { offset: 0x20e, field: "kernel_version" },
    ],
    [
      "not ended at the setup's end",
      changed([0x20e, [0xff, 0x4d]], [0x4fff, [0x41]]),
      "text that ends within 1 bytes expected",
      { offset: 0x4fff, field: "kernel_version" },
    ],
    [
      "too long",
      changed([0x44c0, new Array(300).fill(0x41)]),
      "text that ends within 256 bytes expected",
      { offset: 0x44c0, field: "kernel_version" },
    ],
    [
      "not in the bytes given",
      debian.subarray(0, 0x400),
      "1 byte(s) expected, the input ends at 1024",
      { offset: 0x44c0, field: "kernel_version" },
    ],
  ] as const)("%s", (_name, bytes, message, place) => {
    expect(() => text(bytes)).toThrow(new FormatError("bzimage", message, place));
  });
});

test("every truncation and any change gives an image or a FormatError", () => {
  const parse = (bytes: Uint8Array): void => {
    try {
      kernelVersionText(bytes, parseBzImage(bytes));
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
    }
  };
  for (let end = 0; end <= 0x300; end++) parse(debian.subarray(0, end));
  let state = 9;
  for (let round = 0; round < 5000; round++) {
    const bytes = debian.slice();
    for (let change = 0; change < 3; change++) {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      bytes[0x1f1 + ((state >> 8) % 0x80)] = state & 0xff;
    }
    parse(bytes);
  }
});
