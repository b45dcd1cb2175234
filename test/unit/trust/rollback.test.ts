import { describe, expect, it, test } from "vitest";
import {
  guardsVersions,
  judgeRollback,
  type KeptMinimum,
  nvIndexText,
  type RollbackClaim,
  type RollbackSettings,
  readRollbackSettings,
} from "../../../src/trust/rollback.ts";
import { formatErrorOf } from "../../fakes/hostile-input.ts";

const settingsOf = (value: unknown): RollbackSettings => readRollbackSettings(value, "test");
const kept = (minimum: number | null, problem: string | null = null): KeptMinimum => ({
  where: "TPM counter 0x01800001",
  minimum,
  problem,
});
const counter = { store: "tpm", products: [{ name: "acme-os", nvIndex: 0x0180_0001 }] };
const claim = (product: string | null, version: number | null): RollbackClaim => ({ product, version });

describe("judgeRollback", () => {
  const may = { reason: null, warning: null };
  const refused = (reason: string): object => ({ reason, warning: null });
  const warned = (warning: string): object => ({ reason: null, warning });
  const lax = { ...counter, required: false };
  const floor = { products: [{ name: "acme-os", minimum: 3 }] };

  const tooLow = 'version 1 of "acme-os", at least 2 expected (TPM counter 0x01800001)';
  const noManifest = 'no manifest says its product and version, which "rollback" of the policy asks for';
  const unreadable =
    'the minimum version of "acme-os" cannot be read from TPM counter 0x01800001: this machine has no TPM 2.0';
  const notKept =
    'no minimum version of "acme-os" is kept in TPM counter 0x01800001; "slipway rollback init" begins it';
  const stranger = 'product "other" is not in "rollback.products" of the policy ("acme-os")';

  test.each<[name: string, settings: unknown, RollbackClaim, KeptMinimum | null, verdict: object]>([
    ["nothing is asked for", {}, claim(null, null), null, may],
    ["the minimum itself", counter, claim("acme-os", 2), kept(2), may],
    ["a later version", counter, claim("acme-os", 9), kept(2), may],
    ["an older version", counter, claim("acme-os", 1), kept(2), refused(tooLow)],
    ["version 0 of minimum 0", counter, claim("acme-os", 0), kept(0), may],
    ["an older version where nothing is required", lax, claim("acme-os", 1), kept(2), refused(tooLow)],
    ["no manifest", counter, claim(null, null), null, refused(noManifest)],
    ["no manifest where nothing is required", lax, claim(null, null), null, warned(noManifest)],
    [
      "no product",
      counter,
      claim(null, 7),
      null,
      refused('no manifest says its product, which "rollback" of the policy asks for'),
    ],
    [
      "no version",
      counter,
      claim("acme-os", null),
      kept(2),
      refused('no manifest says its version, which "rollback" of the policy asks for'),
    ],
    ["another product", counter, claim("other", 100), kept(null), refused(stranger)],
    ["another product where nothing is required", lax, claim("other", 100), kept(null), warned(stranger)],
    [
      "a store that cannot be read",
      counter,
      claim("acme-os", 9),
      kept(null, "this machine has no TPM 2.0"),
      refused(unreadable),
    ],
    [
      "that where nothing is required",
      lax,
      claim("acme-os", 9),
      kept(null, "this machine has no TPM 2.0"),
      warned(unreadable),
    ],
    ["a store that keeps none", counter, claim("acme-os", 9), kept(null), refused(notKept)],
    ["that where nothing is required", lax, claim("acme-os", 9), kept(null), warned(notKept)],
    ["the policy's own minimum", floor, claim("acme-os", 3), null, may],
    [
      "less than the policy's own minimum",
      floor,
      claim("acme-os", 2),
      null,
      refused('version 2 of "acme-os", at least 3 expected (policy)'),
    ],
    ["a product that the policy's minimums do not name", floor, claim("other", 2), null, refused(stranger)],
    [
      "the policy's minimum is higher than the store's",
      { ...counter, products: [{ name: "acme-os", nvIndex: 0x0180_0001, minimum: 5 }] },
      claim("acme-os", 4),
      kept(2),
      refused('version 4 of "acme-os", at least 5 expected (policy)'),
    ],
    [
      "the store's is higher than the policy's",
      { ...counter, products: [{ name: "acme-os", nvIndex: 0x0180_0001, minimum: 5 }] },
      claim("acme-os", 6),
      kept(7),
      refused('version 6 of "acme-os", at least 7 expected (TPM counter 0x01800001)'),
    ],
    [
      "the policy's minimum holds where the store cannot be read",
      { ...lax, products: [{ name: "acme-os", nvIndex: 0x0180_0001, minimum: 5 }] },
      claim("acme-os", 4),
      kept(null, "this machine has no TPM 2.0"),
      refused('version 4 of "acme-os", at least 5 expected (policy)'),
    ],
  ])("%s", (_name, settings, said, found, verdict) => {
    expect(judgeRollback(settingsOf(settings), said, found)).toEqual(verdict);
  });

  it("quotes hostile names", () => {
    expect(judgeRollback(settingsOf(counter), claim('a"\u001b[2J', 1), null).reason).toBe(
      'product "a\\"\\u{1b}[2J" is not in "rollback.products" of the policy ("acme-os")',
    );
  });
});

describe("guardsVersions", () => {
  test.each<[unknown, boolean]>([
    [{}, false],
    [{ required: true }, false],
    [{ store: "efi" }, true],
    [{ products: [{ name: "a", minimum: 1 }] }, true],
  ])("%j: %s", (settings, guards) => expect(guardsVersions(settingsOf(settings))).toBe(guards));
});

describe("readRollbackSettings", () => {
  it("gives back what the policy said, through JSON", () => {
    const settings = settingsOf({ ...counter, required: false });
    expect(settingsOf(JSON.parse(JSON.stringify(settings)))).toEqual(settings);
    expect(settings.products).toEqual([{ name: "acme-os", minimum: 0, nvIndex: 0x0180_0001 }]);
  });

  test.each<[unknown, string]>([
    [{ store: "disk" }, 'record: rollback.store: "\\"disk\\"", one of "none", "tpm", "efi", "file" expected'],
    [
      { store: "file", path: "/x" },
      'record: rollback.volume: uuid=…, partuuid=…, label=… or partlabel=… expected with "store": "file"',
    ],
    [[], 'record: rollback: "[]", an object expected'],
  ])("refuses %j", (value, message) => {
    expect(formatErrorOf(() => readRollbackSettings(value, "record"))).toBe(message);
  });
});

it("an NV index as tpm2-tools print it", () => expect(nvIndexText(0x0180_0001)).toBe("0x01800001"));
