import { describe, expect, it, test } from "vitest";
import { ConfigBudget } from "../../../src/discovery/config-budget.ts";
import { diskKey } from "../../../src/discovery/disk-key.ts";
import type { FoundMenu } from "../../../src/discovery/entry.ts";
import { defaultDiscoveryLimits, type Finder, type ImageVolumes } from "../../../src/discovery/finder.ts";
import { grubFinder } from "../../../src/discovery/grub.ts";
import { grubDeviceNames, listedNamesMax } from "../../../src/discovery/grub-devices.ts";
import { ImageDirectories, imageDirectoryBytesMax } from "../../../src/discovery/image-directories.ts";
import { diskImagesMax, OpenedImages } from "../../../src/discovery/image-volumes.ts";
import { loopbackFinder } from "../../../src/discovery/loopback.ts";
import type { FileSource, VolumeFacts } from "../../../src/discovery/source.ts";
import { makeIso } from "../../fakes/iso9660-writer.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";

/** What somebody can do who owns a disk and has no key: names, loops and sizes that nobody signs. */

function find(
  finder: Finder,
  sources: readonly FileSource[],
  images: ImageVolumes = new OpenedImages(),
): Promise<readonly FoundMenu[]> {
  const [source] = sources;
  if (source === undefined) throw new Error("a source expected");
  return finder.find({ source, sources, architecture: "x86_64", images, limits: defaultDiscoveryLimits });
}

const reasons = (menus: readonly FoundMenu[]): string[] =>
  menus.flatMap(({ skipped }) => skipped.map(({ source, reason }) => `${source.volume}${source.path}: ${reason}`));

const options = (menus: readonly FoundMenu[]): string[] =>
  menus.flatMap(({ entries }) => entries.map((entry) => entry.options));

const arrayUuid = "00112233445566778899aabbccddeeff";
const array = (name: string): Partial<VolumeFacts> => ({ layer: { kind: "md", uuid: arrayUuid, name } });

describe("the name of an array gets into no option but as a name", () => {
  const named = (name: string, device: string): void => {
    it(JSON.stringify(name), async () => {
      const config = "for d in (*); do menuentry a { linux /k root=$d\n }; done\n";
      const source = memorySource("md-x", { "/boot/grub/grub.cfg": config, "/k": "" }, array(name));
      expect(grubDeviceNames([source.volume])).toEqual([device]);
      expect(options(await find(grubFinder, [source]))).toEqual([`root=(${device})`]);
    });
  };
  named("host:boot", "md/boot");
  named("boot-1.a_b", "md/boot-1.a_b");
  for (const name of ["a init=/bin/sh", "a'\nset x='", "a$x", "a;b", "a)b", "a,b", "a/b", 'a"', "a\u00a0b"]) {
    named(name, `mduuid/${arrayUuid}`);
  }
  it("nor does the name of a logical volume that the system has made", () => {
    const lv = { kind: "lvm", vg: "a b", lv: "c", vgUuid: "V", lvUuid: "L" } as const;
    expect(grubDeviceNames([memorySource("x", {}, { layer: lv }).volume])).toEqual(["lvmid/V/L"]);
  });
});

const uuid = "2024-01-01-00-00-00-00";

/** An image in memory whose outer volume counts how often it is opened. */
function imageOf(files: MemoryFiles, facts: Partial<VolumeFacts> = {}): FileSource {
  const content = new Map(
    Object.entries(files).map(([path, text]) => [path, new TextEncoder().encode(typeof text === "string" ? text : "")]),
  );
  return memorySource("vda1", { "/a.iso": makeIso({ label: "IMAGE", uuid, files: content }) }, facts);
}

test("the configuration of a volume whose name is like that of the lines before loopback.cfg has to be signed", async () => {
  const loopback = "search --set=root --file /marker\nconfigfile /more.cfg\n";
  const outer = imageOf({ "/boot/grub/loopback.cfg": loopback });
  const layer = { kind: "lvm", vg: "loopback", lv: "starter", vgUuid: null, lvUuid: null } as const;
  const files = { "/marker": "", "/more.cfg": "menuentry a { linux /k init=/bin/sh\n }\n", "/k": "" };
  const [menu] = await find(loopbackFinder, [outer, memorySource("loopback-starter", files, { layer })]);
  const [entry] = menu?.entries ?? [];
  expect(entry?.options).toBe("init=/bin/sh");
  expect(entry?.configs.map(({ ref }) => ref)).toEqual([
    { volume: "vda1:/a.iso", path: "/boot/grub/loopback.cfg" },
    { volume: "loopback-starter", path: "/more.cfg" },
  ]);
});

