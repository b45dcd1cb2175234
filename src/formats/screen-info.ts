import { ByteWriter } from "./byte-writer.ts";
import { ByteReader, latin1 } from "./bytes.ts";
import { quote } from "./format-error.ts";

/** The frame buffer that the running kernel draws on. */
export interface Display {
  /** As the driver names itself: `EFI VGA`, `VESA VGA`, `bochs-drmdrmfb`. */
  readonly driver: string;
  /** linux/fb.h: struct fb_fix_screeninfo and struct fb_var_screeninfo of this machine. */
  readonly fixed: Uint8Array;
  readonly variable: Uint8Array;
}

/** Bytes of `struct screen_info`, which stands at the start of boot_params. */
export const screenInfoBytes = 64;

/** `orig_video_isVGA` (linux/screen_info.h). */
const videoType = { vgaColor: 0x01, vgaLast: 0x22, vesaLinear: 0x23, efi: 0x70 } as const;
/** Values are right as they are: Linux has tables of machines whose firmware tells wrong ones. */
const capabilitySkipQuirks = 1 << 0;
const capability64BitBase = 1 << 1;

/**
 * Drivers whose mode is the firmware's and whose frame buffer is told in full (drivers/video/fbdev/vesafb.c, efifb.c).
 */
const firmwareDrivers: ReadonlyMap<string, number> = new Map([
  ["VESA VGA", videoType.vesaLinear],
  ["EFI VGA", videoType.efi],
]);

/**
 * Drivers that draw on the firmware's frame buffer as it is, but do not tell its address: simplefb, and the DRM drivers
 * simpledrm, efidrm and vesadrm behind their emulation, which appends `drmfb` and keeps 15 characters of the name.
 */
const firmwareMirrors: readonly string[] = ["simple", "simpledrm", "efidrm", "vesadrm"];

/** A frame buffer with a pixel format, as multiboot information describes it. */
export interface LinearFrameBuffer {
  readonly kind: "linear";
  /** Physical. */
  readonly address: number;
  /** Bytes from one line to the next. */
  readonly pitchBytes: number;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly bitsPerPixel: number;
  readonly red: ColorField;
  readonly green: ColorField;
  readonly blue: ColorField;
}

/** Bits of a pixel that hold a color: the lowest one, and how many. */
export interface ColorField {
  readonly position: number;
  readonly bits: number;
}

/** VGA's text memory. */
export interface TextFrameBuffer {
  readonly kind: "text";
  readonly columns: number;
  readonly lines: number;
}

export type FrameBuffer = LinearFrameBuffer | TextFrameBuffer;

export interface ScreenInfoRequest {
  /** Null: there is no /dev/fb0. */
  readonly display: Display | null;
  /** The boot_params that the running kernel was started with; null where it does not show them. */
  readonly running: Uint8Array | null;
  /**
   * Passes any driver's frame buffer on as one of the kind that the running kernel was started with
   * (`--reuse-video-type`).
   */
  readonly reuseVideoType: boolean;
}

export interface ScreenInfoChoice {
  /** {@link screenInfoBytes} for boot_params; null: the target has no screen until a driver of its own finds one. */
  readonly screenInfo: Uint8Array | null;
  /** What people should know, as a sentence. */
  readonly remark: string | null;
}

/**
 * Decides what screen the target is told of (struct screen_info; Linux, include/uapi/linux/screen_info.h). The
 * firmware's frame buffer is passed on as long as it is what the display shows: when the running kernel draws on it or
 * draws on none. A driver of the graphics hardware has set a mode of its own, so that the firmware's description no
 * longer holds.
 *
 * Throws FormatError when the display's or the running kernel's structures are too short.
 */
export function chooseScreenInfo({ display, running, reuseVideoType }: ScreenInfoRequest): ScreenInfoChoice {
  const inherited = running === null ? null : inheritedScreenInfo(running);
  if (display === null || isMirror(display.driver)) {
    if (inherited !== null) return { screenInfo: inherited, remark: null };
    const remark = display === null ? null : `no frame buffer: ${quote(display.driver)} does not tell where it lies`;
    return { screenInfo: null, remark };
  }
  const firmwareType = firmwareDrivers.get(display.driver);
  if (firmwareType !== undefined)
    return { screenInfo: firmwareScreenInfo(display, firmwareType, inherited), remark: null };
  const text = inherited !== null && isText(inherited) ? inherited : null;
  if (!reuseVideoType) {
    return {
      screenInfo: text,
      remark:
        `no frame buffer: ${quote(display.driver)} has set a mode of its own; the target shows nothing until it has ` +
        "loaded a driver (--reuse-video-type passes it on)",
    };
  }
  const type = inherited?.[0x0f] ?? 0;
  if (type !== videoType.vesaLinear && type !== videoType.efi) {
    const remark = "no frame buffer: --reuse-video-type found none among what the running kernel was started with";
    return { screenInfo: text, remark };
  }
  const passed = screenInfoOf(display, type);
  if (passed !== null) return { screenInfo: passed, remark: null };
  return {
    screenInfo: inherited,
    remark: `${quote(display.driver)} does not tell where its frame buffer lies: the target is told of the firmware's`,
  };
}

function inheritedScreenInfo(running: Uint8Array): Uint8Array {
  return new Uint8Array(new ByteReader(running, "boot parameters").slice(0, screenInfoBytes, "screen_info"));
}

function isMirror(driver: string): boolean {
  return firmwareMirrors.some((name) => driver === name || driver === `${name}drmfb`.slice(0, 15));
}

