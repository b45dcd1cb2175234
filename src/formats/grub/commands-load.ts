import { quote } from "../format-error.ts";
import { inputsOf } from "./arguments.ts";
import { joinInputs, noInputs, type Tainted } from "./inputs.ts";
import { loaderCommandLine } from "./loader-command-line.ts";
import type { CommandCall, Located, Machine } from "./machine.ts";
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

/** `linux FILE OPTION…`, `linux16`, `linuxefi`: a second one replaces the first and its initrds. */
export async function linux(machine: Machine, call: CommandCall): Promise<number> {
  const { name, words } = call;
  const [file, ...options] = words;
  if (file === undefined) return machine.fail(grubStatus.badArgument, `${name}: a file expected`);
  if (!machine.entry) machine.report(`${name} ${quote(file.text)}: a kernel outside a menu entry is not offered`);
  if (!isWhole(machine, call)) return grubStatus.badArgument;
  const { use, inputs } = await locateFile(machine, file);
  const { load } = machine;
  load.kernel = use;
  load.options = loaderCommandLine(options.map(({ text }) => text));
  load.kernelInputs = joinInputs(inputs, inputsOf(words));
  load.initrds = [];
  load.initrdInputs = noInputs;
  return use.problem === null ? grubStatus.none : grubStatus.fileNotFound;
}

/** `initrd FILE…`, `initrd16`, `initrdefi`: the files are laid behind one another; a second command replaces the first. */
export async function initrd(machine: Machine, call: CommandCall): Promise<number> {
  const { name, words } = call;
  if (words.length === 0) {
    machine.load.initrdInputs = joinInputs(machine.load.initrdInputs, machine.ambient);
    return machine.fail(grubStatus.badArgument, `${name}: a file expected`);
  }
  if (machine.load.kernel === null) {
    return machine.fail(grubStatus.badArgument, `${name}: stands before the kernel, so GRUB does not load it`);
  }
  if (!isWhole(machine, call)) return grubStatus.badArgument;
  const wrapped = words.find(({ text }) => text.startsWith("newc:"));
  if (wrapped !== undefined) {
    machine.refuse(`${name} ${quote(wrapped.text)}: a file wrapped into an archive is not taken`);
    return grubStatus.notImplemented;
  }
  const located = [];
  for (const word of words) located.push(await locateFile(machine, word));
  machine.load.initrds = located.map(({ use }) => use);
  machine.load.initrdInputs = joinInputs(...located.map(({ inputs }) => inputs));
  return located.every(({ use }) => use.problem === null) ? grubStatus.none : grubStatus.fileNotFound;
}

/** `devicetree [FILE]`; without a file the tree is taken away again. */
export async function devicetree(machine: Machine, call: CommandCall): Promise<number> {
  const [file, ...more] = call.words;
  if (more.length > 0) return machine.fail(grubStatus.badArgument, "devicetree: one file expected");
  if (!isWhole(machine, call)) return grubStatus.badArgument;
  const located = file === undefined ? null : await locateFile(machine, file);
  machine.load.devicetree = located?.use ?? null;
  machine.load.devicetreeInputs = located?.inputs ?? machine.ambient;
  return (located?.use.problem ?? null) === null ? grubStatus.none : grubStatus.fileNotFound;
}

/** `boot`: what stands behind it is not run. */
export function boot(machine: Machine): number {
  if (machine.load.kernel === null) return machine.fail(grubStatus.badArgument, "boot: no kernel is loaded");
  machine.stopped = true;
  return grubStatus.none;
}

/** `exit`, `reboot`, `halt` …: GRUB ends here. */
export function leave(machine: Machine, { name }: CommandCall): number {
  machine.refuse(`${name}: leaves GRUB without booting a kernel`);
  machine.stopped = true;
  return grubStatus.none;
}
