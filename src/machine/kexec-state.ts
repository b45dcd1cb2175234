import { readdirSync, readFileSync } from "node:fs";
import { parameters } from "../formats/cmdline.ts";

export type Lockdown = "none" | "integrity" | "confidentiality";

/** What the running kernel says of loading another one. Null: it does not say. */
export interface KexecState {
  readonly loaded: boolean | null;
  readonly crashLoaded: boolean | null;
  /** Bytes that `crashkernel=` reserved; 0: nothing. */
  readonly crashBytes: number | null;
  /** /proc/sys/kernel/kexec_load_disabled: a switch that only a reboot turns back. */
  readonly disabled: boolean | null;
  /** Loads that are still allowed (kexec_load_limit_reboot, kexec_load_limit_panic; Linux 6.3). Null: any number. */
  readonly limitReboot: number | null;
  readonly limitPanic: number | null;
  readonly lockdown: Lockdown | null;
  readonly secureBoot: boolean | null;
  /** Whether the integrity subsystem is known to appraise kernels: then they have to come as files. */
  readonly appraised: boolean | null;
  /** CAP_SYS_BOOT of this process. */
  readonly permitted: boolean | null;
  /** Kexec Handover (`kho=on`), which goes through the file call only. */
  readonly handover: boolean;
  /** Names of the loaded drivers, as in /proc/modules. */
  readonly modules: readonly string[];
}

export interface StatePlaces {
  readonly sysfs: string;
  readonly proc: string;
}

/** linux/capability.h */
const capSysBoot = 22n;
/** UEFI 2.10, section 3.3: the global variables' GUID. Four bytes of attributes come first. */
const secureBootVariable = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

export function readKexecState(places: StatePlaces = { sysfs: "/sys", proc: "/proc" }): KexecState {
  const { sysfs, proc } = places;
  const commandLine = text(`${proc}/cmdline`) ?? "";
  return {
    loaded: firstFlag(`${sysfs}/kernel/kexec/loaded`, `${sysfs}/kernel/kexec_loaded`),
    crashLoaded: firstFlag(`${sysfs}/kernel/kexec/crash_loaded`, `${sysfs}/kernel/kexec_crash_loaded`),
    crashBytes: number(`${sysfs}/kernel/kexec/crash_size`) ?? number(`${sysfs}/kernel/kexec_crash_size`),
    disabled: firstFlag(`${proc}/sys/kernel/kexec_load_disabled`),
    limitReboot: limit(`${proc}/sys/kernel/kexec_load_limit_reboot`),
    limitPanic: limit(`${proc}/sys/kernel/kexec_load_limit_panic`),
    lockdown: lockdown(text(`${sysfs}/kernel/security/lockdown`)),
    secureBoot: secureBoot(`${sysfs}/${secureBootVariable}`),
    appraised: appraised(text(`${sysfs}/kernel/security/ima/policy`), commandLine),
    permitted: permitted(text(`${proc}/self/status`)),
    handover: hasHandover(commandLine),
    modules: modules(text(`${proc}/modules`), `${sysfs}/module`),
  };
}

function text(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function number(path: string): number | null {
  const found = /^-?\d{1,15}/.exec(text(path) ?? "");
  return found === null ? null : Number(found[0]);
}

function firstFlag(...paths: readonly string[]): boolean | null {
  for (const path of paths) {
    const value = number(path);
    if (value !== null) return value !== 0;
  }
  return null;
}

/** -1 stands for no limit. */
function limit(path: string): number | null {
  const value = number(path);
  return value === null || value < 0 ? null : value;
}

/** Sample: `none [integrity] confidentiality` */
function lockdown(line: string | null): Lockdown | null {
  const chosen = /\[(none|integrity|confidentiality)\]/.exec(line ?? "")?.[1];
  return chosen === "none" || chosen === "integrity" || chosen === "confidentiality" ? chosen : null;
}

function secureBoot(path: string): boolean | null {
  try {
    const bytes = readFileSync(path);
    return bytes.length === 5 ? bytes[4] === 1 : null;
  } catch {
    return null;
  }
}

/** The policy can be read on few kernels; `ima_policy=` tells of the built-in ones that appraise kernels. */
function appraised(policy: string | null, commandLine: string): boolean | null {
  if (policy !== null && policy !== "") return /^appraise\b.*\bfunc=KEXEC_KERNEL_CHECK\b/m.test(policy);
  const wanted = kernelParameters(commandLine).flatMap(({ name, value }) =>
    name === "ima_policy" ? (value ?? "").split("|") : [],
  );
  return wanted.includes("secure_boot") ? true : null;
}

function hasHandover(commandLine: string): boolean {
  const last = kernelParameters(commandLine).findLast(({ name }) => name === "kho");
  return last !== undefined && ["on", "1", "y", "Y"].includes(last.value ?? "on");
}

function kernelParameters(commandLine: string): ReturnType<typeof parameters> {
  try {
    return parameters(commandLine.trim());
  } catch {
    // A line that only the kernel can split says nothing here.
    return [];
  }
}

/** Sample: `CapEff:\t000001ffffffffff` */
function permitted(status: string | null): boolean | null {
  const found = /^CapEff:\s*([0-9a-f]{1,16})$/m.exec(status ?? "")?.[1];
  return found === undefined ? null : ((BigInt(`0x${found}`) >> capSysBoot) & 1n) === 1n;
}

/** Drivers that are built in have a directory in sysfs only. */
function modules(list: string | null, directory: string): string[] {
  if (list !== null) return list.split("\n").flatMap((line) => /^\S+/.exec(line)?.[0] ?? []);
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
