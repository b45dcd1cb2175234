import type { OptionWords } from "./getopt.ts";

/** What an option is for: the headings of the help. */
export type OptionGroup = "action" | "load" | "image" | "x86" | "telling" | "refused";

export interface KexecOption extends OptionWords {
  readonly id: string;
  readonly group: OptionGroup;
  /** What it does, for the help: lines of at most 52 characters. */
  readonly help: string;
  /** Read by the loader of an image type only: without a load it is a mistake. */
  readonly isLoaderOption: boolean;
}

interface Extra {
  readonly argument?: string;
  readonly isLoaderOption?: boolean;
  readonly abbreviates?: boolean;
}

function option<Id extends string>(
  id: Id,
  group: OptionGroup,
  short: string | null,
  long: readonly string[],
  help: string,
  extra: Extra = {},
): KexecOption & { readonly id: Id } {
  const { argument = null, isLoaderOption = false, abbreviates = true } = extra;
  return { id, group, short, long, help, argument, isLoaderOption, abbreviates };
}

const ofLoader = { isLoaderOption: true } as const;
/** Not of kexec-tools: to be written in full, so that abbreviations mean what they mean there. */
const own = { abbreviates: false } as const;

/**
 * Every option, in the order of kexec-tools (kexec.h, arch/x86_64/include/arch/options.h), which is the order of the
 * possibilities in messages about ambiguous abbreviations.
 */
export const kexecOptions = [
  option("help", "telling", "h", ["help"], "print this text"),
  option("question", "telling", "?", [], ""),
  option("version", "telling", "v", ["version"], "print the version"),
  option("force", "action", "f", ["force"], "load, then jump at once, without shutdown(8)"),
  option("no-checks", "load", "i", ["no-checks"], "kexec_load: no digest that is checked at the jump"),
  option("no-ifdown", "action", "x", ["no-ifdown"], "-e, -f: leave network interfaces up"),
  option("no-sync", "action", "y", ["no-sync"], "do not wait for what is not yet on the disks"),
  option("load", "action", "l", ["load"], "load KERNEL"),
  option("unload", "action", "u", ["unload"], "unload; with -p the crash kernel"),
  option("exec", "action", "e", ["exec"], "jump into the loaded kernel, without shutdown(8)"),
  option("exec-live-update", "refused", null, ["exec-live-update"], "for Xen"),
  option(
    "load-preserve-context",
    "action",
    null,
    ["load-preserve-context"],
    "load KERNEL so that it can come back;\nneeds --mem-max",
  ),
  option(
    "load-jump-back-helper",
    "action",
    null,
    ["load-jump-back-helper"],
    "load the way back to the kernel at --entry",
  ),
  option("load-live-update", "refused", null, ["load-live-update"], "for Xen"),
  option("entry", "load", null, ["entry"], "jump to ADDRESS; 0: where the image says", { argument: "ADDRESS" }),
  option("type", "load", "t", ["type"], "refuse a KERNEL of another type", { argument: "TYPE" }),
  option("load-panic", "action", "p", ["load-panic"], "load KERNEL to be started by a panic"),
  option("mem-min", "load", null, ["mem-min"], "kexec_load: lowest address to use", { argument: "ADDRESS" }),
  option("mem-max", "load", null, ["mem-max"], "kexec_load: highest address to use", { argument: "ADDRESS" }),
  option("reuseinitrd", "load", null, ["reuseinitrd"], "take the running kernel's initrd (retain_initrd)"),
  option("kexec-file-syscall", "load", "s", ["kexec-file-syscall"], "by kexec_file_load(2) only"),
  option("kexec-syscall", "load", "c", ["kexec-syscall"], "by kexec_load(2) only"),
  option("kexec-syscall-auto", "load", "a", ["kexec-syscall-auto"], "by whichever fits (the default)"),
  option("debug", "telling", "d", ["debug"], "tell on standard error what is done and why"),
  option(
    "status",
    "action",
    "S",
    ["status"],
    "exit code 1: a crash kernel is loaded, 0: none;\nwith -l the other kernel",
  ),
  option("print-ckr-size", "action", null, ["print-ckr-size"], "print how many bytes crashkernel= reserved"),
  option("hotplug", "load", null, ["hotplug"], "-p: the running kernel keeps the headers of the\ndump up to date"),
  option("no-cma", "load", null, ["no-cma"], "kexec_file_load: no contiguous memory (CMA)"),
  option("force-dtb", "load", null, ["force-dtb"], "kexec_file_load: the boot loader's device tree"),
  option("reset-vga", "x86", null, ["reset-vga"], "set a standard VGA to text mode before the jump"),
  option("serial", "x86", null, ["serial"], "ttyS0, ttyS1 or 0xPORT for --console-serial", { argument: "PORT" }),
  option("serial-baud", "x86", null, ["serial-baud"], "bits per second, 9600 to 115200", { argument: "RATE" }),
  option("console-vga", "x86", null, ["console-vga"], "tell on the VGA text screen what happens between\nthe kernels"),
  option("console-serial", "x86", null, ["console-serial"], "tell it on the serial port"),
  option("elf32-core-headers", "x86", null, ["elf32-core-headers"], "-p: headers of the dump in ELF32"),
  option("elf64-core-headers", "x86", null, ["elf64-core-headers"], "-p: in ELF64 (the default)"),
  option("pass-memmap-cmdline", "x86", null, ["pass-memmap-cmdline"], "-p: the memory map on the command line as well"),
  option("noefi", "x86", null, ["noefi"], "tell the new kernel nothing of EFI"),
  option("reuse-video-type", "x86", null, ["reuse-video-type"], "describe the screen as at boot, whatever drives it"),
  option("reuse-cmdline", "image", null, ["reuse-cmdline"], "begin with the running kernel's command line", ofLoader),
  option("append", "image", null, ["command-line", "append"], "the new kernel's command line", {
    ...ofLoader,
    argument: "STRING",
  }),
  option("initrd", "image", null, ["initrd", "ramdisk"], "an initrd; several are joined in order", {
    ...ofLoader,
    argument: "FILE",
  }),
  option("dtb", "image", null, ["dtb"], "a device tree for the new kernel", { ...ofLoader, argument: "FILE" }),
  option("devicetree", "image", null, ["devicetree"], "the same", { ...ofLoader, ...own, argument: "FILE" }),
  option("module", "image", null, ["module"], 'multiboot: a module, "FILE ARGUMENTS"; may be repeated', {
    ...ofLoader,
    argument: "STRING",
  }),
  option("args-elf", "image", null, ["args-elf"], "ELF: hand over ELF boot notes", ofLoader),
  option("args-linux", "image", null, ["args-linux"], "ELF: hand over what Linux expects", ofLoader),
  option("args-none", "image", null, ["args-none"], "ELF: hand over nothing", ofLoader),
  option("real-mode", "image", null, ["real-mode"], "bzImage: enter it in 16-bit mode, with the BIOS", ofLoader),
  option("entry-32bit", "image", null, ["entry-32bit"], "bzImage: enter it in 32-bit mode", ofLoader),
  option("dry-run", "telling", null, ["dry-run"], "tell what would be loaded, where and why;\nload nothing", own),
  option("json", "telling", null, ["json"], "--dry-run for programs", own),
  option("check", "telling", null, ["check"], "tell what stands against this load and the jump;\nload nothing", own),
] as const;

export type OptionId = (typeof kexecOptions)[number]["id"];
