import { type FdtNode, fdtBytes, fdtChild, fdtNumber, fdtText, fdtTexts, readFdt } from "./fdt.ts";
import { FormatError, quote } from "./format-error.ts";
import type { ByteRange, ReadRange } from "./ranges.ts";

/*
 * FIT images: kernels, initrds and device trees in the frame of a device tree, and configurations that say which belong
 * together. Source: "Flattened Image Tree (FIT) Format" (fitspec, chapters 2 to 4; U-Boot, doc/usage/fit), and what
 * U-Boot's boot/image-fit.c does with it.
 */

const format = "fit";

/** Device trees of one configuration: the base and its overlays. */
export const fitDevicetreesMax = 64;
/** Checksums of one image. */
export const fitHashesMax = 16;
/** Images and configurations, each. */
export const fitNodesMax = 1024;

/** A digest of an image's bytes as they are stored. */
export interface FitHash {
  /** `crc32`, `md5`, `sha1`, `sha256`, `sha384` or `sha512`. */
  readonly algorithm: FitDigest;
  readonly value: Uint8Array;
  /** Of the node in the file, for messages. */
  readonly node: string;
}

/** With how many bytes. */
const digests = { crc32: 4, md5: 16, sha1: 20, sha256: 32, sha384: 48, sha512: 64 } as const;
export type FitDigest = keyof typeof digests;

const compressions = ["none", "gzip", "bzip2", "lzma", "lzo", "lz4", "zstd"] as const;
export type FitCompression = (typeof compressions)[number];

/** One image of those that a configuration names. */
export interface FitImage {
  /** Its node's name: `kernel-1`. */
  readonly name: string;
  readonly description: string | null;
  /** `kernel`, `kernel_noload`, `ramdisk`, `flat_dt`, `x86_setup`. */
  readonly type: string;
  /** As U-Boot names it: `x86_64`, `arm64`; null: it does not tell. */
  readonly architecture: string | null;
  readonly compression: FitCompression;
  /** Its bytes in the file, as they are stored. */
  readonly data: ByteRange;
  readonly hashes: readonly FitHash[];
}

export interface FitChoice {
  readonly name: string;
  readonly description: string | null;
}

/** What one configuration of a FIT image boots. */
export interface FitConfiguration {
  readonly name: string;
  readonly description: string | null;
  readonly kernel: FitImage;
  readonly ramdisk: FitImage | null;
  /** The first is a whole tree, the others are overlays. */
  readonly devicetrees: readonly FitImage[];
  /** The real-mode part of an x86 kernel, whose other part is then `kernel`. */
  readonly setup: FitImage | null;
  /** Whether the configuration or one of its images has a signature. Signatures are not judged here. */
  readonly isSigned: boolean;
}

/** All that a FIT image offers. */
export interface FitContents {
  readonly description: string | null;
  readonly configurations: readonly FitChoice[];
  /** The configuration that boots when none was asked for. */
  readonly defaultName: string | null;
}

/** Whether a file of `size` bytes is a FIT image: a device tree with images and configurations. */
export function isFit(read: ReadRange, size: number): boolean {
  const { root } = readFdt(read, size);
  return root.children.has("images") && root.children.has("configurations");
}

/** Lists the configurations. @throws FormatError for what is no FIT image. */
export function readFitContents(read: ReadRange, size: number): FitContents {
  return contentsOf(openFit(read, size));
}

/**
 * Reads what a configuration of a FIT image boots.
 *
 * @param part `#NAME`: the configuration; `#NAME#OTHER`: with the device trees of others as overlays. Null: the default.
 * @throws FormatError for what is no FIT image or lacks the configuration or an image, for images of another kind than
 * their place asks for, of another system than Linux, encrypted, or outside of the file; and for configurations that want
 * more loaded than Linux (loadables, firmware, fpga).
 */