describe("images", () => {
  /** Makes the directory `/a` the root itself. */
  async function looping(): Promise<{ readonly outer: FileSource; readonly reads: { count: number } }> {
    const plain = imageOf({ "/a/b": "", "/c": "text" });
    const bytes = await plain.readFile("/a.iso", 1 << 20);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const root = view.getUint32(16 * 2048 + 158, true);
    // The records of the root: itself, its parent, then `a`.
    let at = root * 2048;
    for (let i = 0; i < 2; i++) at += bytes[at] ?? 0;
    expect(bytes[at + 25]).toBe(2);
    view.setUint32(at + 2, root, true);
    const reads = { count: 0 };
    const open = async (path: string): ReturnType<FileSource["open"]> => {
      reads.count++;
      return plain.open(path);
    };
    return { outer: { ...memorySource("vda1", { "/a.iso": bytes }), open }, reads };
  }

  it("a directory that leads back to itself is read once, by whatever path", async () => {
    const { outer, reads } = await looping();
    const image = await new OpenedImages().open(outer, "/a.iso");
    expect(await image.stat(`${"/a".repeat(500)}/c`)).toEqual({ type: "file", size: 4 });
    expect(await image.realPath("/a/a/c")).toBe("/a/a/c");
    expect(reads.count).toBe(2);
  });

  it("those of one disk share what reading directories may cost, small reads among it", async () => {
    const directories = new ImageDirectories();
    for (let left = imageDirectoryBytesMax; left > 0; left -= 2048) expect(directories.mayRead(1)).toBe(true);
    expect(directories.mayRead(1)).toBe(false);
  });

  it("a disk has so many, and those of another disk are opened all the same", async () => {
    const images = new OpenedImages();
    const isos = (name: string, disk: string): FileSource => {
      const files = Array.from({ length: diskImagesMax + 1 }, (_, i) => [`/${i}.iso`, ""]);
      return memorySource(name, Object.fromEntries(files), { disk });
    };
    const [first, second, other] = [isos("vda1", "vda"), isos("vda2", "vda"), isos("vdb1", "vdb")] as const;
    const refusal = (source: FileSource, index: number): Promise<string> =>
      images.open(source, `/${index}.iso`).then(
        () => "",
        (error: unknown) => String(error),
      );
    const none = (path: string): string => `SourceError: open the image "${path}" on vda1: no ISO 9660 filesystem`;
    for (let i = 0; i < diskImagesMax; i++) expect(await refusal(first, i)).toBe(none(`/${i}.iso`));
    expect(await refusal(second, 0)).toBe(
      `SourceError: open the image "/0.iso" on vda2: ${diskImagesMax} images of the disk are open`,
    );
    // What was opened before is still there.
    expect(await refusal(first, 7)).toBe(none("/7.iso"));
    expect(await refusal(other, 0)).toContain("no ISO 9660 filesystem");
  });

  it("their configuration is charged to one budget, and each stays one source", async () => {
    const outer = imageOf({ "/big": "x".repeat(60) });
    const images = new ConfigBudget(50).chargeImages(new OpenedImages());
    const image = await images.open(outer, "/a.iso");
    expect(await images.open(outer, "/a.iso")).toBe(image);
    await image.readFile("/big", 100);
    await expect(image.readFile("/big", 100)).rejects.toThrow("more than 50 bytes of configuration on one disk");
  });
});

describe("whose share a volume counts against", () => {
  const row = (what: string, facts: Partial<VolumeFacts>, key: string): void => {
    it(what, () => expect(diskKey(memorySource("vol", {}, facts).volume)).toBe(key));
  };
  const lv = { kind: "lvm", vg: "vg", lv: "lv", vgUuid: null, lvUuid: null } as const;
  row("a partition: its disk", { disk: "vda" }, "vda");
  row("a directory: itself", {}, "vol");
  row("an array: itself", array("x"), "vol");
  row("a logical volume: its group", { layer: lv }, "lvm/vg");
  row("a logical volume with identifiers", { layer: { ...lv, vgUuid: "V" } }, "lvm/V");
});

describe("work that one volume may cost", () => {
  const endless = "while true; do true; done\n";
  it("two dozen endless configurations cost as much as two", async () => {
    const files = Object.fromEntries(
      Array.from({ length: 20 }, (_, i) => [`/EFI/${String(i).padStart(2, "0")}/grub.cfg`, endless]),
    );
    expect(reasons(await find(grubFinder, [memorySource("vda1", files)]))).toEqual([
      "vda1/EFI/00/grub.cfg: the configuration: more than 1000000 steps, an endless loop? The rest is not run.",
      "vda1/EFI/01/grub.cfg: the configuration: more than 999999 steps, an endless loop? The rest is not run.",
      "vda1/EFI/02/grub.cfg: not run, like what follows: the configurations before took the 6000000 steps that all may take",
    ]);
  }, 60_000);

  it("looking for missing files among many names ends", async () => {
    const config =
      "for i in 1 2 3; do if [ -e /d/x ]; then set found=1; fi; done\nmenuentry a { linux /k n=$found\n }\n";
    const source = memorySource("vda1", { "/boot/grub/grub.cfg": config, "/k": "", "/d/y": "" });
    let lists = 0;
    const names = Array.from({ length: listedNamesMax + 1 }, (_, i) => String(i));
    const list = async (path: string): Promise<readonly string[]> => {
      if (path !== "/d") return source.list(path);
      lists++;
      return names;
    };
    expect(options(await find(grubFinder, [{ ...source, list }]))).toEqual(["n="]);
    expect(lists).toBe(1);
  });

  it("a volume's configuration asks little of volumes that it does not speak of", async () => {
    let asked = 0;
    const files = { "/boot/grub/grub.cfg": "menuentry a { linux /k\n }\n", "/EFI/x/grub.cfg": "set a=b\n", "/k": "" };
    const others = Array.from({ length: 20 }, (_, i): FileSource => {
      const other = memorySource(`vdb${i}`, {});
      const count = async (path: string): ReturnType<FileSource["stat"]> => {
        asked++;
        return other.stat(path);
      };
      return { ...other, stat: count };
    });
    expect(options(await find(grubFinder, [memorySource("vda1", files), ...others]))).toEqual([""]);
    expect(asked).toBe(0);
  });
});
