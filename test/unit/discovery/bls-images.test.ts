import { describe, expect, test } from "vitest";
import { blsFinder } from "../../../src/discovery/bls.ts";
import type { BootEntry, FoundMenu } from "../../../src/discovery/entry.ts";
import { type DiscoveryLimits, defaultDiscoveryLimits } from "../../../src/discovery/finder.ts";
import { OpenedImages } from "../../../src/discovery/image-volumes.ts";
import { type FileSource, SourceError, type VolumeFacts } from "../../../src/discovery/source.ts";
import { bzImageHead } from "../../fakes/bzimage-head.ts";
import { kernelImage } from "../../fakes/kernel-image.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";
import { randomNumbers } from "../../fakes/random-numbers.ts";
import { ukiData } from "../../fakes/uki-data.ts";
import { type ImageSection, peImage, ukiImage } from "../../fakes/uki-image.ts";

interface Setting {
  readonly architecture?: string;
  readonly limits?: Partial<DiscoveryLimits>;
  readonly lastBooted?: string | null;
}

async function findOn(sources: readonly FileSource[], setting: Setting = {}): Promise<readonly FoundMenu[]> {
  const menus: FoundMenu[] = [];
  for (const source of sources) {
    const context = {
      source,
      sources,
      architecture: setting.architecture ?? "x86_64",
      images: new OpenedImages(),
      limits: { ...defaultDiscoveryLimits, ...setting.limits },
      lastBooted: setting.lastBooted ?? null,
    };
    menus.push(...(await blsFinder.find(context)));
  }
  return menus;
}

async function findOne(files: MemoryFiles, setting: Setting = {}): Promise<FoundMenu> {
  const [menu, ...more] = await findOn([memorySource("vda1", files)], setting);
  if (menu === undefined) throw new Error("a menu expected");
  expect(more).toEqual([]);
  return menu;
}

const ids = (menu: FoundMenu): string[] => menu.entries.map(({ id }) => id);

function skippedLines(menu: FoundMenu): string[] {
  return menu.skipped.map(({ source, reason }) => `${source.path}:${source.line}: ${reason}`);
}

async function entryOf(files: MemoryFiles, setting: Setting = {}): Promise<BootEntry> {
  const menu = await findOne(files, setting);
  expect(skippedLines(menu)).toEqual([]);
  const [entry] = menu.entries;
  if (entry === undefined) throw new Error("an entry expected");
  return entry;
}

const debian = ukiData("debian");
const board = ukiData("board");

test("an image is an entry, from what it says of itself", async () => {
  const menu = await findOne({ "/EFI/Linux/acme+3-1.EFI": board });
  expect(menu).toEqual({
    volume: "vda1",
    format: "bls1",
    entries: [
      {
        id: "vda1:uki:acme",
        title: "acme-board",
        submenu: [],
        format: "uki",
        source: { volume: "vda1", path: "/EFI/Linux/acme+3-1.EFI", line: 1 },
        linux: { volume: "vda1", path: "/EFI/Linux/acme+3-1.EFI" },
        part: null,
        initrd: [],
        modules: [],
        options: "root=LABEL=board ro",
        embedded: true,
        addons: [],
        bootImage: null,
        devicetree: null,
        overlays: [],
        architecture: "x64",
        version: "7.2",
        tries: { left: 3, done: 1 },
        aliases: ["acme", "acme.efi", "acme.EFI", "acme+3-1.EFI"],
        configs: [],
        unsignedInputs: [],
        variables: [],
      },
    ],
    skipped: [],
    defaultId: "vda1:uki:acme",
    defaultReason: "first in Boot Loader Specification order",
    timeoutSeconds: null,
  });
});

test("nothing where there are no images", async () => {
  expect(await findOn([memorySource("vda1", { "/EFI/Linux/readme.txt": "", "/EFI/Linux/.x.efi": debian })])).toEqual(
    [],
  );
});

