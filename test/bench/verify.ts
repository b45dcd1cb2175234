import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { runCommand } from "../vm/command.ts";
import type { DiskFiles } from "../vm/disk.ts";
import { type Guest, liveGuest } from "../vm/guest.ts";
import { guestPackages, packagedFile } from "../vm/guest-packages.ts";
import { slipwayExecutable } from "../vm/image.ts";
import { distributionKernel } from "../vm/kernels.ts";
import { virtualTime } from "./virtual-time.ts";

/** One program that reads a file to its end. */
export interface VerifyRow {
  readonly what: string;
  /** Virtual seconds that a tiny file takes: the start of the program. */
  readonly startSeconds: number;
  /** Virtual seconds that the large one takes besides. */
  readonly seconds: number;
  /** Memory that the large file takes besides what a tiny one does, at most at a time, MiB; the sealed copy is in it. */
  readonly memoryMiB: number;
}

export interface VerifyResult {
  readonly fileMiB: number;
  /** The first is OpenSSL's digest, which the others are held against. */
  readonly rows: readonly VerifyRow[];
}

const fileMiB = 100;
const runs = 3;
const [large, tiny] = ["/opt/verify/large", "/opt/verify/tiny"] as const;

/** Each kind of signature by a key in a directory of its own, so that it is the only one that could vouch for the file. */
const kinds: readonly (readonly [what: string, keys: string])[] = [
  ["slipway verify, a manifest (SHA-256)", "manifest"],
  ["slipway verify, minisign (BLAKE2b-512)", "minisign"],
  ["slipway verify, OpenPGP by RSA (SHA-512)", "openpgp-rsa"],
  ["slipway verify, OpenPGP by ECDSA (SHA-256)", "openpgp-ecdsa"],
];

/** What it costs to verify a file of 100 MiB, counted in instructions, and how much memory it takes. */
export async function benchVerify(say: (line: string) => void): Promise<VerifyResult> {
  const kernel = await distributionKernel("cloud");
  const packages = await guestPackages(["openssl"]);
  await using signed = await signedFiles();
  const files = {
    ...packages.libraries,
    "/usr/bin/openssl": { copyOf: await packagedFile(packages, "usr/bin/openssl") },
    "/opt/measure": measureScript,
    ...signed.files,
  };
  await using guest = await liveGuest({ kernel, files, memoryMiB: 2048, vm: { qemuArguments: virtualTime } });
  await guest.run(
    "mkdir -p /tmp/cgroup; mount -t cgroup2 cgroup2 /tmp/cgroup; echo +memory > /tmp/cgroup/cgroup.subtree_control",
  );
  const commands: readonly (readonly [what: string, words: string])[] = [
    ["openssl dgst -sha256", "openssl dgst -sha256"],
    ...kinds.map(([what, keys]) => [what, `slipway verify --keys /opt/keys/${keys}`] as const),
  ];
  const rows: VerifyRow[] = [];
  for (const [what, words] of commands) {
    const [start, whole] = [await measure(guest, `${words} ${tiny}`), await measure(guest, `${words} ${large}`)];
    const row = {
      what,
      startSeconds: start.seconds,
      seconds: whole.seconds - start.seconds,
      memoryMiB: whole.memoryMiB - start.memoryMiB,
    };
    say(`${row.seconds.toFixed(2)} s, ${row.memoryMiB.toFixed(1)} MiB  ${what}, ${fileMiB} MiB`);
    rows.push(row);
  }
  return { fileMiB, rows };
}

/** Runs a command in a control group of its own: its exit code, when it began and ended, and the most memory it had. */
const measureScript = `#!/bin/sh
group=/tmp/cgroup/measured
mkdir $group
echo measure-begin > /dev/kmsg
sh -c 'echo 0 > '$group'/cgroup.procs; exec "$@"' sh "$@" > /dev/null
code=$?
echo measure-end > /dev/kmsg
dmesg | grep measure- | tail -n 2
echo peak $(cat $group/memory.peak)
rmdir $group
exit $code
`;

