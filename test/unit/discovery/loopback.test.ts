import { describe, expect, it, test } from "vitest";
import type { BootEntry, FoundMenu } from "../../../src/discovery/entry.ts";
import { type DiscoveryLimits, defaultDiscoveryLimits, type ImageVolumes } from "../../../src/discovery/finder.ts";
import { OpenedImages } from "../../../src/discovery/image-volumes.ts";
import { isoFilesMax, isoSubdirectoriesMax, loopbackFinder } from "../../../src/discovery/loopback.ts";
import { type FileSource, SourceError } from "../../../src/discovery/source.ts";
import { imageVolume, iso9660Fixture } from "../../fakes/iso9660-image.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";

/** Images in memory: path of the ISO file → what is in it. */
function images(contents: Readonly<Record<string, MemoryFiles>>, label: string | null = null): ImageVolumes {
  const opened = new Map<string, FileSource>();
  return {
    async open(outer, path) {
      const files = contents[path];
      if (files === undefined) throw new SourceError(`open the image "${path}": no ISO 9660 filesystem`);
      const name = `${outer.volume.name}:${path}`;
      const layer = { kind: "image", volume: outer.volume.name, path } as const;
      const image = opened.get(name) ?? memorySource(name, files, { fstype: "iso9660", label, layer });
      opened.set(name, image);
      return image;
    },
    get opened() {
      return [...opened.values()];
    },
  };
}

async function find(
  sources: readonly FileSource[],
  opener: ImageVolumes,
  limits: Partial<DiscoveryLimits> = {},
): Promise<readonly FoundMenu[]> {
  const [source] = sources;
  if (source === undefined) throw new Error("a source expected");
  const all = { ...defaultDiscoveryLimits, ...limits };
  return loopbackFinder.find({ source, sources, architecture: "x86_64", images: opener, limits: all });
}

const row = ({ id, title, submenu, linux, initrd, options }: BootEntry): string =>
  [id, [...submenu, title].join(" > "), linux, ...initrd]
    .map((part) => (typeof part === "string" ? part : `${part.volume}:${part.path}`))
    .concat(options)
    .join(" | ");

const rows = (menus: readonly FoundMenu[]): string[] => menus.flatMap((menu) => menu.entries.map(row));

const skips = (menus: readonly FoundMenu[]): string[] =>
  menus.flatMap((menu) =>
    menu.skipped.map(
      ({ source, title, reason }) => `${source.volume}:${source.path}:${source.line} ${title}: ${reason}`,
    ),
  );

const entry = (title: string, options: string): string =>
  `menuentry '${title}' {\n linux /vmlinuz ${options}\n initrd /initrd\n}\n`;
const kernel = { "/vmlinuz": "kernel", "/initrd": "initrd" };
const uuid = "11111111-2222-4333-8444-555555555555";
const facts = { uuid, disk: "vda", part: 1, table: "gpt" } as const;

test("an image of xorriso, from its bytes to the entry", async () => {
  const opener = new OpenedImages();
  const menus = await find([imageVolume(iso9660Fixture("rock-ridge"))], opener);
  const path = "/images/rock-ridge.iso";
  expect(rows(menus)).toEqual([
    `vda1:loopback:${path}:0 | SLIPWAY > Live | vda1:${path}:/boot/vmlinuz | vda1:${path}:/boot/initrd.img | findiso=${path}`,
  ]);
  expect(menus[0]).toMatchObject({
    volume: "vda1",
    format: "loopback",
    defaultId: `vda1:loopback:${path}:0`,
    defaultReason: "default is not set, which means the first entry (/boot/grub/loopback.cfg)",
  });
  const [found] = menus[0]?.entries ?? [];
  expect(found?.source).toEqual({ volume: `vda1:${path}`, path: "/boot/grub/loopback.cfg", line: 1 });
  // What has to be signed is in the image; the lines that were put before it are Slipway's own.
  expect(found?.configs.map(({ ref }) => ref)).toEqual([{ volume: `vda1:${path}`, path: "/boot/grub/loopback.cfg" }]);
  expect(found?.unsignedInputs).toEqual([]);
  expect(found?.bootImage).toBe("BOOT_IMAGE=/boot/vmlinuz");
  expect(opener.opened.map(({ volume }) => volume.name)).toEqual([`vda1:${path}`]);
});