test("each profile is an entry", async () => {
  const menu = await findOne({ "/EFI/Linux/a.efi": kernelImage("uki-profiles") });
  const debianName = "Debian GNU/Linux 12 (bookworm)";
  expect(menu.entries.map(({ id, title, part, options }) => [id, title, part, options])).toEqual([
    ["vda1:uki:a", `${debianName} (Regular boot)`, null, "root=LABEL=system ro quiet"],
    [
      "vda1:uki:a@1",
      `${debianName} (Reset Device to Factory Defaults)`,
      "@1",
      "quiet systemd.unit=factory-reset.target",
    ],
    ["vda1:uki:a@2", `${debianName} (storagetm)`, "@2", "quiet rd.systemd.unit=storage-target-mode.target"],
  ]);
  expect(menu.entries[1]?.aliases).toEqual(["a@1", "a@factory-reset", "a.efi@1", "a.efi@factory-reset"]);
});

describe("one menu with the texts", () => {
  const files: MemoryFiles = {
    "/loader/entries/fedora-1.conf": "title Text\nsort-key fedora\nversion 40\nlinux /k\n",
    "/loader/entries/fedora-2.conf": "title Text\nsort-key fedora\nversion 42\nlinux /k\n",
    "/loader/entries/old.conf": "linux /k\n",
    "/loader/entries/debian.conf": "sort-key debian\nversion 12 (bookworm)\nlinux /k\n",
    "/EFI/Linux/fedora.efi": ukiData("fedora"),
    "/EFI/Linux/debian.efi": debian,
    "/EFI/Linux/bad+0-3.efi": debian,
    "/k": "kernel",
  };
  test("in one order: sort key, version, name; of one name the image first", async () => {
    expect(ids(await findOne(files))).toEqual([
      "vda1:uki:debian",
      "vda1:bls1:debian",
      "vda1:bls1:fedora-2",
      "vda1:uki:fedora",
      "vda1:bls1:fedora-1",
      "vda1:bls1:old",
      "vda1:uki:bad",
    ]);
  });
  test("titles are unique over both", async () => {
    const menu = await findOne({ ...files, "/loader/entries/x.conf": "title Fedora Linux 41\nlinux /k\n" });
    expect(menu.entries.map(({ title }) => title).filter((title) => title.startsWith("F"))).toEqual([
      "Fedora Linux 41 (41)",
      "Fedora Linux 41",
    ]);
  });
  test.each([
    ["default fedora.efi", "vda1:uki:fedora"],
    ["default FEDORA", "vda1:uki:fedora"],
    ["default fedora-?.conf", "vda1:bls1:fedora-2"],
    ["default *.efi\npreferred old*", "vda1:bls1:old"],
    ["default bad+0-3.efi", "vda1:uki:debian"],
  ])("%j", async (conf, id) => {
    expect((await findOne({ ...files, "/loader/loader.conf": `${conf}\n` })).defaultId).toBe(id);
  });
  test("a limit for both together", async () => {
    const menu = await findOne(files, { limits: { entriesMax: 6 } });
    expect(menu.entries).toHaveLength(6);
    expect(skippedLines(menu)).toEqual(["/EFI/Linux/bad+0-3.efi:1: 1 more entries, at most 6 are offered"]);
    const images = await findOne(files, { limits: { entriesMax: 2 } });
    expect(skippedLines(images)).toContain("/EFI/Linux:1: 1 more images, at most 2 are read");
  });
  test("the marker of the texts does not speak for the images", async () => {
    const menu = await findOne({ ...files, "/loader/entries.srel": "mine\n" });
    expect(ids(menu)).toEqual(["vda1:uki:debian", "vda1:uki:fedora", "vda1:uki:bad"]);
  });
  test("of an ESP and of a boot loader partition", async () => {
    const onDisk = (parttype: string): Partial<VolumeFacts> => ({ disk: "vda", parttype });
    const menus = await findOn([
      memorySource("vda1", { "/EFI/Linux/debian.efi": debian }, onDisk("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")),
      memorySource("vda2", { "/EFI/Linux/debian.efi": board }, onDisk("bc13c2ff-59e6-4262-a352-b275fd6f7172")),
    ]);
    expect(menus.map(ids)).toEqual([["vda2:uki:debian", "vda1:uki:debian"]]);
  });
  test("below /boot, with what lies there", async () => {
    const entry = await entryOf({
      "/boot/EFI/Linux/a.efi": debian,
      "/boot/loader/addons/x.addon.efi": peImage([[".cmdline", "global"]]),
      "/loader/addons/y.addon.efi": peImage([[".cmdline", "elsewhere"]]),
    });
    expect([entry.id, entry.options, entry.linux.path]).toEqual([
      "vda1:uki:a",
      "root=LABEL=board ro global",
      "/boot/EFI/Linux/a.efi",
    ]);
  });
});

