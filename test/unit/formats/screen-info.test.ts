import { describe, expect, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import {
  chooseScreenInfo,
  type Display,
  displayOf,
  frameBufferOf,
  screenInfoBytes,
  textScreenInfo,
} from "../../../src/formats/screen-info.ts";
import { kernelTree } from "../../fakes/kernel-tree.ts";

interface Guest {
  readonly running: Uint8Array;
  readonly display: Display;
}

function guest(name: string): Guest {
  const tree = kernelTree(name);
  const screen = tree.get("fb") ?? new Uint8Array();
  return {
    running: tree.get("sys/kernel/boot_params/data") ?? new Uint8Array(),
    display: displayOf(screen.subarray(0, 80), screen.subarray(80)),
  };
}

const efi = guest("uefi");
const vesa = guest("vesa");
const bochs = guest("bochs");
const text = kernelTree("bios").get("sys/kernel/boot_params/data") ?? new Uint8Array();

/** What the guest with efifb has said of itself in its log: at 0xc0000000, 4000k, 1280x800x32, linelength 5120, 24:16:8:0. */
const efiFrameBuffer = {
  kind: "linear",
  address: 0xc000_0000,
  pitchBytes: 5120,
  width: 1280,
  height: 800,
  bitsPerPixel: 32,
  red: { position: 16, bits: 8 },
  green: { position: 8, bits: 8 },
  blue: { position: 0, bits: 8 },
};
/** vga=792 is 1024x768 with 24 bits. */
const vesaFrameBuffer = {
  ...efiFrameBuffer,
  address: 0xfc00_0000,
  pitchBytes: 3072,
  width: 1024,
  height: 768,
  bitsPerPixel: 24,
};

describe("what frame buffers say", () => {
  test("drivers' names", () => {
    expect([efi, vesa, bochs].map(({ display }) => display.driver)).toEqual(["EFI VGA", "VESA VGA", "bochs-drmdrmfb"]);
  });
  test("screen_info of boot loaders", () => {
    expect(frameBufferOf(efi.running)).toEqual(efiFrameBuffer);
    expect(frameBufferOf(vesa.running)).toEqual(vesaFrameBuffer);
    expect(frameBufferOf(text)).toEqual({ kind: "text", columns: 80, lines: 25 });
    expect(frameBufferOf(textScreenInfo())).toEqual({ kind: "text", columns: 80, lines: 25 });
    expect(frameBufferOf(new Uint8Array(screenInfoBytes))).toBeNull();
  });
  test("an address of 64 bits counts only with its flag", () => {
    const wide = efi.running.slice(0, 64);
    wide.set([0x20, 0, 0, 0], 0x3a);
    expect(frameBufferOf(wide)).toEqual(efiFrameBuffer);
    wide[0x36] = 2;
    expect(frameBufferOf(wide)).toEqual({ ...efiFrameBuffer, address: 0x20_c000_0000 });
  });
});

const nothing = new Uint8Array(64);
const choose = (
  display: Display | null,
  running: Uint8Array | null,
  reuseVideoType = false,
): ReturnType<typeof chooseScreenInfo> => chooseScreenInfo({ display, running, reuseVideoType });
const named = (driver: string, like: Display = efi.display): Display => ({ ...like, driver });
const head = (running: Uint8Array): Uint8Array => running.slice(0, 64);

describe("what the target is told", () => {
  test("nobody draws: what the running kernel was told, which may be text", () => {
    expect(choose(null, efi.running)).toEqual({ screenInfo: head(efi.running), remark: null });
    expect(choose(null, text)).toEqual({ screenInfo: head(text), remark: null });
    expect(choose(null, null)).toEqual({ screenInfo: null, remark: null });
  });
  test("the firmware's driver draws: what the firmware said", () => {
    expect(choose(efi.display, efi.running)).toEqual({ screenInfo: head(efi.running), remark: null });
    expect(choose(vesa.display, vesa.running)).toEqual({ screenInfo: head(vesa.running), remark: null });
  });
  test("the firmware's driver draws, and the running kernel was not told or does not show it: what the driver says", () => {
    for (const running of [null, nothing, text]) {
      const { screenInfo, remark } = choose(efi.display, running);
      // Byte for byte what the EFI stub wrote in this guest.
      expect(screenInfo).toEqual(head(efi.running));
      expect(remark).toBeNull();
    }
    const { screenInfo } = choose(vesa.display, null);
    expect(frameBufferOf(screenInfo ?? nothing)).toEqual(vesaFrameBuffer);
    expect(screenInfo?.[0x0f]).toBe(0x23);
    // smem_len 0x480000 in units of 64 KiB.
    expect(Buffer.from(screenInfo ?? nothing).readUInt32LE(0x1c)).toBe(0x48);
  });
  test("a frame buffer above 4 GiB", () => {
    const fixed = efi.display.fixed.slice();
    fixed[20] = 0x38;
    const { screenInfo } = choose({ ...efi.display, fixed }, efi.running);
    expect(frameBufferOf(screenInfo ?? nothing)).toEqual({ ...efiFrameBuffer, address: 0x38_c000_0000 });
  });
  test.each(["simple", "simpledrmdrmfb", "efidrmdrmfb", "vesadrmdrmfb"])(
    "%s draws on what the firmware set up",
    (driver) => {
      expect(choose(named(driver, bochs.display), efi.running)).toEqual({
        screenInfo: head(efi.running),
        remark: null,
      });
      expect(choose(named(driver, bochs.display), null)).toEqual({
        screenInfo: null,
        remark: `no frame buffer: "${driver}" does not tell where it lies`,
      });
    },
  );
  test("a driver of the hardware has set its own mode: none", () => {
    const remark =
      'no frame buffer: "bochs-drmdrmfb" has set a mode of its own; the target shows nothing until it has loaded a driver (--reuse-video-type passes it on)';
    expect(choose(bochs.display, bochs.running)).toEqual({ screenInfo: null, remark });
    expect(choose(bochs.display, text)).toEqual({ screenInfo: head(text), remark });
    expect(choose(bochs.display, null)).toEqual({ screenInfo: null, remark });
  });
  test("--reuse-video-type", () => {
    const native = named("mgadrmfb");
    const { screenInfo, remark } = choose(native, vesa.running, true);
    expect(frameBufferOf(screenInfo ?? nothing)).toEqual(efiFrameBuffer);
    expect([screenInfo?.[0x0f], remark]).toEqual([0x23, null]);
    expect(choose(bochs.display, bochs.running, true)).toEqual({
      screenInfo: head(bochs.running),
      remark: '"bochs-drmdrmfb" does not tell where its frame buffer lies: the target is told of the firmware\'s',
    });
    const none = "no frame buffer: --reuse-video-type found none among what the running kernel was started with";
    expect(choose(native, text, true)).toEqual({ screenInfo: head(text), remark: none });
    expect(choose(native, null, true)).toEqual({ screenInfo: null, remark: none });
  });
  test("a size that screen_info has no room for", () => {
    const fixed = efi.display.fixed.slice();
    fixed[50] = 1;
    expect(choose({ ...efi.display, fixed }, nothing)).toEqual({ screenInfo: nothing, remark: null });
  });
  test("structures cut off", () => {
    for (let length = 0; length < 52; length++) {
      const fixed = efi.display.fixed.subarray(0, length);
      expect(() => choose({ ...efi.display, fixed }, efi.running)).toThrow(FormatError);
    }
    for (let length = 0; length < 76; length++) {
      const variable = efi.display.variable.subarray(0, length);
      expect(() => choose({ ...efi.display, variable }, efi.running)).toThrow(FormatError);
    }
    for (let length = 0; length < 64; length++) {
      expect(() => choose(null, efi.running.subarray(0, length))).toThrow(FormatError);
    }
    expect(() => displayOf(new Uint8Array(15), new Uint8Array(160))).toThrow(FormatError);
  });
});

test("text mode is what SeaBIOS leaves", () => {
  // Cursor and memory apart: orig_video_mode, cols, lines, isVGA, points.
  const fields = [0x06, 0x07, 0x0e, 0x0f, 0x10, 0x11];
  expect(fields.map((at) => textScreenInfo()[at])).toEqual(fields.map((at) => text[at]));
});
