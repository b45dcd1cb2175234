import type { RollbackMachine } from "../../src/cli/rollback.ts";
import type { EfiVariable } from "../../src/formats/efi-variable.ts";
import type { HandoffRecord } from "../../src/formats/handoff-record.ts";
import type { Tpm } from "../../src/machine/tpm.ts";

export interface FakeRollbackMachine extends RollbackMachine {
  /** The EFI variable as text without its attributes; null when there is none. */
  variable(): string | null;
}

export interface FakeRollbackParts {
  readonly record?: HandoffRecord | null;
  /** What the EFI variable holds at first. */
  readonly variable?: string;
  /** Opened when it is asked for, and closed with the devices. */
  readonly openTpm?: () => Promise<Tpm | null>;
}

/** A machine with one EFI variable, no volumes, and the TPM that is given. */
export function rollbackMachine({ record = null, variable, openTpm }: FakeRollbackParts): FakeRollbackMachine {
  let kept: EfiVariable | null =
    variable === undefined ? null : { attributes: 7, data: new TextEncoder().encode(variable) };
  return {
    readRecord: async () => record,
    openDevices() {
      let opened: Promise<Tpm | null> | null = null;
      return {
        tpm() {
          opened ??= openTpm?.() ?? Promise.resolve(null);
          return opened;
        },
        readVariable: () => kept,
        writeVariable(_name, _vendor, value) {
          kept = value;
        },
        files: {
          read: async (volume) => Promise.reject(new Error(`no volume with ${JSON.stringify(volume)} is there`)),
          write: async (volume) => Promise.reject(new Error(`no volume with ${JSON.stringify(volume)} is there`)),
        },
        async [Symbol.asyncDispose]() {
          const tpm = await opened?.catch(() => null);
          await tpm?.close();
        },
      };
    },
    variable: () => (kept === null ? null : new TextDecoder().decode(kept.data)),
  };
}

/** The record of a boot of version 2 of `acme-os`, vouched for by `release`, whose versions the policy keeps as told. */
export function bootRecord(
  rollback: HandoffRecord["rollback"],
  trust: Partial<HandoffRecord["trust"]> = {},
): HandoffRecord {
  return {
    version: 1,
    slipway: "0.1.0",
    entry: { id: "vda1:bls1:acme", title: "Acme OS", format: "bls1", volume: "vda1" },
    trust: { mode: "enforce", by: ["release"], product: "acme-os", manifestVersion: 2, ...trust },
    rollback,
    measured: false,
    commandLine: "quiet",
  };
}
