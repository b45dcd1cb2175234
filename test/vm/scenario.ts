import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { buildDirectory } from "./cache.ts";
import { type DiskFiles, type Layout, makeDisk, type Partition } from "./disk.ts";
import { slipwayImage } from "./image.ts";
import { distributionKernel, type Kernel } from "./kernels.ts";
import { type SigningKeys, signedFiles, throwawayKeys } from "./sign.ts";
import { type TargetOptions, targetInitrd } from "./target.ts";
import { startVm, type Vm, type VmDisk, type VmOptions } from "./vm.ts";

/** What a test of booting works with: kernels, keys, and a directory that goes when the test file ends. */
export interface Scenario extends AsyncDisposable {
  readonly kernel: Kernel;
  /** Trusted by the images that {@link Scenario.boot} makes. */
  readonly keys: SigningKeys;
  /** Trusted by nobody. */
  readonly strangerKeys: SigningKeys;
  readonly directory: string;
  /** The kernel's bytes, which are also the target's. */
  readonly vmlinuz: Uint8Array;
  /** The little target system. */
  readonly initrd: Uint8Array;
  disk(name: string, partitions: readonly Partition[], layout?: Layout): Promise<string>;
  boot(options: BootOptions): Promise<Vm>;
}

export interface BootOptions {
  readonly disks?: readonly (string | VmDisk)[];
  readonly config?: Readonly<Record<string, unknown>>;
  /** More words for the firmware kernel's command line. */
  readonly append?: string;
  readonly memoryMiB?: number;
  /** More words for `slipway image build`. */
  readonly words?: readonly string[];
  /** A boot image made otherwise. */
  readonly image?: string;
  readonly vm?: Partial<VmOptions>;
}

export async function scenario(flavour: "cloud" | "generic" = "cloud", target: TargetOptions = {}): Promise<Scenario> {
  const [kernel, keys, strangerKeys, directory] = await Promise.all([
    distributionKernel(flavour),
    throwawayKeys(path.join(buildDirectory, "test-keys")),
    throwawayKeys(path.join(buildDirectory, "test-keys"), "stranger"),
    mkdtemp(path.join(tmpdir(), "slipway-scenario-")),
  ]);
  const [vmlinuz, initrd] = await Promise.all([readFile(kernel.vmlinuz), targetInitrd(target)]);
  return {
    kernel,
    keys,
    strangerKeys,
    directory,
    vmlinuz,
    initrd,
    disk: (name, partitions, layout) => makeDisk(path.join(directory, name), partitions, layout),
    async boot(options) {
      const { config = {}, words = [] } = options;
      const image = options.image ?? (await slipwayImage({ config, keys: [keys], kernel, words }));
      return startVm({
        kernel: kernel.vmlinuz,
        initrd: image,
        append: `console=ttyS0 panic=-1 ${options.append ?? ""}`.trim(),
        disks: (options.disks ?? []).map((disk) => (typeof disk === "string" ? { path: disk } : disk)),
        memoryMiB: options.memoryMiB ?? 1024,
        ...options.vm,
      });
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

export interface BlsOptions {
  readonly linux?: string;
  readonly initrd?: string;
  readonly options?: string;
  /** Earlier in the alphabet: earlier in the menu. */
  readonly sortKey?: string;
}

/** The text of a Boot Loader Specification entry. */
export function blsText(title: string, options: BlsOptions = {}): string {
  return [
    `title ${title}`,
    ...(options.sortKey === undefined ? [] : [`sort-key ${options.sortKey}`]),
    `linux ${options.linux ?? "/vmlinuz"}`,
    `initrd ${options.initrd ?? "/initrd.img"}`,
    `options ${options.options ?? `console=ttyS0 panic=-1 entry=${title}`}`,
    "",
  ].join("\n");
}

/** A volume with one good entry, everything signed. */
export async function goodVolume(on: Scenario, name = "good", options: BlsOptions = {}): Promise<DiskFiles> {
  return signedFiles(on.keys, {
    [`/loader/entries/${name}.conf`]: blsText(name, options),
    "/vmlinuz": on.vmlinuz,
    "/initrd.img": on.initrd,
  });
}

/** The marks of a log, without the kernel's time stamps. */
export function marks(log: string): string[] {
  return [...log.matchAll(/^\[ *\d+\.\d+\] slipway: (.*)$/gm)].map((match) => match[1] ?? "");
}

/** One bit of the bytes turned. */
export function flipBit(bytes: Uint8Array, byte: number, bit = 0): Uint8Array {
  const flipped = Uint8Array.from(bytes);
  flipped[byte] = (flipped[byte] ?? 0) ^ (1 << bit);
  return flipped;
}

/** A minisign signature file with one bit of the signature itself turned. */
export function flipSignatureBit(file: Uint8Array): Uint8Array {
  const lines = Buffer.from(file).toString().split("\n");
  // Two bytes of algorithm and eight of key id come first.
  const signature = flipBit(Buffer.from(lines[1] ?? "", "base64"), 40);
  return Buffer.from([lines[0], Buffer.from(signature).toString("base64"), ...lines.slice(2)].join("\n"));
}
