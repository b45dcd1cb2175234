import { describe, expect, test } from "vitest";
import { evaluateGrubConfig, type GrubEvaluation } from "../../../../src/formats/grub/evaluate.ts";
import { chooseDefault, type GrubEntry, type GrubLoad } from "../../../../src/formats/grub/menu.ts";
import { memoryGrubHost } from "../../../fakes/memory-grub-host.ts";

type Files = Readonly<Record<string, string | Uint8Array>>;

const boot = { "/vmlinuz": "kernel", "/initrd": "initrd", "/xen": "hypervisor", "/a.iso": "image", "/b.iso": "image" };

function evaluate(script: string, files: Files = {}, limits = {}): Promise<GrubEvaluation> {
  const host = memoryGrubHost({
    "hd0,gpt2": { label: "boot", files: { ...boot, "/grub.cfg": script, ...files } },
    iso: {
      imageOf: "(hd0,gpt2)/a.iso",
      label: "LIVE",
      filesystem: "iso9660",
      files: { "/k": "kernel", "/loop.cfg": "menuentry inner {\nlinux /k iso\n}\n" },
    },
  });
  return evaluateGrubConfig(host, { device: "hd0,gpt2", path: "/grub.cfg" }, limits);
}

function described(entry: GrubEntry): string {
  const { outcome } = entry;
  if (outcome.kind === "refused") return `refused at line ${outcome.place.line}: ${outcome.reason}`;
  if (outcome.kind === "menu") return `menu ${outcome.menu.entries.map(described).join("; ")}`;
  return describedLoad(outcome.load);
}

function describedLoad({ protocol, kernel, initrds, modules, options }: GrubLoad): string {
  const name = (use: GrubLoad["kernel"]): string => use.problem ?? `(${use.device})${use.path}`;
  return [
    `${protocol} ${name(kernel)} [${options}]`,
    ...initrds.map((use) => `${name(use)}${use.archivePath === null ? "" : ` as ${use.archivePath}`}`),
    ...modules.map((module) => `${name(module.use)} [${module.options}]`),
  ].join(" | ");
}

async function entryOf(body: string, before = "", files: Files = {}): Promise<string> {
  const { menu } = await evaluate(`${before}\nmenuentry e {\n${body}\n}\n`, files);
  const [entry] = menu?.entries ?? [];
  return entry === undefined ? "no entry" : described(entry);
}

const at = "(hd0,gpt2)";

describe("multiboot", () => {
  // loader/multiboot.c: the words behind the file's name, joined as for Linux; a module belongs to its own protocol.
  test.each([
    ["multiboot2 /xen a 'b c'", `multiboot2 ${at}/xen [a "b c"]`],
    [
      "multiboot2 /xen a\nmodule2 /vmlinuz placeholder ro\nmodule2 --nounzip /initrd",
      `multiboot2 ${at}/xen [a] | ${at}/vmlinuz [placeholder ro] | ${at}/initrd []`,
    ],
    ["multiboot /xen\nmodule --nounzip /initrd x", `multiboot ${at}/xen [] | ${at}/initrd [x]`],
    ["multiboot --quirk-bad-kludge --quirk-modules-after-kernel /xen y", `multiboot ${at}/xen [y]`],
    [
      "multiboot2 --quirk-bad-kludge /xen",
      `multiboot2 "--quirk-bad-kludge": a path from "/" expected, not a list of blocks [/xen]`,
    ],
    ["multiboot /xen\nmodule2 /initrd", `multiboot ${at}/xen []`],
    ["multiboot2 /xen\nmodule /initrd", `multiboot2 ${at}/xen []`],
    ["multiboot2 /xen\nmodule2 /initrd\nlinux /vmlinuz q", `linux ${at}/vmlinuz [q]`],
    ["linux /vmlinuz\ninitrd /initrd\nmultiboot2 /xen", `multiboot2 ${at}/xen []`],
    ["multiboot2 /xen\ninitrd /initrd", `multiboot2 ${at}/xen []`],
    ["linux /vmlinuz\nmultiboot", "refused at line 2: loads no kernel (multiboot: a file expected)"],
    ["multiboot2 /xen\nmodule2 /none", `multiboot2 ${at}/xen [] | "/none" is missing on (hd0,gpt2) []`],
  ])("%s", async (body, expected) => {
    expect(await entryOf(body)).toBe(expected);
  });
});

