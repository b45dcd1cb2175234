import { inputsOf, type OptionDefinition, optionValue, parseArguments } from "./arguments.ts";
import { fileKey } from "./ast.ts";
import { runTranslated } from "./commands-legacy.ts";
import { joinInputs } from "./inputs.ts";
import type { CommandCall, Machine } from "./machine.ts";
import { grubStatus } from "./status.ts";
import { type SyslinuxFlavour, type SyslinuxWorld, translateSyslinuxConfig } from "./syslinux-config.ts";

const options: readonly OptionDefinition[] = [
  { long: "root", short: "r", value: "required" },
  { long: "cwd", short: "c", value: "required" },
  { long: "isolinux", short: "i", value: "none" },
  { long: "pxelinux", short: "p", value: "none" },
  { long: "syslinux", short: "s", value: "none" },
];

/**
 * `syslinux_source`, `syslinux_configfile`, `extract_syslinux_entries_source`, `extract_syslinux_entries_configfile` (commands/syslinuxcfg.c):
 * a syslinux configuration, translated as GRUB does it.
 */
export async function syslinuxSource(machine: Machine, { name, words }: CommandCall): Promise<number> {
  const parsed = parseArguments(words, options);
  if (typeof parsed === "string") return machine.fail(grubStatus.badArgument, `${name}: ${parsed}`);
  const [word, ...more] = parsed.operands;
  if (word === undefined || more.length > 0) return machine.fail(grubStatus.badArgument, `${name}: one file expected`);
  const flavours: readonly (readonly [string, SyslinuxFlavour])[] = [
    ["syslinux", "sys"],
    ["pxelinux", "pxe"],
    ["isolinux", "iso"],
  ];
  const slash = word.text.lastIndexOf("/");
  const world: SyslinuxWorld = {
    root: optionValue(parsed, "root")?.text ?? "/",
    directory: optionValue(parsed, "cwd")?.text ?? (slash < 0 ? "/" : word.text.slice(0, slash)),
    flavour: flavours.find(([option]) => parsed.options.has(option))?.[1] ?? null,
    read: async (path) => {
      const read = await machine.readConfig({ text: path, inputs: word.inputs }, name);
      return read === null ? null : decode(read.bytes);
    },
    spend: (steps) => machine.budget.spend(steps),
  };
  // The words say where the translated paths begin.
  const inputs = inputsOf(words);
  await runTranslated(machine, name, async (open) => {
    const read = await machine.readConfig(word, name);
    if (read === null) return;
    const { file, bytes } = read;
    machine.chain.push(fileKey(file));
    const lines = await translateSyslinuxConfig(decode(bytes), word.text, world);
    open(file);
    await machine.within(joinInputs(inputs, read.inputs), () => machine.runText({ file, lines }, true));
    machine.chain.pop();
  });
  return grubStatus.none;
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