describe("what loader.conf chooses", () => {
  const files: MemoryFiles = Object.fromEntries([
    ...["a", "b", "c", "d"].map((name) => [`/EFI/Linux/${name}.efi`, debian] as const),
    ["/EFI/Linux/spent+0.efi", debian],
  ]);
  test.each<[string, string | null, string, string]>([
    ["default a*\npreferred b*", null, "b", 'preferred "b*" in /loader/loader.conf'],
    ["default A", null, "a", 'default "A" in /loader/loader.conf'],
    ["default a.efi", "c.efi", "a", 'default "a.efi" in /loader/loader.conf'],
    [
      "default spent.efi",
      null,
      "d",
      'first in Boot Loader Specification order; default "spent.efi" in /loader/loader.conf matches only entries with no tries left',
    ],
    ["default @saved", "c.efi", "c", 'default @saved in /loader/loader.conf ("c.efi", says LoaderEntryLastBooted)'],
    [
      "default @saved",
      "[x",
      "d",
      'first in Boot Loader Specification order; default @saved in /loader/loader.conf ("[x", says LoaderEntryLastBooted) matches no entry that is offered',
    ],
    [
      "default @saved",
      null,
      "d",
      "first in Boot Loader Specification order; default @saved in /loader/loader.conf, but no saved entry is known",
    ],
  ])("%j, last booted %j", async (conf, lastBooted, name, reason) => {
    const menu = await findOne({ ...files, "/loader/loader.conf": `${conf}\n` }, { lastBooted });
    expect([menu.defaultId, menu.defaultReason]).toEqual([`vda1:uki:${name}`, reason]);
  });
  test("the timeout", async () => {
    expect((await findOne({ ...files, "/loader/loader.conf": "timeout 3\n" })).timeoutSeconds).toBe(3);
  });
});

describe("add-ons", () => {
  const addon = (commandLine: string, further: readonly ImageSection[] = [], machine?: number): Uint8Array =>
    peImage([[".cmdline", commandLine], ...further], machine);
  test("those for all, then the image's own, by name; its directory keeps its name while it is counted", async () => {
    const entry = await entryOf({
      "/EFI/Linux/a+2.efi": board,
      "/EFI/Linux/a.efi.extra.d/b.addon.efi": ukiData("addon-options"),
      "/EFI/Linux/a.efi.extra.d/a.ADDON.EFI": addon("own"),
      "/EFI/Linux/a.efi.extra.d/.hidden.addon.efi": addon("hidden"),
      "/EFI/Linux/a.efi.extra.d/not.efi": addon("not"),
      "/EFI/Linux/other.efi.extra.d/a.addon.efi": addon("other"),
      "/loader/addons/z.addon.efi": addon("global"),
      "/loader/addons/y.addon.efi": ukiData("addon-initrd"),
    });
    expect(entry.options).toBe("root=LABEL=board ro global own debug");
    expect(entry.addons.map(({ path }) => path)).toEqual([
      "/loader/addons/y.addon.efi",
      "/loader/addons/z.addon.efi",
      "/EFI/Linux/a.efi.extra.d/a.ADDON.EFI",
      "/EFI/Linux/a.efi.extra.d/b.addon.efi",
    ]);
  });
  test("what is not for the image, broken or another machine's costs itself", async () => {
    const menu = await findOne({
      "/EFI/Linux/a.efi": board,
      "/EFI/Linux/b.efi": debian,
      "/loader/addons/1.addon.efi": addon("arm", [], 0xaa64),
      "/loader/addons/2.addon.efi": addon("x", [[".uname", "6.2\n"]]),
      "/loader/addons/3.addon.efi": "no image",
      "/loader/addons/4.addon.efi": debian,
      "/loader/addons/5.addon.efi": peImage([[".uname", "6.2"]]),
      "/loader/addons/6.addon.efi": addon("good"),
    });
    expect(Object.fromEntries(menu.entries.map(({ id, options }) => [id, options]))).toEqual({
      "vda1:uki:a": "root=LABEL=board ro good",
      // It does not say what kernel it has, and takes what is for any.
      "vda1:uki:b": "root=LABEL=board ro x good",
    });
    expect(skippedLines(menu).toSorted()).toEqual([
      '/loader/addons/1.addon.efi:1: an add-on for "aa64": this machine is "x64"',
      '/loader/addons/2.addon.efi:1: an add-on for kernel "6.2": an image has "6.1.0-board"',
      "/loader/addons/3.addon.efi:1: 8 byte(s) expected, 8 found".replace(
        "8 byte(s) expected, 8 found",
        '"MZ" expected',
      ),
      "/loader/addons/4.addon.efi:1: a unified kernel image: an add-on has no kernel",
      "/loader/addons/5.addon.efi:1: one of .cmdline, .initrd, .ucode, .dtb and .dtbauto expected",
    ]);
  });
  test("too many are told", async () => {
    const many = Object.fromEntries(
      Array.from({ length: 257 }, (_, n) => [`/loader/addons/${n}.addon.efi`, addon("x")]),
    );
    const menu = await findOne({ "/EFI/Linux/a.efi": debian, ...many });
    expect(skippedLines(menu)).toEqual([
      "/loader/addons:1: 257 files that go along with images, at most 256 are taken",
    ]);
  });
});