test.each([
  ["initrd newc:init.cfg:/initrd", `${at}/initrd as /init.cfg`],
  ["initrd newc:///etc//x:/initrd /initrd", `${at}/initrd as /etc/x | ${at}/initrd`],
  ["initrd /initrd newc:a:(hd0,gpt2)/initrd", `${at}/initrd | ${at}/initrd as /a`],
  ["initrd newc:x", '"newc:x": a path from "/" expected, not a list of blocks'],
])("linux /vmlinuz; %s", async (body, expected) => {
  expect(await entryOf(`linux /vmlinuz\n${body}`)).toBe(`linux ${at}/vmlinuz [] | ${expected}`);
});

describe("loopback", () => {
  test.each([
    ["loopback l /a.iso\nlinux (l)/k x", "linux (iso)/k [x]"],
    ["loopback l (hd0,gpt2)/a.iso\nset root=l\nlinux /k", "linux (iso)/k []"],
    ["loopback l /a.iso\nset root=(l)\nlinux /k $root", "linux (iso)/k [l]"],
    ["loopback l /a.iso\nsearch --set=root --label LIVE\nlinux /k $root", "linux (iso)/k [l]"],
    ["loopback l /a.iso\nsearch --set=root --file /k\nlinux /k", "linux (iso)/k []"],
    ["loopback l /a.iso\nprobe --set=f --fs (l)\nlinux (l)/k $f", "linux (iso)/k [iso9660]"],
    ["loopback l /a.iso\nlinux (l)/none", 'linux "/none" is missing on (l) []'],
    ["loopback l /a.iso\nlinux (l,1)/k", 'linux "(l,1)/k": no device "l,1" is known []'],
    ["loopback l /a.iso\nloopback -d l\nlinux (l)/k", 'linux "(l)/k": no device "l" is known []'],
    ["loopback l /b.iso\nlinux (l)/k", 'linux "(l)/k": no device "l" is known []'],
    ["loopback l /a.iso\nconfigfile (l)/loop.cfg", 'menu linux "/k" is missing on (hd0,gpt2) [iso]'],
    ["loopback l /a.iso\nset root=l\nexport root\nconfigfile /loop.cfg", "menu linux (iso)/k [iso]"],
    [
      "cryptomount -u ab\nlinux (cryptouuid/ab)/k",
      'linux "(cryptouuid/ab)/k": no device "cryptouuid/ab" is known: encrypted volumes are not opened []',
    ],
  ])("%s", async (body, expected) => {
    expect(await entryOf(body)).toBe(expected);
  });

  test("an image that is opened before the menu is there in every entry, one of an entry in no other", async () => {
    const script =
      "loopback l /a.iso\nmenuentry a {\nloopback m /a.iso\nlinux (l)/k\n}\nmenuentry b {\nlinux (m)/k\n}\n";
    const { menu } = await evaluate(script);
    expect(menu?.entries.map(described)).toEqual(["linux (iso)/k []", 'linux "(m)/k": no device "m" is known []']);
  });

  test("as many as the limit allows", async () => {
    const { problems } = await evaluate("loopback a /a.iso\nloopback b /a.iso\n", {}, { imagesMax: 1 });
    expect(problems.map(({ text }) => text)).toEqual(['loopback "b": at most 1 images are opened']);
  });
});

