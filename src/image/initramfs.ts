import { lstatSync, readdirSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import path from "node:path";
import { configPath, keysDirectory, policyPath } from "../boot/config.ts";
import { CpioEncoder, cpioPadding, symlinkContent } from "../formats/cpio.ts";
import type { KeyFile } from "../trust/policy.ts";
import type { HostFiles } from "./host-files.ts";
import { ImageError, imageError } from "./image-error.ts";
import { type Content, type ImageNode, type ImagePart, ImageTree } from "./image-tree.ts";
import type { ModuleSelection } from "./kernel-modules.ts";
import { type LibraryClosure, libraryClosure } from "./libraries.ts";

/** Empty directories of the image, to mount on and to work in. */
const directories: readonly (readonly [path: string, permissions: number])[] = [
  ["/dev", 0o755],
  ["/proc", 0o755],
  ["/sys", 0o755],
  ["/run", 0o755],
  ["/tmp", 0o1777],
  [keysDirectory, 0o755],
  ["/root", 0o700],
  ["/mnt", 0o755],
];

/** Files and depth of one included directory. */
export const includedNodesMax = 100_000;
const includedDepthMax = 64;

const copyChunkBytes = 1 << 20;

export interface ImageInclude {
  readonly source: string;
  /** Absolute in the image. */
  readonly destination: string;
}

export interface InitramfsInputs {
  /** The machine whose libraries are taken. */
  readonly host: HostFiles;
  readonly executable: string;
  /** Text of a valid configuration. */
  readonly config: string;
  /** Text of a valid policy, if any. */
  readonly policy: string | null;
  readonly keys: readonly KeyFile[];
  readonly modules: ModuleSelection | null;
  readonly includes: readonly ImageInclude[];
}

export interface Initramfs {
  readonly tree: ImageTree;
  readonly libraries: LibraryClosure["libraries"];
}

/** Lays the image out. Nothing large is read yet. Throws {@link ImageError}. */
export function planInitramfs(inputs: InitramfsInputs): Initramfs {
  const tree = new ImageTree();
  const closure = libraryClosure(inputs.host, inputs.executable);
  // Links of directories come first, so that everything else ends up behind them.
  for (const link of closure.links) {
    tree.symlink(link.path, link.target);
    tree.directory(link.path);
  }
  for (const library of closure.libraries) {
    tree.file(library.path, 0o755, { kind: "file", source: library.source }, "library");
  }
  for (const alias of closure.aliases) tree.symlink(alias.path, alias.target);
  tree.file("/init", 0o755, { kind: "file", source: realpathSync(inputs.executable) }, "executable");
  for (const [directory, permissions] of directories) tree.directory(directory, permissions);
  tree.device("/dev/console", 0o600, 5, 1);
  tree.device("/dev/null", 0o666, 1, 3);
  addText(tree, configPath, inputs.config, "configuration");
  if (inputs.policy !== null) addText(tree, policyPath, inputs.policy, "configuration");
  for (const key of inputs.keys) {
    tree.file(`${keysDirectory}/${key.name}`, 0o644, { kind: "bytes", bytes: key.bytes }, "configuration");
  }
  if (inputs.modules !== null) addModules(tree, inputs.modules);
  for (const include of inputs.includes) addInclude(tree, include);
  return { tree, libraries: closure.libraries };
}

function addText(tree: ImageTree, place: string, text: string, part: ImagePart): void {
  tree.file(place, 0o644, { kind: "bytes", bytes: new TextEncoder().encode(text) }, part);
}

function addModules(tree: ImageTree, selection: ModuleSelection): void {
  const directory = `/lib/modules/${selection.version}`;
  for (const module of selection.modules) tree.file(`${directory}/${module.path}`, 0o644, module.content, "module");
  for (const [name, text] of Object.entries(selection.texts))
    addText(tree, `${directory}/modules.${name}`, text, "module");
}

/** A file, or a directory with all that is in it; inside of one, links stay links. */
function addInclude(tree: ImageTree, include: ImageInclude): void {
  const isReserved = (place: string): boolean => place === "/etc/slipway" || place.startsWith("/etc/slipway/");
  let count = 0;
  const add = (source: string, destination: string, depth: number): void => {
    count++;
    if (count > includedNodesMax || depth > includedDepthMax) {
      throw new ImageError(
        `include "${include.source}": at most ${includedNodesMax} files, ${includedDepthMax} deep, are taken`,
      );
    }
    const stat = depth === 0 ? statSync(source) : lstatSync(source);
    // What decides about trust was checked; nothing gets past that check, nor through a link.
    if (isReserved(tree.realPath(destination))) {
      throw new ImageError(`include "${source}": "${destination}" is set by --config, --policy and --keys only`);
    }
    if (stat.isFile()) {
      const permissions = (stat.mode & 0o111) === 0 ? 0o644 : 0o755;
      tree.file(destination, permissions, { kind: "file", source }, "include");
    } else if (stat.isSymbolicLink()) tree.symlink(destination, readlinkSync(source));
    else if (stat.isDirectory()) {
      tree.directory(destination);
      for (const name of readdirSync(source).sort())
        add(path.join(source, name), path.posix.join(destination, name), depth + 1);
    } else throw new ImageError(`include "${source}": a file, a directory or a link expected`);
  };
  try {
    add(include.source, include.destination, 0);
  } catch (error) {
    throw error instanceof ImageError ? error : imageError("include", include.source, error);
  }
}

/** Unpacked sizes, filled while the archive is written. */
export interface ImageSizes {
  /** Bytes and files by part. */
  readonly parts: Record<ImagePart, { bytes: number; files: number }>;
  /** Bytes by path. */
  readonly files: Map<string, number>;
  /** The archive before it is compressed. */
  archiveBytes: number;
}

export function noSizes(): ImageSizes {
  const none = (): { bytes: number; files: number } => ({ bytes: 0, files: 0 });
  return {
    parts: { executable: none(), library: none(), module: none(), configuration: none(), include: none() },
    files: new Map(),
    archiveBytes: 0,
  };
}

/** The image as one cpio archive, piece by piece: at most one made file or one piece of a large one is in memory. */
export async function* archiveChunks(tree: ImageTree, sizes: ImageSizes): AsyncGenerator<Uint8Array, void> {
  const encoder = new CpioEncoder();
  for (const node of tree.nodes()) {
    for await (const chunk of nodeChunks(encoder, node, sizes)) {
      sizes.archiveBytes += chunk.length;
      if (chunk.length > 0) yield chunk;
    }
  }
  const end = encoder.end();
  sizes.archiveBytes += end.length;
  yield end;
}

async function* nodeChunks(encoder: CpioEncoder, node: ImageNode, sizes: ImageSizes): AsyncGenerator<Uint8Array, void> {
  const name = node.path.slice(1);
  if (node.type === "directory" || node.type === "character") {
    yield encoder.entry({ ...node, name });
  } else if (node.type === "symlink") {
    const content = symlinkContent(node.target);
    yield encoder.entry({ type: "symlink", name, target: node.target });
    yield content;
    yield cpioPadding(content.length);
  } else {
    await using content = await openContent(node.content);
    yield encoder.entry({ type: "file", name, permissions: node.permissions, sizeBytes: content.bytes });
    yield* content.chunks();
    yield cpioPadding(content.bytes);
    sizes.files.set(node.path, content.bytes);
    sizes.parts[node.part].bytes += content.bytes;
    sizes.parts[node.part].files++;
  }
}

interface OpenContent extends AsyncDisposable {
  readonly bytes: number;
  chunks(): AsyncIterable<Uint8Array>;
}

async function openContent(content: Content): Promise<OpenContent> {
  if (content.kind === "file") return openFile(content.source);
  const bytes = content.kind === "bytes" ? content.bytes : await content.make();
  return {
    bytes: bytes.length,
    async *chunks() {
      yield bytes;
    },
    async [Symbol.asyncDispose]() {},
  };
}

async function openFile(source: string): Promise<OpenContent> {
  try {
    const handle = await open(source, "r");
    const { size } = await handle.stat();
    return {
      bytes: size,
      chunks: () => copyFile(source, handle, size),
      [Symbol.asyncDispose]: () => handle.close(),
    };
  } catch (error) {
    throw imageError("read", source, error);
  }
}

/** Exactly the size that the archive announces; always the same pieces, so that compression gives the same bytes. */
async function* copyFile(source: string, handle: FileHandle, size: number): AsyncGenerator<Uint8Array, void> {
  for (let done = 0; done < size; ) {
    const piece = new Uint8Array(Math.min(copyChunkBytes, size - done));
    for (let filled = 0; filled < piece.length; ) {
      const { bytesRead } = await handle.read(piece, filled, piece.length - filled, done + filled);
      if (bytesRead === 0) throw new ImageError(`read "${source}": it ended after ${done + filled} of ${size} bytes`);
      filled += bytesRead;
    }
    yield piece;
    done += piece.length;
  }
  const now = (await handle.stat()).size;
  if (now !== size) throw new ImageError(`read "${source}": it grew from ${size} to ${now} bytes while it was read`);
}
