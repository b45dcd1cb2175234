import { describe, expect, it } from "vitest";
import type { BootEntry, FoundMenu } from "../../../src/discovery/entry.ts";
import { isWanted, type Ranking, rank } from "../../../src/handoff/rank.ts";
import { type EfiChoices, noEfiChoices } from "../../../src/machine/efi-variables.ts";
import { bootEntry } from "../../fakes/boot-entry.ts";

const entry = (id: string, own: Partial<BootEntry> = {}): BootEntry => bootEntry({ id, title: `Title ${id}`, ...own });
const menu = (volume: string, ids: readonly string[], own: Partial<FoundMenu> = {}): FoundMenu => ({
  volume,
  format: "bls1",
  entries: ids.map((id) => entry(id)),
  skipped: [],
  defaultId: null,
  defaultReason: "",
  timeoutSeconds: null,
  ...own,
});

const order = (menus: readonly FoundMenu[], wanted: string | null = null): string[] =>
  rank(menus, wanted).order.map((item) => item.entry.id);

describe("rank", () => {
  const first = menu("vda1", ["a", "b", "c"], { defaultId: "b", defaultReason: 'default="b"', timeoutSeconds: 5 });
  const second = menu("vdb1", ["d", "e"], { format: "grub", timeoutSeconds: 9 });

  it("each menu's default first, then menu order, menus in device order", () => {
    expect(order([first, second])).toEqual(["b", "a", "c", "d", "e"]);
    expect(rank([first, second], null)).toMatchObject({
      defaultId: "b",
      defaultReason: 'default="b", on vda1',
      timeoutSeconds: 5,
    });
    expect(rank([first, second], null).order.map((item) => item.reason)).toEqual([
      'default="b", on vda1',
      "next in the bls1 menu on vda1",
      "next in the bls1 menu on vda1",
      "next in the grub menu on vdb1",
      "next in the grub menu on vdb1",
    ]);
  });
  it("a default that is not offered is passed over", () => {
    expect(order([menu("vda1", ["a", "b"], { defaultId: "gone" })])).toEqual(["a", "b"]);
  });
  it("why a menu has no default is told by the entry that stands in its place", () => {
    const windows = menu("vda1", ["a", "b"], { defaultReason: 'default="0", which is not offered' });
    expect(rank([windows], null).order.map((item) => item.reason)).toEqual([
      'default="0", which is not offered; next in the bls1 menu on vda1',
      "next in the bls1 menu on vda1",
    ]);
  });
  it("what the operator names comes first, with its menu's time-out", () => {
    expect(order([first, second], "e")).toEqual(["e", "b", "a", "c", "d"]);
    expect(rank([first, second], "e")).toMatchObject({
      defaultId: "e",
      defaultReason: 'the configuration\'s entry "e" names it',
      timeoutSeconds: 9,
    });
  });
  it("a pattern may name several, which keep their order", () => {
    expect(order([first, second], "[cde]")).toEqual(["c", "d", "e", "b", "a"]);
  });
  it("a name that was not found is told, and the rest is as without it", () => {
    expect(rank([first], "zz")).toMatchObject({
      defaultId: "b",
      defaultReason: 'entry "zz" was not found; default="b", on vda1',
    });
  });
  it("an empty menu in front has no say", () => {
    expect(rank([menu("vda1", [], { timeoutSeconds: 3 }), second], null)).toMatchObject({
      defaultId: "d",
      timeoutSeconds: 9,
    });
  });
  it("a menu that lost says to which one, and why", () => {
    const lost = (own: Partial<FoundMenu>): string | undefined =>
      rank([first, menu("vdb1", ["d"], { defaultId: "d", defaultReason: 'default="0"', ...own })], null).order.at(-1)
        ?.reason;
    expect(lost({ format: "grub" })).toBe(
      'default="0", on vdb1, behind the bls1 menu on vda1, which comes first in the order of devices',
    );
    expect(lost({ format: "grub", volume: "vda1" })).toBe(
      'default="0", on vda1, behind the bls1 menu on the same volume, which is preferred',
    );
  });
  it("what lies in images comes after every other volume's entries", () => {
    const stick = menu("vda1", ["i"], { format: "loopback", defaultId: "i", defaultReason: "first" });
    expect(order([stick, second])).toEqual(["d", "e", "i"]);
    expect(rank([stick, second], null).order.at(-1)?.reason).toBe(
      "first, on vda1, behind the grub menu on vdb1: images come last",
    );
  });
  it("what has no tries left comes after every other volume's entries", () => {
    const spent = menu("vda1", [], { entries: [entry("s", { tries: { left: 0, done: 3 } })], defaultId: "s" });
    expect(order([spent, second])).toEqual(["d", "e", "s"]);
    expect(order([spent])).toEqual(["s"]);
    expect(order([spent, second], "s")).toEqual(["s", "d", "e"]);
  });
  it("nothing", () => {
    expect(rank([], null)).toEqual({
      order: [],
      defaultId: null,
      defaultReason: "no boot entry was found",
      timeoutSeconds: null,
    });
    expect(rank([], "x").defaultReason).toBe('entry "x" was not found; no boot entry was found');
  });
});

