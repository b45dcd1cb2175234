import { describe, expect, test } from "vitest";
import { decodeBase64, encodeBase64 } from "../../../src/formats/base64.ts";
import { formatErrorOf } from "../../fakes/hostile-input.ts";

// RFC 4648, section 10.
const vectors = [
  ["", ""],
  ["f", "Zg=="],
  ["fo", "Zm8="],
  ["foo", "Zm9v"],
  ["foob", "Zm9vYg=="],
  ["fooba", "Zm9vYmE="],
  ["foobar", "Zm9vYmFy"],
] as const;

test.each(vectors)("%j", (text, base64) => {
  expect(encodeBase64(new TextEncoder().encode(text))).toBe(base64);
  expect(new TextDecoder().decode(decodeBase64(base64, "test", {}))).toBe(text);
});

test("every byte, at every place of a group", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  for (const start of [0, 1, 2]) {
    const text = Buffer.from(bytes.subarray(start)).toString("base64");
    expect(encodeBase64(bytes.subarray(start))).toBe(text);
    expect(decodeBase64(text, "test", {})).toEqual(bytes.subarray(start));
  }
});

describe("refused", () => {
  test.each([
    ["Zg", "base64 in groups of 4 characters expected, not 2 characters"],
    ["Zm9v\n", "base64 in groups of 4 characters expected, not 5 characters"],
    ["Zm9 ", 'base64 expected, not " "'],
    ["Z===", 'base64 expected, not "="'],
    ["Zg==Zg==", 'base64 expected, not "="'],
    ["Zm-_", 'base64 expected, not "-"'],
    ["Zh==", "unused bits of base64 are not zero"],
    ["Zm9=", "unused bits of base64 are not zero"],
  ])("%j", (text, reason) => {
    expect(formatErrorOf(() => decodeBase64(text, "test", { line: 3 }))).toBe(`test: line 3: ${reason}`);
  });
});
