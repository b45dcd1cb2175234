import { spawn } from "node:child_process";
import { toolPath } from "../command.ts";
import { type Judgement, judgedExitWords, readJudgement } from "./payload-kernel.ts";

export interface JudgedRun {
  /** What the judged kernel said; null where none was booted. */
  readonly judgement: Judgement | null;
  /** The serial port's output, without carriage returns and without what only moves a cursor. */
  readonly log: string;
  /** Whether the machine had to be ended, because it did not end by itself in time. */
  readonly overran: boolean;
}

export interface JudgedMachine {
  /** More words for QEMU: firmware, disks, kernel. */
  readonly words: readonly string[];
  /** Wall time after which the machine is ended. */
  readonly timeLimitMs: number;
  readonly memoryMiB?: number;
  /** A question on the serial port, and the keys that answer it whenever it is asked. */
  readonly answer?: { readonly question: string; readonly keys: string };
  /** What the loader says when it boots nothing; the machine is ended then. */
  readonly givesUp?: string;
  /** Whether waits are over as soon as they can be. UEFI firmware does not run with such a clock. */
  readonly quickClock?: boolean;
}

/**
 * Instructions take so long (2^9 ns) that a loader's menu of some seconds is over soon, and time that nobody works in is
 * skipped. The loader cannot tell: all its clocks agree.
 */
const quickClockWords = ["-icount", "shift=9,sleep=off"];

/** Runs a loader until it has booted a judged kernel, or the machine ends otherwise, or its time is over. */
export function runJudged(machine: JudgedMachine): Promise<JudgedRun> {
  const { words, timeLimitMs, memoryMiB = 256, answer, givesUp, quickClock = true } = machine;
  return new Promise((resolve, reject) => {
    const all = [
      ...["--pdeathsig", "KILL", "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg"],
      ...(quickClock ? quickClockWords : []),
      ...["-m", String(memoryMiB), "-nodefaults", "-display", "none", "-nic", "none", "-no-reboot"],
      ...["-chardev", "stdio,id=serial0,signal=off", "-serial", "chardev:serial0", ...judgedExitWords, ...words],
    ];
    const child = spawn("setpriv", all, { env: { ...process.env, PATH: toolPath }, stdio: ["pipe", "pipe", "pipe"] });
    const output: Buffer[] = [];
    const errors: Buffer[] = [];
    let overran = false;
    let asked = 0;
    child.stdout.on("data", (bytes: Buffer) => {
      output.push(bytes);
      const said = Buffer.concat(output).toString("latin1");
      if (givesUp !== undefined && said.includes(givesUp)) child.kill("SIGKILL");
      if (answer === undefined) return;
      for (const times = said.split(answer.question).length - 1; asked < times; asked++) child.stdin.write(answer.keys);
    });
    // A machine that has just ended takes no keys.
    child.stdin.on("error", () => undefined);
    child.stderr.on("data", (bytes: Buffer) => errors.push(bytes));
    const timer = setTimeout(() => {
      overran = true;
      child.kill("SIGKILL");
    }, timeLimitMs);
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(new Error(`start QEMU: ${error.message}`, { cause: error }));
    });
    child.on("close", () => {
      clearTimeout(timer);
      const log = plainText(Buffer.concat(output).toString());
      const judgement = readJudgement(log);
      const said = Buffer.concat(errors).toString().trimEnd();
      if (said !== "" && judgement === null) reject(new Error(`run QEMU: ${said}`));
      else resolve({ judgement, log, overran });
    });
  });
}

/** Without carriage returns and the escape sequences of ECMA-48, section 5.4. */
function plainText(output: string): string {
  const start = "\u001b";
  return output.replaceAll("\r", "").replaceAll(new RegExp(`${start}\\[[0-9;?]*[ -/]*[@-~]`, "g"), "");
}

/** A raw image as a virtio disk; what is written to it is dropped. */
export function diskWords(image: string, name: string, bootIndex?: number): string[] {
  const boot = bootIndex === undefined ? "" : `,bootindex=${bootIndex}`;
  return [
    ...["-drive", `file=${image.replaceAll(",", ",,")},if=none,id=${name},format=raw,snapshot=on`],
    ...["-device", `virtio-blk-pci,drive=${name}${boot}`],
  ];
}