describe("isWanted", () => {
  const one = entry("vda1:grub:1>0", { title: "Debian [rescue]", aliases: ["gnulinux-6.1"] });
  const rows: readonly (readonly [string, boolean])[] = [
    ["vda1:grub:1>0", true],
    ["Debian [rescue]", true],
    ["gnulinux-6.1", true],
    ["gnulinux-*", true],
    ["*:grub:*", true],
    ["Debian ?rescue?", true],
    ["Debian", false],
    ["debian [rescue]", false],
    ["", false],
    ["[", false],
  ];
  for (const [wanted, answer] of rows)
    it(`${JSON.stringify(wanted)}: ${answer}`, () => expect(isWanted(one, wanted)).toBe(answer));
  it("a title that is no valid pattern is compared as it is", () => {
    expect(isWanted(entry("x", { title: "broken [" }), "broken [")).toBe(true);
  });
});

describe("EFI variables", () => {
  const specified = (id: string, name: string, own: Partial<BootEntry> = {}): BootEntry =>
    entry(id, { aliases: [name, `${name}.conf`], ...own });
  const menus = [
    menu("vda1", [], {
      entries: [specified("a", "debian-6.1"), specified("b", "debian-6.12"), specified("c", "rescue")],
      defaultId: "a",
      defaultReason: "first in Boot Loader Specification order",
      timeoutSeconds: 5,
    }),
    menu("vdb1", [], { format: "grub", entries: [entry("g", { format: "grub", aliases: ["rescue.conf"] })] }),
  ];
  const ranked = (choices: Partial<EfiChoices>, wanted: string | null = null): Ranking =>
    rank(menus, wanted, { ...noEfiChoices, ...choices });
  const ids = (ranking: Ranking): string => ranking.order.map((item) => item.entry.id).join("");

  it("once, then preferred, then default, then the menus", () => {
    const all = ranked({ oneShot: "rescue.conf", preferred: "debian-6.12", default: "debian-6.1.conf" });
    expect(ids(all)).toBe("cbag");
    expect(all.order.map((item) => item.reason).slice(0, 3)).toEqual([
      'the EFI variable LoaderEntryOneShot says "rescue.conf"',
      'the EFI variable LoaderEntryPreferred says "debian-6.12"',
      'the EFI variable LoaderEntryDefault says "debian-6.1.conf"',
    ]);
  });
  it("the operator's configuration comes before them", () => {
    expect(ids(ranked({ oneShot: "rescue.conf" }, "b"))).toBe("bcag");
  });
  it("patterns, and case does not matter", () => {
    expect(ids(ranked({ default: "DEBIAN-6.1?.conf" }))).toBe("bacg");
  });
  it("entries of other formats are never meant", () => {
    expect(ids(rank(menus.slice(1), null, { ...noEfiChoices, default: "rescue.conf" }))).toBe("g");
  });
  it("a name that is not offered is told", () => {
    expect(ranked({ default: "gone.conf" })).toMatchObject({
      defaultId: "a",
      defaultReason:
        'the EFI variable LoaderEntryDefault says "gone.conf", which is not offered; first in Boot Loader Specification order, on vda1',
    });
  });
  it("@saved is the entry that was booted last", () => {
    const saved = ranked({ default: "@saved", lastBooted: "rescue.conf" });
    expect(ids(saved)).toBe("cabg");
    expect(saved.defaultReason).toBe(
      'the EFI variable LoaderEntryLastBooted (LoaderEntryDefault: @saved) says "rescue.conf"',
    );
    expect(ids(ranked({ default: "@saved" }))).toBe("abcg");
  });
  it("an exhausted entry is chosen once only, not for ever", () => {
    const spent = [
      menu("vda1", [], { entries: [specified("a", "a"), specified("x", "x", { tries: { left: 0, done: 3 } })] }),
    ];
    const choose = (choices: Partial<EfiChoices>): Ranking => rank(spent, null, { ...noEfiChoices, ...choices });
    expect(ids(choose({ oneShot: "x" }))).toBe("xa");
    expect(ids(choose({ default: "x" }))).toBe("ax");
    expect(choose({ default: "x" }).defaultReason).toBe(
      'the EFI variable LoaderEntryDefault says "x", which has no tries left; next in the bls1 menu on vda1',
    );
  });
  it("the time-out is theirs for a menu of the specification", () => {
    const timeoutVariable = "LoaderConfigTimeout";
    expect(ranked({ timeoutVariable, timeoutSeconds: 0 }).timeoutSeconds).toBe(0);
    expect(ranked({ timeoutVariable, timeoutSeconds: null }).timeoutSeconds).toBe(null);
    expect(ranked({ timeoutSeconds: null }).timeoutSeconds).toBe(5);
    expect(rank(menus.slice(1), null, { ...noEfiChoices, timeoutVariable, timeoutSeconds: 7 }).timeoutSeconds).toBe(
      null,
    );
  });
});