export function readFit(read: ReadRange, size: number, part: string | null): FitConfiguration {
  const fit = openFit(read, size);
  const [name, ...others] = part === null ? [defaultOf(fit)] : namesIn(part);
  const node = configurationAt(fit, name ?? "");
  for (const property of ["loadables", "firmware", "fpga", "standalone"]) {
    if (!node.properties.has(property)) continue;
    fail(`a configuration without ${quote(property)} expected: only Linux is started`, `/configurations/${node.name}`);
  }
  const kernels = imagesOf(fit, node, "kernel", ["kernel", "kernel_noload"]);
  const [kernel] = kernels;
  if (kernel === undefined) return fail('"kernel" expected', `/configurations/${node.name}`);
  const configurations = [node, ...others.map((other) => configurationAt(fit, other))];
  const devicetrees = configurations.flatMap((from) => imagesOf(fit, from, "fdt", ["flat_dt"]));
  if (devicetrees.length > fitDevicetreesMax) {
    fail(`at most ${fitDevicetreesMax} device trees are taken`, `/configurations/${node.name}`);
  }
  const ramdisk = imagesOf(fit, node, "ramdisk", ["ramdisk"])[0] ?? null;
  const setup = imagesOf(fit, node, "setup", ["x86_setup"])[0] ?? null;
  const used = [kernel, ramdisk, setup, ...devicetrees].filter((image) => image !== null);
  return {
    name: node.name,
    description: textOf(fit, node, "description"),
    kernel,
    ramdisk,
    devicetrees,
    setup,
    isSigned: [node, ...used.map(({ name }) => fdtChild(fit.images, name))].some((each) => hasSignature(each)),
  };
}

interface Fit {
  readonly read: ReadRange;
  readonly size: number;
  readonly root: FdtNode;
  readonly images: FdtNode;
  readonly configurations: FdtNode;
  /** Where data that stands outside of the tree is counted from. */
  readonly externalStart: number;
}

function openFit(read: ReadRange, size: number): Fit {
  const { root, bytes } = readFdt(read, size);
  const images = root.children.get("images") ?? fail('a node "images" expected', "/");
  const configurations = root.children.get("configurations") ?? fail('a node "configurations" expected', "/");
  for (const { name, children } of [images, configurations]) {
    if (children.size > fitNodesMax) fail(`at most ${fitNodesMax} are taken, not ${children.size}`, `/${name}`);
  }
  return { read, size, root, images, configurations, externalStart: Math.ceil(bytes / 4) * 4 };
}

function contentsOf(fit: Fit): FitContents {
  return {
    description: textOf(fit, fit.root, "description"),
    configurations: [...fit.configurations.children.values()].map((node) => ({
      name: node.name,
      description: textOf(fit, node, "description"),
    })),
    defaultName: textOf(fit, fit.configurations, "default"),
  };
}

function defaultOf(fit: Fit): string {
  return (
    textOf(fit, fit.configurations, "default") ??
    fail(`"default" expected, or one of ${namesOf(fit)} asked for`, "/configurations")
  );
}

/** Configurations named in a message. */
const namesShownMax = 8;

function namesOf({ configurations }: Fit): string {
  const names = [...configurations.children.keys()];
  const shown = names.slice(0, namesShownMax).map((name) => quote(`#${name}`));
  return [...shown, ...(names.length > namesShownMax ? [`${names.length - namesShownMax} more`] : [])].join(", ");
}

function namesIn(part: string): string[] {
  const [before, ...names] = part.split("#");
  if (before !== "" || names.length === 0 || names.includes("") || names.length > fitDevicetreesMax) {
    fail(`"#" and the name of a configuration expected, not ${quote(part)}`, "/configurations");
  }
  return names;
}

function configurationAt(fit: Fit, name: string): FdtNode {
  return (
    fdtChild(fit.configurations, name) ??
    fail(`a configuration ${quote(name)} expected, there are ${namesOf(fit) || "none"}`, "/configurations")
  );
}

