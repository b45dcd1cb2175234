import { describe, expect, test } from "vitest";
import {
  blsFragmentLinesMax,
  compareFragmentNames,
  compareRpmVersions,
  expandBlsValue,
  parseBlsFragment,
} from "../../../../src/formats/grub/bls-fragment.ts";
import { evaluateGrubConfig, type GrubEvaluation } from "../../../../src/formats/grub/evaluate.ts";
import { chooseDefault, type GrubEntry } from "../../../../src/formats/grub/menu.ts";
import { memoryGrubHost } from "../../../fakes/memory-grub-host.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";

// By hand from rhboot/grub2, commands/blscfg.c; there is no such module among Debian's to run.
describe("entry files", () => {
  test.each<[string, string[], number | null]>([
    ["title A b\nlinux /k\n", ["title=A b@1", "linux=/k@2"], null],
    ["  title A\r\n# note\n\tlinux\t/k", ["title=A@1", "linux=/k@3"], null],
    ["title\tA b\n", ["title\tA=b@1"], null],
    ["title   A\noptions \t x\n", ["title=A@1", "options=x@2"], null],
    ["title A\n\nlinux /k\n", ["title=A@1"], 2],
    ["title A\n\n", ["title=A@1"], null],
    ["title A\ninitrd\nlinux /k\n", ["title=A@1"], 2],
    ["title A\ninitrd \nlinux /k\n", ["title=A@1"], 2],
    ["", [], null],
  ])("%j", (text, expected, endsAt) => {
    const parsed = parseBlsFragment(text);
    expect(parsed.lines.map(({ key, value, line }) => `${key}=${value}@${line}`)).toEqual(expected);
    expect(parsed.endsAt).toBe(endsAt);
  });

  test("a file of too many lines", () => {
    const parsed = parseBlsFragment("a b\n".repeat(blsFragmentLinesMax + 2));
    expect([parsed.lines.length, parsed.endsAt]).toEqual([blsFragmentLinesMax, blsFragmentLinesMax + 1]);
  });
});

describe("order", () => {
  test.each<[string, string, number]>([
    ["1.0", "1.0", 0],
    ["1.10", "1.9", 1],
    ["1.0", "1.0~rc1", 1],
    ["1.0+git", "1.0", 1],
    ["1.0+git", "1.0.1", -1],
    ["1", "a", 1],
    ["a", "1", -1],
    ["007", "7", 0],
    ["1.0.1", "1.0", 1],
    ["a.b", "a_b", 0],
    ["a", "b", -1],
  ])("%s to %s", (a, b, expected) => {
    expect(compareRpmVersions(a, b)).toBe(expected);
    expect(compareRpmVersions(b, a)).toBe(0 - expected);
  });

  test.each<[string, string, number]>([
    ["id-5.14.0-70.el9.x86_64", "id-5.14.0-7.el9.x86_64", 1],
    ["id-5.14.0-1", "id-5.9.0-2", 1],
    ["id-0-rescue", "id-5.14.0-1", -1],
    ["ida-1-1", "idb-9-9", -1],
    ["a", "a-1", -1],
    ["a-1", "a-1-1", -1],
    ["a_b-1-1", "a.b-1-1", 0],
  ])("%s to %s", (a, b, expected) => {
    expect(compareFragmentNames(a, b)).toBe(expected);
  });
});

describe("variables in values", () => {
  const values: Readonly<Record<string, string>> = {
    kernelopts: "root=x ro",
    t: "T",
    tuned_params: "isolcpus=1",
    empty: "",
  };

  test.each<[string, string | null]>([
    ["root=UUID=1 ro quiet", "root=UUID=1 ro quiet"],
    ["$kernelopts", "root=x ro "],
    ["$kernelopts $tuned_params", "root=x ro isolcpus=1 "],
    ["ro $tuned_params quiet", "ro isolcpus=1 quiet"],
    ["$none", null],
    ["$none quiet", "quiet"],
    ["a=$kernelopts/x", "a=root=x ro /x"],
    [`$${"{"}kernelopts}x`, "{kernelopts}x"],
    ["memmap=64K$0x1", "memmap=64K"],
    ["$none$kernelopts", null],
    // What is one character long is lost.
    ["3", null],
    ["$t", null],
    ["$kernelopts 3", "root=x ro "],
    ["$empty quiet", " quiet"],
    ["", null],
  ])("%j", (value, expected) => {
    expect(expandBlsValue(value, (name) => values[name] ?? null)).toBe(expected);
  });

  test("mutated values end", () => {
    const random = randomNumbers(11);
    const pieces = ["$", "${", "}", "a", "kernelopts", " ", "$t", "_", "\u00e9"];
    for (let round = 0; round < 2000; round++) {
      const value = Array.from({ length: random() % 12 }, () => pieces[random() % pieces.length] ?? "").join("");
      const expanded = expandBlsValue(value, (name) => values[name] ?? null);
      expect((expanded ?? "").length).toBeLessThan(400);
      parseBlsFragment(value);
      compareFragmentNames(value, pieces.join("-"));
    }
  });
});

type Files = Readonly<Record<string, string>>;

