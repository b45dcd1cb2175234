import { describe, expect, it } from "vitest";
import { type BeobootImage, parseBeoboot } from "../../../src/formats/beoboot.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { bzImageHead } from "../../fakes/bzimage-head.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

const readAll = (bytes: Uint8Array): BeobootImage => parseBeoboot(rangesOf(bytes), bytes.length);
const kernel = bzImageHead();

/** An image with a kernel of 2560 bytes, laid out from `struct beoboot_header`. */
function image(commandLine: string, initrd: string | null, own: { bigEndian?: boolean; kernel?: Uint8Array } = {}) {
  const text = Buffer.from(commandLine);
  const header = Buffer.alloc(16);
  header.write("BeoB");
  header[4] = 1;
  header[5] = initrd === null ? 0 : 1;
  if (own.bigEndian === true) header.writeUInt16BE(text.length, 6);
  else header.writeUInt16LE(text.length, 6);
  header.writeUInt32LE(kernel.length, 8);
  header.writeUInt32LE(initrd?.length ?? 0xffffffff, 12);
  return new Uint8Array(Buffer.concat([header, text, own.kernel ?? kernel, Buffer.from(initrd ?? "")]));
}

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
}

const withInitrd = image("root=/dev/nfs\0", "initrd");

describe("images", () => {
  it("kernel and initrd", () => {
    expect(readAll(withInitrd)).toEqual({
      commandLine: "root=/dev/nfs",
      kernel: { offset: 30, length: 2560 },
      initrd: { offset: 2590, length: 6 },
    });
  });
  it("the length of the command line in the other byte order, as BProc's tools write it", () => {
    expect(readAll(image("quiet\0", "i", { bigEndian: true }))).toEqual({
      commandLine: "quiet",
      kernel: { offset: 22, length: 2560 },
      initrd: { offset: 2582, length: 1 },
    });
  });
  it("no initrd: its size does not count; no command line", () => {
    expect(readAll(image("", null))).toEqual({
      commandLine: "",
      kernel: { offset: 16, length: 2560 },
      initrd: null,
    });
  });
});

describe("what is refused", () => {
  it.each([
    ["nothing", new Uint8Array(0), 'offset 0, magic: "BeoB" expected'],
    ["another magic", changed(withInitrd, 3, 0x43), 'offset 0, magic: "BeoB" expected'],
    ["another machine", changed(withInitrd, 4, 2), "offset 4, arch: 1 (i386) expected, not 2"],
    [
      "no bzImage",
      image("a\0", null, { kernel: new Uint8Array(2560) }),
      "offset 6, cmdline_size: a bzImage expected behind the command line",
    ],
    [
      "a cut kernel",
      image("a\0", null).subarray(0, 2577),
      "offset 0, header: 2578 bytes expected, the file ends at 2577",
    ],
    [
      "a cut initrd",
      withInitrd.subarray(0, withInitrd.length - 1),
      "offset 0, header: 2596 bytes expected, the file ends at 2595",
    ],
    ["no NUL", image("abc", null), "offset 32, command line: a text that ends with NUL expected"],
  ])("%s", (_, bytes, message) => {
    expect(formatErrorOf(() => readAll(bytes))).toBe(`beoboot: ${message}`);
  });
  it("a command line that is not UTF-8", () => {
    expect(formatErrorOf(() => readAll(changed(withInitrd, 16, 0xff)))).toBe("beoboot: text in UTF-8 expected");
  });
});

it("only FormatError, cut or changed", () => {
  const parse = (bytes: Uint8Array): void => {
    const found = readAll(bytes);
    for (const part of [found.kernel, found.initrd]) {
      if (part !== null) expect(part.offset + part.length).toBeLessThanOrEqual(bytes.length);
    }
  };
  tortureParser({ bytes: withInitrd, parse, rounds: 0, seed: 50 });
  tortureParser({ bytes: withInitrd, parse, rounds: 4000, seed: 51, within: 32 });
});
