import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type IpxeCase, judgedContent, judgedFiles, judgedKernels } from "./ipxe-corpus.ts";
import { judgedKernel } from "./payload-kernel.ts";
import { type JudgedRun, runJudged } from "./run.ts";

/** Debian's iPXE for PC BIOS, as a Linux kernel. */
const ipxe = "/boot/ipxe.lkrn";
const runLimitMs = 90_000;
const marked = /^> /;

/** What the machine says of itself by SMBIOS. */
const identity = [
  "-smbios",
  "type=1,manufacturer=ACME,product=Model A/1,serial=S-1,uuid=564d0000-1111-2222-3333-444455556666",
  ...["-smbios", "type=3,asset=A-1"],
];

/** Runs that may differ before two have said the same. */
const printedRunsMax = 5;

/**
 * The lines that a script prints with `> ` in front. The firmware's copy of the screen on the serial port now and then has
 * a character twice, so that only what two runs agree in counts.
 */
export async function printedByRealIpxe(script: string): Promise<string> {
  const said = new Set<string>();
  for (let run = 0; run < printedRunsMax; run++) {
    const { log } = await runRealIpxe(script, null);
    const lines = log
      .split("\n")
      .filter((line) => marked.test(line))
      .join("\n");
    if (said.has(lines)) return lines;
    said.add(lines);
  }
  throw new Error(`run a script: ${printedRunsMax} runs printed ${said.size} different texts`);
}

/**
 * Runs a script by the real iPXE.
 *
 * @param files what a TFTP server at 10.0.2.2 has; null: there is no network interface
 */
export async function runRealIpxe(script: string, files: ReadonlyMap<string, Uint8Array> | null): Promise<JudgedRun> {
  const scratch = await mkdtemp(path.join(tmpdir(), "slipway-ipxe-"));
  try {
    const scriptFile = path.join(scratch, "script.ipxe");
    await writeFile(scriptFile, script);
    const tree = path.join(scratch, "tftp");
    await mkdir(tree);
    for (const [name, bytes] of files ?? []) {
      await mkdir(path.dirname(path.join(tree, name)), { recursive: true });
      await writeFile(path.join(tree, name), bytes);
    }
    const network =
      files === null
        ? []
        : ["-netdev", `user,id=net,tftp=${tree.replaceAll(",", ",,")}`, "-device", "virtio-net-pci,netdev=net"];
    return await runJudged({
      // The firmware shows the text screen on the serial port.
      words: ["-machine", "graphics=off", "-kernel", ipxe, "-initrd", scriptFile, ...identity, ...network],
      timeLimitMs: runLimitMs,
      givesUp: "Booting from Hard Disk",
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Multiboot's header (Multiboot Specification 0.6.96, section 3.1.1): iPXE prefers it to everything else. */
const multibootMagic = [0x02, 0xb0, 0xad, 0x1b];

/** A judged kernel that is a bzImage and nothing else. */
export async function judgedLinux(name: string): Promise<Uint8Array> {
  const kernel = await judgedKernel(name);
  const at = kernel.findIndex((_, index) => multibootMagic.every((byte, offset) => kernel[index + offset] === byte));
  kernel[at] = 0;
  return kernel;
}

/** What a script boots on the real iPXE: the kernel, its arguments, and what its initrds are. */
export async function judgeIpxe({ script, scripts = {} }: IpxeCase): Promise<readonly string[] | null> {
  const files = new Map<string, Uint8Array>();
  for (const [name, text] of Object.entries(scripts)) files.set(name, new TextEncoder().encode(text));
  for (const name of judgedKernels) files.set(name, await judgedLinux(name));
  for (const name of judgedFiles) files.set(name, new TextEncoder().encode(judgedContent(name)));
  const { judgement } = await runRealIpxe(script, files);
  if (judgement === null) return null;
  return [judgement.kernel, judgement.options, ...readInitrds(judgement.initrd?.data ?? new Uint8Array())];
}

/** Bytes of a header of the cpio format `newc` (Documentation/driver-api/early-userspace/buffer-format.rst). */
const headerBytes = 110;

/** The parts of an initrd: files as they are, between zeros, and files with a header in front. */
function readInitrds(bytes: Uint8Array): string[] {
  const text = Buffer.from(bytes).toString("latin1");
  const found: string[] = [];
  for (let at = 0; at < text.length; ) {
    if (text[at] === "\0") {
      at++;
      continue;
    }
    if (!text.startsWith("070701", at)) {
      const end = text.indexOf("\0", at) === -1 ? text.length : text.indexOf("\0", at);
      found.push(text.slice(at, end));
      at = end;
      continue;
    }
    const field = (index: number): number => Number.parseInt(text.slice(at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const [mode, size, nameBytes] = [field(1), field(6), field(11)];
    const name = text.slice(at + headerBytes, at + headerBytes + nameBytes - 1);
    const data = at + 4 * Math.ceil((headerBytes + nameBytes) / 4);
    found.push(`${name.replace(/^\//, "")} ${(mode & 0o7777).toString(8)} ${text.slice(data, data + size)}`);
    at = data + size;
  }
  return found;
}

/** What the real iPXE hands to a multiboot kernel: its string, and the modules with theirs. */
export async function judgeIpxeMultiboot(script: string): Promise<readonly string[] | null> {
  const files = new Map<string, Uint8Array>([["xen", await judgedKernel("xen")]]);
  for (const name of judgedFiles) files.set(name, new TextEncoder().encode(judgedContent(name)));
  const { judgement } = await runRealIpxe(script, files);
  if (judgement === null) return null;
  const modules = judgement.modules.map(({ data, options }) => `${Buffer.from(data).toString()} ${options}`);
  return [judgement.protocol, judgement.options, ...modules];
}
