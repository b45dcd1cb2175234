import { describe, expect, test } from "vitest";
import { evaluateSyslinux } from "../../../../src/formats/syslinux/evaluate.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";
import { defaultOf, entryRow, evaluateText, memorySyslinuxHost, rowsOf } from "./memory-syslinux-host.ts";

describe("labels", () => {
  test("a label's name stands for its kernel", async () => {
    expect(await rowsOf("label vmlinuz\nappend x\n")).toEqual(["vmlinuz (vmlinuz) /vmlinuz BOOT_IMAGE=vmlinuz|x|"]);
  });

  test("directives in any case, values as they are", async () => {
    expect(await rowsOf("LABEL A\n Menu LABEL The ^First\nLinux /K\nAPPEND A  b\tC \nINITRD /I,/J\n")).toEqual([
      "A (The First) /K BOOT_IMAGE=/K|A  b\tC  initrd=/I,/J| /I /J",
    ]);
  });

  test("the last directive of a label counts, the first of several labels with one name", async () => {
    expect(await rowsOf("label a\nkernel /x\nkernel /y\nlabel a\nkernel /z\n")).toEqual([
      "a (a) /y BOOT_IMAGE=/y||",
      'a#2 (a) refused: label "a" stands there before',
    ]);
  });

  test.each([
    ["kernel /boot.bin", '"/boot.bin" is a boot sector by the end of its name'],
    ["kernel /boot.bs", '"/boot.bs" is a boot sector by the end of its name'],
    ["kernel /boot.bss", '"/boot.bss" is a boot sector by the end of its name'],
    ["kernel /vmlinuz-6.0", '"/vmlinuz-6.0" is a network boot program by the end of its name'],
    ["boot /vmlinuz", '"/vmlinuz" is a boot sector'],
    ["bss /x", '"/x" is a boot sector'],
    ["pxe /x", '"/x" is a network boot program'],
    ["comboot /x", "comboot: such programs are not started since syslinux 5"],
    ["none /x", "none: such programs are not started since syslinux 5"],
    ["localboot 0x80", "localboot 0x80: starts what the firmware would boot from a disk"],
    ["kernel", "no kernel is named"],
    ["linux /boot/MemDisk", '"/boot/MemDisk" starts a disk\'s image by the BIOS'],
    ["linux /k\ninitrd /a,,/b", "initrd=: a file's name is empty"],
    [`linux /k\nappend ${"x".repeat(2048)}`, "2058 bytes of kernel and options, at most 2047 are taken"],
    ["kernel chain.c32\nappend hd0 1", '"chain.c32" starts another boot loader, it boots no kernel'],
    ["kernel /x/HDT.c32", '"hdt.c32" shows the machine\'s hardware, it boots no kernel'],
    ["com32 foo", '"foo.c32": a COM32 module, a program for syslinux alone'],
    ["kernel config.c32", "config.c32: a file and a directory at most expected"],
    ["kernel gfxboot.c32", "gfxboot.c32: the name of its theme expected"],
    ["config /no.cfg", 'the configuration "/no.cfg" cannot be read'],
    ["config", "config: a file expected"],
    ["kernel menu.c32\nappend no.cfg", 'the configuration "/no.cfg" cannot be read'],
    ["kernel cmd.c32", "no label and no kernel is named"],
    ["kernel cmd.c32\nappend a", "more than 16 commands that lead to one another"],
    ["kernel ifcpu.c32\nappend hvm -- a -- a", 'ifcpu.c32 "hvm": whether the processor has that is not known'],
    ["kernel ifcpu.c32\nappend dry-run -- a -- a", "ifcpu.c32 dry-run: boots no kernel"],
    ["kernel whichsys.c32\nappend -iso- a", "whichsys.c32: no command for syslinux"],
    ["kernel linux.c32", "linux.c32: a kernel expected"],
    ["kernel linux.c32\nappend -x /k", 'linux.c32: unknown option "-x"'],
    ["kernel linux.c32\nappend /k blob.5=/x", 'linux.c32 "blob.5=/x": setup data is not made'],
    ["kernel linux.c32\nappend /k dtb=/x dtb=/y", "linux.c32: several device trees, one at most can be handed over"],
    ["kernel linux.c32\nappend /k initrdfile=/x@../y", 'initrdfile "/x@../y": a path inside the archive expected'],
    ["kernel mboot.c32", "mboot.c32: a multiboot kernel expected"],
    ["kernel mboot.c32\nappend -aout /x", "mboot.c32 -aout: an ELF file by its a.out header is not loaded"],
    ["kernel mboot.c32\nappend /x --- --- /y", 'mboot.c32: a module expected behind "---"'],
  ])("%j is refused", async (lines, reason) => {
    expect(await rowsOf(`label a\n${lines}\n`)).toEqual([`a (a) refused: ${reason}`]);
  });

  test("options that are not UTF-8 are refused, a title that is not is shown as it can be", async () => {
    const text = new TextEncoder().encode("label a\nmenu label ?t?\nlinux /k\nappend caf?\nlabel b\nlinux /k\n");
    const bytes = text.map((byte) => (byte === 0x3f ? 0xe9 : byte));
    expect(await rowsOf(bytes)).toEqual([
      'a (?t?) refused: "caf?": text in UTF-8 expected',
      "b (b) /k BOOT_IMAGE=/k||",
    ]);
    expect(await rowsOf("label a\nmenu label été\nlinux /ké\n")).toEqual(["a (été) /ké BOOT_IMAGE=/ké||"]);
  });

  test("sysappend adds the words that are known, blanks in them made underscores", async () => {
    const words = new Map([
      [3, "CPU=6PL"],
      [4, "SYSVENDOR= A \t B "],
      [18, "FSUUID=1"],
    ]);
    const sysappend = (bit: number) => words.get(bit) ?? null;
    const config =
      "sysappend 0x40000\nlabel a\nlinux /k\nlabel b\nipappend 030\nlinux /k\nlabel c\nsysappend 0\nlinux /k\n";
    expect(await rowsOf(config, {}, { sysappend })).toEqual([
      "a (a) /k BOOT_IMAGE=/k|FSUUID=1|",
      "b (b) /k BOOT_IMAGE=/k|CPU=6PL SYSVENDOR=_A_B|",
      "c (c) /k BOOT_IMAGE=/k||",
    ]);
  });
});

