import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, it, test } from "vitest";
import { type EfiChoices, noEfiChoices, readEfiChoices } from "../../../src/machine/efi-variables.ts";

const vendor = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

/** A directory as efivarfs shows it; text becomes attributes 7, UTF-16 and NUL. */
function variables(values: Readonly<Record<string, string | Uint8Array>>): string {
  const directory = mkdtempSync(path.join(tmpdir(), "slipway-efivars-"));
  directories.push(directory);
  for (const [name, value] of Object.entries(values)) {
    const bytes =
      typeof value === "string" ? Buffer.concat([Buffer.of(7, 0, 0, 0), Buffer.from(`${value}\0`, "utf16le")]) : value;
    writeFileSync(path.join(directory, `${name}-${vendor}`), bytes);
  }
  return directory;
}

function expectChoices(values: Readonly<Record<string, string | Uint8Array>>, wanted: Partial<EfiChoices>): void {
  expect(readEfiChoices(variables(values))).toEqual({ ...noEfiChoices, ...wanted });
}

it("every choice", () => {
  expectChoices(
    {
      LoaderEntryOneShot: "once.conf",
      LoaderEntryPreferred: "preferred-*",
      LoaderEntryDefault: "@saved",
      LoaderEntryLastBooted: "last.efi",
      LoaderEntrySelected: "other.conf",
      LoaderConfigTimeout: "5",
    },
    {
      oneShot: "once.conf",
      preferred: "preferred-*",
      default: "@saved",
      lastBooted: "last.efi",
      timeoutVariable: "LoaderConfigTimeout",
      timeoutSeconds: 5,
    },
  );
});

it("nothing where nothing is", () => {
  expectChoices({}, {});
  expect(readEfiChoices("/nowhere")).toEqual(noEfiChoices);
  expectChoices({ LoaderEntryDefault: "", LoaderEntryOneShot: new Uint8Array(0) }, {});
});

describe("timeouts", () => {
  test.each<[string, number | null]>([
    ["0", 0],
    ["7", 7],
    ["menu-force", null],
    ["menu-hidden", 0],
    ["menu-disabled", 0],
    ["99999999999999999999", 4_294_967_291],
  ])("%s", (value, timeoutSeconds) =>
    expectChoices({ LoaderConfigTimeout: value }, { timeoutVariable: "LoaderConfigTimeout", timeoutSeconds }),
  );
  test.each<[string, number | null]>([
    ["7", 7],
    // The menu is shown until somebody chooses.
    ["0", null],
    ["menu-force", null],
    ["menu-hidden", 0],
  ])("once: %s, whatever the lasting one says", (value, timeoutSeconds) =>
    expectChoices(
      { LoaderConfigTimeout: "3", LoaderConfigTimeoutOneShot: value },
      { timeoutVariable: "LoaderConfigTimeoutOneShot", timeoutSeconds },
    ),
  );
});

describe("one that is broken costs itself", () => {
  const good = { LoaderEntryPreferred: "good.conf" };
  test.each<[string, string | Uint8Array, string]>([
    [
      "LoaderEntryDefault",
      Uint8Array.of(7, 0),
      "efi variable: offset 0, attributes: 4 byte(s) expected, the input ends at 2",
    ],
    ["LoaderEntryDefault", Uint8Array.of(7, 0, 0, 0, 0x61), "efi variable: 1 bytes of text: an even number expected"],
    ["LoaderEntryOneShot", "a\u001b[2J", 'efi variable: printable text expected, not "a\\u{1b}[2J"'],
    [
      "LoaderConfigTimeout",
      "soon",
      'loader.conf: timeout "soon": seconds up to 4294967291, "menu-force", "menu-hidden" or "menu-disabled" expected',
    ],
  ])("%s: %j", (name, value, problem) =>
    expectChoices(
      { ...good, [name]: value },
      { preferred: "good.conf", problems: [`EFI variable ${name}: ${problem}`] },
    ),
  );
  it("one that is too long, or no file", () => {
    const directory = variables({ ...good, LoaderEntryDefault: new Uint8Array(70_000) });
    mkdirSync(path.join(directory, `LoaderEntryLastBooted-${vendor}`));
    const { preferred, problems } = readEfiChoices(directory);
    expect(preferred).toBe("good.conf");
    expect(problems).toHaveLength(2);
    expect(problems[0]).toContain("at most 65536 bytes expected");
    expect(problems[1]).toContain("EISDIR");
  });
});
