/** What a made image is called, and its files: absolute paths to their content. */
export interface IsoContent {
  /** At most 32 characters. */
  readonly label: string;
  /** `YYYY-MM-DD-hh-mm-ss-cc`, as blkid prints it. */
  readonly uuid: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

const sectorBytes = 2048;

interface Directory {
  readonly kind: "directory";
  readonly children: Map<string, Directory | File>;
  sector: number;
  bytes: number;
}

interface File {
  readonly kind: "file";
  readonly content: Uint8Array;
  sector: number;
}

/**
 * An ISO 9660 image with Rock Ridge names, as simple as can be: what xorriso and isoinfo list of it is what was put in.
 * Real images of real tools are in test/data/iso9660; this one makes discs of the trees in test/data/trees.
 */
export function makeIso({ label, uuid, files }: IsoContent): Uint8Array {
  const root = treeOf(files);
  const directories = [{ at: root, parent: root }];
  // Grows while it is walked.
  for (const { at } of directories) {
    for (const child of at.children.values())
      if (child.kind === "directory") directories.push({ at: child, parent: at });
  }
  let sector = 18;
  for (const { at } of directories) {
    at.sector = sector;
    at.bytes = records(at, at, at === root).length;
    sector += at.bytes / sectorBytes;
  }
  const contents: File[] = [];
  for (const { at } of directories) {
    for (const child of at.children.values()) {
      if (child.kind !== "file") continue;
      child.sector = sector;
      sector += Math.ceil(child.content.length / sectorBytes);
      contents.push(child);
    }
  }
  const image = Buffer.alloc(sector * sectorBytes);
  image.set(primaryDescriptor(label, uuid, root, sector), 16 * sectorBytes);
  image.write("\u00ffCD001\u0001", 17 * sectorBytes, "latin1");
  for (const { at, parent } of directories) image.set(records(at, parent, at === root), at.sector * sectorBytes);
  for (const { content, sector: place } of contents) image.set(content, place * sectorBytes);
  return image;
}

function treeOf(files: ReadonlyMap<string, Uint8Array>): Directory {
  const directory = (): Directory => ({ kind: "directory", children: new Map(), sector: 0, bytes: 0 });
  const root = directory();
  for (const [path, content] of files) {
    const names = path.split("/").slice(1);
    const name = names.pop() ?? "";
    let at = root;
    for (const each of names) {
      const next = at.children.get(each) ?? directory();
      if (next.kind === "file") throw new Error(`${path}: ${each} is a file`);
      at.children.set(each, next);
      at = next;
    }
    at.children.set(name, { kind: "file", content, sector: 0 });
  }
  return root;
}

function bothEndian32(into: Buffer, at: number, value: number): void {
  into.writeUInt32LE(value, at);
  into.writeUInt32BE(value, at + 4);
}

/** ECMA-119, 8.4. */
function primaryDescriptor(label: string, uuid: string, root: Directory, sectors: number): Buffer {
  const descriptor = Buffer.alloc(sectorBytes);
  descriptor.write("\u0001CD001\u0001", "latin1");
  descriptor.write(label.padEnd(32), 40, "latin1");
  bothEndian32(descriptor, 80, sectors);
  for (const [at, value] of [
    [120, 1],
    [124, 1],
    [128, sectorBytes],
  ] as const) {
    descriptor.writeUInt16LE(value, at);
    descriptor.writeUInt16BE(value, at + 2);
  }
  descriptor.set(record(Buffer.from([0]), root, Buffer.alloc(0)), 156);
  descriptor.write(uuid.replaceAll("-", ""), 813, "latin1");
  descriptor.write(uuid.replaceAll("-", ""), 830, "latin1");
  descriptor[881] = 1;
  return descriptor;
}

/** ECMA-119, 9.1. */
function record(identifier: Buffer, target: Directory | File, systemUse: Buffer): Buffer {
  const padding = identifier.length % 2 === 0 ? 1 : 0;
  const bytes = Buffer.alloc(33 + identifier.length + padding + systemUse.length + (systemUse.length % 2));
  bytes[0] = bytes.length;
  bothEndian32(bytes, 2, target.sector);
  bothEndian32(bytes, 10, target.kind === "file" ? target.content.length : target.bytes);
  bytes[25] = target.kind === "file" ? 0 : 2;
  bytes.writeUInt16LE(1, 28);
  bytes.writeUInt16BE(1, 30);
  bytes[32] = identifier.length;
  bytes.set(identifier, 33);
  bytes.set(systemUse, 33 + identifier.length + padding);
  return bytes;
}

/** The extent of a directory: itself, its parent, its files in the order of their identifiers. */
function records(directory: Directory, parent: Directory, isRoot: boolean): Buffer {
  // SP and ER (SUSP 1.12, 5.3 and 5.5): system use entries follow, those of Rock Ridge.
  const entries = "SP\u0007\u0001\u00be\u00ef\u0000ER\u0012\u0001\u000a\u0000\u0000\u0001RRIP_1991A";
  const sharing = Buffer.from(isRoot ? entries : "", "latin1");
  const all = [
    record(Buffer.from([0]), directory, Buffer.concat([sharing, mode(directory)])),
    record(Buffer.from([1]), parent, mode(parent)),
  ];
  const names = [...directory.children.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  for (const [index, name] of names.entries()) {
    const child = directory.children.get(name);
    if (child === undefined) continue;
    const identifier = `F${String(index).padStart(5, "0")}${child.kind === "file" ? ".;1" : ""}`;
    const bytes = Buffer.from(name);
    const named = Buffer.concat([Buffer.from([0x4e, 0x4d, 5 + bytes.length, 1, 0]), bytes]);
    all.push(record(Buffer.from(identifier, "latin1"), child, Buffer.concat([mode(child), named])));
  }
  const sectors: Buffer[] = [];
  let sector = Buffer.alloc(0);
  for (const each of all) {
    if (sector.length + each.length > sectorBytes) {
      sectors.push(Buffer.concat([sector], sectorBytes));
      sector = Buffer.alloc(0);
    }
    sector = Buffer.concat([sector, each]);
  }
  return Buffer.concat([...sectors, Buffer.concat([sector], sectorBytes)]);
}

/** PX (RRIP 1.12, 4.1.1). */
function mode(target: Directory | File): Buffer {
  const entry = Buffer.alloc(36);
  entry.write("PX\u0024\u0001", "latin1");
  bothEndian32(entry, 4, target.kind === "file" ? 0o100444 : 0o040555);
  bothEndian32(entry, 12, 1);
  return entry;
}