describe("modules", () => {
  const targets = "label wide\nlinux /wide\nlabel narrow\nlinux /narrow\n";
  const narrow = "a (a) /narrow BOOT_IMAGE=/narrow||";
  const wide = "a (a) /wide BOOT_IMAGE=/wide||";

  test.each([
    ["ifcpu64.c32", "wide -- narrow", "x86_64", wide],
    ["ifcpu64.c32", "wide -- narrow", "i686", narrow],
    [
      "ifcpu64.c32",
      "wide -- pae -- narrow",
      "i686",
      "a (a) refused: ifcpu64.c32: whether the processor has PAE is not known",
    ],
    ["ifcpu64.c32", "wide", "i686", wide],
    ["ifcpu64.c32", "wide", "aarch64", 'a (a) refused: ifcpu64.c32: an x86 processor expected, this one is "aarch64"'],
    ["ifcpu.c32", "64 debug -- wide -- narrow", "i686", narrow],
    ["ifcpu.c32", "64 pae -- wide -- narrow", "x86_64", wide],
    ["whichsys.c32", "-iso- narrow -sys- wide", "x86_64", wide],
    ["whichsys.c32", "-sys- wide -iso- narrow", "x86_64", wide],
    ["cmd.c32", "narrow", "x86_64", narrow],
  ])("%s %s on %s", async (module, words, cpu, row) => {
    const rows = await rowsOf(`label a\nkernel ${module}\nappend ${words}\n${targets}`, {}, { cpu });
    expect(rows?.[0]).toBe(row);
  });

  test("linux.c32 takes several kinds of initrds, files for an archive among them", async () => {
    const words = "-dhcpinfo /k a initrd=/no initrd=/b,/c  initrd+=/d initrdfile=/e/f,/g@etc/h,/i@j dtb=/t";
    expect(await rowsOf(`label a\nkernel linux.c32\nappend ${words}\n`)).toEqual([
      `a (a) /k BOOT_IMAGE=/k|${words.slice("-dhcpinfo /k ".length).replace("  ", " ")}| /b /c /d /e/f as /f 755 false /g as /etc/h 755 true /i as /j 755 false`,
    ]);
  });

  test("mboot.c32 hands over each file's name in front of its words", async () => {
    expect(await rowsOf("label a\nkernel mboot.c32\nappend -solaris xen.gz  x --- vmlinuz y z --- /i\n")).toEqual([
      'a (a) /xen.gz xen.gz|x| /vmlinuz "vmlinuz y z" /i "/i"',
    ]);
  });

  test("gfxboot.c32 starts kernels without BOOT_IMAGE=", async () => {
    const config =
      "ui gfxboot.c32 bootlogo\ntimeout 30\ndefault b\nlabel a\nlinux /k\nappend x\ninitrd /i\nlabel b\nkernel /l\nappend initrd=/j y\nlabel c\nkernel ifcpu64.c32\nappend a\n";
    expect(await rowsOf(config)).toEqual([
      "a (a) /k |x| /i",
      "b (b) /l |initrd=/j y| /j",
      "c (c) /k BOOT_IMAGE=/k|x initrd=/i| /i",
    ]);
    const ui = 'ui "gfxboot.c32 bootlogo" in /syslinux.cfg: default "b" in /syslinux.cfg';
    expect(await defaultOf(config)).toEqual(["b", 3, ui]);
  });
});

