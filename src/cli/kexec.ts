import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { nativeSystem } from "../linux/native.ts";
import { readKexecState } from "../machine/kexec-state.ts";
import { readMachineFacts } from "../machine/machine-facts.ts";
import { runKexec } from "./kexec/run.ts";
import type { KexecSide, Loader } from "./kexec/side.ts";
import { kexecUsage } from "./kexec/usage.ts";
import type { Verb } from "./verb.ts";

export const kexecVerb: Verb = {
  name: "kexec",
  summary: "load a kernel and jump into it: kexec(8)",
  usage: kexecUsage(),
  run: (args) => runKexec(args, machineSide()),
};

/** This machine. */
function machineSide(): KexecSide {
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    isTerminal: process.stderr.isTTY === true,
    // Not `performance`, whose module would have to be loaded for it.
    now: () => Number(process.hrtime.bigint() / 1_000_000n),
    system: nativeSystem,
    readState: () => readKexecState(),
    readMachine: () => readMachineFacts(),
    proc: "/proc",
    sysfs: "/sys",
    loader: importLoader,
    runProgram,
  };
}

async function importLoader(): Promise<Loader> {
  const [{ readKernelFile }, { planLoad }, { carryOut }] = await Promise.all([
    import("../handoff/kernel-file.ts"),
    import("../handoff/plan-load.ts"),
    import("../handoff/carry-out.ts"),
  ]);
  return { readKernelFile, planLoad, carryOut };
}

function runProgram(paths: readonly string[], args: readonly string[]): Promise<number | null> {
  const path = paths.find((candidate) => existsSync(candidate));
  if (path === undefined) return Promise.resolve(null);
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { stdio: "inherit" });
    child.on("error", (error) => reject(new Error(`start ${path}: ${error.message}`, { cause: error })));
    child.on("close", (code, signal) => resolve(code ?? (signal === null ? 1 : 128)));
  });
}
