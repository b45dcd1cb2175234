import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { StringDecoder } from "node:string_decoder";
import { toolPath } from "./command.ts";

export interface VmDisk {
  /** Raw image. */
  readonly path: string;
  /** `virtio` unless told: the kernel of virtual machines knows only that, `nvme` and `scsi` (virtio). */
  readonly interface?: "virtio" | "ide" | "nvme" | "scsi" | "usb";
  /** Whether what the guest writes goes to the file; otherwise it is dropped with the machine. */
  readonly keepWrites?: boolean;
}

export interface VmOptions {
  readonly kernel: string;
  readonly initrd?: string;
  /** Kernel command line; the console is ttyS0. */
  readonly append: string;
  readonly disks?: readonly VmDisk[];
  readonly memoryMiB?: number;
  /** UEFI firmware (OVMF) in place of SeaBIOS. */
  readonly uefi?: boolean;
  /** More words for QEMU. */
  readonly qemuArguments?: readonly string[];
  /** Gets the serial output as it comes. */
  readonly onOutput?: (text: string) => void;
}

export interface VmExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** What QEMU itself wrote to its standard error. */
  readonly errors: string;
}

const ovmfFirmware = "/usr/share/ovmf/OVMF.fd";
const hotPlugPorts = 4;
/** Lines of the log that a failed expectation shows. */
const shownLinesMax = 40;

/**
 * Starts a virtual machine: q35, one emulated processor, the serial port as console, no network. It ends with the
 * test: when it is disposed, and also when the process that started it dies.
 */
export async function startVm(options: VmOptions): Promise<Vm> {
  const directory = await mkdtemp(path.join(tmpdir(), "slipway-vm-"));
  const socket = path.join(directory, "qmp");
  const connection = new MonitorConnection(socket);
  await connection.listening;
  const words = ["--pdeathsig", "KILL", "qemu-system-x86_64", ...qemuWords(options, socket)];
  const child = spawn("setpriv", words, {
    env: { ...process.env, PATH: toolPath },
    stdio: ["pipe", "pipe", "pipe"],
  });
  return new Vm(child, connection, directory, options.onOutput ?? (() => undefined));
}

/**
 * Several processors have one thread: with one for each, QEMU before 8.1 may run code that another one has just changed,
 * and Linux, which changes its own while it runs, dies of an "int3" now and then.
 */
function hasSeveralProcessors({ qemuArguments = [] }: VmOptions): boolean {
  return Number.parseInt(qemuArguments[qemuArguments.indexOf("-smp") + 1] ?? "1", 10) > 1;
}

/** A clock that counts instructions is for one thread only. */
function countsInstructions(options: VmOptions): boolean {
  return options.qemuArguments?.includes("-icount") ?? false;
}

function qemuWords(options: VmOptions, socket: string): string[] {
  const words = [
    "-machine",
    "q35",
    "-accel",
    `tcg,thread=${hasSeveralProcessors(options) || countsInstructions(options) ? "single" : "multi"}`,
    "-cpu",
    "max",
  ];
  words.push("-m", String(options.memoryMiB ?? 1024));
  words.push("-nodefaults", "-display", "none", "-nic", "none", "-no-reboot");
  words.push("-chardev", "stdio,id=serial0,signal=off", "-serial", "chardev:serial0");
  words.push("-chardev", `socket,id=monitor,path=${escapeComma(socket)},server=off`);
  words.push("-mon", "chardev=monitor,mode=control");
  if (options.uefi === true) words.push("-bios", ovmfFirmware);
  words.push("-kernel", options.kernel, "-append", options.append);
  if (options.initrd !== undefined) words.push("-initrd", options.initrd);
  const disks = options.disks ?? [];
  if (disks.some((disk) => disk.interface === "scsi")) words.push("-device", "virtio-scsi-pci,id=scsi");
  if (disks.some((disk) => disk.interface === "usb")) words.push("-device", "qemu-xhci,id=usb");
  disks.forEach((disk, index) => {
    const snapshot = disk.keepWrites === true ? "off" : "on";
    words.push("-drive", `file=${escapeComma(disk.path)},if=none,id=disk${index},format=raw,snapshot=${snapshot}`);
    words.push("-device", diskDevice(disk, index, disks.slice(0, index).filter(isIde).length));
  });
  for (let port = 0; port < hotPlugPorts; port++) {
    words.push("-device", `pcie-root-port,id=plug${port},chassis=${port + 1},slot=${port + 1}`);
  }
  return [...words, ...(options.qemuArguments ?? [])];
}

