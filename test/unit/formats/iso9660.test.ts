import { describe, expect, it, test } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import {
  fileSectionsMax,
  type Iso9660Layout,
  type Iso9660Node,
  readIso9660,
  readIso9660Directory,
} from "../../../src/formats/iso9660.ts";
import type { ReadAt } from "../../../src/formats/read-at.ts";
import {
  type Iso9660Fixture,
  imageBytes,
  iso9660Fixture,
  iso9660Fixtures,
  type ListedFile,
  sparseReader,
} from "../../fakes/iso9660-image.ts";
import { randomNumbers } from "../../fakes/random-numbers.ts";

/** Every file of an image, in the order of paths. */
async function walk(read: ReadAt, layout: Iso9660Layout): Promise<{ path: string; node: Iso9660Node }[]> {
  const found = [{ path: "/", node: layout.root }];
  for (const { path, node } of found) {
    if (node.type !== "directory") continue;
    for (const child of await readIso9660Directory(read, layout, node)) {
      found.push({ path: path === "/" ? `/${child.name}` : `${path}/${child.name}`, node: child });
      if (found.length > 1000) return found;
    }
  }
  return found.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
}

function listed({ path, node: { type, size, target } }: { path: string; node: Iso9660Node }): ListedFile {
  return { path, type, ...(type === "file" ? { size } : {}), ...(target === null ? {} : { target }) };
}

async function open(fixture: Iso9660Fixture): Promise<{ read: ReadAt; layout: Iso9660Layout }> {
  const read = sparseReader(fixture);
  return { read, layout: await readIso9660(read, BigInt(fixture.bytes)) };
}

describe("images of xorriso and genisoimage, as xorriso lists them", () => {
  for (const fixture of iso9660Fixtures) {
    it(fixture.name, async () => {
      const { read, layout } = await open(fixture);
      expect((await walk(read, layout)).map(listed)).toEqual(fixture.entries);
    });
  }
});

describe("where the names come from", () => {
  const names = (name: string, expected: Iso9660Layout["names"], ignoresCase: boolean): void => {
    it(name, async () => {
      const { layout } = await open(iso9660Fixture(name));
      expect([layout.names, layout.ignoresCase]).toEqual([expected, ignoresCase]);
    });
  };
  names("rock-ridge", "rock-ridge", false);
  names("rock-ridge-joliet", "rock-ridge", false);
  names("relocated", "rock-ridge", false);
  names("xa", "rock-ridge", false);
  names("joliet", "joliet", true);
  names("joliet-beside-empty-root", "joliet", true);
  names("plain", "plain", true);
});

test("the sections of a file of more than 4 GiB", async () => {
  const fixture = iso9660Fixture("multi-extent");
  const { read, layout } = await open(fixture);
  const file = (await readIso9660Directory(read, layout, layout.root)).find(({ name }) => name === "big.squashfs");
  // A section is as long as whole sectors in 32 bits allow: 4 GiB - 2048.
  expect(file?.extents.map(({ length }) => length)).toEqual([4294965248, 7048]);
  expect(file?.extents[1]?.offset).toBe((file?.extents[0]?.offset ?? 0) + 4294965248);
});

/** The image with bytes changed: `change` gets a copy. */
async function changed(name: string, change: (bytes: Uint8Array, view: DataView) => void): Promise<ReadAt> {
  const bytes = (await imageBytes(iso9660Fixture(name))).slice();
  change(bytes, new DataView(bytes.buffer));
  return readerOf(bytes);
}

function readerOf(bytes: Uint8Array): ReadAt {
  return async (offset, length) => bytes.slice(Number(offset), Number(offset) + length);
}

const primary = 16 * 2048;

/** The offset of a directory record by its plain identifier. */
function recordOf(bytes: Uint8Array, identifier: string): number {
  const at = Buffer.from(bytes).indexOf(
    Buffer.from(`${String.fromCharCode(identifier.length)}${identifier}`, "latin1"),
  );
  if (at < 0) throw new Error(`no record ${identifier}`);
  return at - 32;
}

describe("damaged images", () => {
  const refuses = (what: string, read: () => Promise<ReadAt>, message: string): void => {
    it(what, async () => {
      const error = await (async () => {
        const reader = await read();
        const layout = await readIso9660(reader, BigInt(iso9660Fixture("plain").bytes));
        await walk(reader, layout);
      })().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(FormatError);
      expect(error instanceof Error && error.message).toBe(message);
    });
  };
  refuses(
    "nothing there",
    async () => readerOf(new Uint8Array()),
    "iso9660: offset 32768: no primary volume descriptor",
  );
  refuses(
    "another descriptor only",
    () => changed("plain", (bytes) => bytes.fill(3, primary, primary + 1)),
    "iso9660: offset 32768: no primary volume descriptor",
  );
  refuses(
    "a block of 4096 bytes",
    () => changed("plain", (_, view) => view.setUint16(primary + 128, 4096, true)),
    "iso9660: offset 32896, block size: 4096, 512, 1024 or 2048 expected",
  );
  refuses(
    "the root is a file",
    () => changed("plain", (bytes) => bytes.fill(0, primary + 156 + 25, primary + 156 + 26)),
    "iso9660: offset 32924, root directory: a directory expected",
  );
  refuses(
    "an identifier longer than its record",
    () => changed("plain", (bytes) => bytes.fill(200, recordOf(bytes, "BOOT") + 32, recordOf(bytes, "BOOT") + 33)),
    "iso9660: offset 47172, directory record: 38 bytes, its identifier alone has 200",
  );
  refuses(
    "a directory of more than 16 MiB",
    () => changed("plain", (_, view) => view.setUint32(primary + 156 + 10, (16 << 20) + 1, true)),
    "iso9660: offset 47104: 16777217 bytes of a directory, at most 16777216 are taken",
  );
  refuses(
    "a directory behind the end of the image",
    () => changed("plain", (_, view) => view.setUint32(primary + 156 + 2, 0x7fffffff, true)),
    "iso9660: offset 4398046509056, record length: 1 byte(s) expected, the input ends at 4398046509056",
  );
});

