import { mkdir, mkdtemp, open, readdir, rename, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { runCommand } from "./command.ts";
import { fillByGuest } from "./guest-fill.ts";

/** A file's content, another file to copy it from, or the target of a symbolic link. */
export type FileContent = string | Uint8Array | { readonly copyOf: string } | { readonly link: string };

/** Absolute path → content. Directories come with their files; a path that ends in `/` is an empty directory. */
export type DiskFiles = Record<string, FileContent>;

export type FilesystemType = keyof typeof filesystems;

export interface Partition {
  /** `linux` unless told; or any type GUID (msdos: a type in hexadecimal). */
  readonly type?: "esp" | "xbootldr" | "linux" | (string & {});
  readonly filesystem: FilesystemType | "none";
  /** Of the filesystem. */
  readonly label?: string;
  /** Of the filesystem, as blkid prints it. */
  readonly uuid?: string;
  readonly partlabel?: string;
  readonly partuuid?: string;
  readonly files?: DiskFiles;
  /** A filesystem made elsewhere, instead of `files`. */
  readonly image?: string;
  readonly sizeMiB?: number;
}

/** GPT type GUIDs: UEFI 2.10, section 5.3.3, and the UAPI Discoverable Partitions Specification. */
const typeGuids: Readonly<Record<string, string>> = {
  esp: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
  xbootldr: "bc13c2ff-59e6-4262-a352-b275fd6f7172",
  linux: "0fc63daf-8483-4772-8e79-3d69d8477de4",
};

/** The types of an MBR that mean the same; for the boot loader's partition see the Boot Loader Specification. */
const mbrTypes: Readonly<Record<string, string>> = { esp: "ef", xbootldr: "ea", linux: "83" };

const mebibyte = 1 << 20;

/** Everything about a filesystem that is about to be made. */
interface Recipe {
  /** Sparse file of the wanted size; the filesystem goes there. */
  readonly image: string;
  readonly sizeMiB: number;
  /** Directory with the files. */
  readonly tree: string;
  readonly files: DiskFiles;
  readonly scratch: string;
  readonly label: string | undefined;
  readonly uuid: string | undefined;
}

interface Filesystem {
  readonly sizeMiB: number;
  /** What this filesystem's tool cannot set; asking for it is refused. */
  readonly cannot?: readonly ("label" | "uuid")[];
  make(recipe: Recipe): Promise<unknown>;
}

/** `-L label` or nothing. */
function option(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [name, value];
}

const makeExt =
  (type: string) =>
  ({ image, tree, label, uuid }: Recipe): Promise<unknown> => {
    const quick = ["-F", "-q", "-E", "lazy_itable_init=1,root_owner=0:0"];
    const named = [...option("-L", label), ...option("-U", uuid)];
    return runCommand("mke2fs", ["-t", type, ...quick, ...named, "-d", tree, image]);
  };

const filesystems = {
  vfat: { sizeMiB: 128, make: makeVfat },
  ext2: { sizeMiB: 128, make: makeExt("ext2") },
  ext4: { sizeMiB: 128, make: makeExt("ext4") },
  xfs: { sizeMiB: 320, make: makeXfs },
  btrfs: {
    sizeMiB: 256,
    make: ({ image, tree, label, uuid }) =>
      runCommand("mkfs.btrfs", ["-q", "-f", ...option("-L", label), ...option("-U", uuid), "--rootdir", tree, image]),
  },
  erofs: {
    sizeMiB: 64,
    cannot: ["label"],
    make: ({ image, tree, uuid }) => runCommand("mkfs.erofs", ["--quiet", ...option("-U", uuid), image, tree]),
  },
  squashfs: {
    sizeMiB: 64,
    cannot: ["label", "uuid"],
    make: ({ image, tree }) => runCommand("mksquashfs", [tree, image, "-noappend", "-quiet", "-no-progress"]),
  },
  f2fs: { sizeMiB: 128, make: makeF2fs },
  exfat: { sizeMiB: 64, cannot: ["uuid"], make: makeExfat },
  iso9660: { sizeMiB: 64, make: makeIso },
} satisfies Record<string, Filesystem>;

async function makeVfat({ image, tree, label, uuid }: Recipe): Promise<void> {
  await runCommand("mkfs.vfat", [...option("-n", label), ...option("-i", uuid?.replace("-", "")), image]);
  const names = (await readdir(tree)).map((name) => path.join(tree, name));
  if (names.length > 0) await runCommand("mcopy", ["-s", "-Q", "-i", image, ...names, "::"]);
}

async function makeF2fs({ image, tree, label, uuid }: Recipe): Promise<void> {
  await runCommand("mkfs.f2fs", ["-q", "-f", ...option("-l", label), ...option("-U", uuid), image]);
  await runCommand("sload.f2fs", ["-f", tree, image]);
}

/** The UUID of an ISO 9660 filesystem is its time of modification: 2024-01-31-12-00-00-00. */
async function makeIso({ image, tree, label, uuid }: Recipe): Promise<void> {
  const time = uuid === undefined ? [] : [`--modification-date=${uuid.replaceAll("-", "")}`];
  await runCommand("xorriso", ["-as", "mkisofs", "-quiet", "-R", ...option("-V", label), ...time, "-o", image, tree]);
}

/** exfatprogs can make an empty filesystem only; the files are copied by a Linux guest. */
async function makeExfat({ image, files, label }: Recipe): Promise<void> {
  await runCommand("mkfs.exfat", [...option("-L", label), image]);
  if (Object.keys(files).length > 0) await fillByGuest(image, "exfat", files);
}

/** xfs is filled by a prototype file (mkfs.xfs(8), -p), whose words cannot hold spaces. */
async function makeXfs({ image, tree, label, uuid, scratch }: Recipe): Promise<void> {
  const lines = ["/ignored", "0 0", "d--755 0 0", ...(await prototypeLines(tree)), "$"];
  const prototype = path.join(scratch, "prototype");
  await writeFile(prototype, `${lines.join("\n")}\n`);
  const identity = [...option("-L", label), ...(uuid === undefined ? [] : ["-m", `uuid=${uuid}`])];
  await runCommand("mkfs.xfs", ["-q", "-f", ...identity, "-p", prototype, image]);
}

async function prototypeLines(directory: string): Promise<string[]> {
  const lines: string[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const file = path.join(directory, entry.name);
    if (/\s/.test(file)) throw new Error(`make xfs: "${file}": a name without spaces expected`);
    if (entry.isDirectory()) lines.push(`${entry.name} d--755 0 0`, ...(await prototypeLines(file)), "$");
    else if (entry.isSymbolicLink()) lines.push(`${entry.name} l--777 0 0 ${await linkTarget(file)}`);
    else lines.push(`${entry.name} ---644 0 0 ${file}`);
  }
  return lines;
}

async function linkTarget(file: string): Promise<string> {
  return (await runCommand("readlink", [file])).trimEnd();
}

/** Lays the files out below a directory. */
async function stage(files: DiskFiles, tree: string): Promise<void> {
  await mkdir(tree, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(tree, name);
    if (name.endsWith("/")) {
      await mkdir(file, { recursive: true });
      continue;
    }
    await mkdir(path.dirname(file), { recursive: true });
    if (typeof content === "string" || content instanceof Uint8Array) await writeFile(file, content);
    else if ("link" in content) await symlink(content.link, file);
    else await runCommand("cp", ["--reflink=auto", content.copyOf, file]);
  }
}

/** Makes a filesystem in a file of its own, without root. */
export async function makeFilesystem(image: string, partition: Partition): Promise<void> {
  if (partition.filesystem === "none") throw new Error('make a filesystem: its type expected, got "none"');
  const filesystem: Filesystem = filesystems[partition.filesystem];
  for (const property of filesystem.cannot ?? []) {
    if (partition[property] !== undefined) throw new Error(`make ${partition.filesystem}: it takes no ${property}`);
  }
  const scratch = await mkdtemp(path.join(tmpdir(), "slipway-disk-"));
  try {
    const tree = path.join(scratch, "tree");
    const files = partition.files ?? {};
    await stage(files, tree);
    const sizeMiB = partition.sizeMiB ?? filesystem.sizeMiB;
    await makeSparse(image, sizeMiB);
    const { label, uuid } = partition;
    await filesystem.make({ image, sizeMiB, tree, files, scratch, label, uuid });
    // Image tools (squashfs, erofs, iso9660) write a file as long as its content.
    const { size } = await stat(image);
    if (size > sizeMiB * mebibyte) {
      throw new Error(`make ${partition.filesystem}: ${size} bytes, the partition has ${sizeMiB} MiB`);
    }
    await truncate(image, sizeMiB * mebibyte);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function makeSparse(file: string, sizeMiB: number): Promise<void> {
  const handle = await open(file, "w");
  await handle.truncate(sizeMiB * mebibyte);
  await handle.close();
}

/** The partition table around the partitions. */
export interface Layout {
  /** `gpt` unless told; `none` puts the only partition's filesystem on the bare disk. */
  readonly table?: "gpt" | "msdos" | "none";
  /** The disk's GUID, or for msdos its signature: `0x1234abcd`. */
  readonly id?: string;
}

/** Makes a raw disk image with these partitions, without root and without copying holes. It appears by a rename. */
export async function makeDisk(file: string, partitions: readonly Partition[], layout: Layout = {}): Promise<string> {
  await mkdir(path.dirname(file), { recursive: true });
  const scratch = await mkdtemp(`${file}.`);
  try {
    const built = path.join(scratch, "disk");
    const images = await makePartitions(partitions, scratch);
    const [only] = images;
    if (layout.table !== "none") await assemble(built, partitions, images, layout);
    else if (only === undefined || images.length > 1) {
      throw new Error(`make a disk without a table: one filesystem expected, got ${images.length}`);
    } else await rename(only.image, built);
    await rename(built, file);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return file;
}

interface PartitionImage {
  readonly image: string;
  readonly sizeMiB: number;
}

async function makePartitions(partitions: readonly Partition[], scratch: string): Promise<PartitionImage[]> {
  const images: PartitionImage[] = [];
  for (const [index, partition] of partitions.entries()) {
    const image = partition.image ?? path.join(scratch, `partition${index + 1}`);
    if (partition.image === undefined) {
      if (partition.filesystem === "none") await makeSparse(image, partition.sizeMiB ?? 1);
      else await makeFilesystem(image, partition);
    }
    images.push({ image, sizeMiB: Math.ceil((await stat(image)).size / mebibyte) });
  }
  return images;
}

/** Lays the partitions out one behind the other from the first MiB on, as sfdisk's script says. */
async function assemble(
  disk: string,
  partitions: readonly Partition[],
  images: readonly PartitionImage[],
  layout: Layout,
): Promise<void> {
  const sum = images.reduce((total, { sizeMiB }) => total + sizeMiB, 0);
  // One MiB before the first partition and one behind the last hold GPT's two tables.
  await makeSparse(disk, sum + 2);
  const isGpt = layout.table !== "msdos";
  const types = isGpt ? typeGuids : mbrTypes;
  const script = [`label: ${isGpt ? "gpt" : "dos"}`, ...(layout.id === undefined ? [] : [`label-id: ${layout.id}`])];
  const starts: number[] = [];
  let startMiB = 1;
  for (const [index, { sizeMiB }] of images.entries()) {
    const { type = "linux", partlabel, partuuid } = partitions[index] ?? {};
    const words = [`start=${startMiB}MiB`, `size=${sizeMiB}MiB`, `type=${types[type] ?? type}`];
    if (!isGpt && (partlabel ?? partuuid) !== undefined)
      throw new Error("make a disk: msdos takes no partlabel or partuuid");
    if (partlabel !== undefined) words.push(`name="${partlabel}"`);
    if (partuuid !== undefined) words.push(`uuid=${partuuid}`);
    script.push(words.join(", "));
    starts.push(startMiB);
    startMiB += sizeMiB;
  }
  const input = `${script.join("\n")}\n`;
  await runCommand("sfdisk", ["--quiet", "--no-reread", "--no-tell-kernel", disk], { input });
  for (const [index, { image }] of images.entries()) await copySparse(image, disk, starts[index] ?? 0);
}

/** Copies into the disk at an offset; what is zero stays a hole. */
async function copySparse(image: string, disk: string, offsetMiB: number): Promise<void> {
  await runCommand("dd", [
    `if=${image}`,
    `of=${disk}`,
    "bs=1M",
    `seek=${offsetMiB}`,
    "conv=notrunc,sparse",
    "status=none",
  ]);
}

/** A private copy of an image for a test that lets the guest write to it. */
export async function copyDisk(image: string, copy: string): Promise<string> {
  await mkdir(path.dirname(copy), { recursive: true });
  await runCommand("cp", ["--sparse=always", "--reflink=auto", image, copy]);
  return copy;
}