describe("a kernel outside of every entry", () => {
  test("that is booted", async () => {
    const { menu } = await evaluate(
      "menuentry a {\nlinux /xen\n}\nset q=quiet\nlinux /vmlinuz $q\ninitrd /initrd\nboot\nmenuentry never {\ntrue\n}\n",
    );
    if (menu === null) throw new Error("no menu");
    expect(menu.direct === null ? null : [menu.direct.number, menu.direct.title, described(menu.direct)]).toEqual([
      "boot",
      "/vmlinuz",
      `linux ${at}/vmlinuz [quiet] | ${at}/initrd`,
    ]);
    expect(menu.entries.map(({ title }) => title)).toEqual(["a"]);
    expect(chooseDefault(menu, () => true)).toEqual({
      entry: menu.direct,
      reason: '"boot" of the kernel in line 5, before any menu',
      inputs: [],
    });
    expect(chooseDefault(menu, (entry) => entry !== menu.direct).entry?.title).toBe("a");
  });

  test("that cannot be booted, or is not", async () => {
    const missing = await evaluate("linux /none\nboot\nmenuentry a {\nlinux /xen\n}\n");
    expect(missing.menu?.direct).toBe(null);
    expect(missing.problems.map(({ line, text }) => `${line}: ${text}`)).toEqual([
      '1: linux: "/none" is missing on (hd0,gpt2)',
      "2: boot: no kernel is loaded",
    ]);
    const waiting = await evaluate("linux /vmlinuz\n");
    expect(waiting.menu).toBe(null);
    expect(waiting.problems.map(({ line, text }) => `${line}: ${text}`)).toEqual([
      '1: the kernel "/vmlinuz" is not booted: there is no menu, so GRUB opens its command line',
    ]);
  });

  test("is there for an entry that loads none", async () => {
    expect(await entryOf("true", "linux /vmlinuz before")).toBe(`linux ${at}/vmlinuz [before]`);
  });
});

describe("extracted entries", () => {
  const inner =
    'v=2\nset w=3\necho x\nexport v\nmenuentry "i $v $w" {\nlinux /vmlinuz $v $w\n}\nsubmenu s {\ntrue\n}\n';

  test("join the menu, and variables stay where they were", async () => {
    const { menu, output } = await evaluate(
      "v=1\nextract_entries_source /i.cfg\nmenuentry a {\nlinux /vmlinuz $v\n}\n",
      {
        "/i.cfg": inner,
      },
    );
    expect(menu?.entries.map(({ title, number }) => `${number} ${title}`)).toEqual(["0 i 2 3", "1 s", "2 a"]);
    expect(menu?.entries.map(described)).toEqual([
      `linux ${at}/vmlinuz [1]`,
      "refused at line 8: the sub-menu holds no entry",
      `linux ${at}/vmlinuz [1]`,
    ]);
    expect(output).toBe("");
  });

  test("in a menu of their own run no command", async () => {
    const { menu } = await evaluate("extract_entries_configfile /i.cfg\nmenuentry a {\ntrue\n}\n", { "/i.cfg": inner });
    const barred = "GRUB runs no command of an entry in a menu that an extractor shows";
    expect(menu?.entries.map(described)).toEqual([`refused at line 5: ${barred}`, `refused at line 8: ${barred}`]);
  });
});