describe("a damaged file costs itself alone", () => {
  const node = async (image: string, path: string, change: (bytes: Uint8Array, view: DataView) => void) => {
    const read = await changed(image, change);
    const all = await walk(read, await readIso9660(read, BigInt(iso9660Fixture(image).bytes)));
    expect(all.length).toBe(iso9660Fixture(image).entries.length);
    return all.find((each) => each.path === path)?.node;
  };

  test("bytes outside of the image", async () => {
    const found = await node("plain", "/readme.txt", (bytes, view) => {
      view.setUint32(recordOf(bytes, "README.TXT;1") + 2, 0x7fffffff, true);
    });
    expect(found?.refusal).toBe("its 8 bytes at 4398046509056 lie outside of the image, which has 368640");
  });

  test("interleaved", async () => {
    const found = await node("plain", "/readme.txt", (bytes) => {
      bytes[recordOf(bytes, "README.TXT;1") + 26] = 1;
    });
    expect(found?.refusal).toBe("interleaved files are not read");
  });

  test("compressed by zisofs", async () => {
    const found = await node("zisofs", "/vmlinuz", () => {});
    expect(found?.refusal).toBe("compressed by zisofs, which is not unpacked");
    expect((await node("zisofs", "/small", () => {}))?.refusal).toBeNull();
  });

  test("a Rock Ridge entry that is cut off: the plain name is left", async () => {
    const found = await node("rock-ridge", "/readme.txt", (bytes) => {
      const entry = Buffer.from(bytes).indexOf("NM\u000f\u0001\0README.TXT", 0, "latin1");
      bytes[entry + 2] = 200;
    });
    expect(found?.type).toBe("other");
    expect(found?.refusal).toMatch(/^iso9660: offset \d+, entry "NM": 200 byte\(s\) expected, the input ends at \d+$/);
  });

  test("continuation areas in a circle", async () => {
    const name = iso9660Fixture("rock-ridge").entries.find(({ path }) => path.startsWith("/long-name"))?.path ?? "";
    const read = await changed("rock-ridge", (bytes, view) => {
      // The record's CE entry leads to an area that is made to lead to itself.
      const entry = Buffer.from(bytes).indexOf("CE\u001c\u0001", recordOf(bytes, "LONG_NAM.TXT;1"), "latin1");
      const area = view.getUint32(entry + 4, true) * 2048 + view.getUint32(entry + 12, true);
      view.setUint32(entry + 20, 28, true);
      bytes.copyWithin(area, entry, entry + 28);
    });
    const layout = await readIso9660(read, BigInt(iso9660Fixture("rock-ridge").bytes));
    const nodes = await readIso9660Directory(read, layout, layout.root);
    expect(nodes.some((each) => `/${each.name}` === name)).toBe(false);
    expect(nodes.find((each) => each.name === "long_nam.txt")?.refusal).toBe(
      "iso9660: more than 32 continuation areas",
    );
  });

  test("a file in more sections than are taken", async () => {
    const image = await imageBytes(iso9660Fixture("plain"));
    const end = image.length;
    const bytes = new Uint8Array(end + 4 * 2048);
    bytes.set(image);
    const view = new DataView(bytes.buffer);
    // A longer root directory behind the image's end.
    const root = view.getUint32(primary + 156 + 2, true) * 2048;
    bytes.copyWithin(end, root, root + 2 * 34);
    const record = recordOf(bytes, "NOEXT.;1");
    const section = bytes.slice(record, record + (bytes[record] ?? 0));
    section[25] = 0x80;
    let at = end + 2 * 34;
    for (let sections = 0; sections <= fileSectionsMax; sections++) {
      if ((at % 2048) + section.length > 2048) at += 2048 - (at % 2048);
      bytes.set(section, at);
      at += section.length;
    }
    view.setUint32(primary + 156 + 2, end / 2048, true);
    view.setUint32(primary + 156 + 10, 4 * 2048, true);
    const read = readerOf(bytes);
    const layout = await readIso9660(read, BigInt(bytes.length));
    const nodes = await readIso9660Directory(read, layout, layout.root);
    expect(nodes.map(({ name, refusal }) => [name, refusal])).toEqual([
      ["noext", "101 sections, at most 100 are taken"],
    ]);
  });
});

describe("hostile images cost FormatError at most", () => {
  const torture = (name: string, rounds: number): void => {
    it(name, async () => {
      const fixture = iso9660Fixture(name);
      const image = await imageBytes(fixture);
      const random = randomNumbers(9660);
      for (let round = 0; round < rounds; round++) {
        const bytes = image.slice(0, round % 5 === 0 ? random() % image.length : image.length);
        const view = new DataView(bytes.buffer);
        for (let change = 0; change < 8 && bytes.length > primary + 4096; change++) {
          // Descriptors and directories: the first 60 sectors from the primary descriptor on.
          const at = primary + (random() % Math.min(60 * 2048, bytes.length - primary - 4));
          if (random() % 3 === 0) view.setUint32(at, [0, 1, 0x7fffffff, 0xffffffff][random() % 4] ?? 0, true);
          else bytes[at] = random() >>> 3;
        }
        try {
          const read = readerOf(bytes);
          await walk(read, await readIso9660(read, BigInt(bytes.length)));
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      }
    });
  };
  torture("rock-ridge", 60);
  torture("relocated", 60);
  torture("joliet", 40);
});