function isIde(disk: VmDisk): boolean {
  return disk.interface === "ide";
}

/** @param ideBefore how many disks before it take a port of the AHCI controller */
function diskDevice(disk: VmDisk, index: number, ideBefore: number): string {
  const drive = `drive=disk${index}`;
  switch (disk.interface ?? "virtio") {
    case "virtio":
      return `virtio-blk-pci,${drive}`;
    case "ide":
      return `ide-hd,${drive},bus=ide.${ideBefore}`;
    case "nvme":
      return `nvme,${drive},serial=disk${index}`;
    case "scsi":
      return `scsi-hd,${drive},bus=scsi.0`;
    case "usb":
      return `usb-storage,${drive},bus=usb.0`;
  }
}

/** In QEMU's option syntax a comma in a value is doubled. */
function escapeComma(text: string): string {
  return text.replaceAll(",", ",,");
}

interface Waiter {
  readonly look: () => boolean;
  readonly fail: (error: Error) => void;
  readonly what: string;
}

export class Vm implements AsyncDisposable {
  /** Resolves when QEMU has ended, whatever the reason. */
  readonly exit: Promise<VmExit>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #monitor: MonitorConnection;
  readonly #directory: string;
  readonly #waiters = new Set<Waiter>();
  #log = "";
  #cursor = 0;
  #ended: VmExit | null = null;
  #plugged = 0;

  constructor(
    child: ChildProcessWithoutNullStreams,
    monitor: MonitorConnection,
    directory: string,
    onOutput: (text: string) => void,
  ) {
    this.#child = child;
    this.#monitor = monitor;
    this.#directory = directory;
    const decoder = new StringDecoder("utf8");
    child.stdout.on("data", (bytes: Buffer) => {
      const text = decoder.write(bytes).replaceAll("\r", "");
      this.#log += text;
      onOutput(text);
      for (const waiter of this.#waiters) waiter.look();
    });
    // Keys sent to a machine that has just ended are lost, as on a desk.
    child.stdin.on("error", () => undefined);
    this.exit = this.#watchExit();
  }

  /** The serial output so far, without carriage returns. */
  get log(): string {
    return this.#log;
  }

  /**
   * Waits until the pattern shows in the serial output behind the place where the last expectation matched. Fails with
   * the last lines of the log when the time is over or the machine has ended without it.
   */
  expect(pattern: string | RegExp, timeoutMs = 60_000): Promise<RegExpExecArray> {
    const expression = typeof pattern === "string" ? RegExp(escapeExpression(pattern)) : pattern;
    return this.#wait(`expect ${String(pattern)}`, timeoutMs, () => {
      const match = expression.exec(this.#log.slice(this.#cursor));
      if (match !== null) this.#cursor += match.index + match[0].length;
      return match;
    });
  }

  /** Types on the serial console. */
  send(keys: string): void {
    this.#child.stdin.write(keys);
  }

  /** Plugs in a virtio disk while the machine runs; up to four in its life. */
  async plugDisk(image: string): Promise<void> {
    const number = this.#plugged++;
    if (number >= hotPlugPorts) throw new Error(`plug in disk "${image}": all ${hotPlugPorts} ports are taken`);
    const file = { driver: "file", filename: image };
    await this.qmp("blockdev-add", { driver: "raw", "node-name": `plugged${number}`, "read-only": true, file });
    const device = { driver: "virtio-blk-pci", id: `device${number}`, drive: `plugged${number}`, bus: `plug${number}` };
    await this.qmp("device_add", device);
  }

