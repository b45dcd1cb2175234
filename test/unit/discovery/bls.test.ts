import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { blsFinder } from "../../../src/discovery/bls.ts";
import type { FoundMenu } from "../../../src/discovery/entry.ts";
import { type DiscoveryLimits, defaultDiscoveryLimits } from "../../../src/discovery/finder.ts";
import { OpenedImages } from "../../../src/discovery/image-volumes.ts";
import { type FileSource, SourceError } from "../../../src/discovery/source.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";

interface Setting {
  readonly architecture?: string;
  readonly limits?: Partial<DiscoveryLimits>;
  readonly source?: (source: FileSource) => FileSource;
}

async function find(
  files: MemoryFiles,
  { architecture = "x86_64", limits, source }: Setting = {},
): Promise<readonly FoundMenu[]> {
  const memory = memorySource("vda1", files);
  const searched = source === undefined ? memory : source(memory);
  return blsFinder.find({
    source: searched,
    sources: [searched],
    architecture,
    images: new OpenedImages(),
    limits: { ...defaultDiscoveryLimits, ...limits },
  });
}

async function findOne(files: MemoryFiles, setting: Setting = {}): Promise<FoundMenu> {
  const [menu, ...more] = await find(files, setting);
  if (menu === undefined) throw new Error("a menu expected");
  expect(more).toEqual([]);
  return menu;
}

function skippedLines(menu: FoundMenu): string[] {
  return menu.skipped.map(({ source, reason }) => `${source.path}:${source.line}: ${reason}`);
}

/** Expects one entry file to be skipped, for exactly this reason, beside a good one that stays. */
async function expectSkipped(
  text: string | Uint8Array,
  line: number,
  reason: string,
  setting: Setting = {},
): Promise<void> {
  const menu = await findOne(
    { "/loader/entries/a.conf": text, "/loader/entries/good.conf": "linux /k\n", ...kernel },
    setting,
  );
  expect(skippedLines(menu)).toEqual([`/loader/entries/a.conf:${line}: ${reason}`]);
  expect(menu.entries.map((entry) => entry.id)).toEqual(["vda1:bls1:good"]);
}

const kernel = { "/k": "kernel", "/i1": "1", "/i2": "2", "/board.dtb": "dtb", "/dir/x": "" };

function data(name: string): string {
  return readFileSync(new URL(`../../data/bls/${name}`, import.meta.url), "utf8");
}

