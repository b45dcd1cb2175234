import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type SignatureFault, signPe, snakeoilSigner, strangerSigner, unsigned } from "./authenticode.ts";
import type { DiskFiles } from "./disk.ts";
import { type Guest, guestCommands, liveGuest } from "./guest.ts";
import { wrappedKernel } from "./guest-kernels.ts";
import { distributionKernel } from "./kernels.ts";
import { expectReport, jumpFiles, jumpMilliseconds, targetWords, tellingInitrd } from "./kexec-jumps.ts";

/**
 * A machine with Secure Boot, whose kernel takes no other one without a signature by a key of the firmware's: what is
 * said of each fault that a signature can have, and that a good one is taken.
 */

const kernel = await distributionKernel("cloud-6.12");
const kexec = guestCommands.slipway;
const plainTarget = `--initrd=${jumpFiles.first} --append='${targetWords}'`;

const firmware = "/usr/share/OVMF/OVMF_CODE_4M.snakeoil.fd";
const variables = "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd";
/** Firmware that wants signatures, with the certificate of {@link snakeoilSigner}; its memory needs that mode. */
const secureBoot = [
  ...["-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"],
  ...["-drive", `if=pflash,unit=0,format=raw,readonly=on,file=${firmware}`],
  ...["-drive", `if=pflash,unit=1,format=raw,snapshot=on,file=${variables}`],
];

interface Row {
  readonly fault: string;
  readonly file: string;
  readonly image: () => Uint8Array;
  readonly says: string;
}

const image = await readFile(kernel.vmlinuz);
const signer = await snakeoilSigner();

function signed(fault?: SignatureFault): Buffer {
  return signPe(image, signer, fault);
}

/** With one bit changed. */
function flipped(bytes: Buffer, offset: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset);
  return bytes;
}

const rows: readonly Row[] = [
  {
    fault: "none",
    file: "unsigned",
    image: () => unsigned(image),
    says: "No data available: the running kernel wants a signature and the image has none: sign it (sbsign)",
  },
  {
    fault: "by a key that is not known",
    file: "stranger",
    image: () => signPe(image, strangerSigner()),
    says: "Required key not available: the image is signed with a key that the running kernel does not know: enrol its certificate (db, MOK)\n",
  },
  {
    fault: "of a kernel that is changed",
    file: "changed",
    image: () => flipped(signed(), 3_000_000),
    says: "Key was rejected by service: the image's signature is not valid for it",
  },
  {
    fault: "that is changed itself",
    file: "changed-signature",
    // In the number at its end, whose last bytes are filling.
    image: () => flipped(signed(), signed().length - 64),
    says: "Invalid argument: the running kernel does not take the image, the command line or a flag, or kernel and initrd need more than half of the memory, or the image's signature is broken",
  },
  {
    fault: "with an algorithm that does not make digests",
    file: "algorithm",
    // rsaEncryption
    image: () => signed({ imageDigest: "1.2.840.113549.1.1.1" }),
    says: "Package not installed: the running kernel lacks an algorithm that the image's signature uses",
  },
  {
    fault: "with a digest that is too short",
    file: "digest",
    image: () => signed({ cutDigest: 4 }),
    says: "Bad message: the image's signature is malformed",
  },
  {
    fault: "of another type",
    file: "wrapper",
    image: () => signed({ wrapperType: 1 }),
    says: "Unknown error 524: the image's signature has a wrapper that the running kernel does not know",
  },
  {
    fault: "that is no message",
    file: "garbage",
    image: () => signed({ message: Buffer.alloc(700, "A") }),
    says: "Accessing a corrupted shared library: the image's PE structure, where its signature is, is malformed",
  },
];

let guest: Guest;
beforeAll(async () => {
  const files: DiskFiles = {
    [jumpFiles.first]: await tellingInitrd("first"),
    "/files/signed": signed(),
    "/files/signed.gz": { copyOf: await wrappedKernel(signed(), "gzip") },
  };
  for (const row of rows) files[`/files/${row.file}`] = row.image();
  guest = await liveGuest({
    ...{ kernel, files, append: "init_on_alloc=0 mitigations=off", vm: { qemuArguments: secureBoot } },
  });
});
afterAll(() => guest[Symbol.asyncDispose]());

async function expectRefusal(line: string, says: string): Promise<void> {
  const { code, loaded, stderr } = await guest.run(line);
  expect(stderr).toContain(says);
  expect({ code, loaded }).toEqual({ code: 255, loaded: false });
}

test.each(rows.map((row) => [row.fault, row] as const))("a signature: %s", (_fault, { file, says }) =>
  expectRefusal(`${kexec} -l /files/${file} ${plainTarget}`, `kexec_file_load failed: ${says}`),
);

test("--check tells beforehand that there is none", async () => {
  const { code, stdout } = await guest.run(`${kexec} --check -l /files/unsigned`);
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: `warning: the running kernel is locked down (integrity) and /files/unsigned has no signature; sign it with a key that the running kernel knows (sbsign)\n`,
  });
});

test("kexec_load is refused, whatever it is given", () =>
  expectRefusal(`${kexec} -c -l /files/signed ${plainTarget}`, "kexec_load failed: Permission denied: the integrity"));

test("a good one is loaded and started", async () => {
  // Unwrapped, it still has its signature.
  expect(await guest.run(`${kexec} -l /files/signed.gz ${plainTarget}`)).toMatchObject({
    ...{ code: 0, loaded: true, stderr: "" },
  });
  expect(await guest.run(`${kexec} -s -u`)).toMatchObject({ code: 0, loaded: false, stderr: "" });
  guest.start(`${kexec} -f /files/signed ${plainTarget}`);
  const [said] = await guest.vm.expect(/[\s\S]*?TARGET-DONE/, jumpMilliseconds);
  expectReport(said, { commandLine: targetWords, version: kernel.version, markers: ["first"] });
});
