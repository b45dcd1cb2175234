import { describe, expect, it } from "vitest";
import type { BootEntry, FoundMenu } from "../../../src/discovery/entry.ts";
import { isWanted, rank } from "../../../src/handoff/rank.ts";
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
