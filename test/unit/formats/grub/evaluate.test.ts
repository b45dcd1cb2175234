import { describe, expect, test } from "vitest";
import { evaluateGrubConfig, type GrubEvaluation } from "../../../../src/formats/grub/evaluate.ts";
import type { GrubLimits } from "../../../../src/formats/grub/limits.ts";
import type { GrubEntry, GrubMenu } from "../../../../src/formats/grub/menu.ts";
import { memoryGrubHost } from "../../../fakes/memory-grub-host.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";

type Files = Readonly<Record<string, string>>;

const boot = { "/vmlinuz": "kernel", "/initrd": "initrd", "/initrd2": "initrd", "/a.dtb": "tree" };
const grubenv = (lines: string): string => `# GRUB Environment Block\n${lines}`.padEnd(1024, "#");

function evaluate(script: string, files: Files = {}, limits: Partial<GrubLimits> = {}, platform = "efi") {
  const host = memoryGrubHost(
    {
      "hd0,gpt1": { fsUuid: "ABCD-1234", label: "ESP", filesystem: "fat", partitionMap: "gpt", files: {} },
      "hd0,gpt2": {
        fsUuid: "aaaa-bbbb",
        label: "boot",
        filesystem: "ext2",
        partUuid: "1111-2222",
        partitionMap: "gpt",
        files: { ...boot, "/grub/grub.cfg": script, ...files },
      },
      "hd1,msdos1": { fsUuid: "cccc-dddd", label: "boot", files: { "/other": "kernel" } },
    },
    platform,
  );
  return evaluateGrubConfig(host, { device: "hd0,gpt2", path: "/grub/grub.cfg" }, limits);
}

function described(entry: GrubEntry): string {
  const { outcome } = entry;
  if (outcome.kind === "refused") return `refused at line ${outcome.place.line}: ${outcome.reason}`;
  if (outcome.kind === "menu") return `menu of ${outcome.menu.entries.length}`;
  const { kernel, initrds, devicetree, options } = outcome.load;
  const files = [kernel, ...initrds, ...(devicetree === null ? [] : [devicetree])];
  return [...files.map((use) => use.problem ?? `(${use.device})${use.path}`), options].join(" | ");
}

/** One entry's outcome. */
async function entryOf(body: string, before = "", files: Files = {}): Promise<string> {
  const { menu } = await evaluate(`${before}\nmenuentry e {\n${body}\n}\n`, files);
  const entry = menu?.entries[0];
  if (entry === undefined) throw new Error("no entry");
  return described(entry);
}

function messages({ problems }: GrubEvaluation): string[] {
  return problems.map(({ file, line, text }) => `${file.path}:${line}: ${text}`);
}

const k = "(hd0,gpt2)/vmlinuz";

