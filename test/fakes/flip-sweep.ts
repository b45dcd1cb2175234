import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runSign } from "../../src/cli/sign.ts";
import type { BootEntry } from "../../src/discovery/entry.ts";
import { readPe } from "../../src/formats/pe.ts";
import { type ByteRange, rangesOf } from "../../src/formats/ranges.ts";
import { readArtifacts } from "../../src/trust/artifacts.ts";
import type { Policy } from "../../src/trust/policy.ts";
import { readRevocations } from "../../src/trust/revocations.ts";
import type { Anchor } from "../../src/trust/schemes/scheme.ts";
import { readAnchorFile } from "../../src/trust/schemes/schemes.ts";
import { verify } from "../../src/trust/verify.ts";
import { bootEntry } from "./boot-entry.ts";
import { memorySource } from "./memory-source.ts";
import { plainPolicy } from "./policy.ts";
import { randomNumbers } from "./random-numbers.ts";
import { signatureData } from "./signature-data.ts";
import { fakeSystem } from "./system.ts";
import { testData } from "./tree-data.ts";

/** What an entry boots and what vouches for it, of which bits are turned one at a time. */
export interface SweptSet {
  readonly files: Readonly<Record<string, Uint8Array>>;
  readonly entry: BootEntry;
  readonly policy: Policy;
  /** Of which each bit is turned: signature files, manifests, the table of signatures of an image. */
  readonly signatures: readonly SweptRange[];
  /** Of which random bits are turned. */
  readonly artifacts: readonly SweptRange[];
  /** What no signature covers, by its specification: turning a bit of it changes nothing that counts. */
  readonly uncovered: readonly Uncovered[];
}

export interface SweptRange extends ByteRange {
  readonly path: string;
}

export interface Uncovered extends SweptRange {
  /** Whether a byte there is taken in place of the one that is there. */
  readonly takes: (byte: number) => boolean;
}

export interface SweepOptions {
  /** Of the signatures' bits, every so many is turned. */
  readonly step: number;
  /** Bits of each artifact that are turned. */
  readonly randomBits: number;
  readonly seed: number;
}

export interface SweepResult {
  /** Flips in what something covers. */
  readonly refused: number;
  /** Flips in what nothing covers, and that were taken. */
  readonly uncovered: number;
  /** Flips whose verdict is not the one that is expected, `/vmlinuz bit 17: trusted`. */
  readonly wrong: readonly string[];
}

/** Turns the bits of a set one at a time, and judges the entry after each as a boot would. */
export async function sweep(set: SweptSet, { step, randomBits, seed }: SweepOptions): Promise<SweepResult> {
  const unchanged = await judge(set, set.files);
  if (unchanged !== null) throw new Error(`the set as it is: ${unchanged}`);
  const random = randomNumbers(seed);
  const wrong: string[] = [];
  const counts = { refused: 0, uncovered: 0 };
  const flip = async (path: string, bit: number): Promise<void> => {
    const bytes = (set.files[path] ?? new Uint8Array()).slice();
    const offset = bit >> 3;
    const byte = (bytes[offset] ?? 0) ^ (1 << (bit & 7));
    bytes[offset] = byte;
    const isCovered = !set.uncovered.some((each) => each.path === path && isInside(each, offset) && each.takes(byte));
    const reason = await judge(set, { ...set.files, [path]: bytes });
    if (isCovered === (reason !== null)) counts[isCovered ? "refused" : "uncovered"]++;
    else wrong.push(`${path} bit ${bit}: ${reason ?? "trusted"}`);
  };
  for (const { path, offset, length } of set.signatures) {
    for (let bit = offset * 8; bit < (offset + length) * 8; bit += step) await flip(path, bit);
  }
  for (const { path, offset, length } of set.artifacts) {
    // The generator's low digits repeat soon.
    for (let round = 0; round < randomBits; round++) await flip(path, offset * 8 + ((random() >>> 4) % (length * 8)));
  }
  return { ...counts, wrong };
}

function isInside({ offset, length }: ByteRange, at: number): boolean {
  return at >= offset && at < offset + length;
}

