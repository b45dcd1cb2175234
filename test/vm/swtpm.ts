import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { hex } from "../../src/formats/bytes.ts";
import { openTpmOver, type Tpm, type TpmTransport } from "../../src/machine/tpm.ts";
import { runCommand, toolPath } from "./command.ts";

export interface SwtpmOptions {
  /**
   * `socket`: it is switched on, and answers whoever connects, one after the other. `qemu`: it is the TPM of a machine, which
   * switches it on, and off when it ends by itself; see {@link Swtpm.afterMachine}.
   */
  readonly for: "socket" | "qemu";
  /** Where it keeps what outlives being switched off. A directory of its own, which goes with it, unless told. */
  readonly stateDirectory?: string;
}

const startTimeoutMs = 10_000;
const lookEveryMs = 10;

/** Starts a TPM 2.0 in software. It ends with the test: when it is disposed, and also when the process that started it dies. */
export function startSwtpm({ for: purpose, stateDirectory }: SwtpmOptions): Promise<Swtpm> {
  return start(purpose, stateDirectory);
}

/** `resumed`: as `socket`, with what another one stored before it ended. */
async function start(purpose: "socket" | "qemu" | "resumed", stateDirectory: string | undefined): Promise<Swtpm> {
  const directory = await mkdtemp(path.join(tmpdir(), "slipway-swtpm-"));
  const socket = path.join(directory, "socket");
  const words = ["--pdeathsig", "KILL", "swtpm", "socket", "--tpm2"];
  words.push("--tpmstate", `dir=${stateDirectory ?? directory}`);
  if (purpose === "qemu") words.push("--ctrl", `type=unixio,path=${socket}`);
  else {
    const started = purpose === "socket" ? ",startup-clear" : "";
    words.push("--server", `type=unixio,path=${socket}`, "--flags", `not-need-init${started}`);
  }
  const child = spawn("setpriv", words, { env: { ...process.env, PATH: toolPath }, stdio: ["ignore", "pipe", "pipe"] });
  const swtpm = new Swtpm(child, directory, stateDirectory ?? directory, socket);
  for (let waitedMs = 0; !existsSync(socket); waitedMs += lookEveryMs) {
    if (swtpm.ended || waitedMs > startTimeoutMs) {
      await swtpm[Symbol.asyncDispose]();
      throw new Error(`start swtpm: no socket after ${waitedMs} ms: ${swtpm.errors}`);
    }
    await sleep(lookEveryMs);
  }
  return swtpm;
}

/** Of the control channel (tpm_ioctl.h of swtpm): what being switched off would lose is written to the state's directory. */
const storeVolatile = Uint8Array.of(0, 0, 0, 10);

/** Copies standard input to a socket and back: a transport for tpm2-tools, which have none for Unix sockets. */
const bridge = `const s=require("net").connect(process.argv[1]);process.stdin.pipe(s).pipe(process.stdout)`;

export class Swtpm implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #state: string;
  readonly #socket: string;
  readonly #exit: Promise<void>;
  #errors = "";
  #ended = false;

  constructor(child: ChildProcess, directory: string, state: string, socket: string) {
    this.#child = child;
    this.#directory = directory;
    this.#state = state;
    this.#socket = socket;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (bytes: Buffer) => {
        this.#errors += bytes.toString();
      });
    }
    this.#exit = new Promise((resolve) => {
      const end = (error?: unknown): void => {
        if (error instanceof Error) this.#errors += error.message;
        this.#ended = true;
        resolve();
      };
      child.on("error", end);
      child.on("close", () => end());
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What it wrote. */
  get errors(): string {
    return this.#errors;
  }

  /** Words for QEMU (`VmOptions.qemuArguments`) that make it the machine's TPM. */
  get qemuArguments(): readonly string[] {
    const socket = `socket,id=chrtpm,path=${this.#socket}`;
    return ["-chardev", socket, "-tpmdev", "emulator,id=tpm0,chardev=chrtpm", "-device", "tpm-tis,tpmdev=tpm0"];
  }

  /** Slipway's own view of it. One at a time: it has to be closed before tpm2-tools or another one use it. */
  async open(commandSeconds?: number): Promise<Tpm> {
    return openTpmOver(await socketTransport(this.#socket), commandSeconds);
  }

  /** What carries commands to it. */
  async transport(): Promise<TpmTransport> {
    return socketTransport(this.#socket);
  }

  /** Runs a program of tpm2-tools on it; gives what it prints. */
  async tool(program: string, ...args: readonly string[]): Promise<string> {
    const tcti = `cmd:${process.execPath} -e '${bridge}' ${this.#socket}`;
    return runCommand(program, args, { env: { TPM2TOOLS_TCTI: tcti } });
  }

  /**
   * When the machine whose TPM it is was killed (disposed) and not switched off: the same TPM for `open` and `tool`, with the
   * PCRs as the machine left them. This one ends; it has to be disposed after the one it gives.
   */
  async afterMachine(): Promise<Swtpm> {
    const control = await connected(this.#socket);
    const answer = await exchange(control, storeVolatile, 4);
    control.destroy();
    if (answer.some((byte) => byte !== 0)) throw new Error(`swtpm: store its state: result ${hex(answer)}`);
    this.#child.kill("SIGKILL");
    await this.#exit;
    return start("resumed", this.#state);
  }

  /** Waits until it ends by itself: a machine that is switched off ends its TPM. */
  async waitForExit(): Promise<void> {
    await this.#exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exit;
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Over a Unix socket, commands and answers follow one another; each says its length. */
async function socketTransport(file: string): Promise<TpmTransport> {
  const socket = await connected(file);
  return {
    transmit: (command) => exchange(socket, command, null),
    close: () =>
      new Promise((resolve) => {
        if (socket.destroyed) resolve();
        else socket.once("close", () => resolve());
        socket.destroy();
      }),
  };
}

async function connected(file: string): Promise<Socket> {
  const socket = connect(file);
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return socket;
}

/** @param answerBytes null: as many as the answer says of itself */
function exchange(socket: Socket, command: Uint8Array, answerBytes: number | null): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let answer = Buffer.alloc(0);
    const finish = (result: () => void): void => {
      socket.removeAllListeners("data").removeAllListeners("error").removeAllListeners("close");
      socket.on("error", () => undefined);
      result();
    };
    socket.on("data", (bytes: Buffer) => {
      answer = Buffer.concat([answer, bytes]);
      const wanted = answerBytes ?? (answer.length < 6 ? 6 : answer.readUInt32BE(2));
      if (answer.length >= wanted) finish(() => resolve(new Uint8Array(answer)));
    });
    socket.on("error", (error) => finish(() => reject(error)));
    socket.on("close", () => finish(() => reject(new Error("the TPM closed the connection"))));
    socket.write(command);
  });
}