test("files beside an image become archives, in systemd-stub's order", async () => {
  const own = "/EFI/Linux/a.efi.extra.d";
  const entry = await entryOf({
    "/EFI/Linux/a.efi": debian,
    [`${own}/b.cred`]: "",
    [`${own}/a.cred`]: "",
    [`${own}/x.confext.raw`]: "",
    [`${own}/y.sysext.raw`]: "",
    [`${own}/z.raw`]: "",
    [`${own}/größe.cred`]: "",
    [`${own}/directory.cred/file`]: "",
    "/loader/credentials/g.cred": "",
    "/loader/credentials/g.raw": "",
    "/loader/extensions/g.raw": "",
    "/loader/extensions/g.confext.raw": "",
  });
  const all = Number.POSITIVE_INFINITY;
  expect(entry.initrd).toEqual([
    {
      volume: "vda1",
      path: `${own}/a.cred`,
      archive: { path: "/.extra/credentials/a.cred", mode: 0o400, directories: all, directoryMode: 0o500 },
    },
    {
      volume: "vda1",
      path: `${own}/b.cred`,
      archive: { path: "/.extra/credentials/b.cred", mode: 0o400, directories: all, directoryMode: 0o500 },
    },
    {
      volume: "vda1",
      path: "/loader/credentials/g.cred",
      archive: { path: "/.extra/global_credentials/g.cred", mode: 0o400, directories: all, directoryMode: 0o500 },
    },
    {
      volume: "vda1",
      path: `${own}/y.sysext.raw`,
      archive: { path: "/.extra/sysext/y.sysext.raw", mode: 0o444, directories: all, directoryMode: 0o555 },
    },
    {
      volume: "vda1",
      path: `${own}/z.raw`,
      archive: { path: "/.extra/sysext/z.raw", mode: 0o444, directories: all, directoryMode: 0o555 },
    },
    {
      volume: "vda1",
      path: "/loader/extensions/g.raw",
      archive: { path: "/.extra/global_sysext/g.raw", mode: 0o444, directories: all, directoryMode: 0o555 },
    },
    {
      volume: "vda1",
      path: `${own}/x.confext.raw`,
      archive: { path: "/.extra/confext/x.confext.raw", mode: 0o444, directories: all, directoryMode: 0o555 },
    },
    {
      volume: "vda1",
      path: "/loader/extensions/g.confext.raw",
      archive: { path: "/.extra/global_confext/g.confext.raw", mode: 0o444, directories: all, directoryMode: 0o555 },
    },
  ]);
});

