/**
 * What kexec(8) does with its options, as rows: each is run by kexec-tools and by this project's executable in the same
 * guest, and the two have to agree on the exit code and on what is loaded afterwards. Where ours does otherwise and means
 * to, the row says what it does and under which phrase docs/kexec.md tells why. The differences were written against
 * kexec-tools 2.0.25 (Debian 12).
 */

/** Which kernels are loaded: one for the next jump, one for a panic. */
export type Loaded = "nothing" | "kernel" | "crash" | "both";

export interface Difference {
  /** Stands in docs/kexec.md, in the section "Differences from kexec-tools". */
  readonly phrase: string;
  /** Exit code of ours, and what is loaded afterwards. */
  readonly code: number;
  readonly after: Loaded;
}

export interface KexecRow {
  /** What follows the command's name, in a shell that has the variables of {@link tableVariables}. */
  readonly words: string;
  /** What is loaded before; nothing unless told. */
  readonly before?: Loaded;
  /** Both print this, on either stream. */
  readonly says?: string;
  readonly difference?: Difference;
}

export interface KexecSection {
  readonly about: string;
  /** The running kernel of the rows: of two, the older or the younger one where it has no say in them. */
  readonly on: "both" | "older" | "younger";
  /** A line of shell that changes the machine for good, before the section's first row. */
  readonly prepare?: string;
  readonly rows: readonly KexecRow[];
}

/**
 * Variables of the rows: K, a kernel that is quick to load, and R, one that really starts; I, an initrd, and O, another
 * one; F, the directory of further files.
 */
export const tableVariables = "K=/files/short; R=/boot/vmlinuz; I=/boot/initrd; O=/files/other; F=/files";

/** The table's files that are no kernels. */
export const tableFiles: Readonly<Record<string, string | Uint8Array>> = {
  "/files/text": "a text, and no kernel\n".repeat(100),
  "/files/empty": "",
  "/files/other": "a second initrd\n",
  // What a load without -l hands over to.
  "/sbin/shutdown": '#!/bin/sh\necho "shutdown $*"\n',
};

/** The guest's region for a crash kernel, and what --print-ckr-size says of it. */
export const crashRegion = { mebibytes: 160, bytes: "167772160" } as const;

const missing = "Cannot open `/missing': No such file or directory";
const noKernel = "No kernel specified";
const nothingLoaded = "Nothing has been loaded!";
const unknownType = "Cannot determine the file type of /files/text";

function differs(phrase: string, code: number, after: Loaded = "nothing"): Difference {
  return { phrase, code, after };
}

const unwrapped = differs("Wrapped kernels are unwrapped", 0, "kernel");
const refusedByFileCall = differs("With -s, what kexec_file_load cannot do is refused", 255);
const missingCall = (code: number): Difference => differs("253 stands for a missing kexec_file_load only", code);
const onlyMeans = (code: number, after: Loaded): Difference =>
  differs("Behind -u, -p and -l only say which kernel is meant", code, after);

const usage: readonly KexecRow[] = [
  { words: "", says: noKernel },
  { words: "-h" },
  { words: "-l --version" },
  { words: "--bogus", says: "unrecognized option '--bogus'" },
  { words: "-l -Z $K", says: "invalid option -- 'Z'" },
  { words: "--load=x", says: "option '--load' doesn't allow an argument" },
  { words: "-l $K --append", says: "option '--append' requires an argument" },
  { words: "-t", says: "option requires an argument -- 't'" },
  { words: "-l", says: noKernel },
  { words: "-l /missing", says: missing },
  { words: "-l /files" },
  { words: "-l $F/empty" },
  { words: "-l $F/text", says: unknownType },
  { words: "-f $F/text", before: "kernel", says: unknownType },
  { words: "-i -l $K --initrd=/missing", before: "kernel", says: missing },
  { words: "$K -li" },
  { words: "-ilt bzImage64 -- $K" },
  { words: "--exec-live-update" },
  { words: "--stat", before: "crash" },
  { words: "--lo $K", says: "option '--lo' is ambiguous" },
  { words: "--load-pa -i $K" },
  { words: "-i -l $K --com=x --ini=$I" },
];

const order: readonly KexecRow[] = [
  { words: "-e", says: nothingLoaded },
  { words: "-e -u", before: "kernel", says: nothingLoaded },
  { words: "-f -u", before: "kernel", says: nothingLoaded },
  { words: "-e -l -i $K" },
  { words: "-l -p -i $K" },
  { words: "-u", before: "both" },
  { words: "-p -u", before: "both" },
  { words: "-u -p", before: "both", difference: onlyMeans(0, "kernel") },
  { words: "-u -l", before: "both", difference: onlyMeans(0, "crash") },
  { words: "-u -l -i $K", before: "both" },
  { words: "-l -u -i $K", before: "both" },
  { words: "-u -p -i $K", before: "both" },
  { words: "-s -u", before: "both" },
];