const entry = (title: string, version: string, more = ""): string =>
  `title ${title}\nversion ${version}\nlinux /vmlinuz-${version}\ninitrd /initrd-${version}.img $tuned_initrd\noptions $kernelopts $tuned_params\n${more}`;

const fedora: Files = {
  "/loader/entries/6abc-5.14.0-1.el9.conf": entry(
    "Old",
    "5.14.0-1",
    "grub_users $grub_users\ngrub_arg --unrestricted\ngrub_class kernel\n",
  ),
  "/loader/entries/6abc-5.14.0-70.el9.conf": entry("New", "5.14.0-70", "architecture x64\n"),
  "/loader/entries/6abc-0-rescue.conf": "title Rescue\nlinux /vmlinuz-r\noptions ro\n",
  ...Object.fromEntries(["5.14.0-1", "5.14.0-70", "r"].map((version) => [`/vmlinuz-${version}`, "k"])),
  ...Object.fromEntries(["5.14.0-1", "5.14.0-70"].map((version) => [`/initrd-${version}.img`, "i"])),
  "/early.img": "i",
};

function evaluate(script: string, files: Files = fedora): Promise<GrubEvaluation> {
  const host = memoryGrubHost({
    "hd0,gpt2": { files: { "/grub2/grub.cfg": script, ...files } },
    "hd0,gpt3": { files: { "/e/x-1-1.conf": "title X\nlinux /k\n" } },
  });
  return evaluateGrubConfig(host, { device: "hd0,gpt2", path: "/grub2/grub.cfg" });
}

function described({ title, id, outcome }: GrubEntry): string {
  if (outcome.kind !== "boot") return `${title} ${outcome.kind === "refused" ? outcome.reason : "menu"}`;
  const { kernel, initrds, devicetree, options } = outcome.load;
  const uses = [kernel, ...initrds, ...(devicetree === null ? [] : [devicetree])];
  return `${id}: ${uses.map((use) => use.path ?? use.problem).join(" ")} [${options}]`;
}

const menuOf = async (script: string, files?: Files): Promise<string[] | undefined> =>
  (await evaluate(script, files)).menu?.entries.map(described);

