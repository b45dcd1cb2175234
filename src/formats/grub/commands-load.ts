import { quote } from "../format-error.ts";
import { joinInputs, type Tainted } from "./inputs.ts";
import { loaderCommandLine } from "./loader-command-line.ts";
import type { CommandCall, LoadSources, Located, Machine } from "./machine.ts";
import type { GrubInitrd, GrubProtocol } from "./menu.ts";
import { grubStatus } from "./status.ts";

/** What a byte that is no UTF-8 was read as. */
const replacement = "\ufffd";

/** A word with bytes that are no UTF-8 cannot be handed on as it was; it costs the entry. */
function isWhole(machine: Machine, { name, words }: CommandCall): boolean {
  const broken = words.find(({ text }) => text.includes(replacement));
  if (broken !== undefined) machine.refuse(`${name}: ${quote(broken.text)} holds bytes that are not UTF-8`);
  return broken === undefined;
}

/** A file to load: a directory is none. */
async function locateFile(machine: Machine, word: Tainted): Promise<Located> {
  const located = await machine.locate(word);
  if (located.found === null || located.found.type === "file") return located;
  const problem = `${quote(located.use.writtenPath)} is not a file`;
  return { ...located, use: { ...located.use, path: null, problem } };
}

function sourcesOf(machine: Machine, call: CommandCall, located: readonly Located[]): LoadSources {
  const { inputs, variables } = machine.sourcesOf(call, ...located.map((each) => each.inputs));
  return { inputs, variables: [...located.flatMap((each) => each.variables), ...variables] };
}

/** Each variable once, as it was used last: a command that is repeated adds nothing. */
function joinSources({ limits }: Machine, first: LoadSources, second: LoadSources): LoadSources {
  const variables = new Map([...first.variables, ...second.variables].map((variable) => [variable.name, variable]));
  return {
    inputs: joinInputs(first.inputs, second.inputs),
    variables: [...variables.values()].slice(0, limits.entryVariablesMax),
  };
}

/** Sets the kernel; what another one had loaded is gone with it. */
async function loadKernel(
  machine: Machine,
  call: CommandCall,
  protocol: GrubProtocol,
  words: readonly Tainted[],
): Promise<number> {
  const [file, ...options] = words;
  if (file === undefined) return machine.fail(grubStatus.badArgument, `${call.name}: a file expected`);
  if (!isWhole(machine, call)) return grubStatus.badArgument;
  const commandLine = loaderCommandLine(options.map(({ text }) => text));
  const { session, limits } = machine;
  session.optionCharacters += commandLine.length;
  if (session.optionCharacters > limits.allOptionsCharactersMax) {
    machine.refuse(
      `${call.name} ${quote(file.text)}: more than ${limits.allOptionsCharactersMax} characters in all options`,
    );
    return grubStatus.outOfRange;
  }
  const located = await locateFile(machine, file);
  machine.unload();
  machine.lastLoad = call.place;
  Object.assign(machine.load, {
    protocol,
    kernel: located.use,
    options: commandLine,
    kernelSources: sourcesOf(machine, call, [located]),
  });
  if (located.use.problem === null) return grubStatus.none;
  if (!machine.entry) machine.report(`${call.name}: ${located.use.problem}`);
  return grubStatus.fileNotFound;
}

/** `linux FILE OPTION…`, `linux16`, `linuxefi`: a second one replaces the first and its initrds. */
export function linux(machine: Machine, call: CommandCall): Promise<number> {
  return loadKernel(machine, call, "linux", call.words);
}

/** `initrd FILE…`, `initrd16`, `initrdefi`: the files are laid behind one another; a second command replaces the first. */
export async function initrd(machine: Machine, call: CommandCall): Promise<number> {
  const { name, words } = call;
  const { load } = machine;
  if (words.length === 0) {
    load.initrdSources = joinSources(machine, load.initrdSources, machine.sourcesOf(call));
    return machine.fail(grubStatus.badArgument, `${name}: a file expected`);
  }
  if (load.kernel === null || load.protocol !== "linux") {
    return machine.fail(grubStatus.badArgument, `${name}: stands before the kernel, so GRUB does not load it`);
  }
  if (!isWhole(machine, call)) return grubStatus.badArgument;
  const initrds: GrubInitrd[] = [];
  const all: Located[] = [];
  for (const word of words) {
    const { file, archivePath } = wrapped(word);
    if (archivePath !== null && !isMemberPath(archivePath)) {
      machine.refuse(`${name} ${quote(word.text)}: a path without "." and ".." expected in the archive`);
      return grubStatus.badArgument;
    }
    const located = await locateFile(machine, file);
    initrds.push({ ...located.use, archivePath });
    all.push(located);
  }
  load.initrds = initrds;
  load.initrdSources = sourcesOf(machine, call, all);
  return initrds.every(({ problem }) => problem === null) ? grubStatus.none : grubStatus.fileNotFound;
}