/** Why the entry is refused; null when it boots. */
async function judge({ entry, policy }: SweptSet, files: SweptSet["files"]): Promise<string | null> {
  const sources = [memorySource("vda1", files)];
  const limits = { kernelBytesMax: 1 << 24, initrdBytesMax: 1 << 24, devicetreeBytesMax: 1 << 24 };
  using artifacts = await readArtifacts({
    ...{ system: fakeSystem(), sources, entry: withConfigs(entry, files), policy },
    ...{ limits, memoryBytes: null },
  });
  const verdict = verify(artifacts, policy);
  return verdict.ok ? null : verdict.reason;
}

/** The configuration as discovery would have read it. */
function withConfigs(entry: BootEntry, files: SweptSet["files"]): BootEntry {
  const configs = entry.configs.map(({ ref }) => ({ ref, bytes: files[ref.path] ?? new Uint8Array() }));
  return { ...entry, configs };
}

function whole(path: string, bytes: Uint8Array): SweptRange {
  return { path, offset: 0, length: bytes.length };
}

async function anchorsIn(...paths: string[]): Promise<readonly Anchor[]> {
  const found = await Promise.all(paths.map((path) => readAnchorFile(path, signatureData(path))));
  return found.flatMap((anchors) => anchors ?? []);
}

/** Text that signify and minisign show and nobody signs: UTF-8 without the end of a line, as both tools see one. */
function untrustedComments(path: string, bytes: Uint8Array): Uncovered[] {
  const text = Buffer.from(bytes).toString("latin1");
  const takes = (byte: number): boolean => byte < 0x80 && ![0x00, 0x0a, 0x0d].includes(byte);
  return [...text.matchAll(/(?<=^untrusted comment: ).*/gm)].map(({ index, 0: { length } }) => ({
    ...{ path, offset: index, length, takes },
  }));
}

/** The lines of a part, as the script that signs the parts makes them. */
function part(number: number): Uint8Array {
  const lines = Array.from({ length: 1200 }, (_, index) => `${number * 1200 + index + 1}\n`);
  return Buffer.from(lines.join(""));
}

/** A signature of test/data/signatures/flips, the number of the part that it signs, and the trusted key. */
type Detached = readonly [signature: string, part: number, key: string];

const detached = {
  text: [
    ["minisign.minisig", 0, "minisign/plain.pub"],
    ["legacy.minisig", 1, "minisign/plain.pub"],
    ["signify.sig", 2, "signify/plain.pub"],
    ["sshsig.sig", 3, "sshsig/ed25519.pub"],
    ["openpgp-armored.asc", 9, "flips/keys.gpg"],
    ["cms-armored.p7s", 10, "authenticode/root.crt"],
  ],
  binary: [
    ["openpgp-rsa.sig", 4, "flips/keys.gpg"],
    ["openpgp-ecdsa.sig", 5, "flips/keys.gpg"],
    ["openpgp-eddsa.sig", 6, "flips/keys.gpg"],
    ["cms-rsa.p7s", 7, "authenticode/root.crt"],
    ["cms-ecdsa.p7s", 8, "authenticode/root.crt"],
  ],
} as const satisfies Record<string, readonly Detached[]>;

/** An entry whose every file has a signature beside it, each made in another way: as text, or binary. */
async function detachedSet(kind: keyof typeof detached): Promise<SweptSet> {
  const rows: readonly Detached[] = detached[kind];
  const artifacts: Record<string, Uint8Array> = {};
  const signatures: Record<string, Uint8Array> = {};
  for (const [index, [name, number]] of rows.entries()) {
    const path = ["/entry.conf", "/vmlinuz"][index] ?? `/initrd-${index}`;
    artifacts[path] = part(number);
    signatures[path + name.slice(name.lastIndexOf("."))] = signatureData(`flips/${name}`);
  }
  const initrd = Object.keys(artifacts).filter((path) => path.startsWith("/initrd"));
  const keys = await anchorsIn(...new Set(rows.map(([, , key]) => key)));
  return {
    files: { ...artifacts, ...signatures },
    entry: bootEntry({ initrd: initrd.map((path) => ({ volume: "vda1", path })) }),
    policy: plainPolicy("enforce", keys),
    signatures: Object.entries(signatures).map(([path, bytes]) => whole(path, bytes)),
    artifacts: Object.entries(artifacts).map(([path, bytes]) => whole(path, bytes)),
    uncovered: Object.entries(signatures).flatMap(([path, bytes]) => untrustedComments(path, bytes)),
  };
}