describe("what is found", () => {
  test("nothing where nothing is", async () => {
    expect(await find({})).toEqual([]);
    expect(
      await find({
        "/loader/entries/readme.txt": "",
        "/loader/entries/.hidden.conf": "linux /k",
        "/loader/loader.conf": "default x",
      }),
    ).toEqual([]);
  });

  test("the specification's example", async () => {
    const directory = "/6a9857a393724b7a981ebb5b8495b9ea/3.8.0-2.fc19.x86_64";
    const name = "6a9857a393724b7a981ebb5b8495b9ea-3.8.0-2.fc19.x86_64";
    const path = `/loader/entries/${name}.conf`;
    const text = data("specification.conf");
    const menu = await findOne({ [path]: text, [`${directory}/linux`]: "k", [`${directory}/initrd`]: "i" });
    expect(menu).toEqual({
      volume: "vda1",
      format: "bls1",
      entries: [
        {
          id: `vda1:bls1:${name}`,
          title: "Fedora 19 (Rawhide)",
          submenu: [],
          format: "bls1",
          source: { volume: "vda1", path, line: 1 },
          linux: { volume: "vda1", path: `${directory}/linux` },
          initrd: [{ volume: "vda1", path: `${directory}/initrd` }],
          options: "root=UUID=6d3376e4-fc93-4509-95ec-a21d68011da2 quiet",
          part: null,
          modules: [],
          embedded: false,
          addons: [],
          bootImage: null,
          devicetree: null,
          overlays: [],
          variables: [],
          architecture: "x64",
          version: "3.8.0-2.fc19.x86_64",
          tries: null,
          aliases: [name, `${name}.conf`],
          configs: [{ ref: { volume: "vda1", path }, bytes: new TextEncoder().encode(text) }],
          unsignedInputs: [],
        },
      ],
      skipped: [],
      defaultId: `vda1:bls1:${name}`,
      defaultReason: "first in Boot Loader Specification order",
      timeoutSeconds: null,
    });
  });

  test("several initrds in order, a device tree, counters, paths without slash and not normalised", async () => {
    const menu = await findOne({
      "/loader/entries/a+b+3-01.CONF":
        "linux k\ninitrd //i2\ninitrd ./dir/../i1\ndevicetree board.dtb\noptions a\noptions b c\n",
      ...kernel,
    });
    expect(menu.entries[0]).toMatchObject({
      id: "vda1:bls1:a+b",
      title: "a+b",
      linux: { path: "/k" },
      initrd: [{ path: "/i2" }, { path: "/i1" }],
      devicetree: { path: "/board.dtb" },
      options: "a b c",
      tries: { left: 3, done: 1 },
      aliases: ["a+b", "a+b.conf", "a+b+3-01.CONF"],
    });
  });

  test("order of the menu", async () => {
    const menu = await findOne({
      "/loader/entries/x-9+0-3.conf": "sort-key a\nlinux /k",
      "/loader/entries/x-6.9.conf": "linux /k",
      "/loader/entries/x-6.10.conf": "linux /k",
      "/loader/entries/y.conf": "sort-key b\nversion 1\nlinux /k",
      "/loader/entries/z.conf": "sort-key b\nversion 2\nlinux /k",
      "/loader/entries/b+1.conf": "sort-key a\nlinux /k",
      ...kernel,
    });
    expect(menu.entries.map((entry) => entry.aliases[0])).toEqual(["b", "z", "y", "x-6.10", "x-6.9", "x-9"]);
  });

  test("GRUB's own keys and unknown keys change nothing", async () => {
    const menu = await findOne({
      "/loader/entries/a.conf": "linux /k\ngrub_users $grub_users\ngrub_arg --unrestricted\nid x\n",
      ...kernel,
    });
    expect(menu.skipped).toEqual([]);
    expect(menu.entries).toHaveLength(1);
  });

  test("a dollar that begins no variable is text", async () => {
    const menu = await findOne({
      "/loader/entries/a.conf": "linux /k\noptions memmap=64K$0x18690000 a=$ b=$-\n",
      ...kernel,
    });
    expect(menu.entries[0]?.options).toBe("memmap=64K$0x18690000 a=$ b=$-");
  });
});

describe("titles (as systemd-boot makes them unique)", () => {
  const entry = (title: string | null, rest = ""): string =>
    `${title === null ? "" : `title ${title}\n`}linux /k\n${rest}`;
  test("version, then machine id, then name, only where needed", async () => {
    const menu = await findOne({
      "/loader/entries/a.conf": entry("Linux", "version 1"),
      "/loader/entries/b.conf": entry("Linux", "version 2"),
      "/loader/entries/c.conf": entry("Other", "version 3"),
      "/loader/entries/d.conf": entry("Same", "version 4\nmachine-id 0123456789abcdef0123456789abcdef"),
      "/loader/entries/e.conf": entry("Same", "version 4\nmachine-id 1123456789abcdef0123456789abcdef"),
      "/loader/entries/f.conf": entry("Alike"),
      "/loader/entries/g.conf": entry("Alike"),
      "/loader/entries/h.conf": entry(null, "version 5"),
      ...kernel,
    });
    expect(menu.entries.map(({ title }) => title).sort()).toEqual([
      "Alike (f)",
      "Alike (g)",
      "Linux (1)",
      "Linux (2)",
      "Other",
      "Same (4) (01234567)",
      "Same (4) (11234567)",
      "h",
    ]);
  });

  test("one entry in two stages keeps two ids", async () => {
    const menu = await findOne({
      "/loader/entries/a.conf": entry("T"),
      "/loader/entries/a+2.conf": entry("T"),
      ...kernel,
    });
    expect(menu.entries.map(({ id, title }) => [id, title])).toEqual([
      ["vda1:bls1:a", "T (a)"],
      ["vda1:bls1:a+2", "T (a+2)"],
    ]);
  });
});