/** `newc:PATH:FILE` (loader/linux.c, `grub_initrd_init`): slashes before the path are dropped. */
function wrapped(word: Tainted): { readonly file: Tainted; readonly archivePath: string | null } {
  const match = /^newc:\/*([^:]*):(.*)$/s.exec(word.text);
  if (match === null) return { file: word, archivePath: null };
  const parts = (match[1] ?? "").split("/").filter((part) => part !== "");
  return { file: { text: match[2] ?? "", inputs: word.inputs }, archivePath: `/${parts.join("/")}` };
}

function isMemberPath(path: string): boolean {
  return path !== "/" && path.split("/").every((part) => part !== "." && part !== "..");
}

/** `multiboot [--quirk-…]… FILE WORD…` and `multiboot2 FILE WORD…` (loader/multiboot.c). */
export function multiboot(machine: Machine, call: CommandCall): Promise<number> {
  machine.unload();
  const isFirst = call.name === "multiboot";
  const isQuirk = (word: Tainted): boolean =>
    word.text === "--quirk-bad-kludge" || word.text === "--quirk-modules-after-kernel";
  const start = isFirst ? call.words.findIndex((word) => !isQuirk(word)) : 0;
  const words = start < 0 ? [] : call.words.slice(start);
  return loadKernel(machine, call, isFirst ? "multiboot" : "multiboot2", words);
}

/** `module [--nounzip] FILE WORD…` behind `multiboot`, `module2` behind `multiboot2`; each adds one. */
export async function multibootModule(machine: Machine, call: CommandCall): Promise<number> {
  const words = call.words[0]?.text === "--nounzip" ? call.words.slice(1) : call.words;
  const [file, ...options] = words;
  if (file === undefined) return machine.fail(grubStatus.badArgument, `${call.name}: a file expected`);
  const { load } = machine;
  if (load.kernel === null || load.protocol !== (call.name === "module2" ? "multiboot2" : "multiboot")) {
    const kernel = call.name === "module2" ? "multiboot2" : "multiboot";
    return machine.fail(grubStatus.badArgument, `${call.name}: stands before ${kernel}, so GRUB does not load it`);
  }
  if (!isWhole(machine, call)) return grubStatus.badArgument;
  const { modulesMax } = machine.limits;
  if (load.modules.length >= modulesMax) {
    machine.refuse(`${call.name} ${quote(file.text)}: at most ${modulesMax} modules are taken`);
    return grubStatus.outOfRange;
  }
  const located = await locateFile(machine, file);
  const module = { use: located.use, options: loaderCommandLine(options.map(({ text }) => text)) };
  load.modules = [...load.modules, module];
  load.initrdSources = joinSources(machine, load.initrdSources, sourcesOf(machine, call, [located]));
  return located.use.problem === null ? grubStatus.none : grubStatus.fileNotFound;
}

/** `devicetree [FILE]`; without a file the tree is taken away again. */
export async function devicetree(machine: Machine, call: CommandCall): Promise<number> {
  const [file, ...more] = call.words;
  if (more.length > 0) return machine.fail(grubStatus.badArgument, "devicetree: one file expected");
  if (!isWhole(machine, call)) return grubStatus.badArgument;
  const located = file === undefined ? null : await locateFile(machine, file);
  machine.load.devicetree = located?.use ?? null;
  machine.load.devicetreeSources = sourcesOf(machine, call, located === null ? [] : [located]);
  return (located?.use.problem ?? null) === null ? grubStatus.none : grubStatus.fileNotFound;
}

/** `boot`: what stands behind it is not run. */
export function boot(machine: Machine): number {
  const { kernel } = machine.load;
  if (kernel === null || kernel.problem !== null) return machine.fail(grubStatus.noKernel, "boot: no kernel is loaded");
  machine.booted = true;
  machine.stopped = true;
  return grubStatus.none;
}

/** `exit`, `reboot`, `halt` …: GRUB ends here. */
export function leave(machine: Machine, { name }: CommandCall): number {
  machine.refuse(`${name}: leaves GRUB without booting a kernel`);
  machine.stopped = true;
  return grubStatus.none;
}
