import { readSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { defaultConfig } from "../../../src/boot/config.ts";
import { readEntry } from "../../../src/cli/judge.ts";
import { type Survey, survey } from "../../../src/cli/survey.ts";
import type { BootEntry } from "../../../src/discovery/entry.ts";
import { targetCommandLine } from "../../../src/handoff/command-line.ts";
import type { FileRange } from "../../../src/linux/system.ts";
import { plainPolicy } from "../../fakes/policy.ts";
import type { DiskFiles } from "../disk.ts";
import { type CaseVolume, caseDisks, caseFiles, type GrubCase, memberImages, stageVolume } from "./grub-corpus.ts";
import { efiGrubDisk, embedGrub } from "./grub-image.ts";
import { initrdText } from "./initrd-text.ts";
import { type Judgement, judgedKernelName } from "./payload-kernel.ts";
import { diskWords, type JudgedRun, runJudged } from "./run.ts";

/** What is booted, as a kernel can tell. */
export interface Booted {
  readonly kernel: string;
  readonly options: string;
  /** See {@link initrdText}; null: none. */
  readonly initrd: string | null;
  readonly modules: readonly { readonly content: string; readonly options: string }[];
}

/** What GRUB and this program make of one entry; null: nothing is booted. */
export interface Comparison {
  readonly case: string;
  /** GRUB's number of the entry (`1>0`), or `default`. */
  readonly entry: string;
  readonly grub: Booted | null;
  readonly ours: Booted | null;
  /** What GRUB printed. */
  readonly log: string;
}

/** Wall time; on an idle machine a run takes a second, or three. */
const timeLimitMs = { bios: 60_000, efi: 90_000 } as const;
const ovmfWords = ["-bios", "/usr/share/ovmf/OVMF.fd"];

/** A case with its disks made, its files laid out and its entries found. Disposing removes them. */
export class JudgedCase implements AsyncDisposable {
  readonly #each: GrubCase;
  readonly #scratch: string;
  readonly #files: ReadonlyMap<string, DiskFiles>;
  readonly #members: ReadonlyMap<string, string>;
  readonly #disks: readonly string[];
  readonly survey: Survey;

  static async open(each: GrubCase): Promise<JudgedCase> {
    const scratch = await mkdtemp(path.join(tmpdir(), "slipway-judge-"));
    try {
      const files = await caseFiles(each, scratch);
      const members = await memberImages(each, files, scratch);
      const disks = await makeDisks(each, files, members, path.join(scratch, "disks"));
      for (const { name } of each.volumes) await stageVolume(files.get(name) ?? {}, path.join(scratch, name));
      const found = await survey(defaultConfig, rootSpecs(each, scratch));
      return new JudgedCase(each, scratch, files, members, disks, found);
    } catch (error) {
      await rm(scratch, { recursive: true, force: true });
      throw error;
    }
  }

  constructor(
    each: GrubCase,
    scratch: string,
    files: ReadonlyMap<string, DiskFiles>,
    members: ReadonlyMap<string, string>,
    disks: readonly string[],
    found: Survey,
  ) {
    this.#each = each;
    this.#scratch = scratch;
    this.#files = files;
    this.#members = members;
    this.#disks = disks;
    this.survey = found;
  }

  /** The values of `--root`. */
  get rootSpecs(): string[] {
    return rootSpecs(this.#each, this.#scratch);
  }

  /** The numbers of the entries to be judged beside the default. */
  get entries(): readonly string[] {
    const listed = this.survey.found.entries.filter(({ format }) => format === "grub").map(numberOf);
    return [...(this.#each.entries ?? listed), ...this.#each.fails];
  }

  async compareDefault(): Promise<Comparison> {
    // What the configuration itself chooses; where that is nothing, GRUB shows its menu, and others are tried here.
    const menu = this.survey.found.menus.find(({ format, entries }) => format === "grub" && entries.length > 0);
    const defaultId = menu?.defaultId ?? null;
    return this.#compare("default", this.#disks, defaultId === null ? null : this.#entry(defaultId));
  }

  /** Has GRUB boot an entry that its configuration would not: the last line sets `default`. */
  async compareEntry(number: string): Promise<Comparison> {
    const { volume, path: file } = this.#each.menu;
    const lines = `\nset default='${number}'\nset timeout=0\nunset fallback\n`;
    const own = this.#files.get(volume) ?? {};
    const text = textOf(own[file], `${volume}:${file}`);
    const files = new Map([...this.#files, [volume, { ...own, [file]: `${text}${lines}` }]]);
    const scratch = await mkdtemp(path.join(this.#scratch, "entry-"));
    try {
      const disks = await makeDisks(this.#each, files, this.#members, scratch);
      return await this.#compare(
        number,
        disks,
        this.#entry(`${volume}:grub:${file}:${number}`) ?? this.#entry(`${volume}:grub:${number}`),
      );
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }

  #entry(wanted: string): BootEntry | null {
    return this.survey.found.entries.find(({ id }) => id === wanted) ?? null;
  }

  async #compare(name: string, disks: readonly string[], entry: BootEntry | null): Promise<Comparison> {
    const ours = entry === null ? null : await this.#ours(entry);
    const { judgement, log } = await this.#run(disks);
    return { case: this.#each.name, entry: name, grub: judgement === null ? null : fromGrub(judgement), ours, log };
  }

  async #run(disks: readonly string[]): Promise<JudgedRun> {
    const { firmware, prefix } = this.#each;
    const words = disks.flatMap((disk, index) => diskWords(disk, `disk${index}`));
    if (firmware === "efi") {
      // It starts from a disk of its own, the last one.
      words.push(...ovmfWords, ...diskWords(await efiGrubDisk(prefix.replace("(,", "(hd0,")), "grub", 0));
    }
    // GRUB asks behind an error, and waits for ten seconds.
    const answer = { question: "Press any key to continue...", keys: " " };
    const givesUp = "Failed to boot both default and fallback entries.";
    return runJudged({ words, timeLimitMs: timeLimitMs[firmware], answer, givesUp, quickClock: firmware === "bios" });
  }

  /** Reads the entry's files as a boot does. */
  async #ours(entry: BootEntry): Promise<Booted> {
    using artifacts = await readEntry(this.survey, entry, plainPolicy("off", []));
    const { kernel, initrd } = artifacts;
    if (kernel === null) throw new Error(`read "${entry.id}": it was not read`);
    return {
      kernel: judgedKernelName(readRange({ fd: kernel.fd, offset: 0, length: kernel.size })),
      options: targetCommandLine(entry, true),
      initrd: initrd === null ? null : initrdText(readRange({ fd: initrd.fd, offset: 0, length: initrd.size })),
      modules: artifacts.modules.map((range, index) => ({
        content: latin1(readRange(range)),
        options: entry.modules[index]?.options ?? "",
      })),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.survey[Symbol.asyncDispose]();
    await rm(this.#scratch, { recursive: true, force: true });
  }
}

/** `VOLUME:grub:1>0` → `1>0` */
function numberOf({ id }: BootEntry): string {
  return id.slice(id.lastIndexOf(":") + 1);
}

async function makeDisks(
  each: GrubCase,
  files: ReadonlyMap<string, DiskFiles>,
  members: ReadonlyMap<string, string>,
  scratch: string,
): Promise<string[]> {
  const disks = await caseDisks(each, files, members, scratch);
  const [first] = disks;
  if (each.firmware === "bios" && first !== undefined) {
    await embedGrub(first, each.disks["vda"]?.table ?? "msdos", each.prefix);
  }
  return disks;
}

function rootSpecs(each: GrubCase, scratch: string): string[] {
  return each.volumes.map((volume) => {
    const facts = volumeFacts(each, volume).filter(([, value]) => value !== undefined);
    return [path.join(scratch, volume.name), ...facts.map(([key, value]) => `${key}=${value}`)].join(",");
  });
}

function volumeFacts(each: GrubCase, volume: CaseVolume): [string, string | undefined][] {
  const { name, filesystem, uuid, label, layer } = volume;
  const facts: [string, string | undefined][] = [
    ["name", name],
    ["fstype", filesystem],
    ["uuid", uuid],
    ["label", label],
  ];
  if (layer !== undefined) return [...facts, ...Object.entries(layer)];
  const disk = volume.name.replace(/\d+$/, "");
  const part = volume.name.slice(disk.length);
  const { table, id } = each.disks[disk] ?? { table: "msdos" };
  const msdosUuid = table === "msdos" && id !== undefined ? `${id.slice(2)}-${part.padStart(2, "0")}` : undefined;
  return [
    ...facts,
    ["partuuid", volume.partuuid ?? msdosUuid],
    ["partlabel", volume.partlabel],
    ["disk", disk],
    ["part", part],
    ["table", table],
  ];
}

function textOf(content: DiskFiles[string] | undefined, name: string): string {
  if (typeof content === "string") return content;
  if (content instanceof Uint8Array) return Buffer.from(content).toString();
  throw new Error(`judge an entry: "${name}": a file of the case expected`);
}

function fromGrub({ kernel, protocol, options, initrd, modules }: Judgement): Booted {
  return {
    kernel,
    // The device before the kernel's path is another loader's name for it.
    options: protocol === "linux" ? options.replace(/^BOOT_IMAGE=\([^)]*\)/, "BOOT_IMAGE=") : options,
    initrd: initrd === null ? null : initrdText(initrd.data),
    modules: modules.map((module) => ({ content: latin1(module.data), options: module.options })),
  };
}

function readRange({ fd, offset, length }: FileRange): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const count = readSync(fd, bytes, done, length - done, offset + done);
    if (count === 0) throw new Error(`read a memory file: ${length} bytes expected, got ${done}`);
    done += count;
  }
  return bytes;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
