import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it, test } from "vitest";
import { rollbackVerbOn } from "../../../src/cli/rollback.ts";
import { UsageError } from "../../../src/cli/verb.ts";
import { type Captured, capture } from "../../fakes/capture.ts";
import { bootRecord, type FakeRollbackMachine, rollbackMachine } from "../../fakes/rollback-machine.ts";
import { startSwtpm } from "../../vm/swtpm.ts";

const directory = mkdtempSync(path.join(tmpdir(), "slipway-rollback-"));
afterAll(() => rmSync(directory, { recursive: true }));

const rollback = (machine: FakeRollbackMachine, ...args: string[]): Promise<Captured> =>
  capture(() => rollbackVerbOn(machine).run(args));
const products = [{ name: "acme-os", minimum: 1 }, { name: "tool" }];
const kept = '{"slipwayRollback":1,"products":[{"name":"acme-os","minimum":7}]}\n';

describe("show", () => {
  it("a table of what the policy of this boot has kept; 2 where something is not kept", async () => {
    const machine = rollbackMachine({ record: bootRecord({ store: "efi", products }), variable: kept });
    expect(await rollback(machine)).toEqual({
      code: 2,
      stdout: [
        "PRODUCT  MINIMUM  POLICY  BOOTED  KEPT IN",
        "acme-os  7        1       2       EFI variable SlipwayRollback",
        "tool     -        0       -       EFI variable SlipwayRollback",
        "",
      ].join("\n"),
      stderr: "",
    });
    expect((await rollback(machine, "show", "--product", "acme-os")).code).toBe(0);
  });

  it("as JSON, with what cannot be read", async () => {
    const settings = { store: "tpm", products: [{ name: "acme-os", nvIndex: 0x0180_0001 }] };
    const { code, stdout } = await rollback(rollbackMachine({ record: bootRecord(settings) }), "--json");
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toEqual({
      version: 1,
      products: [
        {
          product: "acme-os",
          minimum: null,
          policyMinimum: 0,
          store: "TPM counter 0x01800001",
          problem: "this machine has no TPM 2.0",
          bootedVersion: 2,
        },
      ],
    });
  });

  it("the policy's own minimums need no store", async () => {
    const policy = path.join(directory, "policy.json");
    writeFileSync(policy, JSON.stringify({ rollback: { products } }));
    expect(await rollback(rollbackMachine({}), "show", "--policy", policy)).toEqual({
      code: 0,
      stdout:
        "PRODUCT  MINIMUM  POLICY  BOOTED  KEPT IN\nacme-os  -        1       -       -\ntool     -        0       -       -\n",
      stderr: "",
    });
  });

  it("nothing is kept", async () => {
    const { code, stdout } = await rollback(rollbackMachine({ record: bootRecord(null) }));
    expect([code, stdout]).toEqual([0, "no product's versions are kept\n"]);
  });

  it("a product that is not kept", async () => {
    const machine = rollbackMachine({ record: bootRecord({ store: "efi", products }) });
    await expect(rollback(machine, "show", "--product", "other")).rejects.toThrow(
      'rollback: product "other" is not among those whose versions are kept',
    );
  });
});