describe("what loopback.cfg is told", () => {
  const options = async (config: string, more: readonly FileSource[] = [], own: object = facts): Promise<string[]> => {
    const outer = memorySource("vda1", { "/iso/live.iso": "" }, own);
    const opener = images({ "/iso/live.iso": { ...kernel, "/boot/grub/loopback.cfg": config } });
    return (await find([outer, ...more], opener)).flatMap((menu) => menu.entries.map((each) => each.options));
  };
  const tells = (what: string, config: string, expected: string): void => {
    it(what, async () => expect(await options(config)).toEqual([expected]));
  };
  tells(
    "the path of the file",
    entry("a", "findiso=$iso_path file=$isofile"),
    "findiso=/iso/live.iso file=/iso/live.iso",
  );
  tells(
    "the volume with the file",
    entry("a", "uuid=$rootuuid dev=$imgdevpath"),
    `uuid=${uuid} dev=/dev/disk/by-uuid/${uuid}`,
  );
  tells("root and prefix", entry("a", "$root $prefix"), "loop (loop)/boot/grub");
  tells("in sub-menus, too", `submenu more {\n ${entry("a", "$iso_path $rootuuid")} }\n`, `/iso/live.iso ${uuid}`);
  tells(
    "the volume, which a search by the file finds",
    `search --no-floppy --set=dev --file "\${iso_path}"\nprobe --set dev_uuid --fs-uuid "\${dev}"\n${entry("a", "img_dev=UUID=$dev_uuid $dev")}`,
    `img_dev=UUID=${uuid} hd0,gpt1`,
  );
  tells("files by device", entry("a", "x").replaceAll(" /", " (loop)/"), "x");

  it("nothing of a volume without a UUID", async () => {
    const own = { ...facts, uuid: null };
    expect(await options(entry("a", "uuid=[$rootuuid] [$imgdevpath]"), [], own)).toEqual(["uuid=[] []"]);
  });
  it("a UUID that would add words is not told", async () => {
    expect(await options(entry("a", "uuid=$rootuuid"), [], { ...facts, uuid: "a init=/bin/sh" })).toEqual(["uuid="]);
  });
  it("other volumes can be searched", async () => {
    const other = memorySource("vdb1", { "/marker": "" }, { disk: "vdb", part: 1, table: "gpt", uuid: "ABCD-0123" });
    const config = `search --set=other --file /marker\n${entry("a", "other=$other")}`;
    expect(await options(config, [other])).toEqual(["other=hd1,gpt1"]);
  });
});

describe("which files are opened", () => {
  const opens = (path: string, isOpened: boolean): void => {
    it(`${path}: ${isOpened}`, async () => {
      const config = { ...kernel, "/boot/grub/loopback.cfg": entry("a", "x") };
      const menus = await find([memorySource("vda1", { [path]: "" })], images({ [path]: config }));
      expect(rows(menus)).toEqual(
        isOpened
          ? [
              `vda1:loopback:${path}:0 | ${path.split("/").at(-1)} > a | vda1:${path}:/vmlinuz | vda1:${path}:/initrd | x`,
            ]
          : [],
      );
      expect(skips(menus)).toEqual([]);
    });
  };
  opens("/live.iso", true);
  opens("/LIVE.ISO", true);
  opens("/iso/live.iso", true);
  opens("/ISOS/live.iso", true);
  opens("/boot-isos/live.iso", true);
  opens("/images/live.iso", true);
  opens("/boot/live.iso", true);
  opens("/boot/grml/grml64.iso", true);
  opens("/boot/images/live.iso", true);
  opens("/boot/iso/ubuntu/live.iso", true);
  opens("/boot/iso/ubuntu/old/live.iso", false);
  opens("/home/user/live.iso", false);
  opens("/live.img", false);

  it("a link to a file is the file", async () => {
    const outer = memorySource("vda1", { "/iso/live-12.iso": "", "/iso/live.iso": { link: "live-12.iso" } });
    const opener = images({ "/iso/live-12.iso": { ...kernel, "/boot/grub/loopback.cfg": entry("a", "$iso_path") } });
    expect((await find([outer], opener)).flatMap((menu) => menu.entries.map(({ options }) => options))).toEqual([
      "/iso/live-12.iso",
    ]);
  });
  it("further subdirectories are not looked at", async () => {
    const number = (i: number): string => String(i).padStart(3, "0");
    const files = Object.fromEntries(
      Array.from({ length: isoSubdirectoriesMax + 1 }, (_, i) => [
        `/iso/${number(i)}/${i % 50 === 0 ? "a.iso" : "b"}`,
        "",
      ]),
    );
    const reasons = skips(await find([memorySource("vda1", files)], images({})));
    expect(reasons).toEqual(['vda1:/iso/000/a.iso:1 null: open the image "/iso/000/a.iso": no ISO 9660 filesystem']);
  });
  it("more files than are taken", async () => {
    const names = Array.from({ length: isoFilesMax + 2 }, (_, i) => `/${String(i).padStart(3, "0")}.iso`);
    const all = Object.fromEntries(names.map((name) => [name, { "/boot/grub/loopback.cfg": "" }]));
    const files = Object.fromEntries(names.map((name) => [name, ""]));
    const opener = images(all);
    expect(skips(await find([memorySource("vda1", files)], opener))).toEqual([
      "vda1:/050.iso:1 null: 52 ISO files on the volume, only the first 50 are opened",
    ]);
    expect(opener.opened).toHaveLength(50);
  });
});