describe("directories", () => {
  test("entries below /boot: files from the root of the volume, else all below /boot", async () => {
    const menu = await findOne({
      "/boot/loader/entries/mounted.conf": "linux /vmlinuz\ninitrd /initrd.img\n",
      "/boot/loader/entries/rooted.conf": "linux /boot/vmlinuz\ninitrd /boot/initrd.img\n",
      "/boot/loader/entries/nowhere.conf": "\nlinux /none\n",
      "/boot/loader/entries/mixed.conf": "linux /vmlinuz\ninitrd /boot/initrd.img\n",
      "/boot/vmlinuz": "k",
      "/boot/initrd.img": "i",
    });
    expect(menu.entries.map(({ id, linux, initrd }) => [id, linux.path, initrd[0]?.path])).toEqual([
      ["vda1:bls1:rooted", "/boot/vmlinuz", "/boot/initrd.img"],
      ["vda1:bls1:mounted", "/boot/vmlinuz", "/boot/initrd.img"],
    ]);
    expect(skippedLines(menu)).toEqual([
      `/boot/loader/entries/nowhere.conf:2: linux "/none" is missing, below /boot too`,
      `/boot/loader/entries/mixed.conf:2: initrd "/boot/boot/initrd.img" is missing`,
    ]);
  });

  test("entries at the root are not looked for below /boot", async () => {
    const menu = await findOne({ "/loader/entries/a.conf": "linux /vmlinuz\n", "/boot/vmlinuz": "k" });
    expect(skippedLines(menu)).toEqual([`/loader/entries/a.conf:1: linux "/vmlinuz" is missing`]);
  });

  test("both directories give a menu each, with ids of their own and loader.conf beside each", async () => {
    const menus = await find({
      "/loader/entries/a.conf": "linux /k\n",
      "/loader/loader.conf": "timeout 3\n",
      "/boot/loader/entries/a.conf": "linux /k\n",
      "/boot/loader/entries/a+1.conf": "linux /k\n",
      "/boot/loader/loader.conf": "timeout 4\n",
      ...kernel,
    });
    expect(menus.map(({ timeoutSeconds, entries }) => [timeoutSeconds, entries.map(({ id }) => id)])).toEqual([
      [3, ["vda1:bls1:a"]],
      [4, ["vda1:bls1:/boot/loader/entries/a.conf", "vda1:bls1:a+1"]],
    ]);
  });

  test("one directory under both paths is searched once (Fedora's link boot -> .)", async () => {
    expect(
      (await findOne({ "/boot": { link: "." }, "/loader/entries/a.conf": "linux /k\n", ...kernel })).entries,
    ).toHaveLength(1);
  });

  test("the loader directory may be a link (OSTree's loader -> loader.1), an entry file may not", async () => {
    const menu = await findOne({
      "/loader": { link: "loader.1" },
      "/loader.1/entries/ostree-1.conf": "linux /k\n",
      "/loader.1/entries/linked.conf": { link: "ostree-1.conf" },
      "/loader.1/entries/dangling.conf": { link: "/nowhere" },
      ...kernel,
    });
    expect(menu.entries.map(({ source }) => source.path)).toEqual(["/loader/entries/ostree-1.conf"]);
    expect(skippedLines(menu)).toEqual([
      `/loader/entries/linked.conf:1: a file expected, not a symbolic link (to "/loader.1/entries/ostree-1.conf")`,
      "/loader/entries/dangling.conf:1: a file expected, not a symbolic link that leads nowhere",
    ]);
  });

  test("entries.srel that names other semantics", async () => {
    const files = { "/loader/entries/a.conf": "linux /k\n", ...kernel };
    expect((await findOne({ ...files, "/loader/entries.srel": "type1\n" })).entries).toHaveLength(1);
    const other = await findOne({ ...files, "/loader/entries.srel": "mine\n" });
    expect(other.entries).toEqual([]);
    expect(skippedLines(other)).toEqual([
      `/loader/entries.srel:1: "type1" expected, not "mine": the entries do not follow the Boot Loader Specification`,
    ]);
  });
});

