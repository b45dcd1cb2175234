import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { RollbackSettings } from "../../src/trust/rollback.ts";
import { openRollbackStore } from "../../src/trust/rollback-stores.ts";
import { copyDisk, type DiskFiles } from "./disk.ts";
import { efiVariableStore, ovmfCode } from "./efi-store.ts";
import { installedRoot, installedTarget } from "./installed-target.ts";
import { type BootOptions, blsText, type Scenario, scenario } from "./scenario.ts";
import { withManifest } from "./sign.ts";
import { startSwtpm } from "./swtpm.ts";
import type { Vm } from "./vm.ts";

/*
 * Versions of a product never go back: neither by the disk that was updated nor by a copy of it from before. Both versions
 * are on the disk, each with its manifest; whoever has the disk chooses between them.
 */

const product = "acme-os";

/** Of the target: what was kept when it started, and what it confirms. */
const commands = ["slipway rollback; echo KEPT:$?:END", "slipway confirm; echo CONFIRMED:$?:END"];

let on: Scenario;
let disk: string;
beforeAll(async () => {
  on = await scenario();
  const initrd = await installedTarget(on.kernel, commands);
  const version = async (name: string, number: number): Promise<DiskFiles> => {
    const { "/slipway/boot.manifest": manifest = "", ...files } = await withManifest(
      [on.keys],
      {
        "/vmlinuz": on.vmlinuz,
        "/initrd.img": initrd,
        [`/loader/entries/${name}.conf`]: blsText(name, {
          // The older one first.
          sortKey: name,
          options: `console=ttyS0 quiet panic=-1 version=${number}`,
        }),
      },
      { version: number, product },
    );
    return { ...files, [`/slipway/${name}.manifest`]: manifest };
  };
  const files = { ...(await version("a-one", 1)), ...(await version("b-two", 2)) };
  disk = await on.disk("versions.img", [
    { type: "esp", filesystem: "vfat", sizeMiB: 96, files },
    await installedRoot(),
  ]);
});
afterAll(() => on[Symbol.asyncDispose]());

/** A machine that is switched on and off: its store, its disk, and what boots it. */
interface Machine {
  readonly where: string;
  boot(options: Partial<BootOptions>, work: (vm: Vm) => Promise<void>): Promise<void>;
}

/** A boot image whose policy keeps versions there, as words for the image builder. */
async function policyWords(name: string, rollback: Partial<RollbackSettings>): Promise<readonly string[]> {
  const file = path.join(on.directory, `${name}.json`);
  await writeFile(file, JSON.stringify({ rollback }));
  return ["--policy", file];
}

async function machineWithTpm(): Promise<Machine> {
  const stateDirectory = path.join(on.directory, "tpm");
  await mkdir(stateDirectory);
  const nvIndex = 0x01800001;
  const settings: RollbackSettings = {
    ...{ store: "tpm", required: true, volume: null, path: null },
    products: [{ name: product, minimum: 0, nvIndex }],
  };
  // As `slipway rollback init` does in the machine's own system.
  await using swtpm = await startSwtpm({ for: "socket", stateDirectory });
  await using tpm = await swtpm.open();
  const unused = (): never => {
    throw new Error("a TPM alone expected");
  };
  const store = openRollbackStore(settings, {
    tpm: async () => tpm,
    readVariable: unused,
    writeVariable: unused,
    files: { read: unused, write: unused },
  });
  await store?.provision(product, 0, { ownerAuth: new Uint8Array(0), raisedBy: "anyone", replace: false });
  const words = await policyWords("tpm", { store: "tpm", products: [{ name: product, minimum: 0, nvIndex }] });
  return {
    where: "TPM counter 0x01800001",
    async boot(options, work) {
      await using machine = await startSwtpm({ for: "qemu", stateDirectory });
      await using vm = await on.boot({ words, ...options, vm: { qemuArguments: machine.qemuArguments } });
      await work(vm);
    },
  };
}

async function machineWithVariables(): Promise<Machine> {
  const variables = path.join(on.directory, "variables.fd");
  // As `slipway rollback init` does in the machine's own system.
  const minimums = { slipwayRollback: 1, products: [{ name: product, minimum: 0 }] };
  const variable = {
    name: "SlipwayRollback",
    vendor: "48bc4257-1044-435a-9991-c5ef002459a9",
    attributes: 7,
    data: Buffer.from(`${JSON.stringify(minimums)}\n`),
  };
  await writeFile(variables, await efiVariableStore([variable]));
  const words = await policyWords("efi", { store: "efi", products: [{ name: product, minimum: 0, nvIndex: null }] });
  const qemuArguments = [
    ...["-drive", `if=pflash,unit=0,format=raw,readonly=on,file=${ovmfCode}`],
    // What the machine writes stays.
    ...["-drive", `if=pflash,unit=1,format=raw,file=${variables}`],
  ];
  return {
    where: "EFI variable SlipwayRollback",
    async boot(options, work) {
      await using vm = await on.boot({ words, ...options, vm: { qemuArguments } });
      await work(vm);
    },
  };
}

it.each([
  ["a counter of the TPM", machineWithTpm],
  ["an EFI variable", machineWithVariables],
])("%s keeps the version that was confirmed", async (_, make) => {
  const { where, boot } = await make();
  const used = await copyDisk(disk, path.join(on.directory, "used.img"));
  const own = { path: used, keepWrites: true };

  // Nobody has confirmed the newer one yet.
  await boot({ disks: [own] }, async (vm) => {
    await vm.expect("slipway: verified vda1:bls1:a-one by test", 120_000);
    await vm.expect("slipway: jump");
  });
  await boot({ disks: [own], append: "slipway.entry=*:b-two" }, async (vm) => {
    await vm.expect("slipway: verified vda1:bls1:b-two by test", 120_000);
    // To boot it raises nothing.
    await vm.expect(`\n${product}  0        0       2       ${where}\nKEPT:0:END\n`, 120_000);
    await vm.expect(`the minimum version of "${product}" is 2, in ${where}\nCONFIRMED:0:END\n`, 120_000);
    await vm.waitForExit();
  });
  // The machine's disk, and one restored from a copy of before all this.
  await boot({ disks: [own, disk], append: "slipway.entry=vdb1:bls1:a-one" }, async (vm) => {
    for (const volume of ["vdb1", "vda1"]) {
      const [, reason] = await vm.expect(RegExp(`slipway: refused ${volume}:bls1:a-one: (.*)\n`), 120_000);
      const manifest = `manifest "/slipway/a-one.manifest" on ${volume}`;
      expect(reason).toContain(`${manifest}: version 1 of "${product}", at least 2 expected (${where})`);
    }
    await vm.expect("slipway: verified vda1:bls1:b-two by test");
    await vm.expect("slipway: jump");
    expect(vm.log).not.toMatch(/verified \w+:bls1:a-one/);
  });
});