describe("init and raise", () => {
  it("an EFI variable", async () => {
    const machine = rollbackMachine({});
    expect(await rollback(machine, "init", "--product", "acme-os", "--efi", "--minimum", "3")).toEqual({
      code: 0,
      stdout:
        'the minimum version of "acme-os" is 3, in EFI variable SlipwayRollback\nthe policy asks for it with\n  "rollback": {"store":"efi","products":[{"name":"acme-os"}]}\n',
      stderr: "",
    });
    const raise = (to: string): Promise<Captured> =>
      rollback(machine, "raise", "--product", "acme-os", "--efi", "--to", to);
    expect((await raise("5")).stdout).toBe('the minimum version of "acme-os" is 5, in EFI variable SlipwayRollback\n');
    expect((await raise("4")).stdout).toBe(
      'the minimum version of "acme-os" is 5, in EFI variable SlipwayRollback, which is higher than 4: it is not lowered\n',
    );
    expect(machine.variable()).toBe('{"slipwayRollback":1,"products":[{"name":"acme-os","minimum":5}]}\n');
  });

  it("what begins again has to be told so", async () => {
    const machine = rollbackMachine({ variable: kept });
    const init = ["init", "--product", "acme-os", "--efi"];
    await expect(rollback(machine, ...init)).rejects.toThrow(
      'EFI variable SlipwayRollback keeps 7 for "acme-os"; "--replace" sets another minimum',
    );
    expect((await rollback(machine, ...init, "--replace")).code).toBe(0);
    expect(machine.variable()).toBe('{"slipwayRollback":1,"products":[{"name":"acme-os","minimum":0}]}\n');
  });

  it("a TPM without an owner's authorisation value: said", async () => {
    await using swtpm = await startSwtpm({ for: "socket" });
    const machine = rollbackMachine({ openTpm: () => swtpm.open() });
    const where = ["--product", "acme-os", "--nv-index", "0x01800001"];
    const made = await rollback(machine, "init", ...where, "--minimum", "3");
    expect(made.code).toBe(0);
    expect(made.stderr).toBe(
      "slipway rollback: the TPM's owner has no authorisation value, so whoever runs as root can delete the counter and make another; set one (tpm2_changeauth -c owner) and keep it off this machine\n",
    );
    expect((await rollback(machine, "raise", ...where, "--to", "5")).code).toBe(0);
    expect((await rollback(machine, "show", ...where)).stdout).toBe(
      "PRODUCT  MINIMUM  POLICY  BOOTED  KEPT IN\nacme-os  5        0       -       TPM counter 0x01800001\n",
    );
  });

  it("a product that the policy does not name", async () => {
    const machine = rollbackMachine({ record: bootRecord({ store: "efi", products }) });
    await expect(rollback(machine, "raise", "--product", "other", "--to", "3")).rejects.toThrow(
      'rollback: product "other" is not in "rollback.products" of the policy',
    );
  });

  it("a policy that keeps nothing", async () => {
    const machine = rollbackMachine({ record: bootRecord({ products }) });
    await expect(rollback(machine, "raise", "--product", "acme-os", "--to", "3")).rejects.toThrow(
      'rollback: the policy keeps no versions ("store": "none")',
    );
  });

  it("a value for the owner that is too long", async () => {
    const file = path.join(directory, "long");
    writeFileSync(file, "x".repeat(65));
    const machine = rollbackMachine({});
    const init = ["init", "--product", "a", "--nv-index", "0x01800001", "--owner-auth-file", file];
    await expect(rollback(machine, ...init)).rejects.toThrow(`read "${file}": 65 bytes, at most 64 expected`);
  });
});

describe("what is called wrongly", () => {
  const product = ["--product", "a"];
  test.each<[string[], string]>([
    [["lower"], 'rollback: "lower", show, init or raise expected'],
    [["show", "more"], 'rollback: one word expected, also got "more"'],
    [["show", "--to", "1"], "rollback show: it takes no --to"],
    [["init", "--json"], "rollback init: it takes no --json"],
    [["init", "--efi"], "rollback init: --product NAME expected"],
    [["raise", "--efi", ...product], "rollback raise: --to N expected"],
    [["raise", "--efi", ...product, "--to=-1"], 'rollback raise: --to "-1", a whole number expected'],
    [["init", "--efi", ...product, "--minimum", "1.5"], 'rollback init: --minimum "1.5", a whole number expected'],
    [
      ["init", "--efi", ...product, "--minimum", "9007199254740992"],
      'rollback init: --minimum "9007199254740992", a whole number expected',
    ],
    [
      ["show", "--efi", "--nv-index", "1", ...product],
      "rollback: one of --policy, --record, --nv-index, --efi and --volume expected",
    ],
    [["show", "--efi"], "rollback: --product NAME expected with the store"],
    [["show", ...product, "--path", "/x"], "rollback: --volume and --path expected together"],
    [
      ["show", ...product, "--nv-index", "0x1c00000"],
      'rollback: --nv-index "0x1c00000", 0x01800000 to 0x01bffffe expected',
    ],
    [["show", ...product, "--nv-index", "x"], 'rollback: --nv-index "x", 0x01800000 to 0x01bffffe expected'],
    [
      ["init", ...product, "--nv-index", "0x1800000", "--raised-by", "me"],
      'rollback init: --raised-by "me", anyone or owner expected',
    ],
    [
      ["init", ...product, "--efi", "--raised-by", "owner"],
      "rollback init: --raised-by and --owner-auth-file are for a TPM (--nv-index)",
    ],
  ])("%j", async (args, message) => {
    const failure = await rollback(rollbackMachine({}), ...args).then(
      () => null,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(UsageError);
    expect(String(failure)).toBe(`UsageError: ${message}`);
  });

  test.each<[string[], string]>([
    [
      ["show"],
      "rollback: this system was handed no record of its boot; --policy, --nv-index, --efi or --volume says where minimums are kept",
    ],
    [
      ["show", ...product, "--volume", "/dev/sda1", "--path", "/x"],
      'rollback: rollback.volume: uuid=…, partuuid=…, label=… or partlabel=… expected with "store": "file"',
    ],
  ])("%j", async (args, message) => {
    await expect(rollback(rollbackMachine({}), ...args)).rejects.toThrow(message);
  });
});
