import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { runKexec } from "../../src/cli/kexec/run.ts";
import type { KexecSide, Loader } from "../../src/cli/kexec/side.ts";
import { carryOut } from "../../src/handoff/carry-out.ts";
import { chooseCall } from "../../src/handoff/choose-call.ts";
import type { ClassicPlan } from "../../src/handoff/classic/plan.ts";
import { planBzImage } from "../../src/handoff/classic/plan-bzimage.ts";
import { readKernelFile } from "../../src/handoff/kernel-file.ts";
import type { LoadRequest } from "../../src/handoff/load-request.ts";
import type { LoadPlan } from "../../src/handoff/plan-load.ts";
import { refuseUnloadable } from "../../src/handoff/preflight.ts";
import { errno, SyscallError } from "../../src/linux/errno.ts";
import type { System } from "../../src/linux/system.ts";
import { readKexecState } from "../../src/machine/kexec-state.ts";
import type { MachineFacts } from "../../src/machine/machine-facts.ts";
import { bzImageHead } from "./bzimage-head.ts";
import { machineFacts } from "./kexec-state.ts";
import { planContext } from "./plan-context.ts";
import { fakeSystem } from "./system.ts";

export interface KexecRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface BenchOptions {
  /** Texts below proc and sys: `proc/cmdline`, `sys/kernel/kexec_loaded`. */
  readonly files?: Readonly<Record<string, string>>;
  readonly system?: Partial<System>;
  readonly machine?: Partial<MachineFacts>;
  readonly side?: Partial<KexecSide>;
  readonly loader?: Partial<Loader>;
}

interface Printed {
  readonly out: string[];
  readonly err: string[];
}

/** A directory with files, a machine that is not there, and a record of what kexec(8) asked of it. */
export class KexecBench implements Disposable {
  readonly directory = mkdtempSync(path.join(tmpdir(), "slipway-kexec-"));
  /** What was asked of the kernel, in order. */
  readonly calls: string[] = [];
  /** What kexec_file_load(2) was given as initrds. */
  readonly initrds: (string | null)[] = [];
  /** What was asked to be planned. */
  readonly requests: LoadRequest[] = [];
  readonly #options: BenchOptions;

  constructor(options: BenchOptions = {}) {
    this.#options = options;
    this.put("vmlinuz", kernelBytes);
    const quiet = { "sys/kernel/kexec_loaded": "0\n", "sys/kernel/kexec_crash_loaded": "0\n" };
    const files = { ...quiet, "proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro\n", ...options.files };
    for (const [name, text] of Object.entries(files)) this.put(name, text);
  }

  /** Writes a file; its absolute path. */
  put(name: string, content: string | Uint8Array): string {
    const file = this.path(name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }

  path(name: string): string {
    return path.join(this.directory, name);
  }

  /** Runs kexec(8) with these words; `@NAME` stands for a file of the bench, and is put back in what is printed. */
  async run(...words: readonly string[]): Promise<KexecRun> {
    const printed: Printed = { out: [], err: [] };
    const args = words.map((word) => word.replace("@", `${this.directory}/`));
    const code = await runKexec(args, this.#side(printed));
    const shown = (texts: readonly string[]): string => texts.join("").replaceAll(`${this.directory}/`, "@");
    return { code, stdout: shown(printed.out), stderr: shown(printed.err) };
  }

  #side(printed: Printed): KexecSide {
    const [proc, sysfs] = [this.path("proc"), this.path("sys")];
    const system = this.#system();
    return {
      out: (text) => void printed.out.push(text),
      err: (text) => void printed.err.push(text),
      isTerminal: false,
      now: () => 0,
      system: () => system,
      readState: () => readKexecState({ proc, sysfs }),
      readMachine: () => machineFacts(this.#options.machine),
      proc,
      sysfs,
      loader: async () => ({
        readKernelFile,
        planLoad: async (_, request, state, facts) => this.#plan(request, state, facts),
        carryOut,
        ...this.#options.loader,
      }),
      runProgram: async (paths, args) => {
        this.calls.push(`run ${paths[0]} ${args.join(" ")}`);
        return 0;
      },
      ...this.#options.side,
    };
  }

  /** What planLoad does, on a machine that is not this one. */
  #plan(request: LoadRequest, state: LoadPlan["state"], facts: MachineFacts): LoadPlan {
    this.requests.push(request);
    const choice = chooseCall(request, state);
    refuseUnloadable(request, choice.call, facts);
    const common = { choice, request, record: null, recordWay: null, state, remarks: request.kernel.remarks };
    if (choice.call === "file") return { ...common, call: "file" };
    const { classic, kernel, commandLine } = request;
    const bounds = { start: classic.memoryMin ?? 0, end: (classic.memoryMax ?? 2 ** 52 - 1) + 1 };
    const context = planContext({ bounds, commandLine, entryOverride: classic.entry });
    if (!kernel.imageKind.startsWith("bzImage")) return { ...common, call: "classic", plan: emptyPlan, digest: null };
    const part = { range: kernel.image, read: kernel.read };
    const plan = planBzImage(part, request.initrd, context, request.entryMode ?? "64-bit");
    return {
      ...common,
      call: "classic",
      plan,
      digest: request.digest === "crc32" || request.digest === "sha256" ? request.digest : null,
    };
  }

  #system(): System {
    const log = (line: string): void => void this.calls.push(line);
    return fakeSystem({
      kexecLoad: async ({ segments, entry, onCrash, preserveContext }) => {
        const flags = [onCrash === true ? "crash" : null, preserveContext === true ? "returning" : null];
        log(["kexec_load", segments.length === 0 ? "nothing" : `at ${entry}`, ...flags].filter(Boolean).join(" "));
        if (segments.length > 0 && onCrash !== true) this.put("sys/kernel/kexec_loaded", "1\n");
      },
      kexecFileLoad: async ({ initrdFd, onCrash, debug }) => {
        this.initrds.push(initrdFd === null ? null : readFileSync(`/proc/self/fd/${initrdFd}`, "latin1"));
        log(
          ["kexec_file_load", onCrash === true ? "crash" : null, debug === true ? "debug" : null]
            .filter(Boolean)
            .join(" "),
        );
        if (onCrash !== true) this.put("sys/kernel/kexec_loaded", "1\n");
      },
      kexecFileUnload: async (onCrash) => log(`kexec_file_load unload${onCrash ? " crash" : ""}`),
      interfacesDown: () => {
        log("interfaces down");
        return [];
      },
      sync: async () => log("sync"),
      reboot: (kind) => {
        log(`reboot ${kind}`);
        throw new SyscallError("reboot", [kind], errno.EINVAL);
      },
      ...this.#options.system,
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

/** What stands for the plan of an image that is no bzImage. */
const emptyPlan: ClassicPlan = {
  segments: [],
  entry: 0x1000,
  target: { mode: "64-bit", address: 0x1000, rsi: 0 },
  backup: null,
  console: { vga: false, serial: null, resetVga: false },
  jumpBackCommandLineEnd: null,
  pageTables: null,
  commandLine: "",
  remarks: [],
};

/** A bzImage64 with 4 KiB to load (boot.rst, syssize) that needs 4 MiB (init_size). */
export const kernelBytes = Buffer.concat([bzImageHead(), Buffer.alloc(4096, 0x90)]);
kernelBytes.writeUInt32LE(4096 / 16, 0x1f4);
kernelBytes.writeUInt32LE(4 << 20, 0x260);
