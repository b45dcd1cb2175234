import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { DirectorySource } from "../../src/discovery/directory-source.ts";
import type { FileSource, VolumeFacts } from "../../src/discovery/source.ts";
import { nativeSystem } from "../../src/linux/native.ts";
import { makeIso } from "./iso9660-writer.ts";

const data = fileURLToPath(new URL("../data/", import.meta.url));

/** A volume of `tree.json`; its configuration files stand in the directory of its name. */
interface TreeVolume extends Partial<Omit<VolumeFacts, "layer">> {
  readonly name: string;
  /** Files whose content does not matter: a line with their path. */
  readonly standIns?: readonly string[];
  /** Symbolic link → target. */
  readonly links?: Readonly<Record<string, string>>;
  readonly texts?: Readonly<Record<string, string>>;
  /** GRUB's environment block → its lines. */
  readonly environments?: Readonly<Record<string, readonly string[]>>;
  /** File → compressed file below test/data. */
  readonly copies?: Readonly<Record<string, string>>;
  /** ISO file → the tree whose first volume it is an image of. */
  readonly isos?: Readonly<Record<string, string>>;
}

interface TreeDescription {
  readonly about: string;
  readonly architecture?: string;
  readonly volumes: readonly TreeVolume[];
}

export const treeNames: readonly string[] = readdirSync(join(data, "trees"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort();

/** A machine's volumes, as directories. */
export interface Tree extends AsyncDisposable {
  readonly about: string;
  readonly architecture: string;
  readonly sources: readonly FileSource[];
}

function describe(tree: string): TreeDescription {
  return JSON.parse(readFileSync(join(data, "trees", tree, "tree.json"), "utf8"));
}

/** What is expected of a tree: the file `expected.json` beside its description. */
export function expectedOf(tree: string): unknown {
  return JSON.parse(readFileSync(join(data, "trees", tree, "expected.json"), "utf8"));
}

/** Makes the directories of a tree of test/data/trees. */
export function openTree(tree: string): Tree {
  const { about, architecture = "x86_64", volumes } = describe(tree);
  const scratch = mkdtempSync(join(tmpdir(), "slipway-tree-"));
  const sources = volumes.map((volume) => {
    const root = join(scratch, volume.name);
    mkdirSync(root);
    for (const [path, content] of filesOf(tree, volume)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    }
    for (const [path, target] of Object.entries(volume.links ?? {})) symlinkSync(target, join(root, path));
    return new DirectorySource(nativeSystem(), openSync(root, "r"), factsOf(volume), 5);
  });
  return {
    about,
    architecture,
    sources,
    async [Symbol.asyncDispose]() {
      await Promise.all(sources.map((source) => source.close()));
      rmSync(scratch, { recursive: true });
    },
  };
}

function factsOf(volume: TreeVolume): VolumeFacts {
  return {
    name: volume.name,
    fstype: volume.fstype ?? null,
    uuid: volume.uuid ?? null,
    label: volume.label ?? null,
    partuuid: volume.partuuid ?? null,
    partlabel: volume.partlabel ?? null,
    disk: volume.disk ?? null,
    part: volume.part ?? null,
    table: volume.table ?? null,
    parttype: volume.parttype ?? null,
    layer: null,
  };
}

function filesOf(tree: string, volume: TreeVolume): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const text = (content: string): Uint8Array => new TextEncoder().encode(content);
  for (const [path, content] of storedFiles(join(data, "trees", tree, volume.name))) files.set(path, content);
  for (const path of volume.standIns ?? []) files.set(path, text(`${path}\n`));
  for (const [path, content] of Object.entries(volume.texts ?? {})) files.set(path, text(content));
  for (const [path, lines] of Object.entries(volume.environments ?? {})) {
    files.set(path, text(`# GRUB Environment Block\n${lines.map((line) => `${line}\n`).join("")}`.padEnd(1024, "#")));
  }
  for (const [path, file] of Object.entries(volume.copies ?? {})) {
    files.set(path, gunzipSync(readFileSync(join(data, file))));
  }
  for (const [path, other] of Object.entries(volume.isos ?? {})) files.set(path, isoOf(other));
  return files;
}

function isoOf(tree: string): Uint8Array {
  const [volume] = describe(tree).volumes;
  if (volume === undefined) throw new Error(`${tree}: no volume`);
  return makeIso({ label: volume.label ?? "", uuid: volume.uuid ?? "", files: filesOf(tree, volume) });
}

function* storedFiles(directory: string): Generator<[path: string, content: Uint8Array]> {
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const full = join(entry.parentPath, entry.name);
    yield [full.slice(directory.length), readFileSync(full)];
  }
}
