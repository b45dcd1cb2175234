import { existsSync, readFileSync } from "node:fs";
import { version } from "../../boot/version.ts";
import { hasParameter } from "../../formats/cmdline.ts";
import { exitFailed } from "./exit-codes.ts";
import { readRequest, type Settings } from "./settings.ts";
import type { KexecSide } from "./side.ts";
import { kexecUsage } from "./usage.ts";

/** kexec-tools' version whose command line this is. */
const compatibleVersion = "2.0.32";

/** kexec(8): does what the words say; resolves with the exit code. */
export async function runKexec(args: readonly string[], side: KexecSide): Promise<number> {
  const request = readRequest(args);
  switch (request.kind) {
    case "help":
      side.out(kexecUsage());
      return 0;
    case "version":
      side.out(`kexec-tools ${compatibleVersion} compatible, slipway ${version}\n`);
      return 0;
    case "crash-size": {
      const { crashMemoryBytes } = await import("./crash-memory.ts");
      side.out(`${crashMemoryBytes(side)}\n`);
      return 0;
    }
    case "mistake":
      if (request.message !== "") side.err(`${request.message}\n`);
      if (request.withUsage) side.out(kexecUsage());
      return request.code;
    case "do":
      return carryOutSettings(side, request.settings);
  }
}

/** The steps, in kexec-tools' order; a step that fails is the last. */
async function carryOutSettings(side: KexecSide, settings: Settings): Promise<number> {
  if (settings.status) return status(side, settings);
  const refused = settings.load ? await refuseLoad(side, settings) : null;
  if (refused !== null) return refused;
  if (settings.check) return checkAll(side, settings);
  if (settings.unload && !settings.dryRun) {
    const { unload } = await import("./unload.ts");
    const code = await unload(side, settings);
    if (code !== 0) return code;
  }
  if (settings.load) {
    const code = await load(side, settings);
    if (code !== 0 || settings.dryRun) return code;
  }
  return leaveSystem(side, settings);
}

function status(side: KexecSide, { target }: Settings): number {
  const { crashLoaded, loaded } = side.readState();
  const isLoaded = target === "crash" ? crashLoaded : loaded;
  return isLoaded === null ? exitFailed : Number(isLoaded);
}

/** The exit code, when a load cannot even begin; null when it can. */
async function refuseLoad(side: KexecSide, settings: Settings): Promise<number | null> {
  if (settings.target === "crash") {
    const { crashMemoryBytes } = await import("./crash-memory.ts");
    if (crashMemoryBytes(side) === 0) {
      const { tellNoCrashMemory } = await import("./load-kernel.ts");
      return tellNoCrashMemory(side, settings, settings.words[0]);
    }
  }
  if (settings.hotplug) {
    const { crashHeaderBytes } = await import("../../machine/crash-facts.ts");
    if (crashHeaderBytes(side.sysfs) === null) {
      side.err(
        `--hotplug: the running kernel keeps no headers of a dump up to date (CONFIG_CRASH_HOTPLUG): it has no ${side.sysfs}/kernel/crash_elfcorehdr_size\n`,
      );
      return 1;
    }
  }
  if (!settings.reuseInitrd) return null;
  if (!hasParameter(readFileSync(`${side.proc}/cmdline`, "utf8").trim(), "retain_initrd")) {
    side.err("unrecoverable error: current boot didn't retain the initrd for reuse.\n");
    return 1;
  }
  if (existsSync(`${side.sysfs}/firmware/initrd`)) return null;
  side.err(`--reuseinitrd: the running kernel does not show its initrd (${side.sysfs}/firmware/initrd)\n`);
  return 1;
}

async function load(side: KexecSide, settings: Settings): Promise<number> {
  const [path, ...more] = settings.words;
  if (path === undefined) {
    side.err("No kernel specified\n");
    side.out(kexecUsage());
    return exitFailed;
  }
  if (more.length > 0) {
    side.err(`kexec: warning: ${path} is taken as the kernel; ignored: ${more.join(" ")}\n`);
  }
  const { loadKernel, rehearse } = await import("./load-kernel.ts");
  return settings.dryRun ? rehearse(side, settings, path) : loadKernel(side, settings, path);
}

/** What stands against a load, or without a kernel, against a jump. */
async function checkAll(side: KexecSide, settings: Settings): Promise<number> {
  const [path] = settings.words;
  if (settings.load && path !== undefined) {
    const { check } = await import("./load-kernel.ts");
    return check(side, settings, path);
  }
  const { machineFindings } = await import("../../handoff/findings.ts");
  const { findingLine, supportFindings } = await import("./tell.ts");
  const state = side.readState();
  const lines = [...supportFindings(state), ...machineFindings(state, side.readMachine())].map(findingLine);
  if (state.loaded === false) lines.push("note: no kernel is loaded");
  side.out(`${lines.join("\n") || "nothing stands against it"}\n`);
  return 0;
}

async function leaveSystem(side: KexecSide, settings: Settings): Promise<number> {
  const { jump, loadJumpBack, shutdown, syncAll } = await import("./jump.ts");
  // Where the running kernel does not say, it is asked by the jump itself.
  if ((settings.shutdown || settings.exec) && side.readState().loaded === false) {
    side.err("Nothing has been loaded!\n");
    return 1;
  }
  if (settings.shutdown) {
    const code = await shutdown(side);
    if (code !== 0) return code;
  }
  if (settings.jumpBack) return loadJumpBack(side, settings);
  if (settings.exec && !settings.load) await warnOfJump(side);
  if (settings.sync) await syncAll(side);
  return settings.exec ? jump(side, settings) : 0;
}

/** What the jump may do to this machine; a load in the same call has told already. */
async function warnOfJump(side: KexecSide): Promise<void> {
  const { machineFindings } = await import("../../handoff/findings.ts");
  const { warn } = await import("./tell.ts");
  warn(side, machineFindings(side.readState(), side.readMachine()));
}
