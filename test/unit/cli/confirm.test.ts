import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it, test } from "vitest";
import { confirmVerbOn } from "../../../src/cli/confirm.ts";
import { rollbackVerbOn } from "../../../src/cli/rollback.ts";
import { type HandoffRecord, writeHandoffRecord } from "../../../src/formats/handoff-record.ts";
import { type Captured, capture } from "../../fakes/capture.ts";
import { bootRecord, type FakeRollbackMachine, rollbackMachine } from "../../fakes/rollback-machine.ts";
import { startSwtpm } from "../../vm/swtpm.ts";

const directory = mkdtempSync(path.join(tmpdir(), "slipway-confirm-"));
afterAll(() => rmSync(directory, { recursive: true }));

const confirm = (machine: FakeRollbackMachine, ...args: string[]): Promise<Captured> =>
  capture(() => confirmVerbOn(machine).run(args));
const efi = { store: "efi", products: [{ name: "acme-os" }] };
const keeping = (minimum: number): string =>
  `${JSON.stringify({ slipwayRollback: 1, products: [{ name: "acme-os", minimum }] })}\n`;

describe("an EFI variable", () => {
  test.each<[name: string, before: string | undefined, after: string, stdout: string]>([
    ["begins", undefined, keeping(2), 'the minimum version of "acme-os" is 2, in EFI variable SlipwayRollback\n'],
    ["is raised", keeping(1), keeping(2), 'the minimum version of "acme-os" is 2, in EFI variable SlipwayRollback\n'],
    ["stays", keeping(2), keeping(2), 'the minimum version of "acme-os" is 2, in EFI variable SlipwayRollback\n'],
    [
      "is not lowered",
      keeping(3),
      keeping(3),
      'the minimum version of "acme-os" is 3, in EFI variable SlipwayRollback; version 2 is running: the minimum is higher already, and is not lowered\n',
    ],
  ])("%s", async (_name, before, after, stdout) => {
    const record = bootRecord(efi);
    const machine = rollbackMachine({ record, ...(before === undefined ? {} : { variable: before }) });
    expect(await confirm(machine)).toEqual({ code: 0, stdout, stderr: "" });
    expect(machine.variable()).toBe(after);
  });

  it("as JSON", async () => {
    const { code, stdout } = await confirm(rollbackMachine({ record: bootRecord(efi) }), "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      version: 1,
      product: "acme-os",
      bootedVersion: 2,
      store: "EFI variable SlipwayRollback",
      minimum: 2,
      reason: null,
    });
  });
});

describe("nothing to confirm", () => {
  test.each<[HandoffRecord, string]>([
    [bootRecord(null), "the policy of this boot keeps no versions"],
    [bootRecord({ products: [{ name: "acme-os", minimum: 1 }] }), "the policy of this boot keeps no versions"],
    [bootRecord(efi, { product: null }), "no manifest says product and version of this boot"],
    [bootRecord(efi, { manifestVersion: null }), "no manifest says product and version of this boot"],
    [bootRecord(efi, { product: "other" }), "the policy of this boot keeps no versions of this product"],
    [bootRecord(efi, { mode: "audit", by: [] }), "nobody vouched for this boot, so its version is not believed"],
  ])("%#", async (record, reason) => {
    const machine = rollbackMachine({ record });
    expect(await confirm(machine)).toEqual({ code: 0, stdout: `nothing to confirm: ${reason}\n`, stderr: "" });
    expect(machine.variable()).toBeNull();
  });
});

describe("the record", () => {
  it("none: exit code 3", async () => {
    expect(await confirm(rollbackMachine({}))).toEqual({
      code: 3,
      stdout: "",
      stderr:
        "slipway confirm: this system was handed no record of its boot (another boot loader started it, or its kernel takes none)\n",
    });
  });

  it("from a file", async () => {
    const file = path.join(directory, "record.json");
    writeFileSync(file, writeHandoffRecord(bootRecord(efi)));
    const machine = rollbackMachine({});
    expect((await confirm(machine, "--record", file)).code).toBe(0);
    expect(machine.variable()).toBe(keeping(2));
  });

  it("settings that no policy has", async () => {
    const machine = rollbackMachine({ record: bootRecord({ store: "disk" }) });
    await expect(confirm(machine)).rejects.toThrow(/^handoff record: rollback\.store: /);
  });

  it("a store that cannot be written is a failure", async () => {
    const file = { store: "file", volume: "label=ESP", path: "/minimums", products: [{ name: "acme-os" }] };
    await expect(confirm(rollbackMachine({ record: bootRecord(file) }))).rejects.toThrow(
      'no volume with "label=ESP" is there',
    );
  });
});

it("a counter in a TPM that only the owner raises", async () => {
  await using swtpm = await startSwtpm({ for: "socket" });
  await swtpm.tool("tpm2_changeauth", "-c", "owner", "secret");
  const settings = { store: "tpm", products: [{ name: "acme-os", nvIndex: 0x0180_0001 }] };
  const machine = rollbackMachine({ record: bootRecord(settings), openTpm: () => swtpm.open() });
  await expect(confirm(machine)).rejects.toThrow(
    'TPM counter 0x01800001 is not there; "slipway rollback init" makes it',
  );
  const secret = path.join(directory, "secret");
  writeFileSync(secret, "secret\n");
  const init = ["init", "--product", "acme-os", "--nv-index", "0x01800001", "--raised-by", "owner"];
  const made = await capture(() => rollbackVerbOn(machine).run([...init, "--owner-auth-file", secret]));
  expect(made).toEqual({
    code: 0,
    stdout:
      'the minimum version of "acme-os" is 0, in TPM counter 0x01800001\nthe policy asks for it with\n  "rollback": {"store":"tpm","products":[{"name":"acme-os","nvIndex":25165825}]}\n',
    stderr: "",
  });
  await expect(confirm(machine)).rejects.toThrow(/TPM_RC_BAD_AUTH/);
  expect(await confirm(machine, "--owner-auth-file", secret)).toEqual({
    code: 0,
    stdout: 'the minimum version of "acme-os" is 2, in TPM counter 0x01800001\n',
    stderr: "",
  });
});