describe("kernels", () => {
  test.each([
    ["linux /vmlinuz a b", `${k} | a b`],
    ["linux (hd0,gpt2)/vmlinuz", `${k} | `],
    ["linux ($root)/vmlinuz", `${k} | `],
    ["linux16 /vmlinuz\ninitrd16 /initrd", `${k} | (hd0,gpt2)/initrd | `],
    ["linuxefi /vmlinuz\ninitrdefi /initrd /initrd2", `${k} | (hd0,gpt2)/initrd | (hd0,gpt2)/initrd2 | `],
    ["linux /vmlinuz\ndevicetree /a.dtb", `${k} | (hd0,gpt2)/a.dtb | `],
    ["linux /vmlinuz\ninitrd /initrd\ninitrd /initrd2", `${k} | (hd0,gpt2)/initrd2 | `],
    ["linux /vmlinuz one\ninitrd /initrd\nlinux /vmlinuz two", `${k} | two`],
    ["linux /vmlinuz\nboot\nlinux /none", `${k} | `],
    ["set root=hd1,msdos1\nlinux /other", "(hd1,msdos1)/other | "],
    ["set root=(hd1,msdos1)\nlinux /other", "(hd1,msdos1)/other | "],
    ["search --set --label boot\nlinux /vmlinuz", `${k} | `],
    ["search --fs-uuid --set=root --hint hd1,msdos1 CCCC-dddd\nlinux /other", "(hd1,msdos1)/other | "],
    ["search --label boot --hint hd1,msdos1 --set\nlinux /other", "(hd1,msdos1)/other | "],
    ["search --label boot --hint=hd1, --set\nlinux /other", "(hd1,msdos1)/other | "],
    ["search -f /other --set=root\nlinux /other", "(hd1,msdos1)/other | "],
    ["search.fs_uuid cccc-dddd root\nlinux /other", "(hd1,msdos1)/other | "],
    ["search.fs_label ESP d\nlinux /vmlinuz $d", `${k} | hd0,gpt1`],
    ["probe --set=u --fs-uuid ($root)\nlinux /vmlinuz root=UUID=$u", `${k} | root=UUID=aaaa-bbbb`],
    ["probe -s u --part-uuid hd0,gpt2\nlinux /vmlinuz $u", `${k} | 1111-2222`],
    ["probe --set u --fs hd0,gpt1; probe --set p --partmap hd0,gpt1; linux /vmlinuz $u $p", `${k} | fat gpt`],
    ["linux /vmlinuz $grub_platform $grub_cpu $root $prefix", `${k} | efi x86_64 hd0,gpt2 (hd0,gpt2)/grub`],
    ["linux /vmlinuz $1 $# $chosen", `${k} | e 1 e`],
    ["if cpuid -l; then linux /vmlinuz 64; else linux /vmlinuz 32; fi", `${k} | 64`],
    ["insmod gzio; terminal_output console; linux /vmlinuz", `${k} | `],
    ["linux /vmlinuz\nsave_env x", `${k} | `],
  ])("%s", async (body, expected) => {
    expect(await entryOf(body)).toBe(expected);
  });
});

describe("what costs an entry", () => {
  test.each([
    ["true", "refused at line 2: loads no kernel"],
    ["chainloader +1", "refused at line 3: chainloader: boots another loader, not a Linux kernel"],
    [
      "multiboot\nmodule /x",
      "refused at line 2: loads no kernel (module: stands before multiboot, so GRUB does not load it)",
    ],
    [
      "xen_hypervisor /x",
      "refused at line 3: xen_hypervisor: boots the Xen hypervisor of Arm, which needs its firmware",
    ],
    ["linux /vmlinuz\nnosuch", 'refused at line 4: unknown command "nosuch"'],
    ["reboot", "refused at line 3: reboot: leaves GRUB without booting a kernel"],
    ["fwsetup", "refused at line 3: fwsetup: enters the firmware's settings, not a Linux kernel"],
    [
      "linux /vmlinuz\ninitrd newc:../x:/initrd",
      'refused at line 4: initrd "newc:../x:/initrd": a path without "." and ".." expected in the archive',
    ],
    ["read x", "refused at line 3: read: waits for somebody to type"],
    [
      "while true; do true; done",
      "refused at line 3: the entry: more than 100000 steps, an endless loop? The rest is not run.",
    ],
    [
      "function_less=1; configfile /grub/grub.cfg",
      'refused at line 3: configfile "/grub/grub.cfg": leads back to a menu that is already open',
    ],
    [
      "initrd /initrd",
      "refused at line 2: loads no kernel (initrd: stands before the kernel, so GRUB does not load it)",
    ],
    ["linux /vmlinuz \ufffd", 'refused at line 3: linux: "\ufffd" holds bytes that are not UTF-8'],
  ])("%s", async (body, expected) => {
    expect(await entryOf(body)).toBe(expected);
  });

  test.each([
    ["linux /none", '"/none" is missing on (hd0,gpt2) | '],
    ["linux /grub", '"/grub" is not a file | '],
    ["linux (hd7)/k", '"(hd7)/k": no device "hd7" is known | '],
    ["linux vmlinuz", '"vmlinuz": a path from "/" expected, not a list of blocks | '],
    ["unset root\nlinux /vmlinuz", '"/vmlinuz": no device, and root is not set | '],
    ["linux /vmlinuz\ninitrd /initrd /none", `${k} | (hd0,gpt2)/initrd | "/none" is missing on (hd0,gpt2) | `],
  ])("a file that is not there: %s", async (body, expected) => {
    expect(await entryOf(body)).toBe(expected);
  });

  test("and no other one, and not the configuration", async () => {
    const result = await evaluate(
      "nosuch a\nmenuentry bad {\n nosuch\n}\nchainloader +1\necho a && echo b\nmenuentry good {\n linux /vmlinuz\n}\nlinux /vmlinuz\nsource /none\n",
    );
    expect(result.menu?.entries.map(described)).toEqual(['refused at line 3: unknown command "nosuch"', `${k} | `]);
    expect(messages(result)).toEqual([
      '/grub/grub.cfg:1: unknown command "nosuch"',
      "/grub/grub.cfg:5: chainloader: boots another loader, not a Linux kernel",
      '/grub/grub.cfg:6: syntax error: ";" or the end of the line expected, not "&&"',
      '/grub/grub.cfg:11: source: "/none" is missing on (hd0,gpt2)',
    ]);
  });

  test("a password", async () => {
    const { menu } = await evaluate(
      'set superusers="root"\nexport superusers\npassword root x\nmenuentry a {\nlinux /vmlinuz\n}\nmenuentry b --unrestricted {\nlinux /vmlinuz\n}\nmenuentry c --users u {\nlinux /vmlinuz\n}\n',
    );
    const asks = 'GRUB asks for a password here (superusers="root"), which is not done';
    expect(menu?.entries.map(described)).toEqual([
      `refused at line 4: ${asks}`,
      `${k} | `,
      `refused at line 10: ${asks}`,
    ]);
  });
});