describe("where the configuration is", () => {
  const finds = (path: string): void => {
    it(path, async () => {
      const opener = images({ "/live.iso": { ...kernel, [path]: entry("a", "$prefix") } });
      const menus = await find([memorySource("vda1", { "/live.iso": "" })], opener);
      expect(menus.flatMap((menu) => menu.entries.map((each) => [each.source.path, each.options]))).toEqual([
        [path, `(loop)${path.replace("/loopback.cfg", "")}`],
      ]);
    });
  };
  finds("/boot/grub/loopback.cfg");
  finds("/boot/grub2/loopback.cfg");
  finds("/grub/loopback.cfg");
  finds("/grub2/loopback.cfg");
});

describe("what is not offered, and why", () => {
  const skipsFor = async (path: string, files: MemoryFiles | null): Promise<string[]> =>
    skips(await find([memorySource("vda1", { [path]: "" }, facts)], images(files === null ? {} : { [path]: files })));
  const refuses = (what: string, path: string, files: MemoryFiles | null, reason: string): void => {
    it(what, async () => expect(await skipsFor(path, files)).toEqual([reason]));
  };
  refuses("no image", "/a.iso", null, 'vda1:/a.iso:1 null: open the image "/a.iso": no ISO 9660 filesystem');
  refuses(
    "only a configuration for discs",
    "/a.iso",
    { ...kernel, "/isolinux/isolinux.cfg": "" },
    "vda1:/a.iso:1 null: the image has no loopback.cfg; its /isolinux/isolinux.cfg looks for a disc and would not find this file",
  );
  refuses(
    "no configuration at all",
    "/a.iso",
    { "/setup.exe": "" },
    "vda1:/a.iso:1 null: the image has no loopback.cfg, and no other boot configuration that is known",
  );
  refuses(
    "a name that would add words to the options",
    "/a init=x.iso",
    { ...kernel, "/boot/grub/loopback.cfg": entry("a", "$iso_path") },
    "vda1:/a init=x.iso:1 null: a path without white space and quotes expected: it becomes part of the options",
  );
  refuses(
    "a kernel that is not there",
    "/a.iso",
    { "/boot/grub/loopback.cfg": "\nmenuentry 'no kernel' {\n linux /nowhere\n}\n" },
    'vda1:/a.iso:/boot/grub/loopback.cfg:2 no kernel: linux: "/nowhere" is missing on (loop)',
  );
});

test("the default is the configuration's own, through a sub-menu", async () => {
  const config = `set default="1>1"\nset timeout=7\n${entry("a", "1")}submenu more {\n${entry("b", "2")}${entry("c", "3")}}\n`;
  const opener = images({ "/live.iso": { ...kernel, "/boot/grub/loopback.cfg": config } }, "LIVE");
  const [menu] = await find([memorySource("vda1", { "/live.iso": "" })], opener);
  expect(menu?.entries.map(({ id, submenu }) => [id, submenu])).toEqual([
    ["vda1:loopback:/live.iso:0", ["LIVE"]],
    ["vda1:loopback:/live.iso:1>0", ["LIVE", "more"]],
    ["vda1:loopback:/live.iso:1>1", ["LIVE", "more"]],
  ]);
  expect(menu?.defaultId).toBe("vda1:loopback:/live.iso:1>1");
  expect(menu?.timeoutSeconds).toBe(7);
});

test("the entries of all images together are bounded", async () => {
  const config = { ...kernel, "/boot/grub/loopback.cfg": entry("a", "x") + entry("b", "x") };
  const outer = memorySource("vda1", { "/1.iso": "", "/2.iso": "" });
  const menus = await find([outer], images({ "/1.iso": config, "/2.iso": config }), { entriesMax: 3 });
  expect(menus.flatMap((menu) => menu.entries.map(({ id }) => id))).toEqual([
    "vda1:loopback:/1.iso:0",
    "vda1:loopback:/1.iso:1",
    "vda1:loopback:/2.iso:0",
  ]);
});

test("a volume without ISO files has no menu", async () => {
  expect(await find([memorySource("vda1", { "/boot/vmlinuz": "", "/iso/readme.txt": "" })], images({}))).toEqual([]);
});
