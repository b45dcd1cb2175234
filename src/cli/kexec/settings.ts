import { UsageError } from "../verb.ts";
import { exitFailed } from "./exit-codes.ts";
import { readOptions } from "./getopt.ts";
import { BadSerial, baudRate, entryAddress, memoryBound, serialPort } from "./numbers.ts";
import { kexecOptions, type OptionId } from "./option-table.ts";

export interface GivenOption {
  readonly id: OptionId;
  /** As written, or as it would be in full: `--append`. */
  readonly name: string;
}

/** What kexec(8) is asked to do, when all options were read. */
export interface Settings {
  // What to do, in this order.
  readonly status: boolean;
  readonly unload: boolean;
  readonly load: boolean;
  readonly shutdown: boolean;
  readonly sync: boolean;
  readonly interfacesDown: boolean;
  readonly exec: boolean;
  readonly jumpBack: boolean;

  /** Which kernel is meant: the one for the next jump, the one for a panic, or one that comes back. */
  readonly target: "normal" | "crash" | "returning";
  /** Null: no option says; then it is `auto`. */
  readonly call: "file" | "classic" | "auto" | null;
  readonly checks: boolean;
  readonly type: string | null;
  /** Physical. */
  readonly memoryMin: number | null;
  readonly memoryMax: number | null;
  readonly entry: number | null;
  readonly reuseInitrd: boolean;
  readonly debug: boolean;
  readonly hotplug: boolean;
  readonly noCma: boolean;
  readonly forceDtb: boolean;

  readonly resetVga: boolean;
  readonly consoleVga: boolean;
  readonly consoleSerial: boolean;
  /** I/O port. */
  readonly serialPort: number;
  /** Bits per second; 0 leaves the port as it is set. */
  readonly serialBaud: number;
  /** Whether the port or its rate was given. */
  readonly serialGiven: boolean;
  readonly elf32CoreHeaders: boolean;
  readonly passMemmapCommandLine: boolean;
  readonly noEfi: boolean;
  readonly reuseVideoType: boolean;

  readonly reuseCommandLine: boolean;
  readonly append: string | null;
  readonly initrds: readonly string[];
  readonly devicetree: string | null;
  readonly modules: readonly string[];
  readonly elfArguments: "elf" | "linux" | "none" | null;
  readonly realMode: boolean;
  readonly entry32: boolean;
  /** The options for the loader of an image type that were given. */
  readonly loaderOptions: readonly GivenOption[];

  readonly dryRun: boolean;
  readonly json: boolean;
  readonly check: boolean;

  /** What is no option: the kernel, and what is left over. */
  readonly words: readonly string[];
}

/** What a command line asks for. */
export type Request =
  | { readonly kind: "do"; readonly settings: Settings }
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | { readonly kind: "crash-size" }
  /** Told on standard error, with the help on standard output where `withUsage` says so. */
  | { readonly kind: "mistake"; readonly message: string; readonly code: number; readonly withUsage: boolean };

/** A mistake for which no help is shown: exit code 1, as kexec-tools' die(). */
class Refusal extends Error {
  override readonly name = "Refusal";
}

/** Reads the words of a command line. Nothing of the machine is looked at. */
export function readRequest(args: readonly string[]): Request {
  const words: string[] = [];
  let draft = untouched;
  try {
    for (const read of readOptions("kexec", kexecOptions, args)) {
      if (read.kind === "word") {
        words.push(read.word);
        continue;
      }
      const { option, name, argument } = read;
      const { id } = option;
      if (id === "help" || id === "version") return { kind: id };
      if (id === "print-ckr-size") return { kind: "crash-size" };
      draft = { ...draft, ...effects[id](argument, draft) };
      if (option.isLoaderOption) draft = { ...draft, loaderOptions: [...draft.loaderOptions, { id, name }] };
    }
    return { kind: "do", settings: finish({ ...draft, words }) };
  } catch (error) {
    if (error instanceof Refusal) return { kind: "mistake", message: error.message, code: 1, withUsage: false };
    if (!(error instanceof UsageError)) throw error;
    const code = error instanceof BadSerial ? exitFailed : 1;
    return { kind: "mistake", message: error.message, code, withUsage: true };
  }
}

/** Settings while options are read. */
interface Draft extends Settings {
  readonly skipsSync: boolean;
  readonly skipsInterfaces: boolean;
  readonly asksForLoad: boolean;
}

const untouched: Draft = {
  status: false,
  unload: false,
  load: true,
  shutdown: true,
  sync: true,
  interfacesDown: false,
  exec: false,
  jumpBack: false,
  target: "normal",
  call: null,
  checks: true,
  type: null,
  memoryMin: null,
  memoryMax: null,
  entry: null,
  reuseInitrd: false,
  debug: false,
  hotplug: false,
  noCma: false,
  forceDtb: false,
  resetVga: false,
  consoleVga: false,
  consoleSerial: false,
  serialPort: 0x3f8,
  serialBaud: 0,
  serialGiven: false,
  elf32CoreHeaders: false,
  passMemmapCommandLine: false,
  noEfi: false,
  reuseVideoType: false,
  reuseCommandLine: false,
  append: null,
  initrds: [],
  devicetree: null,
  modules: [],
  elfArguments: null,
  realMode: false,
  entry32: false,
  loaderOptions: [],
  dryRun: false,
  json: false,
  check: false,
  words: [],
  skipsSync: false,
  skipsInterfaces: false,
  asksForLoad: false,
};

/** What an option assigns; the last assignment wins. */
type Effect = (argument: string, draft: Draft) => Partial<Draft>;