describe("images that are skipped", () => {
  const long = ukiImage("x".repeat(65_537));
  test.each<[string, string, Uint8Array | string | { link: string }, string]>([
    ["no image", "a.efi", "text", '"MZ" expected'],
    ["no kernel", "a.efi", peImage([[".osrel", "ID=a"]]), "a kernel expected"],
    ["cut", "a.efi", debian.slice(0, 0x11500), "bytes 70656 to 71168 leave what is behind the headers, 1024 to 70912"],
    [
      "nothing that says what it is",
      "a.efi",
      peImage([[".linux", "k"]]),
      "no section .osrel: nothing says what the image is",
    ],
    [
      "no name",
      "a.efi",
      peImage([
        [".linux", "k"],
        [".osrel", "VERSION_ID=1"],
      ]),
      "PRETTY_NAME, IMAGE_ID, NAME or ID expected in the section .osrel",
    ],
    ["another machine's", "a.efi", ukiImage("", [], 0xaa64), 'an image for "aa64": this machine is "x64"'],
    ["of 32 bits", "a.efi", ukiImage("", [], 0x14c), 'an image for "ia32": this machine is "x64"'],
    ["too much text", "a.efi", long, "65537 bytes, at most 65536 are taken"],
    ["no UTF-8", "a.efi", ukiImage("", [[".uname", Uint8Array.of(0xff)]]), "text in UTF-8 expected"],
    [
      "a loader's own name",
      "auto-a.efi",
      debian,
      `file names that begin with "auto-" belong to a loader's own entries`,
    ],
    ["counters only", "+3.efi", debian, 'a name expected before the counters of "+3.efi"'],
    ["a link", "a.efi", { link: "good.efi" }, 'a file expected, not a symbolic link (to "/EFI/Linux/good.efi")'],
  ])("%s", async (_, name, content, reason) => {
    const menu = await findOne({ [`/EFI/Linux/${name}`]: content, "/EFI/Linux/good.efi": debian });
    expect(ids(menu)).toEqual(["vda1:uki:good"]);
    expect(skippedLines(menu)).toEqual([`/EFI/Linux/${name}:1: ${reason}`]);
  });
  test("options of add-ons count for the limit", async () => {
    const files = { "/EFI/Linux/a.efi": debian, "/loader/addons/a.addon.efi": peImage([[".cmdline", "123456"]]) };
    expect((await findOne(files, { limits: { optionsBytesMax: 26 } })).skipped).toEqual([]);
    expect(skippedLines(await findOne(files, { limits: { optionsBytesMax: 25 } }))).toEqual([
      "/EFI/Linux/a.efi:1: options of 26 bytes, at most 25 are taken",
    ]);
  });
  test("a profile that is broken costs itself", async () => {
    const image = ukiImage("a", [
      [".profile", "ID=one"],
      [".profile", "TITLE=Two"],
      [".osrel", "X=1"],
    ]);
    const menu = await findOne({ "/EFI/Linux/a.efi": image });
    expect(ids(menu)).toEqual(["vda1:uki:a"]);
    expect(menu.skipped).toMatchObject([
      { title: "Two", reason: "PRETTY_NAME, IMAGE_ID, NAME or ID expected in the section .osrel" },
    ]);
  });
  test("a file that cannot be read, or ends early", async () => {
    const memory = memorySource("vda1", { "/EFI/Linux/a.efi": debian, "/EFI/Linux/b.efi": debian });
    const failing: FileSource = {
      ...memory,
      async open(path) {
        if (path.endsWith("b.efi")) throw new SourceError("open: I/O error");
        const file = await memory.open(path);
        return { ...file, size: file.size, read: async () => 0, [Symbol.asyncDispose]: async () => {} };
      },
    };
    const [menu] = await findOn([failing]);
    expect(menu === undefined ? [] : skippedLines(menu).toSorted()).toEqual([
      "/EFI/Linux/a.efi:1: it ended after 0 of 72192 bytes",
      "/EFI/Linux/b.efi:1: open: I/O error",
    ]);
  });
});

