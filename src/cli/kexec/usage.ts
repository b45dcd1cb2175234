import { type KexecOption, kexecOptions, type OptionGroup } from "./option-table.ts";

const headings: readonly (readonly [OptionGroup, string])[] = [
  ["action", "What to do (with none of -l, -p, -u, -e, -f: load, then shutdown -r now):"],
  ["load", "How to load:"],
  ["image", "What the new kernel gets:"],
  ["x86", "On x86:"],
  ["telling", "What is told:"],
  ["refused", "Refused:"],
];

/** Column at which the explanations begin. */
const helpColumn = 29;

/** The help: every option of the table. */
export function kexecUsage(): string {
  const sections = headings.map(([group, heading]) => {
    const options: readonly KexecOption[] = kexecOptions.filter((option) => option.group === group);
    return `${heading}\n${options.flatMap(optionLines).join("\n")}\n`;
  });
  return `usage: slipway kexec [OPTION]... [KERNEL]
       kexec [OPTION]... [KERNEL]

Loads a kernel from the running one and jumps into it, as kexec(8) of kexec-tools does; docs/kexec.md
tells where it differs. KERNEL is a bzImage, a unified kernel image, an ELF, multiboot, NBI or BeoBoot
image, as it is or compressed by gzip, zstd, xz, lzma, lz4, bzip2 or lzo. ADDRESS is decimal,
0x… or octal (0…).
Exit code: 0; 1 for a mistake in the command line and for what cannot be begun, with -S for a loaded
kernel; 2 when --check finds a reason against; 255 for a failure; 253 when -s finds no kexec_file_load.

${sections.join("\n")}`;
}

function optionLines({ short, long, argument, help }: KexecOption): string[] {
  return long.flatMap((name, index) => {
    const letter = short !== null && index === 0 ? `-${short}, ` : "    ";
    const words = ` ${letter}--${name}${argument === null ? "" : `=${argument}`}`;
    const lines = index === long.length - 1 ? help.split("\n") : [""];
    const first = words.length < helpColumn ? lines.shift() : undefined;
    const head = first === undefined ? words : `${words.padEnd(helpColumn)}${first}`.trimEnd();
    return [head, ...lines.map((line) => `${" ".repeat(helpColumn)}${line}`)];
  });
}