/** The images that a property of a configuration names. */
function imagesOf(fit: Fit, configuration: FdtNode, property: string, types: readonly string[]): FitImage[] {
  const names = configuration.properties.get(property);
  if (names === undefined) return [];
  return fdtTexts(fit.read, names, property).map((name) => {
    const node =
      fdtChild(fit.images, name) ?? fail(`an image ${quote(name)} expected`, `/configurations/${configuration.name}`);
    return readImage(fit, node, types);
  });
}

function readImage(fit: Fit, node: FdtNode, types: readonly string[]): FitImage {
  const place = `/images/${node.name}`;
  const text = (name: string): string | null => textOf(fit, node, name);
  const type = text("type") ?? fail('"type" expected', place);
  if (!types.includes(type)) fail(`type ${types.map(quote).join(" or ")} expected, not ${quote(type)}`, place);
  const system = text("os");
  if (type !== "flat_dt" && system !== null && system !== "linux") {
    fail(`os "linux" expected, not ${quote(system)}`, place);
  }
  if ([...node.children.keys()].some((name) => name.startsWith("cipher"))) {
    fail("an image that is not encrypted expected", place);
  }
  const named = text("compression") ?? "none";
  const compression = compressions.find((known) => known === named);
  if (compression === undefined) fail(`compression ${compressions.join(", ")} expected, not ${quote(named)}`, place);
  return {
    name: node.name,
    description: text("description"),
    type,
    architecture: text("arch"),
    compression: compression ?? "none",
    data: dataOf(fit, node, place),
    hashes: hashesOf(fit, node, place),
  };
}

/** In the tree, or behind it: counted from the tree's end (`data-offset`) or from the start of the file. */
function dataOf(fit: Fit, node: FdtNode, place: string): ByteRange {
  const number = (name: string): number | null => {
    const value = node.properties.get(name);
    return value === undefined ? null : fdtNumber(fit.read, value, name);
  };
  const position = number("data-position");
  const offset = number("data-offset");
  if (position === null && offset === null) return node.properties.get("data") ?? fail('"data" expected', place);
  const length = number("data-size") ?? fail('"data-size" expected', place);
  const range = { offset: position ?? fit.externalStart + (offset ?? 0), length };
  if (range.offset + range.length > fit.size) {
    const span = `${range.offset} to ${range.offset + range.length}`;
    fail(`data in bytes ${span} expected, the file ends at ${fit.size}`, place);
  }
  return range;
}

function hashesOf(fit: Fit, node: FdtNode, place: string): FitHash[] {
  const hashes: FitHash[] = [];
  for (const child of node.children.values()) {
    if (!child.name.startsWith("hash")) continue;
    const where = `${place}/${child.name}`;
    const ignored = child.properties.get("uboot-ignore");
    if (ignored !== undefined && fdtNumber(fit.read, ignored, "uboot-ignore") === 1) continue;
    if (hashes.length === fitHashesMax) fail(`at most ${fitHashesMax} checksums are taken`, place);
    const named = textOf(fit, child, "algo") ?? fail('"algo" expected', where);
    const algorithm = Object.keys(digests).find((known): known is FitDigest => known === named);
    if (algorithm === undefined) {
      return fail(`${Object.keys(digests).join(", ")} expected, not ${quote(named)}`, where);
    }
    const value = child.properties.get("value") ?? fail('"value" expected', where);
    if (value.length !== digests[algorithm]) {
      fail(`${digests[algorithm]} bytes of ${algorithm} expected, not ${value.length}`, where);
    }
    hashes.push({ algorithm, value: fdtBytes(fit.read, value, "value"), node: where });
  }
  return hashes;
}

function hasSignature(node: FdtNode | null): boolean {
  return node !== null && [...node.children.keys()].some((name) => name.startsWith("signature"));
}

function textOf(fit: Fit, node: FdtNode, name: string): string | null {
  const value = node.properties.get(name);
  return value === undefined ? null : fdtText(fit.read, value, name);
}

/** @param field a path in the tree */
function fail(detail: string, field: string): never {
  throw new FormatError(format, detail, { field: quote(field).slice(1, -1) });
}