describe("entries that are skipped", () => {
  test.each([
    ["title x\n", 1, `no "linux", "efi" or "uki" key: nothing to start`],
    ["title x\nefi /x.efi\n", 2, `efi "/x.efi" is missing`],
    ["uki-url :x\n", 1, `"uki-url" ":x" needs the network; local images are started only`],
    ["linux /k\nefi /x.efi\n", 2, `"linux" and "efi": one of them expected`],
    ["uki-url :x\nuki /k\n", 1, `"uki" and "uki-url": one of them expected`],
    ["linux /k\nprofile 1\n", 2, `profile "1": a kernel has no profiles, a unified kernel image has`],
    ["linux /k\nprofile one\n", 2, `profile "one": the number of a profile expected`],
    [
      "linux /k\ndevicetree-overlay /o1 /o2\n",
      2,
      `"devicetree-overlay" without "devicetree": there is nothing to apply it to`,
    ],
    ["linux /k\ndevicetree /board.dtb\ndevicetree-overlay /i1 /o2\n", 3, `devicetree-overlay "/o2" is missing`],
    [
      "linux /k\nextra /i1\nextra /b.cred\n",
      2,
      `extra "/i1": a name that ends with .cred, .sysext.raw or .confext.raw expected`,
    ],
    ["linux /k\nextra /b.cred\n", 2, `extra "/b.cred" is missing`],
    ["linux /k\nextra $x.cred\n", 2, `"extra" uses "$x": GRUB variables, which only GRUB's environment gives`],
    ["linux /k\narchitecture AA64\n", 2, `architecture "AA64": this machine is "x64"`],
    ["linux /none\n", 1, `linux "/none" is missing`],
    ["linux /dir\n", 1, `linux "/dir": a regular file expected`],
    ["linux /\n", 1, `linux "/": a regular file expected`],
    ["linux /k\ninitrd /i1\ninitrd /none\n", 3, `initrd "/none" is missing`],
    ["linux /k\ninitrd /i1 /i2\n", 2, `initrd "/i1 /i2" is missing`],
    ["linux /k\n\ndevicetree /none.dtb\n", 3, `devicetree "/none.dtb" is missing`],
    ["linux ../k\n", 1, `path "../k" leaves the volume`],
    ["linux /k\ninitrd /dir/../../i1\n", 2, `path "/dir/../../i1" leaves the volume`],
    [
      "linux /k\noptions ro $kernelopts\n",
      2,
      `"options" uses "$kernelopts": GRUB variables, which only GRUB's environment gives`,
    ],
    [
      `linux /k\noptions $a \${b} $c $d $e $f $a\n`,
      2,
      `"options" uses "$a", "\${b}", "$c", "$d" and 2 more: GRUB variables, which only GRUB's environment gives`,
    ],
    ["linux /k$v\n", 1, `"linux" uses "$v": GRUB variables, which only GRUB's environment gives`],
    ["linux /k\ndevicetree ${d\n", 2, `"devicetree" uses "\${d": GRUB variables, which only GRUB's environment gives`],
    ["linux /k\n\0\n", 2, "text expected, NUL found"],
    [Uint8Array.of(0x6c, 0xff), 1, "text in UTF-8 expected"],
    [`linux /k\noptions ${"x".repeat(70_000)}\n`, 2, "70008 characters, at most 65536 are taken"],
  ] as const)("row %#: %j", (text, line, reason) => expectSkipped(text, line, reason));

  test("RHEL's form, with the title", async () => {
    const menu = await findOne({ "/loader/entries/a.conf": data("rhel.conf"), "/vmlinuz-4.18.0-80.el8.x86_64": "k" });
    expect(menu).toMatchObject({
      entries: [],
      defaultId: null,
      defaultReason: "no entry is offered",
      skipped: [
        {
          source: { volume: "vda1", path: "/loader/entries/a.conf", line: 4 },
          title: "Red Hat Enterprise Linux (4.18.0-80.el8.x86_64) 8.0 (Ootpa)",
          reason: `"initrd" uses "$tuned_initrd": GRUB variables, which only GRUB's environment gives`,
        },
      ],
    });
  });

  test("limits name value and limit", async () => {
    await expectSkipped("linux /k\noptions äbcdef\n", 2, "options of 7 bytes, at most 6 are taken", {
      limits: { optionsBytesMax: 6 },
    });
    await expectSkipped(
      `linux /k\n#${"x".repeat(100)}`,
      1,
      'read "/loader/entries/a.conf" on vda1: 110 bytes, at most 99 are taken',
      {
        limits: { configBytesMax: 99 },
      },
    );
    await expectSkipped(
      `linux /k\noptions ${"x".repeat(10 << 20)}`,
      1,
      'read "/loader/entries/a.conf" on vda1: 10485777 bytes, at most 1048576 are taken',
    );
  });

  test("too many entries: the newest stay", async () => {
    const files = Object.fromEntries([1, 2, 9, 10, 11].map((n) => [`/loader/entries/v${n}.conf`, "linux /k\n"]));
    const menu = await findOne({ ...files, ...kernel }, { limits: { entriesMax: 3 } });
    expect(menu.entries.map(({ title }) => title)).toEqual(["v11", "v10", "v9"]);
    expect(skippedLines(menu)).toEqual(["/loader/entries:1: 2 more entry files, at most 3 are read"]);
  });

  test("too many bytes in all entry files", async () => {
    const big = `linux /k\n#${"#\n".repeat(500_000)}`;
    const files = Object.fromEntries(Array.from({ length: 18 }, (_, n) => [`/loader/entries/v${n}.conf`, big]));
    const menu = await findOne({ ...files, ...kernel });
    expect(menu.entries).toHaveLength(17);
    expect(skippedLines(menu)).toEqual([
      "/loader/entries/v0.conf:1: more than 16777216 bytes in the files of /loader/entries",
    ]);
  });

  test.each([
    ["auto-x.conf", `file names that begin with "auto-" belong to a loader's own entries`],
    ["+3.conf", `a name expected before the counters of "+3.conf"`],
    ["a\nb.conf", `printable ASCII expected in the file name "a\\u{a}b.conf"`],
    ["größe.conf", `printable ASCII expected in the file name "größe.conf"`],
    ["a+2147483648.conf", `counters of "a+2147483648.conf": at most 2147483647 expected`],
  ])("file name %j", async (name, reason) => {
    const menu = await findOne({ [`/loader/entries/${name}`]: "linux /k\n", ...kernel });
    expect(skippedLines(menu)).toEqual([`/loader/entries/${name}:1: ${reason}`]);
  });

  test("a link out of the volume", async () => {
    const menu = await findOne({ "/loader/entries/a.conf": "linux /x/k\n", "/x": { link: "../.." } });
    expect(skippedLines(menu)).toEqual([`/loader/entries/a.conf:1: open "/x/k" on vda1: the path leaves the volume`]);
  });

  test("a source that fails says so and rejects nothing", async () => {
    const refuse = (what: string) => async (): Promise<never> => {
      throw new SourceError(`${what}: I/O error`);
    };
    const files = { "/loader/entries/a.conf": "linux /k\n", "/loader/loader.conf": "timeout 1\n", ...kernel };
    const failing = async (broken: Partial<FileSource>): Promise<string[]> =>
      skippedLines(await findOne(files, { source: (source) => ({ ...source, ...broken }) }));
    expect(await failing({ list: refuse("list") })).toEqual(["/loader/entries:1: list: I/O error"]);
    expect(await failing({ readFile: refuse("read") })).toEqual([
      "/loader/entries/a.conf:1: read: I/O error",
      "/loader/loader.conf:1: read: I/O error",
    ]);
    expect(await failing({ stat: refuse("stat") })).toEqual([
      "/loader/entries.srel:1: stat: I/O error",
      "/loader/loader.conf:1: stat: I/O error",
    ]);
    const noPath = await find(files, { source: (source) => ({ ...source, realPath: refuse("resolve") }) });
    expect(noPath.flatMap(skippedLines)).toEqual([
      "/loader/entries:1: resolve: I/O error",
      "/EFI/Linux:1: resolve: I/O error",
      "/boot/loader/entries:1: resolve: I/O error",
      "/boot/EFI/Linux:1: resolve: I/O error",
    ]);
    expect(await failing({ open: refuse("open") })).toEqual(["/loader/entries/a.conf:1: open: I/O error"]);
  });
});

