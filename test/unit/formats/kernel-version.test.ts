import { readFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { bannerScanBytesMax, kernelVersion } from "../../../src/formats/kernel-version.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { tortureParser } from "../../fakes/hostile-input.ts";
import { kernelImage, withWords } from "../../fakes/kernel-image.ts";
import { testData } from "../../fakes/tree-data.ts";

const versionOf = (bytes: Uint8Array, part: string | null = null): string | null =>
  kernelVersion(rangesOf(bytes), bytes.length, part);

const debian = new Uint8Array(
  gunzipSync(readFileSync(new URL("../../data/bzimage/debian-6.1-cloud-head.gz", import.meta.url))),
);

/** An arm64 Image of so many bytes with a text in it. */
function arm64(text: string, at: number, length = at + text.length + 100): Uint8Array {
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32LE(0x644d5241, 0x38);
  bytes.write(text, at, "latin1");
  return new Uint8Array(bytes);
}
const banner = "Linux version 6.6.1-arm64 (builder@host) (gcc 13) #1 SMP\n\0";

describe("what the kernel says", () => {
  it("a bzImage", () => expect(versionOf(debian)).toBe("6.1.0-56-cloud-amd64"));
  it("an arm64 Image", () => expect(versionOf(arm64(banner, 0x1000))).toBe("6.6.1-arm64"));
  it("behind many bytes", () => {
    for (const at of [(1 << 18) - 20, (1 << 18) - 1, 1 << 18, 600_000]) {
      expect(versionOf(arm64(banner, at))).toBe("6.6.1-arm64");
    }
  });
  it("an ELF file for another machine", () => {
    const vmlinux = new Uint8Array(
      Buffer.concat([withWords(kernelImage("vmlinux"), [16, 0x00b70002]), Buffer.from(banner)]),
    );
    expect(versionOf(vmlinux)).toBe("6.6.1-arm64");
  });
  it("the first one that is a version", () => {
    expect(versionOf(arm64(`Linux version %s (%s)\0${banner}`, 100))).toBe("6.6.1-arm64");
  });
  it("a unified kernel image: what it says of itself", () => {
    expect(versionOf(kernelImage("uki"))).toBe("6.1.0-56-amd64");
    expect(versionOf(kernelImage("uki-profiles"), "@1")).toBe("6.1.0-56-amd64");
  });
  it("a FIT image whose kernel is wrapped: its description", () => {
    const bytes = testData("fit/inside.itb.gz");
    expect(versionOf(bytes)).toBe("Debian");
    expect(versionOf(bytes, "#ov-1")).toBe("Linux 6.1");
    expect(versionOf(bytes, "#conf-4")).toBeNull();
  });
  it("an Android boot image: its kernel's", () => {
    const image = testData("android/v0.img.gz");
    // The kernel's version pointer, 0x20e; its text behind the header, in the setup code.
    const named = withWords(image, [2048 + 0x20c, 0x01000000]);
    named.set(Buffer.from("5.15.0 (x)\0"), 2048 + 0x300);
    expect(versionOf(named)).toBe("5.15.0");
  });
});

describe("nothing is said", () => {
  it.each<readonly [string, Uint8Array]>([
    ["no kernel", new TextEncoder().encode(banner)],
    ["nothing", new Uint8Array(0)],
    ["one that is wrapped", new Uint8Array(gzipSync(debian))],
    ["an Image without words", arm64("", 100)],
    ["words that are no version", arm64("Linux version %s\0", 100)],
    ["a version that is too long", arm64(`Linux version 6.${"1".repeat(63)} `, 100)],
    ["a bzImage whose pointer leads astray", withWords(debian, [0x20e, 0xffffffff])],
    ["a unified kernel image that is cut", kernelImage("uki").subarray(0, 5000)],
  ])("%s", (_name, bytes) => expect(versionOf(bytes)).toBeNull());
  it("a profile that is not there", () => expect(versionOf(kernelImage("uki-profiles"), "@9")).toBeNull());
  it("beyond what is searched", () => {
    const head = arm64("", 100);
    let most = 0;
    const read = (offset: number, length: number): Uint8Array => {
      most = Math.max(most, offset + length);
      const bytes = new Uint8Array(length);
      if (offset < head.length) bytes.set(head.subarray(offset, offset + length));
      return bytes;
    };
    expect(kernelVersion(read, 1 << 30)).toBeNull();
    expect(most).toBe(bannerScanBytesMax);
  });
});

it("hostile files say something or nothing", () => {
  tortureParser({ bytes: debian.subarray(0, 20_480), parse: versionOf, rounds: 300, seed: 7, within: 0x290 });
  const fit = testData("fit/inside.itb.gz");
  tortureParser({ bytes: fit, parse: (bytes) => versionOf(bytes), rounds: 300, seed: 8, within: 600 });
});