const status: readonly KexecRow[] = [
  { words: "-S" },
  { words: "-S", before: "kernel" },
  { words: "-S -l", before: "kernel" },
  { words: "-S -l -p", before: "kernel" },
  { words: "-S", before: "crash" },
  { words: "-S -l", before: "crash" },
  { words: "-S -p", before: "crash" },
  { words: "-S -f $K", before: "crash" },
  { words: "-u -S", before: "both" },
  { words: "-S -l -t nonsense /missing", before: "both" },
  { words: "--print-ckr-size", says: crashRegion.bytes },
  { words: "-S -l --print-ckr-size /missing", before: "both", says: crashRegion.bytes },
];

const calls: readonly KexecRow[] = [
  { words: "-l $K" },
  { words: "-c -i -l $R --initrd=$I --append=x" },
  { words: "-s -l $K --initrd=$I --append=x" },
  { words: "-a -l $K", before: "kernel" },
  { words: "-s -d -l $K" },
  { words: "-p $K" },
  { words: "-p -c -i $K --initrd=$I --append=x" },
  { words: "-p -s $K --initrd=$I --append=x" },
];

const fileCall: readonly KexecRow[] = [
  { words: "-s -c -i -l $K" },
  { words: "-s -l $F/text", before: "kernel", says: unknownType },
  { words: "-s -l /missing" },
  { words: "-s -l $K --initrd=$F/empty", difference: missingCall(1) },
  { words: "-s -l $K -t nonsense", difference: differs("A wrong type is refused by -s as well", 255) },
  { words: "-s -l $K --mem-min=0x10000000", difference: refusedByFileCall },
  { words: "-s -l $K --noefi", difference: refusedByFileCall },
  { words: "-s -l $K --entry-32bit" },
  { words: "-s -l $F/vmlinux", difference: refusedByFileCall },
  { words: "-a -i -l $F/vmlinux", difference: differs("The call is chosen by what fits", 0, "kernel") },
];

const forms: readonly KexecRow[] = [
  { words: "-i -l $F/gzip", difference: unwrapped },
  { words: "-i -l $F/xz", difference: unwrapped },
  { words: "-i -l $F/lzma", difference: unwrapped },
  { words: "-i -l $F/zstd", difference: unwrapped },
  { words: "-i -l $F/uki", difference: unwrapped },
  { words: "-i -l $F/vmlinux --args-linux --initrd=$I --append=x" },
  { words: "-i -l $F/vmlinux --initrd=$I", difference: differs("ELF files are taken for Linux", 0, "kernel") },
  { words: "-c -i -l $F/vmlinux" },
  { words: "-i -l $F/vmlinux --args-none" },
  { words: "-i -l $F/vmlinux --args-elf --entry-32bit" },
  { words: "-i -l $K --module=$O" },
];

const types: readonly KexecRow[] = [
  { words: "-i -t bzImage -l $K" },
  { words: "-t elf-x86_64 -l $K", says: "Wrong file type elf-x86_64, file matches type bzImage64" },
  { words: "-t bzImage64 -l $F/vmlinux", says: "Wrong file type bzImage64, file matches type elf-x86_64" },
  { words: "-t multiboot2-x86 -l $K", says: "Wrong file type multiboot2-x86, file matches type bzImage64" },
  { words: "-t uki -l $F/uki", difference: unwrapped },
  { words: "-t bzImage64 -t nonsense -l $K", says: "Unsupported kernel type nonsense" },
  { words: "-i -t nonsense -t bzImage64 -l $K" },
  { words: "-t nonsense -u", before: "kernel" },
];

const memory: readonly KexecRow[] = [
  { words: "-i -l $K --mem-min=12q", says: "Bad option value in --mem-min=12q" },
  { words: "-i -l $K --entry=zz", says: "Bad option value in --entry=zz" },
  { words: "-i -l $K --initrd=$I --mem-min=0x10000000 --mem-max=0x30000000" },
  { words: "-i -l $K --mem-min= --mem-max=805306368" },
  { words: "-i -l $K --mem-min=-1" },
  { words: "-i -l $K --mem-max=0x100000", before: "kernel" },
  { words: "-i -l $K --mem-min=0x30000000 --mem-max=0x10000000" },
  { words: "-i -l $K --entry=0x1000000" },
  { words: "-l $K --reuseinitrd" },
  { words: "-i -l $K --load-preserve-context", says: "Please specify memory range used by kexeced kernel" },
  { words: "-i -l $K --load-preserve-context --mem-max=0x30000000", says: "kexec_load failed: Invalid argument" },
  { words: "--load-jump-back-helper", says: "Please specify jump back entry in command line" },
  { words: "--load-jump-back-helper --entry=0x100000" },
  { words: "--load-jump-back-helper --entry=0x100000", before: "kernel", says: "There is kexec kernel loaded" },
];

