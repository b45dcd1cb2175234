import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { cloneRoot, runCommand } from "../command.ts";
import { type DiskFiles, type FilesystemType, makeDisk, makeFilesystem, type Partition } from "../disk.ts";
import { runLayerTools } from "../layer-tools.ts";
import type { VmDisk } from "../vm.ts";
import { judgedKernel } from "./payload-kernel.ts";

/** A filesystem of a case, and what stands on it beside the files below `CASE/NAME/`. */
export interface CaseVolume {
  /** `vda1`, `vdb2`; any other name for one that has a {@link layer}. */
  readonly name: string;
  /** What it is instead of a partition, as `--root` takes it: `lvm=VG/LV`, `mduuid=…`. */
  readonly layer?: Readonly<Record<string, string>>;
  readonly filesystem: FilesystemType;
  readonly label?: string;
  readonly uuid?: string;
  readonly partuuid?: string;
  readonly partlabel?: string;
  readonly type?: "esp" | "xbootldr" | "linux";
  /** Each is a judged kernel of the name `VOLUME:PATH`. */
  readonly kernels?: readonly string[];
  /** Each holds `VOLUME:PATH`. */
  readonly initrds?: readonly string[];
  /** More files with their text. */
  readonly files?: Readonly<Record<string, string>>;
  /** Symbolic links with their targets. */
  readonly links?: Readonly<Record<string, string>>;
  /** Environment blocks, made by grub-editenv. */
  readonly environments?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** ISO 9660 images, each with the files below `CASE/NAME.iso/` for an image `/any/NAME.iso`. */
  readonly images?: Readonly<Record<string, Omit<CaseVolume, "name" | "filesystem" | "images">>>;
}

export interface CaseDisk {
  readonly table: "gpt" | "msdos";
  /** The disk's GUID, or for msdos its signature. */
  readonly id?: string;
}

/** Volumes that stand on partitions of several: how they are made. */
export interface CaseLayers {
  /** Partition → its size, MiB. */
  readonly members: Readonly<Record<string, number>>;
  /** Shell lines with lvm(8) and mdadm(8); `{NAME}` is a member's device, or that of a disk with a volume's filesystem. */
  readonly commands: readonly string[];
}

/** A configuration with the disks that it stands on, and what is to be judged of it. */
export interface GrubCase {
  readonly name: string;
  readonly what: string;
  readonly firmware: "bios" | "efi";
  /** GRUB's prefix: the directory of its configuration. */
  readonly prefix: string;
  /** The file whose menu it is: `default` is set at its end to have other entries judged. */
  readonly menu: { readonly volume: string; readonly path: string };
  /** The only entries that are judged beside the default; null: all that are listed. */
  readonly entries: readonly string[] | null;
  /** Entries that GRUB does not boot, and that must not be listed. */
  readonly fails: readonly string[];
  readonly disks: Readonly<Record<string, CaseDisk>>;
  readonly volumes: readonly CaseVolume[];
  readonly layers: CaseLayers | null;
  /** Directory with the volumes' files. */
  readonly directory: string | null;
}

/** `case.json`; what it leaves out is as in {@link plainCase}. */
type CaseFile = Partial<Pick<GrubCase, "firmware" | "prefix" | "entries" | "fails" | "disks">> & {
  readonly what: string;
  /** `vda1:/boot/grub/grub.cfg` */
  readonly menu?: string;
  /** The case whose files it has. */
  readonly like?: string;
  readonly layers?: CaseLayers;
  readonly volumes: readonly CaseVolume[];
};

export const corpusDirectory: string = path.join(cloneRoot, "test/data/grub/corpus");

const plainDisks: Readonly<Record<string, CaseDisk>> = { vda: { table: "msdos", id: "0x51a17c0d" } };

/** The disk of a case that is a single file: two partitions with ext2. */
const plainVolumes: readonly CaseVolume[] = [
  {
    name: "vda1",
    filesystem: "ext2",
    label: "BOOT",
    uuid: "1b6ee2c8-58b5-4a0e-9f43-0b1f0a4e5d01",
    kernels: ["/boot/vmlinuz-1", "/boot/vmlinuz-2", "/boot/vmlinuz-3", "/boot/vmlinuz-10", "/boot/xen"],
    initrds: ["/boot/initrd-1", "/boot/initrd-2", "/boot/initrd-3", "/boot/initrd-10", "/boot/microcode.img"],
    files: { "/boot/empty": "", "/etc/os-release": 'ID=debian\nNAME="Debian GNU/Linux"\n' },
  },
  {
    name: "vda2",
    filesystem: "ext2",
    label: "Some Data",
    uuid: "2c7ff3d9-69c6-4b1f-8a54-1c2a1b5f6e02",
    kernels: ["/vmlinuz-d", "/boot/vmlinuz-2"],
    initrds: ["/initrd-d"],
    files: { "/data/flag": "flag\n" },
  },
];

