import { describe, expect, it, test } from "vitest";
import { Iso9660Source } from "../../../src/discovery/iso9660-source.ts";
import { type FileSource, SourceError } from "../../../src/discovery/source.ts";
import {
  imageVolume,
  iso9660Files,
  iso9660Fixture,
  iso9660Fixtures,
  type OpenCount,
} from "../../fakes/iso9660-image.ts";
import { memorySource } from "../../fakes/memory-source.ts";

function open(name: string, count?: OpenCount): Promise<FileSource> {
  return Iso9660Source.open(imageVolume(iso9660Fixture(name), count), `/images/${name}.iso`, "image");
}

const text = async (source: FileSource, path: string): Promise<string> =>
  Buffer.from(await source.readFile(path, 1000)).toString();

async function refuses(work: Promise<unknown>, message: string): Promise<void> {
  const error = await work.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(SourceError);
  expect(error instanceof Error && error.message).toBe(message);
}

describe("every file has the text that was put into it", () => {
  for (const { name, entries } of iso9660Fixtures) {
    if (name === "multi-extent" || name === "zisofs" || name.startsWith("plain")) continue;
    it(name, async () => {
      const source = await open(name);
      const read = entries.filter(({ type }) => type === "file");
      expect(read.length).toBeGreaterThan(50);
      for (const { path, size } of read) {
        // Joliet cuts a name after 103 characters.
        const [, content] = Object.entries(iso9660Files.files).find(([key]) => key.startsWith(path.slice(1))) ?? [];
        expect(await text(source, path), path).toBe(content);
        expect(await source.stat(path)).toEqual({ type: "file", size });
        expect(await source.realPath(path)).toBe(path);
      }
    });
  }
});

describe("what is known of the volume", () => {
  // By blkid -p of util-linux on the whole images.
  test("the image of xorriso", async () => {
    expect((await open("rock-ridge")).volume).toEqual({
      name: "image",
      fstype: "iso9660",
      uuid: "2023-11-14-22-13-20-00",
      label: "SLIPWAY",
      partuuid: null,
      partlabel: null,
      disk: null,
      part: null,
      table: null,
      parttype: null,
      layer: { kind: "image", volume: "vda1", path: "/images/rock-ridge.iso" },
    });
  });
  test("a Joliet image", async () => {
    expect((await open("joliet")).volume.label).toBe("SLIPWAY");
  });
});

describe("links are followed inside the image", async () => {
  const source = await open("rock-ridge");
  const reads = (path: string, real: string, content: string): void => {
    it(path, async () => {
      expect(await source.realPath(path)).toBe(real);
      expect(await text(source, path)).toBe(content);
      expect(await source.stat(path)).toEqual({ type: "file", size: content.length });
    });
  };
  reads("/links/relative", "/boot/vmlinuz", "kernel");
  reads("links//./relative", "/boot/vmlinuz", "kernel");
  reads("/links/absolute", "/boot/vmlinuz", "kernel");
  reads("/links/directory/vmlinuz", "/boot/vmlinuz", "kernel");
  reads("/links/directory/../Case", "/Case", "upper");
  reads("/links/dots/vmlinuz", "/boot/vmlinuz", "kernel");
  reads("/links/root/case", "/case", "lower");
  reads("/deep/2/3/4/5/6/7/8/9/10/up", "/deep/2/3/4/5/6/7/8/file8", "eight");

  it("a link to a directory", async () => {
    expect(await source.stat("/links/root")).toEqual({ type: "directory", size: 0 });
    expect(await source.realPath("/links/root")).toBe("/");
    expect(await source.list("/links/directory")).toEqual(["grub", "initrd.img", "vmlinuz"]);
  });
  it("a link that leaves the image", async () => {
    const message = 'open "/links/out" on image: the path leaves the volume';
    await refuses(source.stat("/links/out"), message);
    await refuses(source.open("/links/out"), message);
    await refuses(source.list("/links/out"), message);
    await refuses(source.realPath("/.."), 'open "/.." on image: the path leaves the volume');
  });
  it("a link to itself", () =>
    refuses(source.stat("/links/loop"), 'open "/links/loop" on image: more than 40 symbolic links'));
});

describe("what is not there", async () => {
  const source = await open("rock-ridge");
  for (const path of [
    "/nowhere",
    "/boot/nowhere/x",
    "/boot/vmlinuz/x",
    "/boot/vmlinuz/../vmlinuz",
    "/links/dangling",
    "/links/long",
    "/README.txt",
    "/rr_moved",
  ]) {
    it(path, async () => {
      expect(await source.realPath(path)).toBeNull();
      expect(await source.stat(path)).toBeNull();
      expect(await source.list(path)).toEqual([]);
      await refuses(source.open(path), `open ${JSON.stringify(path)} on image: no such file`);
    });
  }
});