describe("blscfg", () => {
  test("newest first, with the variables of the environment", async () => {
    const script =
      "set kernelopts='root=/dev/sda1 ro'\nset tuned_params=isolcpus=1\nfunction load_video { x=1; }\nblscfg\n";
    const { menu, problems } = await evaluate(script);
    expect(menu?.entries.map(described)).toEqual([
      "6abc-5.14.0-70.el9: /vmlinuz-5.14.0-70 /initrd-5.14.0-70.img [root=/dev/sda1 ro isolcpus=1]",
      "6abc-5.14.0-1.el9: /vmlinuz-5.14.0-1 /initrd-5.14.0-1.img [root=/dev/sda1 ro isolcpus=1]",
      "6abc-0-rescue: /vmlinuz-r [ro]",
    ]);
    expect(problems).toEqual([]);
    const [, old] = menu?.entries ?? [];
    expect([old?.title, old?.classes, old?.bls?.fileName, old?.bls?.version, old?.place]).toEqual([
      "Old",
      ["kernel"],
      "6abc-5.14.0-1.el9.conf",
      "5.14.0-1",
      { file: { device: "hd0,gpt2", path: "/loader/entries/6abc-5.14.0-1.el9.conf" }, line: 1 },
    ]);
    expect(old?.configs.map(({ file }) => file.path)).toEqual([
      "/loader/entries/6abc-5.14.0-1.el9.conf",
      "/grub2/grub.cfg",
    ]);
    const load = old?.outcome.kind === "boot" ? old.outcome.load : null;
    expect(load?.variables.map(({ name, value }) => `${name}=${value}`)).toEqual([
      "kernelopts=root=/dev/sda1 ro",
      "tuned_params=isolcpus=1",
      "root=hd0,gpt2",
    ]);
  });

  test.each<[string, string[]]>([
    ["blscfg", ["5.14.0-70", "5.14.0-1", "r"]],
    ["blscfg\nblscfg", ["5.14.0-70", "5.14.0-1", "r"]],
    ["default=1\nblscfg default", ["5.14.0-1"]],
    ["default=Old\nblscfg non-default", ["5.14.0-70", "r"]],
    ["default=6abc-0-rescue\nblscfg default\nblscfg non-default", ["r", "5.14.0-70", "5.14.0-1"]],
    ["blscfg 6abc-0-rescue", ["r"]],
    ["blscfg (hd0,gpt2)/loader/entries/6abc-0-rescue.conf", ["r"]],
    ["blsdir=/none\nblscfg", []],
  ])("%s", async (script, expected) => {
    const { menu } = await evaluate(`${script}\n`);
    const kernels = menu?.entries.map(({ outcome }) => (outcome.kind === "boot" ? outcome.load.kernel.path : null));
    expect(kernels ?? []).toEqual(expected.map((version) => `/vmlinuz-${version}`));
  });

  test("what is not the default stands in a sub-menu", async () => {
    const { menu } = await evaluate("default=0\nblscfg default\nsubmenu more {\nblscfg non-default\n}\n");
    const inner = menu?.entries[1]?.outcome;
    expect(menu?.entries[0]?.title).toBe("New");
    // The sub-menu has no `default`: every entry that is not in a menu yet is in it.
    expect(inner?.kind === "menu" ? inner.menu.entries.map(({ title, number }) => `${number} ${title}`) : null).toEqual(
      ["1>0 Old", "1>1 Rescue"],
    );
  });

  test("places", async () => {
    expect(await menuOf("blscfg\n", { "/boot/loader/entries/a-1-1.conf": "linux /k\n", "/k": "k" })).toEqual([
      "a-1-1: /k []",
    ]);
    expect(await menuOf("blsdir=/x\nblscfg\n", { "/x/a-1-1.conf": "linux /k\n", "/k": "k" })).toEqual(["a-1-1: /k []"]);
    expect(await menuOf("blscfg (hd0,gpt3)/e\n", { "/k": "k" })).toEqual(["x-1-1: /k []"]);
    const { problems } = await evaluate("blscfg\n", {});
    expect(problems.map(({ text }) => text)).toEqual([
      'blscfg: no directory of entries: "/loader/entries/" nor "/boot/loader/entries/"',
    ]);
  });

  test("default_kernelopts, early_initrd, devicetree", async () => {
    const one = (text: string, script = ""): Promise<string[] | undefined> =>
      menuOf(`${script}\nblscfg\n`, {
        "/loader/entries/a-1-1.conf": text,
        "/b/k": "k",
        "/b/i": "i",
        "/b/e1": "i",
        "/b/e2": "i",
        "/b/t.dtb": "t",
      });
    expect(await one("linux /b/k\n", "default_kernelopts='quiet splash'")).toEqual(["a-1-1: /b/k [quiet splash]"]);
    expect(await one("linux /b/k\noptions $x\n", "default_kernelopts=quiet")).toEqual(["a-1-1: /b/k [quiet]"]);
    expect(await one("linux /b/k\ninitrd /b/i\n", "early_initrd='e1 e2'")).toEqual(["a-1-1: /b/k /b/e1 /b/e2 /b/i []"]);
    expect(await one("linux /b/k\n", "early_initrd=e1")).toEqual(["a-1-1: /b/k /b/e1 []"]);
    expect(await one("linux /b/k\ndevicetree /b/t.dtb\n")).toEqual(["a-1-1: /b/k /b/t.dtb []"]);
    expect(await one("linux /b/k\n", "devicetree=t.dtb")).toEqual(["a-1-1: /b/k /b/t.dtb []"]);
    expect(await one("linux /b/k\noptions a=\"b c\" d='e' f;\n")).toEqual(['a-1-1: /b/k ["a=b c" d=e f]']);
  });

  test("what cannot be an entry is told with file and line", async () => {
    const { problems, menu } = await evaluate("blscfg\n", {
      "/loader/entries/a-1-1.conf": "title A\n",
      "/loader/entries/b-1-1.conf": "title B\nefi /b.efi\n",
      "/loader/entries/c-1-1.conf": "linux /k\n\noptions x\n",
      "/loader/entries/.d-1-1.conf": "linux /k\n",
      "/k": "k",
    });
    expect(problems.map(({ file, line, text }) => `${file.path}:${line} ${text}`)).toEqual([
      "/loader/entries/c-1-1.conf:2 a line without a value: GRUB reads no further",
      '/loader/entries/b-1-1.conf:2 blscfg: "efi" "/b.efi" starts an EFI program',
      '/loader/entries/a-1-1.conf:1 blscfg: no "linux" key: nothing to start',
    ]);
    expect(menu?.entries.map(described)).toEqual(["c-1-1: /k []"]);
  });

  test("unsigned variables are told", async () => {
    const env = "# GRUB Environment Block\nkernelopts=root=/dev/sda1\n".padEnd(1024, "#");
    const { menu } = await evaluate("load_env\nblscfg\n", { ...fedora, "/grub2/grubenv": env });
    expect(menu?.entries.map(({ inputs }) => inputs.map(({ variable }) => variable))).toEqual([
      ["kernelopts"],
      ["kernelopts"],
      [],
    ]);
  });

  // Fedora's menu.c: an id, else a title, else a number with nothing behind it; `fallback` likewise.
  test.each<[string, string | null, string]>([
    ["6abc-0-rescue", null, "Rescue"],
    ["Old", null, "Old"],
    ["1", null, "Old"],
    ["6abc", null, "New"],
    ["New", "6abc-0-rescue", "Rescue"],
    ["New", "nothing 1", "none"],
    ["New", "2 1", "Rescue"],
  ])("default=%s fallback=%s", async (value, fallback, expected) => {
    const { menu } = await evaluate(
      `default='${value}'\n${fallback === null ? "" : `fallback='${fallback}'\n`}blscfg\n`,
    );
    if (menu === null) throw new Error("no menu");
    const choice = chooseDefault(menu, ({ title }) => fallback === null || title !== "New");
    expect(choice.entry?.title ?? "none").toBe(expected);
  });
});
