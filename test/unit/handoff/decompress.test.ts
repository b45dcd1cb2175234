import { fstatSync, readFileSync, writeSync } from "node:fs";
import { gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import {
  type Compression,
  DecompressError,
  type DecompressOptions,
  decompress,
} from "../../../src/handoff/decompress.ts";
import type { FileRange } from "../../../src/linux/system.ts";
import { MemoryFile } from "../../../src/trust/memory-file.ts";
import { randomNumbers } from "../../fakes/random-numbers.ts";
import { fakeSystem } from "../../fakes/system.ts";
import { changed, concat, data } from "../formats/compression/fixture.ts";

const system = fakeSystem();
let open = new DisposableStack();
afterEach(() => {
  open.dispose();
  open = new DisposableStack();
});

/** A file with these bytes. */
function fileOf(bytes: Uint8Array): FileRange {
  const memory = open.use(new MemoryFile(system, "test"));
  memory.append(bytes);
  memory.seal();
  return { fd: memory.fd, offset: 0, length: bytes.length };
}

async function unwrap(
  from: FileRange | Uint8Array,
  wrapping: Compression,
  options: DecompressOptions = { bytesMax: 1 << 16 },
): Promise<Uint8Array> {
  using memory = await decompress(
    system,
    from instanceof Uint8Array ? fileOf(from) : from,
    wrapping,
    "vmlinuz",
    options,
  );
  return new Uint8Array(readFileSync(`/proc/self/fd/${memory.fd}`));
}

/** The message of the refusal, which has to be a DecompressError; null when there is none. */
async function refusal(bytes: Uint8Array, wrapping: Compression, bytesMax = 1 << 16): Promise<string | null> {
  try {
    await unwrap(bytes, wrapping, { bytesMax });
  } catch (error) {
    if (error instanceof DecompressError) return error.message;
    throw error;
  }
  return null;
}

const small = data("small.original");
const text = data("text.original");
const files: readonly (readonly [file: string, wrapping: Compression, original: Uint8Array])[] = [
  ["small.gz", "gzip", small],
  ["text.gz", "gzip", text],
  ["members.gz", "gzip", concat([small, text])],
  ["small.zst", "zstd", small],
  ["text.zst", "zstd", text],
  ["random.zst", "zstd", data("random.original")],
  ["frames.zst", "zstd", concat([small, text])],
  ["text.sha256.xz", "xz", text],
  ["streams.xz", "xz", concat([small, text])],
  ["text.lzma", "lzma", text],
  ["empty.xz", "xz", new Uint8Array(0)],
  ["empty.lzma", "lzma", new Uint8Array(0)],
  ["text.lz4", "lz4", text],
  ["small.size.lz4", "lz4", small],
  ["text.bz2", "bzip2", text],
  ["text.lzo", "lzo", text],
];
const smallFiles: readonly (readonly [file: string, wrapping: Compression])[] = [
  ["small.gz", "gzip"],
  ["small.zst", "zstd"],
  ["small.xz", "xz"],
  ["small.lzma", "lzma"],
  ["small.lz4", "lz4"],
  ["small.bz2", "bzip2"],
  ["small.lzo", "lzo"],
];

describe("files of the tools", () => {
  test.each(files)("%s", async (file, wrapping, original) => {
    expect(await unwrap(data(file), wrapping)).toEqual(original);
  });

  test.each(files)("%s in the middle of a file", async (file, wrapping, original) => {
    const bytes = data(file);
    const around = fileOf(concat([data("text.gz"), bytes, data("small.gz")]));
    const offset = data("text.gz").length;
    expect(await unwrap({ ...around, offset, length: bytes.length }, wrapping)).toEqual(original);
  });

  test.each(smallFiles)("%s with zeroes behind", async (file, wrapping) => {
    expect(await unwrap(concat([data(file), new Uint8Array(600_000)]), wrapping)).toEqual(small);
  });

  test("larger than what is read at a time", async () => {
    const random = randomNumbers(1);
    const original = Uint8Array.from({ length: 700_000 }, (_, i) => (i < 400_000 ? random() >>> 5 : i % 7));
    const options = { bytesMax: original.length };
    expect(Buffer.compare(await unwrap(gzipSync(original), "gzip", options), original)).toBe(0);
    expect(Buffer.compare(await unwrap(zstdCompressSync(original), "zstd", options), original)).toBe(0);
  });
});

describe("the result", () => {
  test("is sealed and read-only", async () => {
    using memory = await decompress(system, fileOf(data("small.gz")), "gzip", "vmlinuz", { bytesMax: 900 });
    expect(memory.size).toBe(900);
    expect(() => writeSync(memory.fd, "x")).toThrow(/^EBADF/);
    expect(() => memory.append(small)).toThrow("a memory file that is sealed");
  });

  test("has a name that the kernel takes", async () => {
    const name = `${"long/".repeat(100)}ö${"ü".repeat(79)}`;
    using memory = await decompress(system, fileOf(data("small.gz")), "gzip", name, { bytesMax: 900 });
    expect(memory.size).toBe(900);
  });

  test.each(smallFiles)("%s: progress ends at the end", async (file, wrapping) => {
    const calls: (readonly [number, number])[] = [];
    await unwrap(data(file), wrapping, { bytesMax: 900, progress: (input, total) => calls.push([input, total]) });
    const size = data(file).length;
    expect(calls.at(-1)).toEqual([size, size]);
  });
});

describe("the limit", () => {
  test.each(smallFiles)("%s: exactly", async (file, wrapping) => {
    expect(await unwrap(data(file), wrapping, { bytesMax: 900 })).toEqual(small);
    expect(await refusal(data(file), wrapping, 899)).toMatch(
      /^cannot unwrap "vmlinuz": \w+: (offset \d+: )?at most 899 bytes of output are taken$/,
    );
  });

  const zeroes = new Uint8Array(1 << 24);
  test.each([
    ["gzip", gzipSync(zeroes)],
    ["zstd", zstdCompressSync(zeroes)],
    ["xz", data("zeroes.xz")],
    ["lz4", gunzipSync(data("zeroes.legacy.lz4.gz"))],
    ["bzip2", data("zeroes.bz2")],
    ["lzo", gunzipSync(data("zeroes.lzo.gz"))],
  ] as const)("a bomb of %s is stopped", async (wrapping, bytes) => {
    const bytesMax = 1 << 20;
    let steps = 0;
    const progress = (): void => {
      steps++;
    };
    const unwrapping = decompress(system, fileOf(bytes), wrapping, "vmlinuz", { bytesMax, progress });
    await expect(unwrapping).rejects.toThrow(`at most ${bytesMax} bytes of output are taken`);
    expect(steps).toBeLessThan(20);
  });
});

describe("files that are refused", () => {
  const skippable = [0x50, 0x2a, 0x4d, 0x18];
  test.each<readonly [name: string, bytes: Uint8Array, wrapping: Compression, message: string]>([
    ["no gzip", text, "gzip", "gzip: a member expected, or zeroes behind the last one, after offset 0"],
    ["no zstd", text, "zstd", "zstd: offset 0, magic: 0xfd2fb528 or a skippable frame expected, not 0x64616f6c"],
    ["no xz", text, "xz", "xz: offset 0, magic: fd377a585a00 expected, not 6c6f61646572"],
    ["nothing, as gzip", new Uint8Array(0), "gzip", "gzip: offset 0: more data expected, the input ends"],
    [
      "nothing, as zstd",
      new Uint8Array(0),
      "zstd",
      "zstd: offset 0, magic: 4 byte(s) expected, the input ends after 0",
    ],
    ["nothing, as xz", new Uint8Array(0), "xz", "xz: offset 0, magic: 6 byte(s) expected, the input ends after 0"],
    [
      "nothing, as lzma",
      new Uint8Array(0),
      "lzma",
      "lzma: offset 0, properties: 1 byte(s) expected, the input ends after 0",
    ],
    [
      "gzip, a wrong checksum",
      changed(data("small.gz"), [data("small.gz").length - 8, [1, 2, 3, 4]]),
      "gzip",
      "gzip: incorrect data check, after offset 0",
    ],
    [
      "gzip, a wrong length",
      changed(data("small.gz"), [data("small.gz").length - 4, [1]]),
      "gzip",
      "gzip: incorrect length check, after offset 0",
    ],
    [
      "gzip, something behind",
      concat([data("small.gz"), text.subarray(0, 4)]),
      "gzip",
      "gzip: a member expected, or zeroes behind the last one, after offset 0",
    ],
    [
      "gzip, something behind zeroes",
      concat([data("small.gz"), new Uint8Array(300_000), text.subarray(0, 4)]),
      "gzip",
      "gzip: offset 300315: zeroes or the end of the file expected",
    ],
    [
      "zstd, a wrong checksum",
      changed(data("small.zst"), [data("small.zst").length - 4, [1, 2, 3, 4]]),
      "zstd",
      "zstd: Restored data doesn't match checksum, after offset 0",
    ],
    [
      "zstd, a window of 256 MiB",
      Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0x90, 1, 0, 0),
      "zstd",
      "zstd: offset 5, window: at most 134217728 bytes are taken, not 268435456",
    ],
    [
      "zstd, a second frame cut in its header",
      concat([data("small.zst"), data("small.zst").subarray(0, 5)]),
      "zstd",
      "zstd: offset 304, window: 1 byte(s) expected, the input ends after 0",
    ],
    [
      "zstd, a cut frame that is skipped",
      concat([data("small.zst"), Uint8Array.of(...skippable, 1, 0, 0, 0)]),
      "zstd",
      "zstd: offset 307, skippable frame: 1 byte(s) expected, the input ends after 0",
    ],
  ])("%s", async (_name, bytes, wrapping, message) => {
    expect(await refusal(bytes, wrapping)).toBe(`cannot unwrap "vmlinuz": ${message}`);
  });

  test("a range that the file does not fill", async () => {
    for (const [file, wrapping] of smallFiles) {
      const from = fileOf(data(file));
      await expect(unwrap({ ...from, length: from.length + 10 }, wrapping)).rejects.toThrow(
        /^cannot unwrap "vmlinuz": .*10 byte\(s\) expected, 0 read$/,
      );
    }
  });

  test("memory is given back", async () => {
    const descriptors: number[] = [];
    const native = fakeSystem();
    const watching = fakeSystem({
      createMemoryFile: (name) => {
        const fd = native.createMemoryFile(name);
        descriptors.push(fd);
        return fd;
      },
    });
    for (const [file, wrapping] of smallFiles) {
      const from = fileOf(data(file));
      await expect(decompress(watching, from, wrapping, "x", { bytesMax: 10 })).rejects.toThrow(DecompressError);
      expect(() => fstatSync(descriptors.at(-1) ?? -1)).toThrow(/^EBADF/);
    }
    expect(descriptors.length).toBe(smallFiles.length);
  });

  test("a failed read passes as it is", async () => {
    for (const [, wrapping] of smallFiles) {
      await expect(unwrap({ fd: 1 << 20, offset: 0, length: 100 }, wrapping)).rejects.toThrow(/^EBADF/);
    }
  });
});

describe("hostile files", () => {
  test.each(smallFiles)("%s cut at every length", async (file, wrapping) => {
    const from = fileOf(data(file));
    for (let length = 0; length < from.length; length++) {
      await expect(unwrap({ ...from, length }, wrapping)).rejects.toThrow(/^cannot unwrap "vmlinuz": .*the input ends/);
    }
  });

  test.each(smallFiles)("%s with a few bytes changed", async (file, wrapping) => {
    const bytes = data(file);
    const random = randomNumbers(bytes.length);
    for (let round = 0; round < 150; round++) {
      const mutated = bytes.slice();
      for (let change = 0; change <= round % 3; change++) mutated[random() % bytes.length] = random() >>> 5;
      await refusal(mutated, wrapping, 4096);
    }
  });
});