// UEFI 2.10, section 3.5.1.1, has the names; the machine's are those of uname(2).
describe("architecture", () => {
  test.each([
    ["x86_64", "x64"],
    ["x86_64", "X64"],
    ["i686", "IA32"],
    ["aarch64", "aa64"],
    ["armv7l", "arm"],
    ["arm", "ARM"],
    ["riscv64", "riscv64"],
    ["riscv32", "RISCV32"],
    ["loongarch64", "LoongArch64"],
  ])("%s starts %s", async (architecture, key) => {
    const menu = await findOne(
      { "/loader/entries/a.conf": `linux /k\narchitecture ${key}\n`, ...kernel },
      { architecture },
    );
    expect(menu.entries[0]?.architecture).toBe(key.toLowerCase());
  });

  test.each([
    ["aarch64", "x64", `architecture "x64": this machine is "aa64"`],
    ["x86_64", "x86_64", `architecture "x86_64": this machine is "x64"`],
    ["x86_64", "ia32", `architecture "ia32": this machine is "x64"`],
    ["s390x", "x64", `architecture "x64": this machine is "s390x", which has no EFI name`],
  ])("%s does not start %s", (architecture, key, reason) =>
    expectSkipped(`linux /k\narchitecture ${key}\n`, 2, reason, { architecture }),
  );

  test("an entry that names none is for all", async () => {
    const menu = await findOne({ "/loader/entries/a.conf": "linux /k\n", ...kernel }, { architecture: "s390x" });
    expect(menu.entries[0]?.architecture).toBeNull();
  });
});

