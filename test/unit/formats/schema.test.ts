import { describe, expect, it } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import {
  choice,
  choiceList,
  flag,
  integer,
  jsonSchema,
  list,
  listSettings,
  optionalInteger,
  optionalText,
  optionalTime,
  parseTime,
  readSection,
  section,
  textList,
  withoutDefaults,
} from "../../../src/formats/schema.ts";

const schema = section("A test", {
  mode: choice({ choices: ["slow", "fast"], default: "slow", doc: "How." }),
  name: optionalText({ charactersMax: 4, default: null, overridable: true, doc: "Who." }),
  limits: section("Bounds", {
    seconds: integer({ default: 10, min: 0, max: 60, unit: "seconds", overridable: true, doc: "How long." }),
    strict: flag({ default: false, doc: "Whether." }),
  }),
});

const read = (value: unknown): unknown => readSection(schema, value, "test.json");
const refuses = (value: unknown, message: string): void => {
  let error: unknown;
  try {
    read(value);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(FormatError);
  expect(error instanceof Error && error.message).toBe(message);
};

describe("readSection", () => {
  it("fills in defaults at every depth", () => {
    const defaults = { mode: "slow", name: null, limits: { seconds: 10, strict: false } };
    expect(read({})).toEqual(defaults);
    expect(read({ limits: {} })).toEqual(defaults);
  });
  it("takes what is given", () => {
    const value = { mode: "fast", name: "abcd", limits: { seconds: 0, strict: true } };
    expect(read(value)).toEqual(value);
    expect(read({ name: null })).toMatchObject({ name: null });
  });

  it("unknown field", () =>
    refuses({ colour: 1 }, 'test.json: unknown field "colour", one of mode, name, limits expected'));
  it("unknown field in a section", () =>
    refuses({ limits: { minutes: 1 } }, 'test.json: unknown field "limits.minutes", one of seconds, strict expected'));
  it("a field of every object is not one of the schema", () => {
    refuses({ toString: 1 }, 'test.json: unknown field "toString", one of mode, name, limits expected');
    refuses(JSON.parse('{"__proto__":{}}'), 'test.json: unknown field "__proto__", one of mode, name, limits expected');
  });
  it("no object", () => {
    refuses([], 'test.json: "[]", an object expected');
    refuses(null, 'test.json: "null", an object expected');
    refuses("x", 'test.json: "\\"x\\"", an object expected');
    refuses(undefined, 'test.json: "nothing", an object expected');
  });
  it("a section that is none", () => {
    refuses({ limits: 3 }, 'test.json: limits: "3", an object expected');
    refuses({ limits: null }, 'test.json: limits: "null", an object expected');
    refuses({ limits: [] }, 'test.json: limits: "[]", an object expected');
  });
  for (const value of [-1, 61, 1.5, "10", null, true, Number.NaN, 1e300]) {
    it(`no integer: ${String(value)}`, () =>
      refuses(
        { limits: { seconds: value } },
        `test.json: limits.seconds: ${JSON.stringify(JSON.stringify(value))}, whole number of seconds, 0 to 60 expected`,
      ));
  }
  it("no flag", () => refuses({ limits: { strict: 1 } }, 'test.json: limits.strict: "1", true or false expected'));
  it("no choice", () => refuses({ mode: "Slow" }, 'test.json: mode: "\\"Slow\\"", one of "slow", "fast" expected'));
  it("text that is too long", () =>
    refuses({ name: "abcde" }, 'test.json: name: "\\"abcde\\"", text of at most 4 characters, or null expected'));
});

describe("fromText", () => {
  const settings = new Map(listSettings(schema).map(({ path, setting }) => [path, setting]));
  const reads = (path: string, text: string, value: unknown): void =>
    expect(settings.get(path)?.fromText(text)).toBe(value);
  it("integers are decimal digits", () => {
    reads("limits.seconds", "60", 60);
    reads("limits.seconds", "007", 7);
    for (const text of ["", "-1", "0x10", "1e3", " 1", "1.0", "9".repeat(16)]) reads("limits.seconds", text, undefined);
  });
  it("a flag without a value is true", () => {
    reads("limits.strict", "", true);
    reads("limits.strict", "true", true);
    reads("limits.strict", "false", false);
    for (const text of ["1", "yes", "TRUE"]) reads("limits.strict", text, undefined);
  });
});

describe("what the documentation is made of", () => {
  it("listSettings has every setting in order", () => {
    expect(listSettings(schema).map(({ path, setting }) => `${path}: ${setting.type} ${setting.overridable}`)).toEqual([
      'mode: one of "slow", "fast" false',
      "name: text of at most 4 characters, or null true",
      "limits.seconds: whole number of seconds, 0 to 60 true",
      "limits.strict: true or false false",
    ]);
  });
  it("jsonSchema says the same to other tools", () => {
    expect(jsonSchema(schema)).toEqual({
      type: "object",
      description: "A test",
      additionalProperties: false,
      properties: {
        mode: { enum: ["slow", "fast"], default: "slow", description: "How." },
        name: { type: ["string", "null"], maxLength: 4, default: null, description: "Who." },
        limits: {
          type: "object",
          description: "Bounds",
          additionalProperties: false,
          properties: {
            seconds: { type: "integer", minimum: 0, maximum: 60, default: 10, description: "How long." },
            strict: { type: "boolean", default: false, description: "Whether." },
          },
        },
      },
    });
  });
});

describe("lists, times and numbers that may be left out", () => {
  const rich = section("A test", {
    words: textList({ itemsMax: 2, charactersMax: 3, default: ["a"], doc: "Words." }),
    kinds: choiceList({ choices: ["x", "y"], default: ["x", "y"], doc: "Kinds." }),
    from: optionalTime({ default: null, doc: "When." }),
    port: optionalInteger({ default: null, min: 1, max: 9, unit: "ports", doc: "Where." }),
    inner: section("Inner", { on: flag({ default: true, doc: "Whether." }) }),
    rules: list({
      doc: "Rules.",
      itemsMax: 2,
      item: { name: optionalText({ charactersMax: 4, default: null, doc: "" }) },
    }),
  });
  const readRich = (value: unknown): unknown => readSection(rich, value, "test.json");
  const refusesRich = (value: unknown, message: string): void =>
    expect(() => readRich(value)).toThrow(`test.json: ${message}`);
  const defaults = { words: ["a"], kinds: ["x", "y"], from: null, port: null, inner: { on: true }, rules: [] };

  it("have defaults", () => expect(readRich({})).toEqual(defaults));
  it("take what is given", () => {
    const value = {
      words: ["abc", ""],
      kinds: ["y"],
      from: "2026-11-20T09:30:00Z",
      port: 9,
      inner: { on: false },
      rules: [{ name: "one" }, { name: null }],
    };
    expect(readRich(value)).toEqual(value);
    expect(readRich({ rules: [{}] })).toEqual({ ...defaults, rules: [{ name: null }] });
  });
  it("refuse what does not fit, with its place", () => {
    refusesRich(
      { words: ["a", "b", "c"] },
      'words: "[\\"a\\",\\"b\\",\\"c\\"]", list of up to 2 texts of at most 3 characters expected',
    );
    refusesRich({ kinds: ["x", "x"] }, 'kinds: "[\\"x\\",\\"x\\"]", list of "x", "y" expected');
    refusesRich({ rules: {} }, 'rules: "{}", a list of up to 2 objects expected');
    refusesRich({ rules: [{}, {}, {}] }, "rules: 3 items, a list of up to 2 objects expected");
    refusesRich(
      { rules: [{}, { name: "abcde" }] },
      'rules[1].name: "\\"abcde\\"", text of at most 4 characters, or null expected',
    );
    refusesRich({ rules: [{ no: 1 }] }, 'unknown field "rules[0].no", one of name expected');
    refusesRich({ port: 0 }, 'port: "0", whole number of ports, 1 to 9, or null expected');
  });
  it("days that are not there are no times", () => {
    expect(parseTime("2026-11-20")).toBe(1795132800000);
    expect(parseTime("2026-11-20T00:00:01Z")).toBe(1795132801000);
    for (const text of [
      "2026-02-29",
      "2026-13-01",
      "2026-11-20T25:00:00Z",
      "2026-11-20T09:30Z",
      "20261120",
      " 2026-11-20",
    ]) {
      expect(parseTime(text)).toBeNull();
    }
  });
  it("withoutDefaults leaves what somebody chose", () => {
    const lean = (value: object): unknown => withoutDefaults(rich, readSection(rich, value, "test.json"));
    expect(lean({})).toEqual({});
    expect(lean({ inner: {}, kinds: ["x", "y"] })).toEqual({});
    expect(lean({ rules: [{}, { name: "one" }], kinds: ["y", "x"], inner: { on: false } })).toEqual({
      kinds: ["y", "x"],
      inner: { on: false },
      rules: [{}, { name: "one" }],
    });
  });
});
