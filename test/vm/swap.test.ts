import { appendFile, copyFile, readFile, stat, truncate } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { unifiedKernel } from "./guest-kernels.ts";
import { slipwayImage } from "./image.ts";
import { distributionKernel, type Kernel } from "./kernels.ts";
import { NbdServer, type ServedRead } from "./nbd-server.ts";
import { busyboxPath } from "./packages.ts";
import { blsText, type Scenario, scenario } from "./scenario.ts";
import { signedFiles } from "./sign.ts";
import { cpioArchive, targetInitrd } from "./target.ts";

// A disk whose files change once they were read: what boots is what was verified, and nothing is read again.

const sectorBytes = 512;
const pageBytes = 4096;

const tell = ['echo "TARGET-KERNEL:$(uname -r):END"'];
const good = { banner: "as it was signed", commands: tell };
const evil = { banner: "exchanged later!", commands: tell };

/** A file of the disk, where it is there, and what it becomes. */
interface Swapped {
  readonly name: string;
  readonly offset: number;
  readonly good: Uint8Array;
  readonly evil: Uint8Array;
}

let on: Scenario;
let younger: Kernel;
beforeAll(async () => {
  on = await scenario("cloud", good);
  younger = await distributionKernel("cloud-6.12");
});
afterAll(() => on[Symbol.asyncDispose]());

/** What lies on a disk, and what that becomes: path → content. The files of both have the same lengths. */
interface Contents {
  readonly good: Readonly<Record<string, Buffer>>;
  readonly evil: Readonly<Record<string, Buffer>>;
  /** The file that holds the kernel. */
  readonly kernel: string;
}

/** A kernel, its initrd and its options, each in a file. */
async function threeFiles(): Promise<Contents> {
  const other = await readFile(younger.vmlinuz);
  // A kernel's own header says how long it is.
  const length = Math.max(on.vmlinuz.length, other.length);
  const files = (name: string, kernel: Uint8Array, initrd: Uint8Array): Contents["good"] => ({
    "/loader/entries/swap.conf": Buffer.from(blsText(name)),
    "/vmlinuz": padded(kernel, length),
    "/initrd.img": Buffer.from(initrd),
  });
  return {
    good: files("good", on.vmlinuz, on.initrd),
    evil: files("evil", other, await targetInitrd(evil)),
    kernel: "/vmlinuz",
  };
}

/** The same in one file, that is taken apart again when it is loaded. */
async function unifiedImage(): Promise<Contents> {
  const image = async (name: string, initrd: Uint8Array): Promise<Contents["good"]> => {
    const commandLine = `console=ttyS0 panic=-1 entry=${name}`;
    const file = await unifiedKernel({ linux: on.vmlinuz, version: on.kernel.version, initrd, commandLine });
    return { "/EFI/Linux/swap.efi": await readFile(file) };
  };
  return {
    good: await image("good", on.initrd),
    evil: await image("evil", await targetInitrd(evil)),
    kernel: "/EFI/Linux/swap.efi",
  };
}

function padded(content: Uint8Array, length: number): Buffer {
  return Buffer.concat([content, Buffer.alloc(length - content.length)]);
}

/** A disk: its files are as they were signed until all of each was read, and the other ones ever after. */
class SwappingDisk {
  readonly sizeBytes: number;
  readonly files: readonly Swapped[];
  readonly #bytes: Buffer;
  readonly #evil: Buffer;
  readonly #isRead: Uint8Array;
  readonly #readsLater: ServedRead[] = [];

  private constructor(bytes: Buffer, files: readonly Swapped[]) {
    this.sizeBytes = bytes.length;
    this.files = files;
    this.#bytes = bytes;
    this.#isRead = new Uint8Array(bytes.length / sectorBytes);
    this.#evil = Buffer.from(bytes);
    for (const file of files) this.#evil.set(file.evil, file.offset);
  }

  static async make(name: string, contents: Contents): Promise<SwappingDisk> {
    const signed = await signedFiles(on.keys, contents.good);
    const bytes = await readFile(await on.disk(name, [{ filesystem: "vfat", type: "esp", files: signed }]));
    const files = Object.entries(contents.good).map(([file, content]): Swapped => {
      const other = contents.evil[file];
      const offset = bytes.indexOf(content.subarray(0, pageBytes));
      if (offset < 0 || !bytes.subarray(offset, offset + content.length).equals(content)) {
        throw new Error(`"${file}": a file in one piece expected`);
      }
      if (other?.length !== content.length || other.equals(content)) {
        throw new Error(`"${file}": another file of ${content.length} bytes expected, got ${other?.length}`);
      }
      return { name: file, offset, good: content, evil: other };
    });
    return new SwappingDisk(bytes, files);
  }

  answer(read: ServedRead): Uint8Array {
    const end = read.offset + read.length;
    if (this.files.every((file) => this.#isReadWhole(file))) {
      this.#readsLater.push(read);
      return this.#evil.subarray(read.offset, end);
    }
    this.#isRead.fill(1, read.offset / sectorBytes, end / sectorBytes);
    return this.#bytes.subarray(read.offset, end);
  }

  #isReadWhole({ offset, good: { length } }: Swapped): boolean {
    return this.#isRead.subarray(offset / sectorBytes, Math.ceil((offset + length) / sectorBytes)).every(Boolean);
  }