describe("default and timeout", () => {
  const first = "first in Boot Loader Specification order";
  async function expectDefault(
    conf: string,
    id: string | null,
    reason: string,
    names = ["Debian-1", "debian-2", "bad+0-3"],
  ): Promise<void> {
    const files = Object.fromEntries(names.map((name) => [`/loader/entries/${name}.conf`, "linux /k\n"]));
    const menu = await findOne({ ...files, "/loader/loader.conf": conf, ...kernel });
    expect(menu.defaultId).toBe(id === null ? null : `vda1:bls1:${id}`);
    expect(menu.defaultReason).toBe(reason);
  }

  // In order: debian-2, Debian-1, bad (the name goes downwards).
  test.each([
    ["", "debian-2", first],
    ["default DEBIAN-1", "Debian-1", 'default "DEBIAN-1" in /loader/loader.conf'],
    ["default debian-1.conf", "Debian-1", 'default "debian-1.conf" in /loader/loader.conf'],
    ["default debian-*", "debian-2", 'default "debian-*" in /loader/loader.conf'],
    ["default *-[01]", "Debian-1", 'default "*-[01]" in /loader/loader.conf'],
    [
      "default fedora-*",
      "debian-2",
      `${first}; default "fedora-*" in /loader/loader.conf matches no entry that is offered`,
    ],
    ["default @saved", "debian-2", `${first}; default @saved in /loader/loader.conf, but no saved entry is known`],
    ["preferred *-1\ndefault *-2", "Debian-1", 'preferred "*-1" in /loader/loader.conf'],
    [
      "preferred bad\ndefault *-1",
      "Debian-1",
      'default "*-1" in /loader/loader.conf; preferred "bad" in /loader/loader.conf matches only entries with no tries left',
    ],
    [
      "default bad",
      "debian-2",
      `${first}; default "bad" in /loader/loader.conf matches only entries with no tries left`,
    ],
    [
      "default b*d+0-3*",
      "debian-2",
      `${first}; default "b*d+0-3*" in /loader/loader.conf matches only entries with no tries left`,
    ],
  ] as const)("%j", (conf, id, reason) => expectDefault(conf, id, reason));

  test("entries without tries left are taken when nothing else is there, and it is said", async () => {
    await expectDefault("", "b", `${first}; no entry has tries left`, ["a+0", "b+0-1"]);
    await expectDefault("default a", "a", 'default "a" in /loader/loader.conf; no entry has tries left', [
      "a+0",
      "b+0-1",
    ]);
  });

  test("none where all are skipped", async () => {
    const menu = await findOne({ "/loader/entries/a.conf": "linux /none\n", "/loader/loader.conf": "default a\n" });
    expect(menu.defaultReason).toBe(
      'no entry is offered; default "a" in /loader/loader.conf matches no entry that is offered',
    );
    expect(menu.defaultId).toBeNull();
  });

  test.each([
    ["timeout 7", 7],
    ["timeout 0", 0],
    ["timeout menu-hidden", 0],
    ["timeout menu-disabled", 0],
    ["timeout menu-force", null],
    ["", null],
  ] as const)("%j", async (conf, seconds) => {
    const menu = await findOne({ "/loader/entries/a.conf": "linux /k\n", "/loader/loader.conf": conf, ...kernel });
    expect(menu.timeoutSeconds).toBe(seconds);
  });

  test("bad lines of loader.conf are told, the good ones count", async () => {
    const menu = await findOne({
      "/loader/entries/a.conf": "linux /k\n",
      "/loader/loader.conf": "timeout x\ntimeout 2\nbeep 1\ndefault [\n",
      ...kernel,
    });
    expect(menu.timeoutSeconds).toBe(2);
    expect(skippedLines(menu)).toEqual([
      '/loader/loader.conf:1: timeout "x": seconds up to 4294967291, "menu-force", "menu-hidden" or "menu-disabled" expected',
      '/loader/loader.conf:4: pattern "[": "]" expected after "["',
    ]);
  });
});

test("configs hold the very bytes that were read", async () => {
  const bytes = new TextEncoder().encode("linux /k\r\n");
  const menu = await findOne({ "/loader/entries/a.conf": bytes, ...kernel });
  expect(menu.entries[0]?.configs[0]?.bytes).toBe(bytes);
});

test("any change to an entry file gives a menu", async () => {
  const sample = data("every-key.conf");
  let state = 17;
  for (let round = 0; round < 400; round++) {
    const characters = [...sample];
    for (let change = 0; change < 6; change++) {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      characters[(state >> 8) % characters.length] = String.fromCharCode((state >> 4) % 256);
    }
    const menu = await findOne({ "/loader/entries/a.conf": characters.join(""), ...kernel, "/a/linux": "k" });
    expect(menu.entries.length + menu.skipped.length).toBe(1);
  }
});