describe("variables", () => {
  async function variablesOf(body: string, before = "", files: Files = {}) {
    const { menu } = await evaluate(`${before}\nmenuentry e {\n${body}\n}\n`, files);
    const outcome = menu?.entries[0]?.outcome;
    if (outcome?.kind !== "boot") throw new Error("no kernel");
    const place = (p: { file: { path: string }; line: number } | null): string =>
      p === null ? "GRUB" : `${p.file.path}:${p.line}`;
    return outcome.load.variables.map((each) => `${each.name}=${each.value} ${place(each.place)}`);
  }
  const root = "root=hd0,gpt2 GRUB";

  test.each([
    ["linux (hd0,gpt2)/vmlinuz a", []],
    ["linux /vmlinuz", [root]],
    ["set q=1\nlinux (hd0,gpt2)/vmlinuz $q", ["q=1 /grub.cfg:3"]],
    ['q=1\nq=2\nlinux (hd0,gpt2)/vmlinuz $q "x$q" "$q"', ["q=2 /grub.cfg:4"]],
    ["q=1\nif [ $q = 1 ]; then linux (hd0,gpt2)/vmlinuz; fi", []],
    [
      "k=/vmlinuz\nlinux (hd0,gpt2)$k $none\ni=/initrd\ninitrd (hd0,gpt2)$i",
      ["k=/vmlinuz /grub.cfg:3", "i=/initrd /grub.cfg:5"],
    ],
    ["q=1\nlinux /xen $q\nlinux (hd0,gpt2)/vmlinuz", []],
    ["for f in a b; do linux (hd0,gpt2)/vmlinuz $f; done", ["f=b /grub.cfg:3"]],
    ["q=1\nmultiboot2 (hd0,gpt2)/xen\nmodule2 (hd0,gpt2)/vmlinuz $q", ["q=1 /grub.cfg:3"]],
    ["load_env -f /env\nlinux (hd0,gpt2)/vmlinuz $x", ["x=1 /env:3"]],
    ["q=1\nf $q", ["q=1 /grub.cfg:3"]],
    ['q=1\neval "linux (hd0,gpt2)/vmlinuz $q"', ["q=1 /grub.cfg:3"]],
  ])("%s", async (body, expected) => {
    const env = "# GRUB Environment Block\n# note\nx=1\n".padEnd(1024, "#");
    const before = "function f { linux (hd0,gpt2)/vmlinuz $1; }";
    expect(await variablesOf(body, before, { "/env": env })).toEqual(expected);
  });

  test("are bounded", async () => {
    const names = Array.from({ length: 100 }, (_, index) => `v${index}`);
    const sets = names.map((name) => `${name}=x`).join("\n");
    const variables = await variablesOf(
      `${sets}\nlinux (hd0,gpt2)/vmlinuz ${names.map((name) => `$${name}`).join(" ")}`,
    );
    expect(variables.length).toBe(64);
  });
});

test("what save_env would have written is loaded again, and by no other entry", async () => {
  const env = "# GRUB Environment Block\na=1\nb=2\n".padEnd(1024, "#");
  const script =
    "menuentry x {\na=9\nunset b\nsave_env -f /env a b\nunset a\nb=0\nload_env -f /env\nlinux /vmlinuz $a $b\n}\nmenuentry y {\nload_env -f /env\nlinux /vmlinuz $a $b\n}\n";
  const { menu, notes } = await evaluate(script, { "/env": env });
  expect(menu?.entries.map(described)).toEqual([`linux ${at}/vmlinuz [9 0]`, `linux ${at}/vmlinuz [1 2]`]);
  expect(notes.map(({ text }) => text)).toEqual(["save_env a b: not carried out, nothing on a disk changes"]);
});

// As GRUB 2.06 answers them: integers are C's.
test.each([
  ["4294967296 -eq 0", "yes"],
  ["4294967297 -gt 1", "no"],
  ["18446744073709551615 -eq -1", "yes"],
  ["99999999999999999999 -gt 1", "no"],
  ["9223372036854775807 -gt 0", "no"],
  ["0x10 -eq 16", "yes"],
  ["010 -eq 8", "yes"],
  ["08 -eq 0", "no"],
  ["-3 -lt 2", "yes"],
  ["x -eq 0", "yes"],
])("test %s", async (words, expected) => {
  expect(await entryOf(`if [ ${words} ]; then a=yes; else a=no; fi\nlinux /vmlinuz $a`)).toBe(
    `linux ${at}/vmlinuz [${expected}]`,
  );
});

// As GRUB 2.06 does it on two disks.
test("a search finds what it has found before, whatever its hints", async () => {
  const script =
    "search --file --set=a /f\nsearch --file --set=b --hint hd1,gpt1 /f\nsearch --file --set=c --hint hd1,gpt1 /g\nsearch --file --set=d /g\nmenuentry x {\nlinux (hd0,gpt1)/f $a $b $c $d\n}\n";
  const files = { "/f": "f", "/g": "g" };
  const host = memoryGrubHost({ "hd0,gpt1": { files: { ...files, "/grub.cfg": script } }, "hd1,gpt1": { files } });
  const { menu } = await evaluateGrubConfig(host, { device: "hd0,gpt1", path: "/grub.cfg" });
  const outcome = menu?.entries[0]?.outcome;
  expect(outcome?.kind === "boot" ? outcome.load.options : null).toBe("hd0,gpt1 hd0,gpt1 hd1,gpt1 hd1,gpt1");
});