  /** The reads of a file after the exchange. */
  readsLaterOf({ offset, good: { length } }: Swapped): ServedRead[] {
    return this.#readsLater.filter((read) => read.offset < offset + length && read.offset + read.length > offset);
  }
}

/**
 * A boot image whose first program starts a bystander beside the boot loader. As soon as something was verified, that has
 * the kernel forget all that it has of the disk in memory: from then on a second read would see what the disk is now.
 * Then it shows a page of the disk as it is now.
 */
async function imageWithBystander(page: number): Promise<string> {
  const script = `#!/bin/busybox sh
/bin/busybox mkdir -p /own/proc /own/dev
/bin/busybox mount -t proc proc /own/proc
/bin/busybox mount -t devtmpfs dev /own/dev
(
/bin/busybox renice -n -20 -p $(exec /bin/busybox sh -c 'echo $PPID')
/bin/busybox grep -q -m 1 'slipway: verified' /own/dev/kmsg
echo 3 > /own/proc/sys/vm/drop_caches
/bin/busybox dd if=/own/dev/vda iflag=direct,skip_bytes bs=${pageBytes} skip=${page} count=1 status=none > /own/page
echo "BYSTANDER:$(/bin/busybox base64 -w 0 /own/page):END"
) > /own/dev/console &
exec /init
`;
  const image = path.join(on.directory, "bystander.cpio.zst");
  await copyFile(await slipwayImage({ keys: [on.keys], kernel: on.kernel }), image);
  await truncate(image, Math.ceil((await stat(image)).size / 4) * 4);
  const busybox = await readFile(await busyboxPath());
  await appendFile(
    image,
    cpioArchive([
      { name: "/bin", mode: 0o040755, content: new Uint8Array() },
      { name: "/bin/busybox", mode: 0o100755, content: busybox },
      { name: "/bystander", mode: 0o100755, content: Buffer.from(script) },
    ]),
  );
  return image;
}

it.each([
  ["kexec_load, of files", "kexec_load", "", "bls1", threeFiles],
  // With kexec handover switched on, the boot loader leaves the other call alone.
  ["kexec_file_load, of files", "kexec_file_load", "kho=on", "bls1", threeFiles],
  ["kexec_load, of a unified kernel image", "kexec_load", "", "uki", unifiedImage],
])("%s: boots what was verified, though the disk has other files by then", async (name, call, append, format, make) => {
  const contents = await make();
  const disk = await SwappingDisk.make(`${name}.img`, contents);
  const kernel = disk.files.find((file) => file.name === contents.kernel);
  if (kernel === undefined) throw new Error(`"${contents.kernel}" is not on the disk`);
  const page = differingPage(kernel);
  const socket = path.join(on.directory, "nbd");
  await using server = await NbdServer.listen(socket, disk.sizeBytes, (read) => disk.answer(read));
  await using vm = await on.boot({
    image: await imageWithBystander(kernel.offset + page),
    append: `rdinit=/bystander ${append}`,
    vm: { qemuArguments: server.diskWords },
  });
  await vm.expect(`slipway: verified vda1:${format}:swap by test`, 120_000);
  await vm.expect(new RegExp(`slipway: handoff by ${call}\\b`));
  await vm.expect("slipway: jump");
  await vm.expect(/TARGET-KERNEL:.*:END/, 120_000);

  const told = (what: string): string | undefined => new RegExp(`${what}:(.*):END`).exec(vm.log)?.[1];
  // Before it was loaded, the disk had the other one already.
  const shown = Buffer.from(told("BYSTANDER") ?? "", "base64");
  expect(shown.equals(kernel.evil.subarray(page, page + pageBytes))).toBe(true);
  expect(vm.log.indexOf("BYSTANDER:")).toBeLessThan(vm.log.indexOf("slipway: loaded"));

  expect(told("TARGET-BANNER")).toBe(good.banner);
  expect(told("TARGET-KERNEL")).toBe(on.kernel.version);
  expect(told("TARGET-CMDLINE")).toBe("console=ttyS0 panic=-1 entry=good");
  // Nobody but the bystander has read any of it since.
  for (const file of disk.files) {
    const reads = file === kernel ? [{ offset: kernel.offset + page, length: pageBytes }] : [];
    expect([file.name, disk.readsLaterOf(file)]).toEqual([file.name, reads]);
  }
});

/** Where a page begins that is another one later; bytes from the beginning of the file. */
function differingPage(file: Swapped): number {
  for (let page = 0; page + pageBytes <= file.good.length; page += pageBytes) {
    if (Buffer.compare(file.good.subarray(page, page + pageBytes), file.evil.subarray(page, page + pageBytes)) !== 0) {
      return page;
    }
  }
  throw new Error(`"${file.name}": a page that changes expected`);
}
