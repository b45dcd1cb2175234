import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { hex } from "../../src/formats/bytes.ts";
import { bankAlgorithmNamed } from "../../src/formats/tpm2.ts";
import { type MeasuredImage, planMeasurements, predictPcrs } from "../../src/trust/measure.ts";
import { bzImageHead } from "../fakes/bzimage-head.ts";
import { measuredImage } from "../fakes/measured-boot.ts";
import { runCommand } from "./command.ts";
import { type DiskFiles, makeDisk } from "./disk.ts";
import { startSwtpm } from "./swtpm.ts";
import { startVm } from "./vm.ts";

/*
 * systemd-stub itself as the judge of what is measured of a unified kernel image: it runs on a machine with UEFI firmware and
 * a TPM, and the TPM's PCRs 11 to 13 are read when it is done. Debian 12 has version 252, which does not measure .sbat yet: the
 * image has none.
 */

/** Of Debian's package systemd-boot-efi. */
const stub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
const systemdBoot = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** In the order of their addresses; the stub measures in its own. */
const sections: Readonly<Record<string, string>> = {
  ".initrd": "an initrd\n",
  ".osrel": 'ID=acme\nVERSION_ID="1"\n',
  ".pcrpkey": "a public key\n",
  ".pcrsig": "a signature of the outcome\n",
  ".cmdline": "root=/dev/vda2 quiet",
  ".linux": "no kernel at all\n",
};

const credentials = { "b.cred": "second", "a.cred": "first" };
const extensions = { "tools.raw": "an extension of the system" };
const globalCredentials = { "all.cred": "for every image" };

let directory: string;
let uki: Uint8Array;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "slipway-stub-"));
  uki = await makeUki();
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** As ukify does it, behind the stub's own sections. */
async function makeUki(): Promise<Uint8Array> {
  const words: string[] = [];
  let address = 0x30000;
  for (const [name, content] of Object.entries(sections)) {
    const file = path.join(directory, name.slice(1));
    await writeFile(file, content);
    words.push("--add-section", `${name}=${file}`, "--change-section-vma", `${name}=0x${address.toString(16)}`);
    address += 0x1000;
  }
  const output = path.join(directory, "uki.efi");
  await runCommand("objcopy", ["--remove-section", ".sbat", ...words, stub, output]);
  return new Uint8Array(await readFile(output));
}

function filesBelow(at: string, files: Readonly<Record<string, string>>): DiskFiles {
  return Object.fromEntries(Object.entries(files).map(([name, content]) => [`${at}/${name}`, content]));
}

function companions(directoryName: string, files: Readonly<Record<string, string>>): MeasuredImage["companions"] {
  return Object.entries(files).map(([name, content]) => ({
    path: `/.extra/${directoryName}/${name}`,
    bytes: () => encode(content),
  }));
}

/** The PCRs 11 to 13 when the stub is about to start its kernel. */
async function measuredByStub(files: DiskFiles): Promise<Record<number, string>> {
  const disk = await makeDisk(path.join(directory, "disk"), [{ type: "esp", filesystem: "vfat", files, sizeMiB: 40 }]);
  // The firmware cannot start this one, and goes on to the disk.
  const noKernel = path.join(directory, "no-kernel");
  await writeFile(noKernel, bzImageHead());
  await using swtpm = await startSwtpm({ for: "qemu" });
  {
    const qemuArguments = swtpm.qemuArguments;
    await using vm = await startVm({
      kernel: noKernel,
      append: "",
      uefi: true,
      disks: [{ path: disk }],
      qemuArguments,
    });
    await vm.expect("Bad kernel image", 120_000);
  }
  await using left = await swtpm.afterMachine();
  await using tpm = await left.open();
  const values = await tpm.readPcrs("sha256", [11, 12, 13]);
  return Object.fromEntries([...values].map(([pcr, value]) => [pcr, hex(value)]));
}

/** @param timesOptions how often options that are not the image's own are measured: by each loader that hands them on */
function predicted(image: Partial<MeasuredImage>, timesOptions = 1): Record<number, string> {
  const algorithms = [bankAlgorithmNamed("sha256")].flatMap((algorithm) => algorithm ?? []);
  const input = {
    policy: encode(""),
    commandLine: "",
    moduleCommandLines: [],
    part: null,
    initrdMembers: [],
    files: [],
  };
  const measurements = planMeasurements({ ...input, image: measuredImage(uki, image) }, algorithms).flatMap((event) =>
    Array.from({ length: event.what.startsWith("options") ? timesOptions : 1 }, () => event),
  );
  const values = predictPcrs(measurements, algorithms).get("sha256") ?? new Map<number, Uint8Array>();
  return Object.fromEntries([11, 12, 13].map((pcr) => [pcr, hex(values.get(pcr) ?? new Uint8Array(32))]));
}

// The firmware drops characters when its serial line is not read in time, as on a busy machine.
const patiently = { retry: 3 } as const;

it("an image by itself", patiently, async () => {
  const found = await measuredByStub({ "/EFI/BOOT/BOOTX64.EFI": uki });
  expect(found).toEqual(predicted({}));
});

it("an image with credentials and extensions", patiently, async () => {
  const found = await measuredByStub({
    "/EFI/BOOT/BOOTX64.EFI": uki,
    ...filesBelow("/EFI/BOOT/BOOTX64.EFI.extra.d", { ...credentials, ...extensions }),
    ...filesBelow("/loader/credentials", globalCredentials),
  });
  expect(found).toEqual(
    predicted({
      companions: [
        ...companions("global_credentials", globalCredentials),
        ...companions("credentials", credentials),
        ...companions("sysext", extensions),
      ],
    }),
  );
});

it("an image that gets other options from systemd-boot", patiently, async () => {
  const found = await measuredByStub({
    "/EFI/BOOT/BOOTX64.EFI": { copyOf: systemdBoot },
    "/loader/loader.conf": "timeout 0\n",
    "/loader/entries/other.conf": "title other\nefi /uki.efi\noptions root=/dev/vda3 debug\n",
    "/uki.efi": uki,
  });
  expect(found).toEqual(predicted({ options: "root=/dev/vda3 debug" }, 2));
});