/** All cases, by name. */
export async function readCorpus(): Promise<GrubCase[]> {
  const entries = await readdir(corpusDirectory, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory() || entry.name.endsWith(".cfg")).map(({ name }) => name);
  names.sort();
  return Promise.all(
    names.map(async (name) => {
      const file = path.join(corpusDirectory, name);
      return name.endsWith(".cfg") ? plainCase(name.slice(0, -4), await readFile(file, "utf8")) : treeCase(name, file);
    }),
  );
}

async function treeCase(name: string, directory: string): Promise<GrubCase> {
  const parsed: CaseFile = JSON.parse(await readFile(path.join(directory, "case.json"), "utf8"));
  const [volume = "", menuPath = ""] = (parsed.menu ?? "vda1:/boot/grub/grub.cfg").split(":");
  return {
    name,
    what: parsed.what,
    firmware: parsed.firmware ?? "bios",
    prefix: parsed.prefix ?? `(,${parsed.disks?.["vda"]?.table ?? "msdos"}1)/boot/grub`,
    menu: { volume, path: menuPath },
    entries: parsed.entries ?? null,
    fails: parsed.fails ?? [],
    disks: parsed.disks ?? plainDisks,
    volumes: parsed.volumes,
    layers: parsed.layers ?? null,
    directory: parsed.like === undefined ? directory : path.join(corpusDirectory, parsed.like),
  };
}

/**
 * A case in one file, /boot/grub/grub.cfg of the plain disk. Comments at its start tell more: `# what: SENTENCE`,
 * `# env: NAME=VALUE` of /boot/grub/grubenv, `# file: /PATH TEXT` with `\n` for a new line, `# link: /PATH TARGET`,
 * `# menu: /PATH`, `# entries: 0 1>0`, `# fails: 2 3`, `# firmware: efi`.
 */