async function measure(guest: Guest, command: string): Promise<{ seconds: number; memoryMiB: number }> {
  const found: { seconds: number; memoryMiB: number }[] = [];
  for (let run = 0; run <= runs; run++) {
    const { code, stdout, stderr } = await guest.run(`/opt/measure ${command}`, 600_000);
    const [begin, end] = [...stdout.matchAll(/^\[ *(\d+\.\d+)\] measure-/gm)].map((match) => Number(match[1]));
    const peak = Number(/^peak (\d+)$/m.exec(stdout)?.[1]);
    if (code !== 0 || begin === undefined || end === undefined || !(peak > 0)) {
      throw new Error(`${command}: exit code ${code}, no figures:\n${stdout}\n${stderr}`);
    }
    // The first run brings the program and the file into memory.
    if (run > 0) found.push({ seconds: end - begin, memoryMiB: peak / (1 << 20) });
  }
  const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(runs / 2)] ?? 0;
  return {
    seconds: median(found.map(({ seconds }) => seconds)),
    memoryMiB: Math.max(...found.map(({ memoryMiB }) => memoryMiB)),
  };
}

interface SignedFiles extends AsyncDisposable {
  /** Both files with their signatures, and the keys. */
  readonly files: DiskFiles;
}

/** Each with a suffix of its own, so that both signatures can stand beside a file. */
const openPgpKeys = [
  { name: "openpgp-rsa", algorithm: "rsa3072", digest: "SHA512", suffix: "sig" },
  { name: "openpgp-ecdsa", algorithm: "nistp256", digest: "SHA256", suffix: "gpg" },
] as const;

/** Signs a large and a tiny file by the tools themselves, with keys that are made for it. */
async function signedFiles(): Promise<SignedFiles> {
  const scratch = await mkdtemp(path.join(tmpdir(), "slipway-verify-"));
  const dispose = async (): Promise<void> => {
    await runCommand("gpgconf", ["--homedir", scratch, "--kill", "gpg-agent"]);
    await rm(scratch, { recursive: true, force: true });
  };
  try {
    const names = [...(await signByMinisign(scratch)), ...(await signByGpg(scratch))];
    const files = names.map(([name, place]) => [place, { copyOf: path.join(scratch, name) }] as const);
    return { files: Object.fromEntries(files), [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** A file's name in the scratch directory, and its place in the guest. */
type PlacedFile = readonly [name: string, place: string];

const placed = (name: string): PlacedFile => [name, path.join(path.dirname(large), name)];

/** The two files, a manifest of both by one key, signatures beside them by another. */
async function signByMinisign(scratch: string): Promise<PlacedFile[]> {
  const inScratch = (name: string): string => path.join(scratch, name);
  const sizes = { large: fileMiB << 20, tiny: 16 };
  for (const [name, bytes] of Object.entries(sizes)) {
    await writeFile(inScratch(name), Buffer.alloc(bytes, "so many bytes to be verified. "));
  }
  const keys = ["manifest", "minisign"];
  for (const name of keys) {
    await runCommand("minisign", ["-G", "-W", "-p", inScratch(`${name}.pub`), "-s", inScratch(`${name}.key`)]);
  }
  const files = Object.keys(sizes);
  await runCommand(slipwayExecutable, [
    ...["sign", "--key", inScratch("manifest.key"), "--version", "1", "--root", scratch],
    ...["--output", inScratch("boot.manifest"), ...files.map(inScratch)],
  ]);
  for (const file of files) {
    await runCommand("minisign", ["-S", "-W", "-s", inScratch("minisign.key"), "-m", inScratch(file)]);
  }
  return [
    ...files.flatMap((file) => [placed(file), placed(`${file}.minisig`)]),
    ["boot.manifest", path.join(path.dirname(large), "slipway/boot.manifest")],
    ...keys.map((name): PlacedFile => [`${name}.pub`, `/opt/keys/${name}/${name}.pub`]),
  ];
}

async function signByGpg(scratch: string): Promise<PlacedFile[]> {
  const batch = ["--homedir", scratch, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""];
  const gpg = (...words: string[]): Promise<string> => runCommand("gpg", [...batch, ...words]);
  const files: PlacedFile[] = [];
  for (const { name, algorithm, digest, suffix } of openPgpKeys) {
    await gpg("--quick-generate-key", name, algorithm, "sign", "never");
    await gpg("--output", path.join(scratch, `${name}.gpg`), "--export", `=${name}`);
    files.push([`${name}.gpg`, `/opt/keys/${name}/${name}.gpg`]);
    for (const file of ["large", "tiny"]) {
      const signature = `${file}.${suffix}`;
      const words = ["--local-user", `=${name}`, "--digest-algo", digest, "--output", path.join(scratch, signature)];
      await gpg(...words, "--detach-sign", path.join(scratch, file));
      files.push(placed(signature));
    }
  }
  return files;
}
