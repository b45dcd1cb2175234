/** `build.mjs demo`: boots a signed disk in a virtual machine, shows the console and checks what it says. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { buildDirectory, cached, contentKey } from "./cache.ts";
import { cloneRoot } from "./command.ts";
import { type DiskFiles, makeDisk } from "./disk.ts";
import { slipwayExecutable, slipwayImage } from "./image.ts";
import { distributionKernel, type Kernel } from "./kernels.ts";
import { type SigningKeys, throwawayKeys, withManifest } from "./sign.ts";
import { targetInitrd } from "./target.ts";
import { startVm, type Vm } from "./vm.ts";

const demoDirectory = path.join(buildDirectory, "demo");
const timeoutSeconds = 300;
const banner = "the demo's target system";
const options = 'console=ttyS0 panic=-1 demo.words="from the signed entry"';

/** In this order on the console. */
const marks: readonly { readonly shows: RegExp; readonly means: string }[] = [
  { shows: /slipway: init.*\n/, means: "Slipway runs as process 1 of the firmware kernel" },
  { shows: /slipway: devices.*\n/, means: "the disk was found" },
  { shows: /slipway: entries .*\n/, means: "its boot entries were read" },
  { shows: /slipway: chosen .*\n/, means: "one was chosen" },
  { shows: /slipway: verified .*\n/, means: "a signed manifest lists its kernel, initrd and options" },
  { shows: /slipway: loaded.*\n/, means: "its kernel is loaded" },
  { shows: /slipway: jump.*\n/, means: "the firmware kernel hands over" },
  { shows: RegExp(`TARGET-BANNER:${banner}:END`), means: "the target system runs" },
  { shows: RegExp(`TARGET-CMDLINE:.*${options}:END`), means: "with the command line of the signed entry" },
];

async function makeDemoDisk(kernel: Kernel, keys: SigningKeys): Promise<string> {
  const initrd = await targetInitrd({ banner });
  const entry = [
    "title    Slipway demo",
    `version  ${kernel.version}`,
    "linux    /demo/vmlinuz",
    "initrd   /demo/initrd",
    `options  ${options}`,
  ];
  const files: DiskFiles = {
    "/loader/entries/demo.conf": `${entry.join("\n")}\n`,
    "/demo/vmlinuz": { copyOf: kernel.vmlinuz },
    "/demo/initrd": initrd,
  };
  // What `slipway sign` writes may change with the program.
  const executable = await readFile(`${slipwayExecutable}.sha256`, "utf8");
  const key = contentKey(executable, keys.publicKey, entry.join("\n"), kernel.vmlinuz, initrd);
  const directory = await cached(demoDirectory, `disk-${key}`, async (target) => {
    const signed = await withManifest([keys], files, { product: "demo" });
    await makeDisk(path.join(target, "disk.img"), [{ type: "esp", filesystem: "vfat", label: "DEMO", files: signed }]);
  });
  return path.join(directory, "disk.img");
}

/** Waits for one mark after the other; the lines that showed them, fewer than the marks when one never came. */
async function watch(vm: Vm): Promise<readonly string[]> {
  const deadline = Date.now() + timeoutSeconds * 1000;
  const lines: string[] = [];
  for (const { shows } of marks) {
    try {
      const { 0: line } = await vm.expect(shows, Math.max(deadline - Date.now(), 1));
      lines.push(line.trim());
    } catch {
      break;
    }
  }
  return lines;
}

/** From the clone's top directory where the file is in the clone. */
function shortPath(file: string): string {
  const relative = path.relative(cloneRoot, file);
  return relative.startsWith("..") ? file : relative;
}

async function demo(): Promise<number> {
  await mkdir(demoDirectory, { recursive: true });
  const kernel = await distributionKernel();
  const keys = await throwawayKeys(demoDirectory, "demo");
  const image = await slipwayImage({ config: { trust: "enforce" }, keys: [keys], kernel });
  const disk = await makeDemoDisk(kernel, keys);
  console.log(`[demo] starting QEMU: kernel ${kernel.version} with Slipway's image, one virtio disk\n`);
  const begin = Date.now();
  await using vm = await startVm({
    kernel: kernel.vmlinuz,
    initrd: image,
    append: "console=ttyS0 panic=-1",
    disks: [{ path: disk }],
    onOutput: (text) => process.stdout.write(text),
  });
  const seen = await watch(vm);
  if (seen.length === marks.length) await vm.waitForExit();
  const seconds = ((Date.now() - begin) / 1000).toFixed(1);
  const log = path.join(demoDirectory, "console.log");
  await writeFile(log, vm.log);
  console.log(`\n[demo] after ${seconds} s:`);
  for (const [index, { shows, means }] of marks.entries()) {
    const line = seen[index];
    console.log(`  ${line === undefined ? "MISSING" : "ok     "}  ${means.padEnd(54)}  ${line ?? shows.source}`);
  }
  const pieces: Record<string, string> = { image, disk, log, "public key": keys.publicKey, kernel: kernel.vmlinuz };
  console.log("\nThe pieces:");
  for (const [name, file] of Object.entries(pieces)) console.log(`  ${name.padEnd(10)} ${shortPath(file)}`);
  if (seen.length === marks.length) return 0;
  console.log("\n[demo] failed: see the first mark that is missing, and the end of the log above");
  return 1;
}

process.exitCode = await demo();
