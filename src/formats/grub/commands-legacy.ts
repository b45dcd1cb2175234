import { fileKey, type GrubFile, type SourceLine, type SourceText } from "./ast.ts";
import { extractFrom, inContextOfItsOwn } from "./commands-script.ts";
import { x86Linux } from "./file-type.ts";
import type { Tainted } from "./inputs.ts";
import { translateLegacyConfig } from "./legacy-config.ts";
import type { CommandCall, Machine } from "./machine.ts";
import { grubStatus } from "./status.ts";

type Open = (config: GrubFile) => void;

/**
 * `legacy_source`, `legacy_configfile`, `extract_legacy_entries_source`, `extract_legacy_entries_configfile` (commands/legacycfg.c):
 * a configuration of GRUB Legacy, translated.
 */
export async function legacySource(machine: Machine, { name, words }: CommandCall): Promise<number> {
  const [file] = words;
  if (file === undefined || words.length > 1) return machine.fail(grubStatus.badArgument, `${name}: one file expected`);
  await runTranslated(machine, name, (open) => runLegacy(machine, name, file, open));
  return grubStatus.none;
}

/** The ending of a command's name says what becomes of the file's entries; all translated formats are alike in it. */
export function runTranslated(machine: Machine, name: string, run: (open: Open) => Promise<void>): Promise<void> {
  if (name.startsWith("extract_")) return extractFrom(machine, name, run);
  return name.endsWith("configfile") ? inContextOfItsOwn(machine, run) : run(() => {});
}

async function runLegacy(machine: Machine, name: string, word: Tainted, open: Open): Promise<void> {
  const read = await machine.readConfig(word, name);
  if (read === null) return;
  const { file, bytes, inputs } = read;
  open(file);
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  machine.chain.push(fileKey(file));
  await machine.within(inputs, async () => {
    const waiting: SourceLine[] = [];
    const source = (lines: readonly SourceLine[]): SourceText => ({ file, lines });
    for (const piece of translateLegacyConfig(text)) {
      machine.budget.spend(1);
      if (machine.stopped) return;
      if (piece.kind === "commands") {
        waiting.push(piece.line);
        continue;
      }
      await machine.runText(source(waiting.splice(0)), true);
      const title: Tainted = { text: piece.title, inputs };
      machine.addItem(name, {
        title,
        id: null,
        parameters: [title],
        classes: [],
        hotkey: null,
        restricted: piece.restricted,
        submenu: false,
        body: source(piece.lines),
        place: { file, line: piece.number },
        inputs,
        ambient: machine.ambient,
        bls: null,
      });
    }
    await machine.runText(source(waiting), true);
  });
  machine.chain.pop();
}

const isLinux = x86Linux(0x200);

/** `legacy_kernel [--no-mem-option] [--type=TYPE] FILE FILE WORD…`: what the file is decides how it is loaded. */
export async function legacyKernel(machine: Machine, call: CommandCall): Promise<number> {
  let { words } = call;
  for (let i = 0; i < 2; i++) {
    const option = words[0]?.text;
    if (option === "--type=linux" || option === "--type=biglinux") machine.globals.legacyKernel = "linux";
    else if (option === "--type=multiboot") machine.globals.legacyKernel = "multiboot";
    else if (option?.startsWith("--type=") === true) {
      machine.refuse(`legacy_kernel ${option}: boots another system, not a Linux kernel`);
      return grubStatus.notImplemented;
    } else if (option !== "--no-mem-option") break;
    words = words.slice(1);
  }
  const [file, ...rest] = words;
  if (file === undefined || rest.length === 0) {
    return machine.fail(grubStatus.badArgument, "legacy_kernel: a file expected");
  }
  const kind = machine.globals.legacyKernel ?? (await kindOf(machine, file));
  machine.globals.legacyKernel = kind;
  // A multiboot kernel gets its own name as its first word, Linux does not.
  if (kind === "linux") return machine.runCommand({ ...call, name: "linux", words: [file, ...rest.slice(1)] });
  return machine.runCommand({ ...call, name: "multiboot", words });
}

/** A file that cannot be read is taken for Linux, which then tells what is wrong with it. */
async function kindOf(machine: Machine, word: Tainted): Promise<"linux" | "multiboot"> {
  const { device, found, use } = await machine.locate(word);
  if (device === null || found === null) return "linux";
  const asked = await machine.ask(() =>
    isLinux((position, length) => machine.host.readRange(device, use.writtenPath, position, length), found.size),
  );
  return "error" in asked || asked.answer ? "linux" : "multiboot";
}

/** `legacy_initrd FILE WORD…` and `legacy_initrd_nounzip`: the initrd of Linux, or a module. */
export async function legacyInitrd(machine: Machine, call: CommandCall): Promise<number> {
  const kind = machine.globals.legacyKernel;
  if (kind === null) return machine.fail(grubStatus.badArgument, `${call.name}: stands before the kernel`);
  if (kind === "linux") return machine.runCommand({ ...call, name: "initrd", words: call.words.slice(0, 1) });
  return machine.runCommand({ ...call, name: "module" });
}