test("what is read grows with the texts, not with the image", async () => {
  const large = ukiImage("a", [[".initrd", new Uint8Array(8 << 20)]]);
  let bytes = 0;
  const memory = memorySource("vda1", { "/EFI/Linux/a.efi": large });
  const counting: FileSource = {
    ...memory,
    async open(path) {
      const file = await memory.open(path);
      return {
        size: file.size,
        async read(into, position) {
          const count = await file.read(into, position);
          bytes += count;
          return count;
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
  const [menu] = await findOn([counting]);
  expect(menu?.entries).toHaveLength(1);
  expect(bytes).toBe(4096);
});

test("a hostile image costs no more than its limits", async () => {
  const profiles = Array.from({ length: 256 }, (_, n): ImageSection[] => [
    [".profile", `ID=p${n}`],
    [".cmdline", "x".repeat(2000)],
  ]);
  const image = ukiImage("a", profiles.flat());
  const menu = await findOne(
    { "/EFI/Linux/a.efi": debian, "/EFI/Linux/b.efi": image },
    { limits: { entriesMax: 100 } },
  );
  expect(menu.entries).toHaveLength(100);
  expect(skippedLines(menu)).toEqual([
    "/EFI/Linux/a.efi:1: the images before have 256 entries, at most 100 are offered",
    "/EFI/Linux/b.efi:1: 156 more entries, at most 100 are offered",
  ]);
  const headers = new Uint8Array(1 << 20);
  headers.set(peImage([]));
  const view = new DataView(headers.buffer);
  // As many sections as the table can name, far behind: more than is read of any image.
  view.setUint16(0x40 + 6, 4096, true);
  view.setUint16(0x40 + 20, 0xffff, true);
  view.setUint32(0x40 + 24 + 60, headers.length, true);
  const [other] = await findOn([memorySource("vda1", { "/EFI/Linux/a.efi": headers, "/EFI/Linux/b.efi": debian })]);
  expect(other?.entries.map(({ id }) => id)).toEqual(["vda1:uki:b"]);
});

test("images and add-ons that are cut or changed are entries or skipped, and the good ones stay", async () => {
  const random = randomNumbers(41);
  const mutated = (bytes: Uint8Array): Uint8Array => {
    const copy = bytes.slice(0, random() % 8 === 0 ? random() % bytes.length : bytes.length);
    // The section tables end before byte 0x600, the texts lie behind 0x11400.
    for (let change = 0; change < 3; change++) {
      const at = random() % 2 === 0 ? random() % 0x600 : 0x11400 + (random() % 0x800);
      if (at < copy.length) copy[at] = random() >>> 3;
    }
    return copy;
  };
  for (let round = 0; round < 150; round++) {
    const menu = await findOne({
      "/EFI/Linux/a.efi": mutated(kernelImage("uki-profiles")),
      "/EFI/Linux/b.efi": mutated(board),
      "/EFI/Linux/good.efi": debian,
      "/loader/addons/a.addon.efi": mutated(ukiData("addon-options")),
    });
    expect(ids(menu)).toContain("vda1:uki:good");
  }
});

describe("texts that start images", () => {
  const bzImage = bzImageHead();
  const files: MemoryFiles = {
    "/a.efi": kernelImage("uki-profiles"),
    "/k": bzImage,
    "/i": "initrd",
    "/shellx64.efi": peImage([[".text", "shell"]]),
    "/arm.efi": ukiImage("", [], 0xaa64),
    "/broken.efi": peImage([[".linux", ""]]),
    "/text": "text",
  };
  const find = (text: string, further: MemoryFiles = {}): Promise<FoundMenu> =>
    findOne({ "/loader/entries/a.conf": text, ...files, ...further });

  test.each<[string, Partial<BootEntry>]>([
    ["uki /a.efi", { part: null, options: "root=LABEL=system ro quiet", embedded: true }],
    [
      "uki /a.efi\nprofile 2",
      { part: "@2", options: "quiet rd.systemd.unit=storage-target-mode.target", embedded: true },
    ],
    ["uki /a.efi\nprofile 0", { part: null, embedded: true }],
    ["efi /a.efi", { part: null, options: "root=LABEL=system ro quiet", embedded: true }],
    ["linux /a.efi\ninitrd /i", { embedded: true, initrd: [{ volume: "vda1", path: "/i" }] }],
    ["linux /a.efi\noptions mine", { options: "mine", embedded: false }],
    ["efi /k\noptions mine", { options: "mine", embedded: false, part: null }],
    ["linux /k", { options: "", embedded: false }],
    ["linux /text", { options: "", embedded: false }],
    ["linux /shellx64.efi", { options: "", embedded: false }],
    // As systemd-boot: initrds are for a kernel that is named as one.
    ["uki /a.efi\ninitrd /none", { initrd: [] }],
  ])("%j", async (text, wanted) => {
    const menu = await find(text);
    expect(skippedLines(menu)).toEqual([]);
    expect(menu.entries[0]).toMatchObject({ id: "vda1:bls1:a", format: "bls1", ...wanted });
    expect(menu.entries[0]?.configs).toHaveLength(1);
  });

  test("with what lies beside the image", async () => {
    const menu = await find(
      "linux /a.efi\noptions mine\ninitrd /i\nextra /x/c.cred\nextra /y.confext.raw\nextra z.sysext.raw",
      {
        "/a.efi.extra.d/o.addon.efi": peImage([[".cmdline", "added"]]),
        "/a.efi.extra.d/own.cred": "",
        "/x/c.cred": "",
        "/y.confext.raw": "",
        "/z.sysext.raw": "",
      },
    );
    expect(skippedLines(menu)).toEqual([]);
    const [entry] = menu.entries;
    expect(entry).toMatchObject({ options: "mine added", embedded: false });
    expect(entry?.addons).toEqual([{ volume: "vda1", path: "/a.efi.extra.d/o.addon.efi" }]);
    expect(entry?.initrd.map(({ path, archive }) => [path, archive?.path ?? null, archive?.mode ?? null])).toEqual([
      ["/i", null, null],
      ["/x/c.cred", "/.extra/credentials/c.cred", 0o400],
      ["/y.confext.raw", "/.extra/confext/y.confext.raw", 0o444],
      ["/z.sysext.raw", "/.extra/sysext/z.sysext.raw", 0o444],
      ["/a.efi.extra.d/own.cred", "/.extra/credentials/own.cred", 0o400],
    ]);
  });

  test("overlays", async () => {
    const menu = await find("linux /k\ndevicetree /b.dtb\ndevicetree-overlay /o1.dtbo  o2.dtbo", {
      "/b.dtb": "",
      "/o1.dtbo": "",
      "/o2.dtbo": "",
    });
    expect(menu.entries[0]?.overlays).toEqual([
      { volume: "vda1", path: "/o1.dtbo" },
      { volume: "vda1", path: "/o2.dtbo" },
    ]);
  });

  test.each([
    ["uki /k", 1, 'uki "/k": a unified kernel image expected, not a kernel'],
    [
      "efi /shellx64.efi",
      1,
      'efi "/shellx64.efi": an EFI program for x64 that only the firmware can run; a kernel with an EFI stub or a unified kernel image expected',
    ],
    ["uki /text", 1, 'uki "/text": no EFI program; a kernel with an EFI stub or a unified kernel image expected'],
    ["title x\nlinux /arm.efi", 2, 'linux "/arm.efi": an image for "aa64": this machine is "x64"'],
    ["title x\nuki /broken.efi", 2, 'uki "/broken.efi": uki: .linux: a kernel expected'],
    ["uki /a.efi\nprofile 3", 2, 'profile "3": the image has 3'],
    ["linux /k\nprofile 1", 2, 'profile "1": a kernel has no profiles, a unified kernel image has'],
  ])("refused: %j", async (text, line, reason) => {
    const menu = await find(text);
    expect(menu.entries).toEqual([]);
    expect(skippedLines(menu)).toEqual([`/loader/entries/a.conf:${line}: ${reason}`]);
  });
});
