import { appendFile, copyFile, readFile, stat, truncate } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
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
let bytes: Buffer;
let files: Swapped[];
beforeAll(async () => {
  on = await scenario("cloud", good);
  younger = await distributionKernel("cloud-6.12");
  const other = await readFile(younger.vmlinuz);
  // Files of the same length: their place on the disk stays the same. A kernel's own header says how long it is.
  const length = Math.max(on.vmlinuz.length, other.length);
  const kernel = padded(on.vmlinuz, length);
  const entry = blsText("entry-good");
  const disk = await on.disk("swap.img", [
    {
      filesystem: "vfat",
      type: "esp",
      files: await signedFiles(on.keys, {
        "/loader/entries/swap.conf": entry,
        "/vmlinuz": kernel,
        "/initrd.img": on.initrd,
      }),
    },
  ]);
  bytes = await readFile(disk);
  files = [
    place("entry", Buffer.from(entry), Buffer.from(entry.replaceAll("entry-good", "entry-evil"))),
    place("kernel", kernel, padded(other, length)),
    place("initrd", on.initrd, await targetInitrd(evil)),
  ];
});
afterAll(() => on[Symbol.asyncDispose]());

function padded(content: Uint8Array, length: number): Buffer {
  return Buffer.concat([content, Buffer.alloc(length - content.length)]);
}

/** Finds a file on the disk. */
function place(name: string, content: Uint8Array, other: Uint8Array): Swapped {
  const offset = bytes.indexOf(content.subarray(0, pageBytes));
  if (offset < 0 || !bytes.subarray(offset, offset + content.length).equals(content)) {
    throw new Error(`${name}: a file in one piece expected`);
  }
  if (other.length !== content.length) {
    throw new Error(`${name}: ${content.length} bytes expected, got ${other.length}`);
  }
  return { name, offset, good: content, evil: other };
}

/** The disk: its files are as they were signed until all of each was read, and the other ones ever after. */
class SwappingDisk {
  /** What was read after the exchange. */
  readonly readsLater: ServedRead[] = [];
  readonly #evil = Buffer.from(bytes);
  readonly #isRead = new Uint8Array(bytes.length / sectorBytes);

  constructor() {
    for (const file of files) this.#evil.set(file.evil, file.offset);
  }

  answer(read: ServedRead): Uint8Array {
    const end = read.offset + read.length;
    if (files.every((file) => this.#isReadWhole(file))) {
      this.readsLater.push(read);
      return this.#evil.subarray(read.offset, end);
    }
    this.#isRead.fill(1, read.offset / sectorBytes, end / sectorBytes);
    return bytes.subarray(read.offset, end);
  }

  #isReadWhole({ offset, good: { length } }: Swapped): boolean {
    return this.#isRead.subarray(offset / sectorBytes, Math.ceil((offset + length) / sectorBytes)).every(Boolean);
  }

  /** The reads of a file after the exchange. */
  readsLaterOf({ offset, good: { length } }: Swapped): ServedRead[] {
    return this.readsLater.filter((read) => read.offset < offset + length && read.offset + read.length > offset);
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
  ["kexec_load", ""],
  // With kexec handover switched on, the boot loader leaves the other call alone.
  ["kexec_file_load", "kho=on"],
])("%s boots what was verified, though the disk has other files by then", async (call, append) => {
  const disk = new SwappingDisk();
  const kernel = files.find(({ name }) => name === "kernel");
  if (kernel === undefined) throw new Error("no kernel");
  const page = kernel.offset + 16 * pageBytes;
  await using server = await NbdServer.listen(path.join(on.directory, `${call}.nbd`), bytes.length, (read) =>
    disk.answer(read),
  );
  await using vm = await on.boot({
    image: await imageWithBystander(page),
    append: `rdinit=/bystander ${append}`,
    vm: { qemuArguments: server.diskWords },
  });
  await vm.expect("slipway: verified vda1:bls1:swap by test", 120_000);
  await vm.expect(new RegExp(`slipway: handoff by ${call}\\b`));
  await vm.expect("slipway: jump");
  await vm.expect(/TARGET-KERNEL:.*:END/, 120_000);

  const told = (what: string): string | undefined => new RegExp(`${what}:(.*):END`).exec(vm.log)?.[1];
  // While it was loaded, the disk had the other kernel.
  const shown = Buffer.from(told("BYSTANDER") ?? "", "base64");
  expect(shown.equals(kernel.evil.subarray(page - kernel.offset, page - kernel.offset + pageBytes))).toBe(true);
  expect(vm.log.indexOf("BYSTANDER:")).toBeLessThan(vm.log.indexOf("slipway: jump"));

  expect(told("TARGET-BANNER")).toBe(good.banner);
  expect(told("TARGET-KERNEL")).toBe(on.kernel.version);
  expect(told("TARGET-CMDLINE")).toContain("entry=entry-good");
  // Nobody but the bystander has read any of it since.
  for (const file of files) {
    const reads = file === kernel ? [{ offset: page, length: pageBytes }] : [];
    expect([file.name, disk.readsLaterOf(file)]).toEqual([file.name, reads]);
  }
});
