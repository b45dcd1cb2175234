import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { runAsRoot, runCommand } from "../command.ts";
import { judgedKernel } from "./payload-kernel.ts";
import { diskWords, runJudged } from "./run.ts";
import type { SyslinuxCase } from "./syslinux-corpus.ts";
import { type Booted, caseTexts, judgedUuids } from "./syslinux-slipway.ts";

const modulesDirectory = "/usr/lib/syslinux/modules/bios";
/** A machine that waits for a person is ended then. */
const waitLimitMs = 6_000;
const runLimitMs = 60_000;

/** What the real program boots; null where it waits. */
export async function judgeSyslinux(
  judged: SyslinuxCase,
): Promise<{ readonly booted: Booted | null; readonly log: string; readonly remembered: string | null }> {
  const scratch = await mkdtemp(path.join(tmpdir(), "slipway-judge-"));
  try {
    const tree = path.join(scratch, "tree");
    const directory = path.posix.dirname(Object.keys(judged.configs)[0] ?? "/");
    const files = new Map<string, string | Uint8Array>(Object.entries(caseTexts(judged)));
    for (const name of judged.kernels) files.set(name, await judgedKernel(name));
    if (judged.program !== "syslinux") files.set(`${directory}/.keep`, new Uint8Array());
    for (const [name, bytes] of files) {
      await mkdir(path.join(tree, path.dirname(name)), { recursive: true });
      await writeFile(path.join(tree, name), bytes);
    }
    await addModules(path.join(tree, directory));
    const image = path.join(scratch, "image");
    const words = await makers[judged.program](tree, directory, image, judged.remember ?? []);
    const { judgement, log, overran } = await runJudged({
      words: [...words, "-vga", "std"],
      timeLimitMs: judged.waits === true ? waitLimitMs : runLimitMs,
    });
    if (judgement === null && overran && judged.waits !== true)
      throw new Error(`${judged.name}: nothing booted\n${log}`);
    const remembered = judged.remember === undefined ? null : await rememberedData(image, directory);
    if (judgement === null) return { booted: null, log, remembered };
    const { kernel, options, initrd, modules } = judgement;
    const text = (data: Uint8Array): string => new TextDecoder().decode(data);
    const booted = {
      kernel,
      options,
      initrd: initrd === null ? null : text(initrd.data),
      modules: modules.map(({ data, options: string }) => ({ content: text(data), options: string })),
    };
    return { booted, log, remembered };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function addModules(directory: string): Promise<void> {
  const names = (await readdir(modulesDirectory)).filter((name) => name.endsWith(".c32"));
  await runCommand("cp", ["-t", directory, ...names.map((name) => path.join(modulesDirectory, name))]);
}

/** The end of ldlinux.sys, where the installer has written what is to be remembered, in base 64. */
async function rememberedData(image: string, directory: string): Promise<string> {
  const copy = `${image}.ldlinux`;
  await runCommand("debugfs", ["-R", `dump ${directory}/ldlinux.sys ${copy}`, image]);
  const bytes = await readFile(copy);
  return bytes.subarray(bytes.length - 1024).toString("base64");
}

/** Each makes a medium that its program boots from, and tells QEMU's words for it. */
const makers: Readonly<
  Record<
    SyslinuxCase["program"],
    (tree: string, directory: string, image: string, remember: readonly string[]) => Promise<string[]>
  >
> = {
  async syslinux(tree, directory, image) {
    await writeFile(image, "");
    await truncate(image, 48 << 20);
    await runCommand("mkfs.vfat", ["-F", "16", "-i", judgedUuids.syslinux.replace("-", ""), image]);
    const names = (await readdir(tree)).map((name) => path.join(tree, name));
    await runCommand("mcopy", ["-s", "-Q", "-i", image, ...names, "::"]);
    await runCommand("syslinux", ["--directory", directory, "--install", image]);
    return diskWords(image, "disk0", 0);
  },
  async extlinux(tree, directory, image, remember) {
    await writeFile(image, "");
    await truncate(image, 48 << 20);
    const mount = `${image}.mount`;
    await mkdir(mount);
    await runCommand("mke2fs", ["-F", "-q", "-t", "ext2", "-U", judgedUuids.extlinux, "-d", tree, image]);
    await runAsRoot("mount", ["-o", "loop", image, mount]);
    try {
      await runAsRoot("extlinux", ["--install", path.join(mount, directory)]);
      for (const option of remember) await runAsRoot("extlinux", [option, path.join(mount, directory)]);
    } finally {
      await runAsRoot("umount", [mount]);
    }
    return diskWords(image, "disk0", 0);
  },
  async isolinux(tree, directory, image) {
    await runCommand("cp", ["/usr/lib/ISOLINUX/isolinux.bin", path.join(tree, directory)]);
    const boot = path.posix.join(directory, "isolinux.bin").slice(1);
    const options = ["-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-c", "boot.cat", "-b", boot];
    await runCommand("xorriso", ["-as", "mkisofs", "-quiet", "-R", "-J", ...options, "-o", image, tree]);
    await stat(image);
    return ["-drive", `file=${image},if=none,id=cd0,format=raw,media=cdrom`, "-device", "ide-cd,drive=cd0,bootindex=0"];
  },
};