/** An entry with a manifest that two people have signed, by keys of two kinds, and both have to. */
async function manifestSet(): Promise<SweptSet> {
  const options = "root=/dev/vda2 ro quiet";
  const artifacts = {
    "/vmlinuz": part(0),
    "/initrd-a": part(1),
    "/initrd-b": part(2),
    "/board.dtb": part(3),
  };
  const path = "/slipway/boot.manifest";
  const lines = [
    ...["title System", "linux /vmlinuz", "initrd /initrd-a", "initrd /initrd-b", "devicetree /board.dtb"],
    `options ${options}`,
  ];
  const config = Buffer.from(`${lines.join("\n")}\n`);
  const manifest = await signManifest({ ...artifacts, "/loader/entries/system.conf": config });
  const policy = plainPolicy("enforce", await anchorsIn("minisign/plain.pub", "sshsig/ed25519.pub"));
  return {
    files: { ...artifacts, "/entry.conf": config, [path]: manifest },
    entry: bootEntry({
      initrd: ["/initrd-a", "/initrd-b"].map((initrd) => ({ volume: "vda1", path: initrd })),
      devicetree: { volume: "vda1", path: "/board.dtb" },
      options,
    }),
    policy: { ...policy, document: { ...policy.document, threshold: 2 } },
    signatures: [whole(path, manifest)],
    artifacts: Object.entries(artifacts).map(([name, bytes]) => whole(name, bytes)),
    uncovered: untrustedComments(path, manifest),
  };
}

/** What `slipway sign` makes of a volume, with a key of minisign's and one of OpenSSH's. */
async function signManifest(files: SweptSet["files"]): Promise<Uint8Array> {
  const root = mkdtempSync(join(tmpdir(), "slipway-flips-"));
  try {
    for (const [path, bytes] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), bytes);
    }
    const key = (path: string): string => fileURLToPath(new URL(`../data/signatures/${path}`, import.meta.url));
    const keys = ["--key", key("minisign/plain.key"), "--key", key("sshsig/ed25519")];
    const silent = { write: () => true };
    const input = { pause: () => null, async *[Symbol.asyncIterator]() {} };
    const code = await runSign([...keys, "--version", "7", "--product", "acme", "--root", root], {
      ...{ stdout: silent, stderr: silent, now: () => Date.UTC(2026, 10, 20) },
      terminal: { input, output: silent },
    });
    if (code !== 0) throw new Error(`slipway sign: exit code ${code}`);
    return new Uint8Array(readFileSync(join(root, "slipway/boot.manifest")));
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** A unified kernel image that sbsign has signed; the policy knows what was taken back, and SBAT levels. */
export async function imageSet(): Promise<SweptSet> {
  const path = "/EFI/Linux/system.efi";
  const image = testData("signatures/authenticode/uki-signed.efi.gz");
  const pe = readPe(rangesOf(image), image.length);
  const { certificates, certificateDirectoryOffset } = pe;
  if (certificates === null || certificateDirectoryOffset === null) throw new Error("a signed image expected");
  const revocations = readRevocations({
    dbx: [signatureData("esl/images.esl")],
    sbat: ["sbat,1\nsystemd,1\nsystemd.debian,1\n"],
  });
  const root = await anchorsIn("authenticode/root.crt");
  return {
    files: { [path]: image },
    entry: bootEntry({
      ...{ format: "uki", source: { volume: "vda1", path, line: 0 }, linux: { volume: "vda1", path } },
      ...{ embedded: true, configs: [] },
    }),
    policy: { ...plainPolicy("enforce", root), revocations },
    signatures: [
      { path, ...certificates },
      { path, offset: certificateDirectoryOffset, length: 8 },
    ],
    artifacts: [{ path, offset: 0, length: certificates.offset }],
    // "Windows Authenticode Portable Executable Signature Format", "Calculating the PE Image Hash".
    uncovered: [{ path, offset: pe.checksumOffset, length: 4, takes: () => true }],
  };
}

/** Every set by its name, for a test of each. */
export const sweptSets: Readonly<Record<string, () => Promise<SweptSet>>> = {
  "a manifest by slipway sign, with signatures of minisign and OpenSSH": manifestSet,
  "a unified kernel image by sbsign, with a dbx and SBAT levels": imageSet,
  "detached, as text: minisign, signify, OpenSSH, OpenPGP, CMS": () => detachedSet("text"),
  "detached, binary: OpenPGP by RSA, ECDSA and EdDSA, CMS by RSA and ECDSA": () => detachedSet("binary"),
};