function isText(screenInfo: Uint8Array): boolean {
  const type = screenInfo[0x0f] ?? 0;
  return type >= videoType.vgaColor && type <= videoType.vgaLast;
}

/** Prefers what the firmware said, which holds more (quirks, attributes), when it is the same frame buffer. */
function firmwareScreenInfo(display: Display, type: number, inherited: Uint8Array | null): Uint8Array | null {
  const told = screenInfoOf(display, type);
  if (told === null || inherited === null) return told ?? inherited;
  return JSON.stringify(frameBufferOf(inherited)) === JSON.stringify(frameBufferOf(told)) ? inherited : told;
}

/**
 * From what the driver tells; null when it does not tell the address, as DRM drivers do not, or when a size has no
 * room.
 */
function screenInfoOf({ fixed, variable }: Display, type: number): Uint8Array | null {
  const fix = new ByteReader(fixed, "fb_fix_screeninfo");
  const mode = new ByteReader(variable, "fb_var_screeninfo");
  const address = fix.u64le(16, "smem_start");
  const bytes = fix.u32le(24, "smem_len");
  const [width, height, pitch] = [mode.u32le(0, "xres"), mode.u32le(4, "yres"), fix.u32le(48, "line_length")];
  if (address === 0n || bytes === 0 || Math.max(width, height, pitch) > 0xffff) return null;
  const writer = new ByteWriter(screenInfoBytes, "screen_info");
  writer.u8(0x0f, type, "orig_video_isVGA");
  writer.u16(0x12, width, "lfb_width");
  writer.u16(0x14, height, "lfb_height");
  writer.u16(0x16, mode.u32le(24, "bits_per_pixel"), "lfb_depth");
  writer.u32(0x18, Number(address & 0xffff_ffffn), "lfb_base");
  // VESA counts in units of 64 KiB (drivers/video/fbdev/vesafb.c), EFI in bytes (efifb.c).
  writer.u32(0x1c, type === videoType.efi ? bytes : Math.ceil(bytes / 65_536), "lfb_size");
  writer.u16(0x24, pitch, "lfb_linelength");
  const colors = [
    ["red", 0x26, 32],
    ["green", 0x28, 44],
    ["blue", 0x2a, 56],
    ["rsvd", 0x2c, 68],
  ] as const;
  for (const [name, to, from] of colors) {
    writer.u8(to, mode.u32le(from + 4, "fb_bitfield.length"), `${name}_size`);
    writer.u8(to + 1, mode.u32le(from, "fb_bitfield.offset"), `${name}_pos`);
  }
  writer.u16(0x32, 1, "pages");
  const high = Number(address >> 32n);
  writer.u32(0x36, capabilitySkipQuirks | (high === 0 ? 0 : capability64BitBase), "capabilities");
  writer.u32(0x3a, high, "ext_lfb_base");
  return writer.bytes;
}

/** VGA's text mode 3, 80 columns and 25 lines: what the screen is in when the purgatory has reset it. */
export function textScreenInfo(): Uint8Array {
  const writer = new ByteWriter(screenInfoBytes, "screen_info");
  writer.u8(0x06, 3, "orig_video_mode");
  writer.u8(0x07, 80, "orig_video_cols");
  writer.u8(0x0e, 25, "orig_video_lines");
  writer.u8(0x0f, videoType.vgaColor, "orig_video_isVGA");
  writer.u16(0x10, 16, "orig_video_points");
  return writer.bytes;
}

/** What a struct screen_info (or boot_params) says of the frame buffer; null when it names none. */
export function frameBufferOf(screenInfo: Uint8Array): FrameBuffer | null {
  const info = new ByteReader(screenInfo, "screen_info");
  const type = info.u8(0x0f, "orig_video_isVGA");
  const columns = info.u8(0x07, "orig_video_cols");
  if (type >= videoType.vgaColor && type <= videoType.vgaLast && columns > 0) {
    return { kind: "text", columns, lines: info.u8(0x0e, "orig_video_lines") };
  }
  if (type !== videoType.vesaLinear && type !== videoType.efi) return null;
  const color = (at: number, name: string): ColorField => ({
    position: info.u8(at + 1, `${name}_pos`),
    bits: info.u8(at, `${name}_size`),
  });
  const isWide = (info.u32le(0x36, "capabilities") & capability64BitBase) !== 0;
  const high = isWide ? info.u32le(0x3a, "ext_lfb_base") : 0;
  const address = high * 2 ** 32 + info.u32le(0x18, "lfb_base");
  if (address === 0) return null;
  return {
    kind: "linear",
    address,
    pitchBytes: info.u16le(0x24, "lfb_linelength"),
    width: info.u16le(0x12, "lfb_width"),
    height: info.u16le(0x14, "lfb_height"),
    bitsPerPixel: info.u16le(0x16, "lfb_depth"),
    red: color(0x26, "red"),
    green: color(0x28, "green"),
    blue: color(0x2a, "blue"),
  };
}

/**
 * A display from the bytes that FBIOGET_FSCREENINFO and FBIOGET_VSCREENINFO filled; the driver's name is in the first
 * 16.
 */
export function displayOf(fixed: Uint8Array, variable: Uint8Array): Display {
  const name = new ByteReader(fixed, "fb_fix_screeninfo").slice(0, 16, "id");
  const end = name.indexOf(0);
  return { driver: latin1(end < 0 ? name : name.subarray(0, end)), fixed, variable };
}