describe("menus", () => {
  const config = `ui vesamenu.c32
menu title Top
label a
 linux /a
menu separator
label -
 menu label Heading
 menu disable
menu begin ^more
 label b
  menu label ^Bee
  menu indent 2
  linux /b
 menu begin
  menu label De^ep
  label c
   linux /c
  label up
   menu exit
 menu end
 label h
  menu hide
  linux /h
menu end
label d
 menu passwd secret
 linux /d
label quit
 menu quit
`;

  test("entries stand in menu order, hidden ones last, with the titles of the menus above them", async () => {
    expect(await rowsOf(config)).toEqual([
      "a (a) /a BOOT_IMAGE=/a||",
      "b (more > Bee) /b BOOT_IMAGE=/b||",
      "c (more > Deep > c) /c BOOT_IMAGE=/c||",
      "d (d) refused: menu passwd: asks for a password",
      "h (h) /h BOOT_IMAGE=/h||",
    ]);
  });

  test("what needs a password boots when it is the default", async () => {
    const guarded =
      "ui menu.c32\ntimeout 10\nmenu begin x\nmenu passwd y\nlabel a\nlinux /a\nlabel b\nlinux /b\nmenu end\ndefault b\n";
    expect(await rowsOf(guarded)).toEqual([
      "a (x > a) refused: menu passwd: asks for a password",
      "b (x > b) /b BOOT_IMAGE=/b||",
    ]);
  });

  test("the title of a sub-menu is its label, else its title, else its tag", async () => {
    const menus = ["menu title T", "menu label L\nmenu title T", "menu title T\nmenu label L", ""];
    const texts = menus.map((lines, index) => `menu begin tag\n${lines}\nlabel ${index}\nlinux /k\nmenu end\n`);
    expect((await rowsOf(`ui menu.c32\n${texts.join("")}`))?.map((row) => row.split(" /k")[0])).toEqual([
      "0 (T > 0)",
      "1 (L > 1)",
      "2 (L > 2)",
      "3 (tag > 3)",
    ]);
  });

  test("configurations that others lead to are sub-menus, each listed once", async () => {
    const files = {
      "/sub/x.cfg": "ui menu.c32\nlabel back\nkernel menu.c32\nappend /syslinux.cfg\nlabel x\nlinux sub/k\n",
      "/y.cfg": "label y\nlinux k\nlabel back\nconfig /syslinux.cfg\n",
    };
    const text = "label x\nmenu label More\nconfig sub/x.cfg\nlabel y\nkernel menu.c32\nappend y.cfg\nlabel k\n";
    expect(await rowsOf(text, files)).toEqual([
      "back (More > back) refused: leads to the menu of /syslinux.cfg, which is listed already",
      "x (More > x) /sub/k BOOT_IMAGE=sub/k||",
      "y (y > y) /k BOOT_IMAGE=k||",
      "back (y > back) refused: leads to the menu of /syslinux.cfg, which is listed already",
      "k (k) /k BOOT_IMAGE=k||",
    ]);
  });
});

