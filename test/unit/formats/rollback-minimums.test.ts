import { describe, expect, it, test } from "vitest";
import { parseRollbackMinimums, writeRollbackMinimums } from "../../../src/formats/rollback-minimums.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const minimumsOf = (text: string): unknown => Object.fromEntries(parseRollbackMinimums(bytesOf(text)));
const product = (name: string, minimum: number): string => JSON.stringify({ name, minimum });
const document = (...products: string[]): string => `{"slipwayRollback":1,"products":[${products.join(",")}]}`;

describe("reads", () => {
  test.each<[string, unknown]>([
    [document(), {}],
    [document(product("acme-os", 7)), { "acme-os": 7 }],
    [document(product("a", 0), product("b", 9_007_199_254_740_991)), { a: 0, b: 9_007_199_254_740_991 }],
    [document(product("__proto__", 3)), JSON.parse('{"__proto__":3}')],
    [` ${document()}\n`, {}],
  ])("%s", (text, minimums) => expect(minimumsOf(text)).toEqual(minimums));
});

describe("refuses", () => {
  const refused = (text: string): string | null => formatErrorOf(() => parseRollbackMinimums(bytesOf(text)));
  test.each<[string, string]>([
    ["{}", "rollback minimums: slipwayRollback: missing, a whole number from 1 to 1 expected"],
    ["[]", "rollback minimums: a list, an object expected"],
    [
      '{"slipwayRollback":2,"products":[]}',
      "rollback minimums: slipwayRollback: 2, a whole number from 1 to 1 expected",
    ],
    [
      '{"slipwayRollback":1,"more":1}',
      'rollback minimums: unknown field "more", one of slipwayRollback, products expected',
    ],
    [document(product("a", 1), product("a", 2)), 'rollback minimums: products[1].name: a second product "a"'],
    [document(product("", 1)), "rollback minimums: products[0].name: a product's name expected"],
    [
      document(product("x".repeat(129), 1)),
      "rollback minimums: products[0].name: 129 characters, at most 128 are taken",
    ],
    [
      document(product("a", -1)),
      "rollback minimums: products[0].minimum: -1, a whole number from 0 to 9007199254740991 expected",
    ],
    [
      document(product("a", 1.5)),
      "rollback minimums: products[0].minimum: 1.5, a whole number from 0 to 9007199254740991 expected",
    ],
    [
      document('{"name":"a"}'),
      "rollback minimums: products[0].minimum: missing, a whole number from 0 to 9007199254740991 expected",
    ],
    [
      document(...Array.from({ length: 33 }, (_, index) => product(`p${index}`, 1))),
      "rollback minimums: products: 33 items, at most 32 are taken",
    ],
    [" ".repeat(32_769), "rollback minimums: 32769 bytes, at most 32768 are taken"],
  ])("%.60s", (text, message) => expect(refused(text)).toBe(message));

  it("what is no JSON", () => expect(refused(document().slice(0, -1))).toMatch(/^rollback minimums: JSON expected: /));
  it("what is no text", () => {
    expect(formatErrorOf(() => parseRollbackMinimums(Uint8Array.of(0xff)))).toBe(
      "rollback minimums: text in UTF-8 expected",
    );
  });
});

it("writes one line, products by name, that reads as it was", () => {
  const minimums = new Map([
    ["b", 2],
    ["a", 1],
  ]);
  const bytes = writeRollbackMinimums(minimums);
  expect(new TextDecoder().decode(bytes)).toBe(
    '{"slipwayRollback":1,"products":[{"name":"a","minimum":1},{"name":"b","minimum":2}]}\n',
  );
  expect(parseRollbackMinimums(bytes)).toEqual(new Map([...minimums].sort()));
});

it("writes nothing that it would not read", () => {
  expect(formatErrorOf(() => writeRollbackMinimums(new Map([["a", -1]])))).toMatch(/products\[0\]\.minimum: -1/);
});

it("hostile documents", () => {
  const bytes = bytesOf(document(product("acme-os", 7), product("other", 12)));
  tortureParser({ bytes, parse: parseRollbackMinimums, rounds: 3000, seed: 5 });
});