describe("case", () => {
  for (const [name, path, real] of [
    ["joliet", "/BOOT/Grub/loopback.CFG", "/boot/grub/loopback.cfg"],
    ["joliet", "/readme.txt", "/README.TXT"],
    ["plain", "/BOOT/VMLINUZ", "/boot/vmlinuz"],
    ["plain", "/boot/vmlinuz", "/boot/vmlinuz"],
  ] as const) {
    it(`${name}: ${path}`, async () => expect(await (await open(name)).realPath(path)).toBe(real));
  }
});

describe("listing", () => {
  test("in the order of bytes", async () => {
    const source = await open("rock-ridge-joliet");
    expect((await source.list("/")).slice(0, 4)).toEqual(["Case", "Grüße.txt", "README.TXT", "boot"]);
    expect((await source.list("/many")).length).toBe(45);
  });
  test("a file", async () => {
    await refuses((await open("plain")).list("/noext"), 'list "/noext" on image: a directory expected');
  });
});

describe("opening", () => {
  test("a file of more than 4 GiB, over the end of its first section", async () => {
    await using file = await (await open("multi-extent")).open("/big.squashfs");
    expect(file.size).toBe(iso9660Files.bigBytes);
    for (const [at, content] of iso9660Files.marks) {
      const into = new Uint8Array(content.length);
      let done = 0;
      while (done < into.length) {
        const count = await file.read(into.subarray(done), at + done);
        expect(count).toBeGreaterThan(0);
        done += count;
      }
      expect(Buffer.from(into).toString()).toBe(content);
    }
    expect(await file.read(new Uint8Array(4), iso9660Files.bigBytes)).toBe(0);
  });

  test("larger than it may be", async () => {
    const source = await open("rock-ridge");
    expect(await source.readFile("/boot/vmlinuz", 6)).toHaveLength(6);
    await refuses(source.readFile("/boot/vmlinuz", 5), 'read "/boot/vmlinuz" on image: 6 bytes, at most 5 are taken');
  });

  test("what is no file", async () => {
    const source = await open("rock-ridge");
    await refuses(source.open("/boot"), 'open "/boot" on image: a regular file expected');
    expect(await source.stat("/links/fifo")).toEqual({ type: "other", size: 0 });
    await refuses(source.open("/links/fifo"), 'open "/links/fifo" on image: a regular file expected');
  });

  test("a compressed file", async () => {
    const source = await open("zisofs");
    expect(await source.stat("/vmlinuz")).toEqual({ type: "file", size: 100006 });
    await refuses(source.open("/vmlinuz"), 'open "/vmlinuz" on image: compressed by zisofs, which is not unpacked');
    expect(await text(source, "/small")).toBe("not worth it");
  });

  test("hostile paths", async () => {
    const source = await open("plain");
    await refuses(
      source.stat("/boot\0"),
      'open "/boot\\u0000" on image: a path of at most 4096 bytes without NUL expected',
    );
  });
});

describe("the outer file", () => {
  test("is open only while something is read, and directories are read once", async () => {
    const count = { open: 0, opened: 0 };
    const source = await open("rock-ridge", count);
    expect(count).toEqual({ open: 0, opened: 1 });
    await source.stat("/boot/grub/loopback.cfg");
    expect(count).toEqual({ open: 0, opened: 4 });
    await source.stat("/boot/grub/loopback.cfg");
    await source.list("/boot");
    expect(count).toEqual({ open: 0, opened: 4 });
    const file = await source.open("/boot/vmlinuz");
    expect(count.open).toBe(1);
    await file[Symbol.asyncDispose]();
    await source.readFile("/boot/vmlinuz", 1).catch(() => {});
    await source.open("/boot").catch(() => {});
    await source.close();
    expect(count.open).toBe(0);
  });

  test("holds no image", async () => {
    const outer = memorySource("vda1", { "/a.iso": "text", "/long.iso": new Uint8Array(100_000) });
    for (const path of ["/a.iso", "/long.iso"]) {
      await refuses(
        Iso9660Source.open(outer, path, "image"),
        `open the image "${path}" on vda1: no ISO 9660 filesystem`,
      );
    }
    await refuses(Iso9660Source.open(outer, "/b.iso", "image"), 'open "/b.iso" on vda1: no such file');
  });

  test("is cut off", async () => {
    const whole = iso9660Fixture("rock-ridge");
    const outer = imageVolume({ ...whole, bytes: 300_000 });
    await refuses(
      Iso9660Source.open(outer, "/images/rock-ridge.iso", "image"),
      `open the image "/images/rock-ridge.iso" on vda1: iso9660: offset 32848, size: it takes ${whole.bytes} bytes, the device has only 300000`,
    );
  });
});