function plainCase(name: string, text: string): GrubCase {
  const facts = (key: string): string[] =>
    [...text.matchAll(/^# (\w+):[ ]?(.*)$/gm)].filter((match) => match[1] === key).map((match) => match[2] ?? "");
  const words = (key: string): string[] =>
    facts(key).flatMap((value) => value.split(" ").filter((word) => word !== ""));
  const pairs = (key: string, separator: string): Record<string, string> =>
    Object.fromEntries(
      facts(key).map((value): [string, string] => {
        const at = value.includes(separator) ? value.indexOf(separator) : value.length;
        return [value.slice(0, at), value.slice(at + 1).replaceAll("\\n", "\n")];
      }),
    );
  const environment = pairs("env", "=");
  const [boot, ...others] = plainVolumes;
  const [what = ""] = facts("what");
  const [firmware = "bios"] = facts("firmware");
  if (boot === undefined || what === "" || (firmware !== "bios" && firmware !== "efi")) {
    throw new Error(`read case "${name}": "# what: SENTENCE" expected, and a firmware of bios or efi`);
  }
  const first: CaseVolume = {
    ...boot,
    files: { ...boot.files, "/boot/grub/grub.cfg": text, ...pairs("file", " ") },
    links: pairs("link", " "),
    environments: Object.keys(environment).length === 0 ? {} : { "/boot/grub/grubenv": environment },
  };
  return {
    name,
    what,
    firmware,
    prefix: "(,msdos1)/boot/grub",
    menu: { volume: "vda1", path: facts("menu")[0] ?? "/boot/grub/grub.cfg" },
    entries: facts("entries").length === 0 ? null : words("entries"),
    fails: words("fails"),
    disks: plainDisks,
    volumes: [first, ...others],
    layers: null,
    directory: null,
  };
}

/** The files of a case's volumes, each made once. */
export async function caseFiles(each: GrubCase, scratch: string): Promise<Map<string, DiskFiles>> {
  const files = await Promise.all(
    each.volumes.map(async (volume): Promise<[string, DiskFiles]> => {
      const images = Object.entries(volume.images ?? {}).map(
        async ([file, inside]): Promise<[string, DiskFiles[string]]> => {
          const name = path.basename(file);
          const image = path.join(scratch, `${volume.name}-${name}`);
          const content = { ...inside, name, filesystem: "iso9660" as const };
          const { label, uuid } = inside;
          await makeFilesystem(image, {
            filesystem: "iso9660",
            sizeMiB: 2,
            ...(label === undefined ? {} : { label }),
            ...(uuid === undefined ? {} : { uuid }),
            files: await volumeFiles(each, content, `${volume.name}:${file}:`),
          });
          return [file, { copyOf: image }];
        },
      );
      return [
        volume.name,
        { ...(await volumeFiles(each, volume, `${volume.name}:`)), ...Object.fromEntries(await Promise.all(images)) },
      ];
    }),
  );
  return new Map(files);
}

/** @param owner stands before the path in what a kernel or an initrd says of itself */
async function volumeFiles(each: GrubCase, volume: CaseVolume, owner: string): Promise<DiskFiles> {
  const files: DiskFiles = {};
  for (const file of volume.kernels ?? []) files[file] = await judgedKernel(`${owner}${file}`);
  for (const file of volume.initrds ?? []) files[file] = `${owner}${file}`;
  for (const [file, target] of Object.entries(volume.links ?? {})) files[file] = { link: target };
  for (const [file, variables] of Object.entries(volume.environments ?? {})) {
    files[file] = await environmentBlock(variables);
  }
  if (each.directory !== null) {
    const tree = path.join(each.directory, volume.name);
    for (const name of await readdir(tree, { recursive: true, withFileTypes: true }).catch(() => [])) {
      if (!name.isFile()) continue;
      const file = path.join(name.parentPath, name.name);
      files[`/${path.relative(tree, file)}`] = await readFile(file);
    }
  }
  return { ...files, ...volume.files };
}

/** GRUB's own tool makes it, so that nothing here depends on this project's idea of the format. */
async function environmentBlock(variables: Readonly<Record<string, string>>): Promise<Uint8Array> {
  const directory = await mkdtemp(path.join(tmpdir(), "slipway-grubenv-"));
  try {
    const file = path.join(directory, "grubenv");
    await runCommand("grub-editenv", [file, "create"]);
    const words = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    if (words.length > 0) await runCommand("grub-editenv", [file, "set", ...words]);
    return await readFile(file);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Lays a volume's files out in a directory, for `--root`. */
export async function stageVolume(files: DiskFiles, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(directory, name);
    await mkdir(name.endsWith("/") ? file : path.dirname(file), { recursive: true });
    if (name.endsWith("/")) continue;
    if (typeof content === "string" || content instanceof Uint8Array) await writeFile(file, content);
    else if ("link" in content) await symlink(content.link, file);
    else await runCommand("cp", [content.copyOf, file]);
  }
}

/** The members of volumes that stand on several partitions, made by a Linux guest: partition → image. */
export async function memberImages(
  each: GrubCase,
  files: ReadonlyMap<string, DiskFiles>,
  scratch: string,
): Promise<Map<string, string>> {
  const images = new Map<string, string>();
  if (each.layers === null) return images;
  const { members, commands } = each.layers;
  for (const [name, sizeMiB] of Object.entries(members)) {
    const image = path.join(scratch, `${name}.member`);
    await makeDisk(image, [{ filesystem: "none", sizeMiB }], { table: "none" });
    images.set(name, image);
  }
  const disks: [string, VmDisk][] = [...images].map(([name, image]) => [name, { path: image, keepWrites: true }]);
  for (const volume of each.volumes) {
    if (volume.layer === undefined) continue;
    const image = path.join(scratch, `${volume.name}.filesystem`);
    await makeFilesystem(image, partitionOf(volume, files));
    disks.push([volume.name, { path: image }]);
  }
  const device = (name: string): string => {
    const index = disks.findIndex(([other]) => other === name);
    if (index === -1) throw new Error(`make volumes of "${each.name}": no member or volume "${name}"`);
    return `/dev/vd${String.fromCharCode("a".charCodeAt(0) + index)}`;
  };
  await runLayerTools(
    scratch,
    disks.map(([, disk]) => disk),
    commands.map((line) => line.replaceAll(/\{([\w-]+)\}/g, (_, name: string) => device(name))),
  );
  return images;
}

/** Makes the case's disks with the reference tools; `vda` is the first. */
export async function caseDisks(
  each: GrubCase,
  files: ReadonlyMap<string, DiskFiles>,
  members: ReadonlyMap<string, string>,
  scratch: string,
): Promise<string[]> {
  return Promise.all(
    Object.entries(each.disks).map(([disk, { table, id }]) => {
      const partitions: [string, Partition][] = each.volumes
        .filter(({ layer }) => layer === undefined)
        .map((volume) => [volume.name, partitionOf(volume, files)]);
      for (const [name, image] of members) partitions.push([name, { filesystem: "none", image }]);
      const own = partitions.filter(([name]) => name.replace(/\d+$/, "") === disk);
      own.sort(([a], [b]) => Number(a.slice(disk.length)) - Number(b.slice(disk.length)));
      const inOrder = own.map(([, partition]) => partition);
      return makeDisk(path.join(scratch, disk), inOrder, { table, ...(id === undefined ? {} : { id }) });
    }),
  );
}

function partitionOf(volume: CaseVolume, files: ReadonlyMap<string, DiskFiles>): Partition {
  const { name, filesystem, label, uuid, partuuid, partlabel, type } = volume;
  return {
    filesystem,
    files: files.get(name) ?? {},
    sizeMiB: volumeMiB[filesystem] ?? 8,
    ...(label === undefined ? {} : { label }),
    ...(uuid === undefined ? {} : { uuid }),
    ...(partuuid === undefined ? {} : { partuuid }),
    ...(partlabel === undefined ? {} : { partlabel }),
    ...(type === undefined ? {} : { type }),
  };
}

/** The smallest that the tools make, where 8 MiB are too few. */
const volumeMiB: Partial<Record<FilesystemType, number>> = { btrfs: 128, xfs: 320, vfat: 40 };
