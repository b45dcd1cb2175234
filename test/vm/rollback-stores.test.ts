import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it } from "vitest";
import { writeHandoffRecord } from "../../src/formats/handoff-record.ts";
import { type Guest, liveGuest } from "./guest.ts";
import { distributionKernel } from "./kernels.ts";
import { startSwtpm } from "./swtpm.ts";

const variable = "/sys/firmware/efi/efivars/SlipwayRollback-48bc4257-1044-435a-9991-c5ef002459a9";
const acme = "--product acme-os";

/** What a command prints; it has to succeed. */
async function output(guest: Guest, command: string): Promise<string> {
  const { code, stdout, stderr } = await guest.run(command);
  expect({ command, code, stderr }).toEqual({ command, code: 0, stderr: "" });
  return stdout;
}

it("minimum versions in an EFI variable of real firmware, and in a file of a mounted volume", async () => {
  const record = writeHandoffRecord({
    version: 1,
    slipway: "0.1.0",
    entry: { id: "vda:bls1:acme", title: "Acme OS", format: "bls1", volume: "vda" },
    trust: { mode: "enforce", by: ["release"], product: "acme-os", manifestVersion: 4 },
    rollback: { store: "efi", products: [{ name: "acme-os" }] },
    measured: false,
    commandLine: "",
  });
  const files = { "/record.json": record };
  await using guest = await liveGuest({ kernel: await distributionKernel("cloud"), files, uefi: true });
  const inVariable = "in EFI variable SlipwayRollback\n";

  expect(await output(guest, `slipway rollback init ${acme} --efi --minimum 2`)).toContain(`is 2, ${inVariable}`);
  // The kernel marks what it does not know to be harmless; each write takes the mark away, and sets it again.
  const overwrite = `echo x > ${variable}`;
  expect((await guest.run(overwrite)).stderr).toContain("Operation not permitted");
  expect(await output(guest, `slipway rollback raise ${acme} --efi --to 3`)).toContain(`is 3, ${inVariable}`);
  expect(await output(guest, "slipway confirm --record /record.json")).toContain(`is 4, ${inVariable}`);
  expect((await guest.run(overwrite)).stderr).toContain("Operation not permitted");
  expect((await guest.run(`head -c 4 ${variable} | od -An -tx1`)).stdout).toBe(" 07 00 00 00\n");
  expect(await output(guest, "slipway rollback --record /record.json")).toBe(
    "PRODUCT  MINIMUM  POLICY  BOOTED  KEPT IN\nacme-os  4        0       4       EFI variable SlipwayRollback\n",
  );

  await output(guest, "mount -o remount,ro /sys/firmware/efi/efivars");
  const refused = await guest.run(`slipway rollback raise ${acme} --efi --to 9`);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("(efivarfs is mounted read-only, or the firmware takes no variables");

  const file = "--volume label=root --path /minimums";
  const missing = await guest.run(`slipway rollback raise ${acme} ${file} --to 9`);
  expect(missing.stderr).toBe('slipway: no volume with "label=root" is there (/dev/disk/by-label/root)\n');
  // What udev does for a volume of that label.
  await output(
    guest,
    "mkdir -p /dev/disk/by-label && ln -s ../../vda /dev/disk/by-label/root && mount -o remount,rw /",
  );
  await output(guest, `slipway rollback raise ${acme} ${file} --to 9`);
  expect(await output(guest, "cat /minimums")).toBe(
    '{"slipwayRollback":1,"products":[{"name":"acme-os","minimum":9}]}\n',
  );
});

it("a counter in the TPM of a machine outlives its disk", async () => {
  const stateDirectory = await mkdtemp(path.join(tmpdir(), "slipway-tpm-state-"));
  try {
    const counter = `${acme} --nv-index 0x01800001`;
    const where = "in TPM counter 0x01800001\n";
    /** A machine with a new disk and the same TPM. */
    const onMachine = async (work: (guest: Guest) => Promise<void>): Promise<void> => {
      await using swtpm = await startSwtpm({ for: "qemu", stateDirectory });
      const vm = { qemuArguments: swtpm.qemuArguments };
      await using guest = await liveGuest({ kernel: await distributionKernel("cloud"), vm });
      await work(guest);
    };
    await onMachine(async (guest) => {
      const before = await guest.run(`slipway rollback raise ${counter} --to 1`);
      expect(before.stderr).toBe('slipway: TPM counter 0x01800001 is not there; "slipway rollback init" makes it\n');
      const made = await guest.run(`slipway rollback init ${counter}`);
      expect(made.stdout).toContain(`is 0, ${where}`);
      expect(made.stderr).toContain("has no authorisation value");
      expect(await output(guest, `slipway rollback raise ${counter} --to 40`)).toContain(`is 40, ${where}`);
    });
    await onMachine(async (guest) => {
      expect(await output(guest, `slipway rollback raise ${counter} --to 39`)).toContain(
        `is 40, ${where.trimEnd()}, which`,
      );
      expect(await output(guest, `slipway rollback show ${counter}`)).toContain("acme-os  40 ");
    });
  } finally {
    await rm(stateDirectory, { recursive: true });
  }
});