  /** A command to QEMU's monitor; resolves with what it returns. */
  async qmp(execute: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return this.#monitor.command(execute, args);
  }

  /** Waits for QEMU to end by itself: the guest powers off, reboots or panics. */
  async waitForExit(timeoutMs = 60_000): Promise<VmExit> {
    return this.#wait("expect the machine to end", timeoutMs, () => this.#ended);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exit;
  }

  #watchExit(): Promise<VmExit> {
    const errors: Buffer[] = [];
    this.#child.stderr.on("data", (bytes: Buffer) => errors.push(bytes));
    return new Promise((resolve) => {
      const end = (code: number | null, signal: string | null, more = ""): void => {
        this.#ended ??= { code, signal, errors: `${Buffer.concat(errors).toString()}${more}` };
        this.#monitor.close();
        for (const waiter of this.#waiters) {
          if (!waiter.look()) waiter.fail(this.#failure(waiter.what, "the machine has ended"));
        }
        const ended = this.#ended;
        rm(this.#directory, { recursive: true, force: true }).then(() => resolve(ended));
      };
      this.#child.on("error", (error) => end(null, null, error.message));
      this.#child.on("close", end);
    });
  }

  #wait<T>(what: string, timeoutMs: number, look: () => T | null): Promise<T> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter = {
        what,
        look: () => {
          const value = look();
          if (value === null) return false;
          done();
          resolve(value);
          return true;
        },
        fail: (error) => {
          done();
          reject(error);
        },
      };
      const timer = setTimeout(() => waiter.fail(this.#failure(what, `not within ${timeoutMs} ms`)), timeoutMs);
      this.#waiters.add(waiter);
      if (!waiter.look() && this.#ended !== null) waiter.fail(this.#failure(what, "the machine has ended"));
    });
  }

  #failure(what: string, reason: string): Error {
    const lines = this.#log.split("\n").slice(-shownLinesMax).join("\n");
    const errors =
      this.#ended === null ? "" : `\nQEMU (${this.#ended.code ?? this.#ended.signal}): ${this.#ended.errors}`;
    return new Error(`${what}: ${reason}; the log ends:\n${lines}${errors}`);
  }
}

function escapeExpression(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** The QEMU Machine Protocol (docs/interop/qmp-spec): lines of JSON, a greeting first. QEMU connects to us. */
class MonitorConnection {
  readonly listening: Promise<void>;
  readonly #server: Server;
  readonly #ready: Promise<Socket>;
  readonly #pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #number = 0;

  constructor(socketPath: string) {
    this.#server = createServer();
    this.#ready = new Promise((resolve) => {
      this.#server.once("connection", (socket) => {
        this.#server.close();
        this.#read(socket);
        resolve(socket);
      });
    });
    this.listening = new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(socketPath, resolve);
    });
  }

  async command(execute: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    const socket = await this.#ready;
    if (this.#number === 0) void this.#send(socket, "qmp_capabilities", {});
    return this.#send(socket, execute, args);
  }

  close(): void {
    this.#server.close();
    for (const { reject } of this.#pending.values()) reject(new Error("monitor: the machine has ended"));
    this.#pending.clear();
  }

  #send(socket: Socket, execute: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    const id = ++this.#number;
    socket.write(`${JSON.stringify({ execute, arguments: args, id })}\n`);
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject })).catch((error: unknown) => {
      throw new Error(`monitor ${execute}: ${error instanceof Error ? error.message : String(error)}`);
    });
  }

  #read(socket: Socket): void {
    let rest = "";
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      const lines = `${rest}${bytes.toString()}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(JSON.parse(line));
    });
  }

  /** Answers carry the number of their command; the greeting and events do not. */
  #take(message: {
    readonly id?: number;
    readonly return?: unknown;
    readonly error?: { readonly desc: string };
  }): void {
    if (message.id === undefined) return;
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.error === undefined) pending?.resolve(message.return);
    else pending?.reject(new Error(message.error.desc));
  }
}