describe("menus", () => {
  test("numbers, ids, paths, classes and places", async () => {
    const { menu } = await evaluate(
      "menuentry A --class x --class=y --hotkey=a {\nlinux /vmlinuz\n}\nsubmenu 'S > T' --id s {\nmenuentry 'In' --id 'i>n' {\nlinux /vmlinuz\n}\n}\n",
    );
    const [a, s] = menu?.entries ?? [];
    expect([a?.number, a?.title, a?.id, a?.classes, a?.hotkey, a?.place.line]).toEqual([
      "0",
      "A",
      null,
      ["x", "y"],
      "a",
      1,
    ]);
    const inner = s?.outcome.kind === "menu" ? s.outcome.menu.entries[0] : undefined;
    expect([s?.number, inner?.number, inner?.submenu, inner?.place.line]).toEqual(["1", "1>0", ["S > T"], 5]);
    expect(inner?.paths).toEqual(["s>i>>n", "S >> T>In"]);
  });

  test("entries that a sourced file makes stand where that file says", async () => {
    const { menu } = await evaluate("set x=1\nsource $prefix/custom.cfg\n", {
      "/grub/custom.cfg": "# custom\n\nmenuentry c {\n linux /vmlinuz $x\n}\n",
    });
    expect(menu?.entries.map(described)).toEqual([`${k} | 1`]);
    expect(menu?.entries[0]?.place).toEqual({ file: { device: "hd0,gpt2", path: "/grub/custom.cfg" }, line: 3 });
    expect(menu?.entries[0]?.configs.map(({ file }) => file.path)).toEqual(["/grub/grub.cfg", "/grub/custom.cfg"]);
  });

  test("configfile shows its own menu, in a context of its own", async () => {
    const { menu, problems } = await evaluate(
      "local=1\nexport kept\nkept=2\nmenuentry lost {\ntrue\n}\nconfigfile /b.cfg\nnosuch\n",
      {
        "/b.cfg": "menuentry b {\nlinux /vmlinuz $local $kept $config_file\n}\n",
      },
    );
    expect(menu?.config.path).toBe("/b.cfg");
    expect(menu?.entries.map(described)).toEqual([`${k} | 2 (hd0,gpt2)/grub/grub.cfg`]);
    expect(menu?.entries[0]?.configs.map(({ file }) => file.path)).toEqual(["/grub/grub.cfg", "/b.cfg"]);
    expect(problems).toEqual([]);
  });

  test("a configfile without entries is left again", async () => {
    const { menu } = await evaluate("local=1\nconfigfile /b.cfg\nmenuentry a {\nlinux /vmlinuz $local $b\n}\n", {
      "/b.cfg": "b=2\nlocal=3\n",
    });
    expect(menu?.entries.map(described)).toEqual([`${k} | 1`]);
  });

  test("normal joins the menu and does not come back", async () => {
    const { menu } = await evaluate("local=1\nnormal /b.cfg\nmenuentry never {\ntrue\n}\n", {
      "/b.cfg": "menuentry b {\nlinux /vmlinuz $local\n}\n",
    });
    expect(menu?.entries.map(described)).toEqual([`${k} | 1`]);
  });

  test("an entry that opens another configuration is a menu with numbers of its own", async () => {
    const { menu } = await evaluate("menuentry more {\nconfigfile /b.cfg\n}\n", {
      "/b.cfg": "menuentry b {\nlinux /vmlinuz\n}\nmenuentry back {\nconfigfile /grub/grub.cfg\n}\n",
    });
    const outcome = menu?.entries[0]?.outcome;
    const inner: GrubMenu | null = outcome?.kind === "menu" && outcome.own ? outcome.menu : null;
    expect(inner?.entries.map((entry) => `${entry.number} ${described(entry)}`)).toEqual([
      `0 ${k} | `,
      '1 refused at line 5: configfile "/grub/grub.cfg": leads back to a menu that is already open',
    ]);
  });

  test.each([
    ["", [null, "menu"]],
    ["set timeout=5", [5, "menu"]],
    ["set timeout=0x10\nset timeout_style=hidden", [16, "hidden"]],
    ["set timeout=-1\nset timeout_style=hidden", [null, "menu"]],
    ["set timeout=0\nset timeout_style=countdown", [0, "countdown"]],
    ["set timeout=3\nset timeout_style=odd", [3, "menu"]],
  ])("timeout: %s", async (before, expected) => {
    const { menu } = await evaluate(`${before}\nmenuentry a {\ntrue\n}\n`);
    expect([menu?.timeoutSeconds, menu?.timeoutStyle]).toEqual(expected);
  });

  test("what is not carried out is noted", async () => {
    const { notes } = await evaluate("save_env a b\n", { "/grub/grubenv": grubenv("") });
    expect(notes).toEqual([
      {
        file: { device: "hd0,gpt2", path: "/grub/grub.cfg" },
        line: 1,
        text: "save_env a b: not carried out, nothing on a disk changes",
      },
    ]);
  });
});

