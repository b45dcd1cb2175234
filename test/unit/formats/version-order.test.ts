import { describe, expect, test } from "vitest";
import { compareVersions } from "../../../src/formats/version-order.ts";

function expectOrder(a: string, sign: "<" | "==" | ">", b: string): void {
  const wanted = sign === "<" ? -1 : sign === ">" ? 1 : 0;
  expect(compareVersions(a, b), `"${a}" ${sign} "${b}"`).toBe(wanted);
  expect(compareVersions(b, a), `"${b}" against "${a}"`).toBe(wanted === 0 ? 0 : -wanted);
}

function expectAscending(versions: readonly string[]): void {
  for (const [index, version] of versions.entries()) {
    expectOrder(version, "==", version);
    for (const later of versions.slice(index + 1)) expectOrder(version, "<", later);
  }
}

describe("UAPI.10 Version Format Specification 1.0, Examples", () => {
  test.each([
    ["11", "==", "11"],
    ["systemd-123", "==", "systemd-123"],
    ["bar-123", "<", "foo-123"],
    ["123a", ">", "123"],
    ["123.a", ">", "123"],
    ["123.a", "<", "123.b"],
    ["123a", ">", "123.a"],
    ["11α", "==", "11β"],
    ["B", "<", "a"],
    ["", "<", "0"],
    ["0.", ">", "0"],
    ["0.0", ">", "0"],
    ["0", ">", "~"],
    ["", ">", "~"],
    ["1_", "==", "1"],
    ["_1", "==", "1"],
    ["1_", "<", "1.2"],
    ["1_2_3", ">", "1.3.3"],
    ["1+", "==", "1"],
    ["+1", "==", "1"],
    ["1+", "<", "1.2"],
    ["1+2+3", ">", "1.3.3"],
  ] as const)("'%s' %s '%s'", (a, sign, b) => expectOrder(a, sign, b));

  test("the row of ascending versions", () => {
    expectAscending(
      "122.1 < 123~rc1-1 < 123 < 123-a < 123-a.1 < 123-1 < 123-1.1 < 123^post1 < 123.a-1 < 123.1-1 < 123a-1 < 124-1".split(
        " < ",
      ),
    );
  });
});

// Every row was put to `systemd-analyze compare-versions` of systemd 252, which the specification names as its implementation.
describe("as systemd-analyze compare-versions", () => {
  test.each([
    ["1-", ">", "1"],
    ["1-", "<", "1-0"],
    ["1-", "<", "1^"],
    ["1-", "<", "1."],
    ["1^", "<", "1."],
    ["1^a", ">", "1-1"],
    ["1^a", "<", "1.1"],
    ["1a", ">", "1^"],
    ["1.a", "<", "1.1"],
    ["1-0", ">", "1-a"],
    ["1a", "<", "11"],
    ["a", "<", "0"],
    ["a", "<", "00"],
    ["a", "<", "0a"],
    ["Ab", "<", "a"],
    ["Z", "<", "a"],
    ["ab", ">", "a-"],
    ["007", "==", "7"],
    ["a_b", "<", "ab"],
    ["~~", ">", "~"],
    ["~0", ">", "~"],
    ["1~0", ">", "1~"],
    ["1~", "<", "1"],
    ["1~-", "<", "1-"],
    ["1-^", "<", "1-~"],
    ["~_1", "<", "~1"],
    ["1-_1", "<", "1-1"],
    ["1.~", "<", "1."],
    ["1.-1", "<", "1.1"],
    ["1.^", ">", "1.-"],
    ["1B9^", "<", "1+0"],
    ["1+0-~", ">", "1B~B.0a"],
    ["1_0", ">", "1_a9_0"],
    ["99999999999999999999999999", "<", "100000000000000000000000000"],
  ] as const)("'%s' %s '%s'", (a, sign, b) => expectOrder(a, sign, b));
});

test("kernel names as distributions write them, oldest first", () => {
  expectAscending([
    "5.9.0-1-amd64",
    "5.10.0-9-amd64",
    "5.10.0-28-amd64",
    "6.1.0-13-amd64",
    "6.1.0-21-amd64",
    "6.12.0-1-amd64",
  ]);
});

test("a megabyte of anything takes linear time", () => {
  for (const text of ["0", "1", "a", "~", "-", "_", "1.", "~_"].map((part) => part.repeat(1 << 19))) {
    expect(compareVersions(text, text)).toBe(0);
    expect(compareVersions(text, `${text}1`)).not.toBe(0);
  }
});