const always =
  (values: Partial<Draft>): Effect =>
  () =>
    values;

/** Every option but those that end the reading (kexec-tools, kexec.c, main()). */
const effects: Readonly<Record<Exclude<OptionId, "help" | "version" | "print-ckr-size">, Effect>> = {
  question: () => {
    throw new UsageError("");
  },
  force: always({ load: true, shutdown: false, sync: true, interfacesDown: true, exec: true }),
  "no-checks": always({ checks: false }),
  "no-ifdown": always({ skipsInterfaces: true }),
  "no-sync": always({ skipsSync: true }),
  load: always({ load: true, exec: false, shutdown: false, asksForLoad: true }),
  unload: always({ load: false, shutdown: false, sync: false, unload: true }),
  exec: always({ load: false, shutdown: false, sync: true, interfacesDown: true, exec: true }),
  "exec-live-update": () => refuseXen("--exec-live-update"),
  "load-preserve-context": always({ load: true, exec: false, shutdown: false, sync: true, target: "returning" }),
  "load-jump-back-helper": always({
    load: false,
    shutdown: false,
    sync: true,
    interfacesDown: true,
    exec: false,
    jumpBack: true,
    target: "returning",
  }),
  "load-live-update": () => refuseXen("--load-live-update"),
  entry: (text) => ({ entry: entryAddress(text) }),
  type: (text) => ({ type: text }),
  "load-panic": always({ load: true, exec: false, shutdown: false, sync: false, target: "crash" }),
  "mem-min": (text) => ({ memoryMin: memoryBound("--mem-min", text) }),
  "mem-max": (text) => ({ memoryMax: memoryBound("--mem-max", text) }),
  reuseinitrd: always({ reuseInitrd: true }),
  "kexec-file-syscall": always({ call: "file" }),
  "kexec-syscall": always({ call: "classic" }),
  "kexec-syscall-auto": always({ call: "auto" }),
  debug: always({ debug: true }),
  status: always({ status: true }),
  hotplug: always({ hotplug: true }),
  "no-cma": always({ noCma: true }),
  "force-dtb": always({ forceDtb: true }),
  "reset-vga": always({ resetVga: true }),
  serial: (text) => ({ serialPort: serialPort(text), serialGiven: true }),
  "serial-baud": (text) => ({ serialBaud: baudRate(text), serialGiven: true }),
  "console-vga": always({ consoleVga: true }),
  "console-serial": always({ consoleSerial: true }),
  "elf32-core-headers": always({ elf32CoreHeaders: true }),
  "elf64-core-headers": always({ elf32CoreHeaders: false }),
  "pass-memmap-cmdline": always({ passMemmapCommandLine: true }),
  noefi: always({ noEfi: true }),
  "reuse-video-type": always({ reuseVideoType: true }),
  "reuse-cmdline": always({ reuseCommandLine: true }),
  append: (text) => ({ append: text }),
  initrd: (text, { initrds }) => ({ initrds: [...initrds, text] }),
  dtb: (text) => ({ devicetree: text }),
  devicetree: (text) => ({ devicetree: text }),
  module: (text, { modules }) => ({ modules: [...modules, text] }),
  "args-elf": always({ elfArguments: "elf" }),
  "args-linux": always({ elfArguments: "linux" }),
  "args-none": always({ elfArguments: "none" }),
  "real-mode": always({ realMode: true }),
  "entry-32bit": always({ entry32: true }),
  "dry-run": always({ dryRun: true }),
  json: always({ json: true }),
  check: always({ check: true }),
};

/** What follows from all options together, in kexec-tools' order. */
function finish(draft: Draft): Settings {
  if (draft.status) return statusOnly(draft);
  const settings: Settings = {
    ...draft,
    sync: draft.sync && !draft.skipsSync,
    interfacesDown: draft.interfacesDown && !draft.skipsInterfaces,
    // Nobody loads nothing: behind -u and without a kernel, -p and -l only say which one is meant.
    load: draft.load && !(draft.unload && draft.words.length === 0),
  };
  if (settings.load && settings.target === "returning" && settings.memoryMax === null) {
    throw new Refusal(
      'Please specify memory range used by kexeced kernel\nto preserve the context of original kernel with \n"--mem-max" parameter',
    );
  }
  refuseWithoutLoad(settings);
  if (settings.call === "file" && settings.target === "returning") {
    const option = settings.jumpBack ? "--load-jump-back-helper" : "--load-preserve-context";
    throw new Refusal(`${option} not supported with kexec_file_load`);
  }
  return settings;
}

/** -S supersedes whatever else was asked for; what is wrong with a load's options is wrong all the same. */
function statusOnly(draft: Draft): Settings {
  const settings: Settings = {
    ...draft,
    target: draft.target === "normal" && !draft.asksForLoad ? "crash" : draft.target,
    load: false,
    unload: false,
    shutdown: false,
    sync: false,
    interfacesDown: false,
    exec: false,
    jumpBack: false,
  };
  refuseWithoutLoad(settings);
  return settings;
}

function refuseWithoutLoad({ load, loaderOptions, dryRun, json }: Settings): void {
  if (json && !dryRun) throw new UsageError("kexec: --json goes with --dry-run");
  if (load) return;
  const [first] = loaderOptions;
  if (first !== undefined) throw new UsageError(`kexec: ${first.name} is for a load, and none was asked for`);
  if (dryRun) throw new UsageError("kexec: --dry-run is for a load, and none was asked for");
}

function refuseXen(option: string): never {
  throw new Refusal(`${option} only works under xen, and this program loads nothing there`);
}