const x86: readonly KexecRow[] = [
  { words: "-i -l $K --reset-vga --console-vga --console-serial --serial=0x2f8 --serial-baud=9600" },
  { words: "-i -l $K --serial=760", says: "Bad serial port base '760'" },
  { words: "-i -l $K --serial-baud=0", difference: differs("A mistake in --serial-baud is a mistake", 255) },
  { words: "-i -l $K --noefi --reuse-video-type --elf64-core-headers" },
  { words: "-i -l $K --entry-32bit" },
  { words: "-i -l $K --real-mode" },
  { words: "-p -i $K --real-mode" },
  { words: "-p -c -i $K --elf32-core-headers --pass-memmap-cmdline" },
];

/** A word of so many bytes. */
const long = (bytes: number): string => `$(printf %${bytes}s | tr ' ' x)`;

const commandLines: readonly KexecRow[] = [
  { words: "-i -l $K --command-line=x --append 'a b'" },
  { words: "-i -l $K --reuse-cmdline --append=" },
  { words: "-p -i $K --reuse-cmdline" },
  {
    words: `-c -i -l $K --append=${long(2047)}`,
    difference: differs("A command line may be as long as the kernel says", 0, "kernel"),
  },
  { words: `-c -i -l $K --append=${long(2048)}` },
  { words: `-s -l $K --append=${long(2017)}`, difference: missingCall(255) },
  { words: `-a -i -l $K --append=${long(2040)}` },
  { words: `-p -c -i $K --append=${long(2040)}`, difference: differs("A command line that is too long", 255) },
  { words: "-i -l $K --initrd=$I --ramdisk=$O" },
  { words: "-i -l $K --initrd=/missing --initrd=$I", difference: differs("Several initrds are joined", 1) },
  { words: "-i -l $K --initrd=$I --ramdisk=/missing", says: missing },
  { words: "-u --append=x", before: "kernel" },
];

const shutdown: readonly KexecRow[] = [
  { words: "-i $K", says: "shutdown -r now" },
  { words: "/missing", says: missing },
];

const reserved = "Memory for crashkernel is not reserved";

const withoutRegion: readonly KexecRow[] = [
  { words: "-p -c -i $K", says: reserved },
  { words: "-p /missing", says: reserved },
  { words: "-p -u" },
  { words: "-u -p", difference: onlyMeans(0, "nothing") },
  { words: "--print-ckr-size", says: "0" },
];

const forbidden: readonly KexecRow[] = [
  { words: "-c -i -l $K", says: "kexec_load failed: Operation not permitted" },
  { words: "-s -l $K", says: "kexec_file_load failed: Operation not permitted" },
  { words: "-u", says: "Operation not permitted" },
];

export const kexecTable: readonly KexecSection[] = [
  { about: "usage", on: "older", rows: usage },
  { about: "order", on: "younger", rows: order },
  { about: "status", on: "older", rows: status },
  { about: "the two calls", on: "both", rows: calls },
  { about: "the file call", on: "younger", rows: fileCall },
  { about: "forms of kernels", on: "younger", rows: forms },
  { about: "types", on: "older", rows: types },
  { about: "memory", on: "older", rows: memory },
  { about: "x86", on: "younger", rows: x86 },
  { about: "command lines and initrds", on: "younger", rows: commandLines },
  { about: "load and shut down", on: "older", rows: shutdown },
  { about: "no shutdown to be found", on: "older", prepare: "rm /sbin/shutdown", rows: [{ words: "-i $K" }] },
  {
    about: "no crash region",
    on: "older",
    // Gives the memory back to the running kernel.
    prepare: "echo 0 > /sys/kernel/kexec_crash_size",
    rows: withoutRegion,
  },
  {
    about: "loading forbidden",
    on: "both",
    // Until the next boot.
    prepare: "echo 1 > /proc/sys/kernel/kexec_load_disabled",
    rows: forbidden,
  },
];

/** What jumps, although it does not look like it, or at once. */
export interface KexecJump {
  readonly on: "older" | "younger";
  /** As in a row; a kernel is loaded before. */
  readonly words: string;
  /** Whether the kernel that was loaded before is started, or the one that is named here. */
  readonly starts: "loaded" | "given";
}

export const kexecJumps: readonly KexecJump[] = [
  // -e says that nothing is to be loaded: what is named does not even have to exist.
  { on: "older", words: "-l /missing -e", starts: "loaded" },
  // -f loads and jumps, and of two command lines the last one counts.
  {
    on: "younger",
    words: "-l -f -i $R --initrd=$I --command-line=started=lost --reuse-cmdline --append=started=given",
    starts: "given",
  },
];