describe("unsigned inputs", () => {
  const load = "load_env";

  async function inputsOf(
    body: string,
    before = load,
    environment = "x=/vmlinuz\ny=quiet\nroot=hd0,gpt2\nblank= \n",
    files: Files = {},
  ) {
    const { menu } = await evaluate(`${before}\nmenuentry e {\n${body}\n}\n`, {
      "/grub/grubenv": grubenv(environment),
      ...files,
    });
    return menu?.entries[0]?.inputs.map(({ variable, file }) => `${variable} of ${file.path}`);
  }
  const set = "set root=hd0,gpt2\n";

  test.each<[string, string[]]>([
    [`${set}linux /vmlinuz quiet`, []],
    ["linux /vmlinuz", ["root of /grub/grubenv"]],
    ["linux (hd0,gpt2)/vmlinuz", []],
    [`${set}linux $x`, ["x of /grub/grubenv"]],
    [`${set}linux /vmlinuz $y "a$y" \${x}b`, ["y of /grub/grubenv", "x of /grub/grubenv"]],
    [`${set}linux /vmlinuz\ninitrd $x`, ["x of /grub/grubenv"]],
    [`${set}linux /vmlinuz\ndevicetree $x`, ["x of /grub/grubenv"]],
    [`${set}z=$y; set w="$z"; linux /vmlinuz $w`, ["y of /grub/grubenv"]],
    [`${set}if [ $y = quiet ]; then linux /vmlinuz literal; fi`, []],
    [`${set}for v in a $y; do w=$v; done; linux /vmlinuz $w`, ["y of /grub/grubenv"]],
    [`${set}regexp --set=w '(.*)' $y; linux /vmlinuz $w`, ["y of /grub/grubenv"]],
    [`${set}eval "linux /vmlinuz $y"`, ["y of /grub/grubenv"]],
    [`${set}eval "w=1 # $y"; linux /vmlinuz $w`, ["y of /grub/grubenv"]],
    [`search --set=root --file $x\nlinux /vmlinuz`, ["x of /grub/grubenv"]],
    [`${set}setparams $y; linux /vmlinuz $1`, ["y of /grub/grubenv"]],
    [`${set}linux /vmlinuz $"say $y"`, ["y of /grub/grubenv"]],
    [`${set}linux $y; linux /vmlinuz`, []],
    [`${set}eval "function g { linux /vmlinuz; } # $y"; g`, ["y of /grub/grubenv"]],
    [`${set}w=1; unset $v; linux /vmlinuz $w`, []],
    [`${set}w=1; v=w; unset $v; linux /vmlinuz $w`, []],
    [`${set}w=1; eval "unset w # $y"; linux /vmlinuz $w $y`, ["y of /grub/grubenv"]],
    [`${set}linux /vmlinuz $y; nosuch`, []],
    // An unquoted value of nothing but white space leaves its word out.
    [`${set}linux /vmlinuz ro $blank`, ["blank of /grub/grubenv"]],
    [`${set}linux /vmlinuz\ninitrd /initrd\ninitrd $blank`, ["blank of /grub/grubenv"]],
    [`${set}linux /vmlinuz\ndevicetree /a.dtb\ndevicetree $blank`, ["blank of /grub/grubenv"]],
    [`${set}w=1; regexp --set=w '(z)?' "$y"; linux /vmlinuz $w`, ["y of /grub/grubenv"]],
  ])("%s", async (body, expected) => {
    expect(await inputsOf(body)).toEqual(expected);
  });

  test("a statement that an environment block makes pass a limit, outside of entries", async () => {
    const fill = Array.from({ length: 1000 }, (_, index) => `v${index}=\n`).join("");
    expect(
      await inputsOf("linux (hd0,gpt2)/vmlinuz $safe", "load_env\nset safe=lockdown=confidentiality", fill),
    ).toHaveLength(1);
    const long = `x=${"a".repeat(32 << 10)}\n`;
    expect(await inputsOf("linux /vmlinuz $all", 'load_env\nset all="$x lockdown=integrity"', long)).toHaveLength(1);
    expect(await inputsOf("linux /vmlinuz", "load_env\nset y=1", "x=1\n")).toEqual([]);
  });

  test("a limit that an entry passes taints no other", async () => {
    const long = `x=${"a".repeat(32 << 10)}\n`;
    const { menu } = await evaluate('load_env\nmenuentry a {\nset y="$x$x"\n}\nmenuentry b {\nlinux /vmlinuz\n}\n', {
      "/grub/grubenv": grubenv(long),
    });
    expect(menu?.entries[1]?.inputs).toEqual([]);
  });

  test("names and labels on a disk add no words to the options", async () => {
    const names = [
      "a.iso",
      "b.iso init=x",
      "c.iso\tinit=x",
      'd".iso',
      "e\\.iso",
      "f;w=1.iso",
      "g\u00e0.iso",
      "h\u00e9.iso",
    ];
    const files = Object.fromEntries(names.map((name) => [`/i/${name}`, ""]));
    const script = "for f in /i/*.iso; do menuentry $f $f {\nlinux /vmlinuz f=$2\n}\ndone\n";
    const { menu, notes } = await evaluate(script, files);
    expect(menu?.entries.map(described)).toEqual([`${k} | f=/i/a.iso`, `${k} | f=/i/h\u00e9.iso`]);
    expect(notes[0]?.text).toBe('"/i/": 6 names with white space, quotes or the like match no wildcard');
    const host = memoryGrubHost({
      hd0: {
        label: "x init=y",
        files: { "/vmlinuz": "k", "/g.cfg": "probe -s l -l hd0\nmenuentry a {\nlinux /vmlinuz $l\n}\n" },
      },
    });
    const probed = await evaluateGrubConfig(host, { device: "hd0", path: "/g.cfg" });
    expect(probed.menu?.entries.map(described)).toEqual(["(hd0)/vmlinuz | "]);
    expect(messages(probed)).toEqual([
      '/g.cfg:1: probe: "x init=y" of (hd0): text without white space and quotes expected',
    ]);
  });

  test("a file is read once: what is verified is what was run", async () => {
    let reads = 0;
    const host = memoryGrubHost({
      hd0: {
        files: {
          "/vmlinuz": "k",
          "/g.cfg": "source /o.cfg\nsource /o.cfg\nload_env -f /e\nload_env -f /e\nmenuentry a {\nlinux /vmlinuz\n}\n",
          "/o.cfg": "",
          "/e": grubenv(""),
        },
      },
    });
    const changing = {
      ...host,
      readFile: (...request: Parameters<typeof host.readFile>) => {
        reads++;
        return host.readFile(...request);
      },
    };
    await evaluateGrubConfig(changing, { device: "hd0", path: "/g.cfg" });
    expect(reads).toBe(3);
  });

  test("lines of all files", async () => {
    const files = { "/a.cfg": "\n".repeat(60), "/b.cfg": "\n".repeat(60) };
    const script = "source /a.cfg\nsource /a.cfg\nsource /b.cfg\nmenuentry e {\nlinux /vmlinuz\n}\n";
    const result = await evaluate(script, files, { allLinesMax: 100 });
    expect(messages(result)).toEqual([
      '/grub/grub.cfg:3: source "/b.cfg": more than 100 lines in all configuration files',
    ]);
    expect(result.menu?.entries).toHaveLength(1);
  });

  test("only the variables that are asked for", async () => {
    expect(await inputsOf("linux /vmlinuz $y", "load_env y")).toEqual(["y of /grub/grubenv"]);
    expect(await inputsOf("linux /vmlinuz $y", "load_env --skip-sig --file /grub/grubenv x")).toEqual([]);
  });

  test("titles, ids, and functions", async () => {
    const { menu } = await evaluate(
      `${load}\n${set}function f { linux /vmlinuz $1; }\nmenuentry "t $y" {\nlinux /vmlinuz\n}\nmenuentry t --id $y {\nlinux /vmlinuz\n}\nmenuentry f {\nf $y\n}\n`,
      { "/grub/grubenv": grubenv("y=quiet\n") },
    );
    expect(menu?.entries.map(({ title, inputs }) => [title, inputs.length])).toEqual([
      ["t quiet", 1],
      ["t", 1],
      ["f", 1],
    ]);
  });

  test("a configuration that an unsigned value names", async () => {
    const { menu } = await evaluate(`${load}\n${set}source $c\n`, {
      "/grub/grubenv": grubenv("c=/c.cfg\n"),
      "/c.cfg": "menuentry c {\nlinux /vmlinuz\n}\n",
    });
    expect(menu?.entries[0]?.inputs.map(({ variable }) => variable)).toEqual(["c"]);
  });

  test("entries inside a sub-menu of such a configuration, and $chosen", async () => {
    const { menu } = await evaluate(
      `${load}\n${set}eval "submenu s { menuentry e { linux /vmlinuz } } # $y"\nmenuentry $y {\nlinux /vmlinuz $chosen\n}\n`,
      { "/grub/grubenv": grubenv("y=quiet\n") },
    );
    const [sub, chosen] = menu?.entries ?? [];
    const inner = sub?.outcome.kind === "menu" ? sub.outcome.menu.entries[0] : undefined;
    expect([inner?.inputs.length, chosen?.inputs.length]).toEqual([1, 1]);
  });

  test("a default that an unsigned value names is told, and taints no entry", async () => {
    const { menu, environments } = await evaluate(
      `${load}\n${set}set default="\${saved_entry}"\nmenuentry a {\nlinux /vmlinuz\n}\n`,
      { "/grub/grubenv": grubenv("saved_entry=a\n") },
    );
    expect([...(menu?.default?.inputs ?? [])].map(({ variable }) => variable)).toEqual(["saved_entry"]);
    expect(menu?.entries[0]?.inputs).toEqual([]);
    expect(environments.map(({ file }) => file.path)).toEqual(["/grub/grubenv"]);
  });
});