describe("what boots by itself", () => {
  const labels = "label a\nlinux /a\nlabel b\nlinux /b\n";
  const at = "in /syslinux.cfg";
  const menu = `ui "menu.c32" ${at}`;
  const isDefault = (label: string) => `${menu}: "${label}" is the default of the menu of /syslinux.cfg`;
  test.each([
    ["default b\n", "b", 0, `default "b" ${at}`],
    ["default b x\n", "b x", 0, `default "b x" ${at}`],
    ["default /k x\n", "/k x", 0, `default "/k x" ${at}`],
    ["", null, null, 'no "default" and no "ui" in /syslinux.cfg'],
    ["default c\n", "c", 0, `default "c" ${at}`],
    ["prompt 1\ndefault b\n", "b", null, `default "b" ${at}`],
    ["prompt 1\ntimeout 35\ndefault b\n", "b", 3.5, `default "b" ${at}`],
    ["prompt 1\ntotaltimeout 70\ndefault b\n", "b", 7, `default "b" ${at}`],
    ["prompt 1\ntimeout 10\nontimeout b\ndefault a\n", "b", 1, `ontimeout "b" ${at}`],
    ["prompt 1\nontimeout b\ndefault a\n", "a", null, `default "a" ${at}`],
    ["timeout 10\nontimeout b\n", "b", 1, `ontimeout "b" ${at}`],
    ["ui menu.c32\ntimeout 50\n", "a", 5, isDefault("a")],
    ["ui menu.c32\ndefault b\n", "b", null, isDefault("b")],
    ["ui menu.c32\nmenu shiftkey\ndefault b\n", "b", 0, isDefault("b")],
    ["ui menu.c32\ntimeout 50\ntotaltimeout 20\n", "a", 2, isDefault("a")],
    ["ui menu.c32\ntimeout 50\nontimeout b\n", "b", 5, `${menu}: ontimeout "b" ${at}`],
    ["ui menu.c32\ntimeout 50\nlabel -\nmenu disable\n", "a", null, isDefault("a")],
  ])("%j", async (lines, label, seconds, reason) => {
    expect(await defaultOf(lines + labels)).toEqual([label, seconds, reason]);
  });

  test.each([
    ["default a\nonerror b\n", "b a", `onerror "b" ${at}; default "a" ${at}, which is not offered`],
    ["default a\nonerror /k x\n", "/k x a", `onerror "/k x" ${at}; default "a" ${at}, which is not offered`],
    ["default a\ntimeout 10\nontimeout b\n", "b", `ontimeout "b" ${at}; default "a" ${at}, which is not offered`],
    ["prompt 1\ndefault a\n", null, `default "a" ${at}, which is not offered`],
    ["ui menu.c32\nmenu onerror b\n", "b", `${menu}: onerror "b" ${at}; ${isDefault("a")}, which is not offered`],
  ])("with /a missing, %j", async (lines, label, reason) => {
    const [chosen, , why] = (await defaultOf(lines + labels, ["/a"])) ?? [];
    expect([chosen, why]).toEqual([label, reason]);
  });

  test("nothing is tried behind what the program would not come back from", async () => {
    const [label, , reason] =
      (await defaultOf("default l\nonerror a\nlabel l\nlocalboot 0\nlabel a\nlinux /a\n")) ?? [];
    expect([label, reason]).toEqual([null, `default "l" ${at}, which is not offered`]);
  });
});

describe("files", () => {
  test("every configuration that may have shaped an entry is told", async () => {
    const files = { "/m.cfg": "include n.cfg\n", "/n.cfg": "label a\nlinux /k\n" };
    const { menu } = await evaluateText("ui menu.c32 m.cfg\n", files);
    expect(menu?.entries.map(({ configs }) => configs.map(({ location }) => location))).toEqual([
      ["/m.cfg", "/n.cfg", "/syslinux.cfg"].map((path) => ({ kind: "path", path })),
    ]);
    expect(menu?.entries[0]?.place).toEqual({ location: { kind: "path", path: "/n.cfg" }, line: 1 });
  });

  test("a file that cannot be read is told, and costs nothing else", async () => {
    const { menu, messages } = await evaluateText(
      "include a.cfg\ninclude b.cfg\nlabel a\nlinux /k\n",
      {},
      {
        async readFile(location) {
          if (location.kind === "path" && location.path === "/a.cfg") throw new Error("the disk is broken");
          if (location.kind === "path" && location.path === "/b.cfg") return null;
          return new TextEncoder().encode("include a.cfg\ninclude b.cfg\nlabel a\nlinux /k\n");
        },
      },
    );
    expect(messages.map(({ place, text }) => [place.line, text])).toEqual([
      [1, "the disk is broken"],
      [2, '"/b.cfg": no such file'],
    ]);
    expect(menu?.entries.map(entryRow)).toEqual(["a (a) /k BOOT_IMAGE=/k||"]);
  });

  test("pxelinux puts its prefix in front of names, and takes servers and URLs as they are", async () => {
    const config = "label a\nlinux k\ninitrd ::/i,10.0.0.1::j,http://host/x\nlabel b\nconfig sub/c.cfg\nappend sub/\n";
    const files = { "boot/pxelinux.cfg/default": config, "boot/sub/c.cfg": "label c\nlinux k\n" };
    const host = memorySyslinuxHost(files, { variant: "pxelinux" });
    const { menu } = await evaluateSyslinux(host, { kind: "path", path: "boot/pxelinux.cfg/default" }, "boot/");
    expect(menu?.entries.map(entryRow)).toEqual([
      "a (a) boot/k BOOT_IMAGE=k|initrd=::/i,10.0.0.1::j,http://host/x| /i 10.0.0.1::j http://host/x",
      "c (b > c) boot/sub/k BOOT_IMAGE=k||",
    ]);
  });
});

