import { describe, expect, it } from "vitest";
import { Lvm2Section, lvm2NestingMax, parseLvm2Config } from "../../../src/formats/lvm2-config.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

/** A section as plain values. */
function plain(section: Lvm2Section): unknown {
  return Object.fromEntries(
    [...section.entries].map(([name, value]) => [name, value instanceof Lvm2Section ? plain(value) : value]),
  );
}

describe("parseLvm2Config", () => {
  const reads = (text: string, expected: unknown): void => expect(plain(parseLvm2Config(text))).toEqual(expected);
  it("nothing", () => reads("", {}));
  it("numbers and texts", () => reads('a = 1\nb = -2\nc = "x y"\nd=0.5', { a: 1, b: -2, c: "x y", d: 0.5 }));
  it("lists", () => reads('a = ["x", 2]\nb = []\nc = [ 1,\n 2 ]', { a: ["x", 2], b: [], c: [1, 2] }));
  it("sections", () => reads("a {\nb {\nc = 1\n}\n}\nd { }", { a: { b: { c: 1 } }, d: {} }));
  it("comments, also at the end", () => reads("# x\na = 1 # y }\n#z\n#w\nb = 2#", { a: 1, b: 2 }));
  it("escapes", () => reads(String.raw`a = "q\"b\\" b = 'q\'`, { a: 'q"b\\', b: "q\\" }));
  it("a name in quotation marks", () => reads('"a b" = 1', { "a b": 1 }));
  it("a name that begins with a digit", () => reads("3com = 1", { "3com": 1 }));
  it("the later of two values", () => reads("a = 1 a = 2", { a: 2 }));

  const refuses = (text: string, message: string): void =>
    expect(formatErrorOf(() => parseLvm2Config(text))).toBe(`LVM2 metadata: ${message}`);
  it("a section without an end", () =>
    refuses("a {\n b = 1", 'line 2: the text ends inside section "a", "}" expected'));
  it("an end without a section", () => refuses("a = 1\n}", 'line 2: a name expected, found "}"'));
  it("a name alone", () => refuses("a", 'line 1: "=" or "{" expected behind "a"'));
  it("no value", () => refuses("a = \n{", 'line 2: a number, a text or a list expected, found "{"'));
  it("a text without an end", () => refuses('a = "x\\"', "line 1: a text that does not end"));
  it("a list without commas", () => refuses("a = [1 2]", 'line 1: "," or "]" expected in a list'));
  it("a list without an end", () => refuses("a = [1,", 'line 1: a number, a text or a list expected, found ""'));
  it("sections too deep", () =>
    refuses("a {".repeat(lvm2NestingMax + 1), `line 1: more than ${lvm2NestingMax} sections inside one another`));

  it("long hostile texts take no longer than their length asks for", () => {
    for (const text of [
      '"'.repeat(3e5),
      '"\\'.repeat(3e5),
      "#\n".repeat(3e5),
      `a = ${"1".repeat(3e5)}x`,
      "[".repeat(3e5),
    ]) {
      const begin = performance.now();
      formatErrorOf(() => parseLvm2Config(text));
      expect(performance.now() - begin).toBeLessThan(1000);
    }
  });
  it("anything", () => {
    const bytes = new TextEncoder().encode('vg {\nid = "a" # c\nx = ["pv0", 0, -1]\nlv { a = "q\\"" }\n}\n');
    tortureParser({
      bytes,
      parse: (input) => parseLvm2Config(new TextDecoder("latin1").decode(input)),
      rounds: 2000,
      seed: 77,
    });
  });
});

describe("Lvm2Section", () => {
  const section = parseLvm2Config(
    's {\nn = 5\nt = "x"\nl = ["a", "b"]\nm = [1]\nq { }\nbig = 99999999999999999999\n}',
  ).section("s");
  const refuses = (read: () => unknown, message: string): void =>
    expect(formatErrorOf(read)).toBe(`LVM2 metadata: line 1: ${message}`);
  it("what is asked for", () => {
    expect([
      section.count("n"),
      section.text("t"),
      section.texts("l"),
      section.texts("t"),
      section.list("none"),
    ]).toEqual([5, "x", ["a", "b"], ["x"], []]);
  });
  it("another kind than asked for", () => {
    refuses(() => section.count("t"), '"t" in section "s": a whole number from 0 expected');
    refuses(() => section.count("big"), '"big" in section "s": a whole number from 0 expected');
    refuses(() => section.count("n", 6), '"n" in section "s": a whole number from 6 expected');
    refuses(() => section.text("n"), '"n" in section "s": a text expected');
    refuses(() => section.texts("m"), '"m" in section "s": a list of texts expected');
    refuses(() => section.list("q"), '"q" in section "s": a list expected');
    refuses(() => section.section("n"), '"n" in section "s": a section expected');
    refuses(() => section.section("none"), '"none" in section "s": a section expected');
  });
});