describe("limits", () => {
  const entry = "menuentry after {\nlinux /vmlinuz\n}\n";

  test.each<[string, string, Partial<GrubLimits>]>([
    [
      "while true; do true; done",
      "the configuration: more than 1000 steps, an endless loop? The rest is not run.",
      { stepsMax: 1000 },
    ],
    [
      "while true; do while true; do break; done; done",
      "the configuration: more than 1000 steps, an endless loop? The rest is not run.",
      { stepsMax: 1000 },
    ],
    ["function f { f; }\nf", "commands run 201 deep, at most 200 are taken", {}],
    [
      "a=xxxxxxxxxxxxxxxx\nwhile true; do a=$a$a; done",
      'variable "a": 65536 characters, at most 32768 are taken',
      { stepsMax: 30_000 },
    ],
    ["source /grub/grub.cfg", 'source "/grub/grub.cfg": files are taken 16 deep', {}],
    ["for i in 1 2 3 4 5 6; do source /s; done", 'source "/s": more than 4 files are read', { configReadsMax: 4 }],
    ["a=1; b=2; c=3", 'variable "c": at most 21 variables are taken', { variablesMax: 21 }],
    ["x=aaaa; set y=$x$x$x", "more than 10 characters in one command", { commandCharactersMax: 10 }],
    ["true a b c d e f", "more than 6 words in one command", { wordsMax: 6 }],
    ["regexp '(a*)*(a*)*(a*)*b' aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "", {}],
    [
      "regexp '(((a{200}){200}){200}){200}' a",
      'regexp: "(((a{200}){200}){200}){200}": the pattern is too large (2000 instructions)',
      {},
    ],
  ])("%s", async (script, message, limits) => {
    const result = await evaluate(`${script}\n`, { "/s": "true\n" }, limits);
    const found = result.problems.map(({ text }) => text);
    if (message === "") expect(found).toEqual([]);
    else expect(found).toContain(message);
  });

  test("a configuration or an environment block that is too large", async () => {
    const result = await evaluate(entry, {}, { configBytesMax: 10 });
    expect(result.problems.map(({ text }) => text)).toEqual(['read "/grub/grub.cfg": 35 bytes, at most 10 are taken']);
    const second = await evaluate("load_env\n", { "/grub/grubenv": grubenv("") }, { environmentBytesMax: 1000 });
    expect(second.problems.map(({ text }) => text)).toEqual([
      'load_env: read "/grub/grubenv": 1024 bytes, at most 1000 are taken',
    ]);
  });

  test("entries and menus", async () => {
    const result = await evaluate(entry.repeat(4), {}, { entriesMax: 3 });
    expect(result.menu?.entries.length).toBe(3);
    expect(messages(result)).toEqual(['/grub/grub.cfg:10: menuentry "after": at most 3 entries are taken']);
    const deep = `${"submenu s {\n".repeat(5)}${entry}${"}\n".repeat(5)}`;
    const { menu } = await evaluate(deep, {}, { menuDepthMax: 2 });
    let inner = menu?.entries[0];
    while (inner?.outcome.kind === "menu") inner = inner.outcome.menu.entries[0];
    expect(inner?.outcome.kind === "refused" ? inner.outcome.reason : "").toBe("menus are taken up to 2 deep");
  });

  test("one entry's endless loop leaves the next one", async () => {
    const { menu } = await evaluate(
      `menuentry loop {\nwhile true; do true; done\n}\n${entry}`,
      {},
      { entryStepsMax: 500 },
    );
    expect(menu?.entries.map(({ outcome }) => outcome.kind)).toEqual(["refused", "boot"]);
  });
});

test("scripts put together at random end and do not reject", async () => {
  const pieces = [
    "set a=$a$b",
    "for i in $a *",
    "; do",
    "done",
    "if [ $a -a ( ]",
    "; then",
    "fi",
    "while true",
    "menuentry $a",
    "{",
    "}",
    "submenu x",
    "linux /vmlinuz $a",
    "initrd /initrd",
    "source /grub/grub.cfg",
    "configfile $a",
    "load_env",
    "eval $a",
    "\n",
    "\n",
    "function f {",
    "f",
    "return",
    "break",
    "'",
    '"',
    "\\",
    "$",
    "regexp --set=a '(",
    "search --set=a -f /*",
    "normal",
    "export a",
    "loopback l /vmlinuz",
    "blscfg $a",
    "extract_entries_source $b",
    "extract_entries_configfile /grub/grub.cfg",
    "legacy_source /grub/grub.cfg",
    "syslinux_configfile /grub/grub.cfg",
    "multiboot2 /vmlinuz",
    "module2 /initrd $a",
    "save_env a",
    "boot",
  ];
  const random = randomNumbers(5);
  for (let round = 0; round < 400; round++) {
    const script = Array.from({ length: 1 + (random() % 20) }, () => pieces[random() % pieces.length] ?? "").join(" ");
    const limits = { stepsMax: 5000, entryStepsMax: 1000, allEntriesStepsMax: 5000 };
    await evaluate(`${script}\n`, { "/grub/grubenv": grubenv("a=eval\nb=/grub/grub.cfg\n") }, limits);
  }
});