describe("limits", () => {
  const label = "label a\nlinux /k\n";
  test.each([
    ["includeDepthMax", "include syslinux.cfg\n", "more than 2 files that include one another; the rest is left out"],
    ["allLinesMax", "\n\n\n", "more than 2 lines in all files, at most so many are taken; the rest is left out"],
    ["parsedBytesMax", "xxx", "more than 2 bytes in all files, at most so many are parsed; the rest is left out"],
    ["entriesMax", label.repeat(3), "more than 2 labels, at most so many are taken; the rest is left out"],
    ["menuDepthMax", "menu begin\n".repeat(3), "more than 2 menus inside one another; the rest is left out"],
    [
      "configReadsMax",
      "include b\ninclude c\n",
      "more than 2 files, at most so many are read as configuration; the rest is left out",
    ],
  ])("%s", async (limit, config, text) => {
    const { messages } = await evaluateText(config, {}, {}, { [limit]: 2 });
    expect(messages.map((message) => message.text)).toContain(text);
  });

  test("configurations that lead to further ones", async () => {
    const files = Object.fromEntries([1, 2, 3].map((n) => [`/${n}`, `label ${n}\nconfig /${n + 1}\n`]));
    const { menu } = await evaluateText("label 0\nconfig /1\n", files, {}, { menusMax: 3 });
    expect(menu?.entries.map(entryRow)).toEqual([
      "2 (0 > 1 > 2) refused: more than 3 configurations, no more are followed",
    ]);
  });

  test("initrds and modules", async () => {
    const { menu } = await evaluateText(
      "label a\nlinux /k\ninitrd 1,2,3\nlabel b\nkernel mboot.c32\nappend x --- 1 --- 2 --- 3\n",
      {},
      {},
      { filesMax: 2 },
    );
    expect(menu?.entries.map(entryRow)).toEqual([
      "a (a) refused: 3 initrds, at most 2 are taken",
      "b (b) refused: 3 modules, at most 2 are taken",
    ]);
  });

  test("files that include each other twice end at the limit of lines", async () => {
    const { messages } = await evaluateText("include syslinux.cfg\n".repeat(2));
    expect(messages.length).toBe(1);
  });

  test("a line over 4095 bytes goes on as a further one", async () => {
    const config = `label a\nlinux /k\nfoo ${"x".repeat(4091)}append y\n`;
    expect(await rowsOf(config)).toEqual(["a (a) /k BOOT_IMAGE=/k|y|"]);
  });
});

test("hostile texts end in entries and messages", async () => {
  const seed = `ui menu.c32 a.cfg\ndefault a b\nprompt 1\ntimeout 50\nmenu begin x\nlabel a\nmenu label ^A\nmenu default
kernel mboot.c32\nappend -solaris x --- y\ninitrd a,b\nmenu end\ninclude a.cfg z\ntext help\nendtext\nlabel b\nconfig a.cfg /\n`;
  const bytes = new TextEncoder().encode(seed);
  const random = randomNumbers(7);
  for (let round = 0; round < 400; round++) {
    const cut = bytes.slice(0, round < bytes.length ? round : bytes.length);
    for (let change = 0; change < round % 5; change++) cut[random() % (cut.length + 1)] = random() >>> 3;
    const { menu, messages } = await evaluateText(cut, { "/a.cfg": cut });
    expect(menu !== null || messages.length > 0).toBe(true);
  }
});
