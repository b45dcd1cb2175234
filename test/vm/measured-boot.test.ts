import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCommand } from "./command.ts";
import type { DiskFiles } from "./disk.ts";
import { unifiedKernel } from "./guest-kernels.ts";
import { slipwayExecutable } from "./image.ts";
import { installedRoot, installedTarget } from "./installed-target.ts";
import { busyboxPath } from "./packages.ts";
import { type BootOptions, blsText, flipBit, type Scenario, scenario } from "./scenario.ts";
import { withManifest } from "./sign.ts";
import { startSwtpm } from "./swtpm.ts";

/*
 * What is measured of a boot, as the system sees it that was booted: its TPM's registers, the log that it was handed, and the
 * values that were computed at a desk before. tpm2-tools replay the log.
 */

/** With the lengths of their digests, bytes. */
const digestBytes = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 } as const;
type Bank = keyof typeof digestBytes;
const banks: readonly Bank[] = ["sha1", "sha256", "sha384", "sha512"];
/** PCR 10 is the kernel's own: Linux' integrity measurements, each kernel's, which are in another log. */
const compared = Array.from({ length: 16 }, (_, pcr) => pcr).filter((pcr) => pcr !== 10);

/** Bank and PCR to lower-case hexadecimal. */
type Values = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Lines of shell that print all registers. */
const tellPcrs = [
  `for bank in ${banks.join(" ")}; do for n in ${compared.join(" ")}; do`,
  "read -r value < /sys/class/tpm/tpm0/pcr-$bank/$n && echo PCR:$bank:$n:$value:END; done; done",
].join(" ");

const tell = [
  tellPcrs,
  "for n in /sys/kernel/boot_params/setup_data/*; do",
  'case "$(cat $n/type)" in 0x534c5045) echo "LOG:$(base64 -w 0 $n/data):END" ;; esac',
  'case "$(cat $n/type)" in 0x534c5052) echo "RECORD:$(cat $n/data):END" ;; esac',
  "done",
  "slipway measure --log auto --check > /check; code=$?",
  'echo "CHECK:$code:$(tail -n 1 /check):END"',
];

const quiet = "console=ttyS0 quiet panic=-1";
const required = '{ "measure": "required" }';

let on: Scenario;
let files: DiskFiles;
let disk: string;
/** The directory of the same files, the keys and the policies: the desk. */
let desk: string;
/** The first entry, on BIOS firmware. */
let plain: Seen;

beforeAll(async () => {
  on = await scenario();
  desk = path.join(on.directory, "desk");
  const initrd = await installedTarget(on.kernel, tell);
  const uki = async (commandLine: string, changed = initrd): Promise<Uint8Array> =>
    readFile(await unifiedKernel({ linux: on.vmlinuz, version: on.kernel.version, initrd: changed, commandLine }));
  const image = await uki(`${quiet} entry=uki`);
  const entry = (name: string, more: Parameters<typeof blsText>[1] = {}): DiskFiles => ({
    [`/loader/entries/${name}.conf`]: blsText(name, { sortKey: name, options: `${quiet} entry=a`, ...more }),
  });
  const companions = (name: string, credential = "a secret", extension = "an extension"): DiskFiles => ({
    [`/EFI/Linux/${name}.efi.extra.d/a.cred`]: credential,
    [`/EFI/Linux/${name}.efi.extra.d/tools.raw`]: extension,
  });
  files = await withManifest([on.keys], {
    "/vmlinuz": on.vmlinuz,
    "/initrd.img": initrd,
    ...entry("a-plain"),
    ...entry("b-option", { options: `${quiet} entry=b` }),
    ...entry("c-kernel", { linux: "/vmlinuz.changed" }),
    "/vmlinuz.changed": flipBit(on.vmlinuz, 5_000_000),
    ...entry("d-initrd", { initrd: "/initrd.changed" }),
    "/initrd.changed": flipBit(initrd, initrd.length - 1),
    "/EFI/Linux/image.efi": image,
    ...companions("image"),
    "/EFI/Linux/option.efi": await uki(`${quiet} entry=other`),
    ...companions("option"),
    "/EFI/Linux/initrd.efi": await uki(`${quiet} entry=uki`, Buffer.concat([initrd, Buffer.alloc(4)])),
    ...companions("initrd"),
    "/EFI/Linux/credential.efi": image,
    ...companions("credential", "another secret"),
    "/EFI/Linux/extension.efi": image,
    ...companions("extension", "a secret", "another extension"),
    "/loader/entries/e-given.conf": `title given\nsort-key e\nefi /EFI/Linux/image.efi\noptions ${quiet} entry=given\n`,
    "/loader/entries/f-given.conf": `title given\nsort-key f\nefi /EFI/Linux/image.efi\noptions ${quiet} entry=anew\n`,
  });
  await putDesk();
  const isBooted = (name: string): boolean =>
    /^\/(vmlinuz|initrd\.img|slipway\/.*|loader\/entries\/[ab]-.*|EFI\/Linux\/image\..*)$/.test(name);
  const booted = Object.fromEntries(Object.entries(files).filter(([name]) => isBooted(name)));
  disk = await on.disk("measured.img", [
    { type: "esp", filesystem: "vfat", sizeMiB: 128, files: booted },
    await installedRoot(),
  ]);
  plain = await seen("a-plain");
});
afterAll(() => on[Symbol.asyncDispose]());

async function putDesk(): Promise<void> {
  const texts = {
    "required.json": required,
    "other.json": '{ "measure": "required", "mode": "audit" }',
    "config.json": "{}",
  };
  const volume = Object.entries(files).map(([name, content]) => [`volume${name}`, content] as const);
  for (const [name, content] of [...volume, ...Object.entries(texts)]) {
    if (typeof content === "object" && !(content instanceof Uint8Array))
      throw new Error(`put "${name}": bytes expected`);
    await mkdir(path.dirname(path.join(desk, name)), { recursive: true });
    await writeFile(path.join(desk, name), content);
  }
  await mkdir(path.join(desk, "keys"));
  await copyFile(on.keys.publicKey, path.join(desk, "keys/test.pub"));
}

/** What the booted system told. */
interface Seen {
  /** Those of the TPM that are switched on. */
  readonly active: readonly Bank[];
  readonly pcrs: Values;
  /** As it was handed over. */
  readonly log: Uint8Array;
  /** How `slipway measure --log auto --check` ended there, and its last line. */
  readonly check: string;
  readonly measured: unknown;
}

/** Boots an entry of the disk on a machine with a TPM. */
async function seen(entry: string, active = banks, own: Partial<BootOptions> = {}): Promise<Seen> {
  const stateDirectory = await mkdtemp(path.join(on.directory, "tpm-"));
  if (active.length < banks.length) await switchBanks(stateDirectory, active);
  await using swtpm = await startSwtpm({ for: "qemu", stateDirectory });
  await using vm = await on.boot({
    disks: [disk],
    words: ["--policy", path.join(desk, "required.json")],
    append: `slipway.entry=*:${entry}`,
    ...own,
    vm: { ...own.vm, qemuArguments: swtpm.qemuArguments },
  });
  await vm.expect(`slipway: verified vda1:`, 120_000);
  await vm.expect("\nTARGET-DONE", 240_000);
  const only = (pattern: RegExp): string => pattern.exec(vm.log)?.[1] ?? "";
  return {
    active,
    pcrs: toldPcrs(vm.log),
    log: new Uint8Array(Buffer.from(only(/^LOG:(\S+):END$/m), "base64")),
    check: only(/^CHECK:(.*):END$/m),
    measured: JSON.parse(only(/^RECORD:(.*)\n?:END$/m)).measured,
  };
}

async function switchBanks(stateDirectory: string, active: readonly Bank[]): Promise<void> {
  await using swtpm = await startSwtpm({ for: "socket", stateDirectory });
  const words = banks.map((bank) => `${bank}:${active.includes(bank) ? "all" : "none"}`);
  await swtpm.tool("tpm2_pcrallocate", words.join("+"));
}

function toldPcrs(text: string): Values {
  return byBank(
    [...text.matchAll(/^PCR:(\w+):(\d+):([0-9A-F]+):END$/gm)].map(([, bank, pcr, value]) => [bank, pcr, value]),
  );
}

function byBank(rows: readonly (readonly (string | undefined)[])[]): Values {
  const values: Record<string, Record<string, string>> = {};
  for (const [bank = "", pcr = "", value = ""] of rows) {
    values[bank] = { ...values[bank], [pcr]: value.toLowerCase() };
  }
  return values;
}

/** What the reference program makes of a log. */
async function replayed(log: Uint8Array): Promise<{ readonly values: Values; readonly text: string }> {
  const file = path.join(on.directory, "log");
  await writeFile(file, log);
  const text = await runCommand("tpm2_eventlog", [file]);
  const rows = [...text.matchAll(/^ {2}(sha\d+):\n((?: {4}\d+ *: 0x[0-9a-f]+\n)+)/gm)].flatMap(([, bank, lines = ""]) =>
    [...lines.matchAll(/(\d+) *: 0x([0-9a-f]+)/g)].map(([, pcr, value]) => [bank, pcr, value]),
  );
  return { values: byBank(rows), text };
}

/** What was in the log before Slipway's first event, which is that of the policy. */
function firmwareLog({ log, active }: Seen): Uint8Array {
  // PCR, type and number of digests; of each digest its algorithm too; the size of the data.
  const headBytes = 12 + active.reduce((sum, bank) => sum + 2 + digestBytes[bank], 0) + 4;
  return log.subarray(0, Buffer.from(log).indexOf("slipway policy\0") - headBytes);
}

interface Prediction {
  readonly policy?: string;
  readonly log?: string;
  readonly banks?: readonly string[];
}

async function predicted(
  entry: string,
  { policy = "required.json", log, banks: wanted = ["sha256"] }: Prediction = {},
) {
  const out = await runCommand(slipwayExecutable, [
    ...["measure", "--predict", "--json", "--policy", path.join(desk, policy), "--keys", path.join(desk, "keys")],
    ...["--config", path.join(desk, "config.json"), "--root", `${path.join(desk, "volume")},name=vda1`],
    ...wanted.flatMap((bank) => ["--bank", bank]),
    ...(log === undefined ? [] : ["--log", log]),
    entry,
  ]);
  const { values }: { values: Values } = JSON.parse(out);
  return values;
}

/** The PCRs that differ, in all banks alike. */
function changed(before: Values, after: Values): number[] {
  const perBank = Object.keys(before).map((bank) =>
    Object.keys({ ...before[bank], ...after[bank] })
      .filter((pcr) => before[bank]?.[pcr] !== after[bank]?.[pcr])
      .map(Number),
  );
  for (const found of perBank) expect(found).toEqual(perBank[0]);
  return perBank[0] ?? [];
}

function digest(bank: string, ...parts: readonly (string | Uint8Array)[]): Buffer {
  const hash = createHash(bank);
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** A register that began with zeroes, extended by the digests of these contents. */
function extended(bank: string, contents: readonly (string | Uint8Array)[], start?: string): string {
  const first = start === undefined ? Buffer.alloc(digest(bank).length) : Buffer.from(start, "hex");
  return contents.reduce<Buffer>((value, content) => digest(bank, value, digest(bank, content)), first).toString("hex");
}

/** The log that was handed over comes to the registers of every bank, by tpm2-tools' reckoning and by the target's own. */
async function expectReplay({ active, pcrs, log, check, measured }: Seen): Promise<void> {
  const { values } = await replayed(log);
  expect(Object.keys(pcrs)).toEqual(active);
  expect(Object.keys(values)).toEqual(active);
  for (const bank of active) {
    expect(Object.keys(pcrs[bank] ?? {}).map(Number)).toEqual(compared);
    // Nothing is in the registers that is not in the log.
    const empty = extended(bank, []);
    expect(pcrs[bank]).toEqual(Object.fromEntries(compared.map((pcr) => [pcr, values[bank]?.[pcr] ?? empty])));
  }
  expect(check).toBe("0:this machine's PCRs hold these values");
  expect(measured).toBe(true);
}

describe("a measured boot", () => {
  it("an entry on BIOS firmware: the log replays to the registers, which are those that were predicted", async () => {
    await expectReplay(plain);
    const before = await replayed(firmwareLog(plain));
    expect(before.text).toContain("EventType: EV_SEPARATOR");
    expect(Object.keys(before.values["sha256"] ?? {})).not.toContain("8");
    expect(Object.keys(before.values["sha256"] ?? {})).not.toContain("9");
    const prediction = await predicted("vda1:bls1:a-plain", { banks });
    const initrd = files["/initrd.img"] as Uint8Array;
    for (const bank of banks) {
      expect(prediction[bank]).toEqual({ 8: plain.pcrs[bank]?.["8"], 9: plain.pcrs[bank]?.["9"] });
      expect(plain.pcrs[bank]?.["9"]).toBe(extended(bank, [on.vmlinuz, initrd]));
    }
  });

  it("another option changes PCR 8 and no other", async () => {
    const other = await seen("b-option");
    await expectReplay(other);
    expect(changed(plain.pcrs, other.pcrs)).toEqual([8]);
  });

  it("a unified kernel image on UEFI firmware with two banks, with a credential and an extension", async () => {
    const active = ["sha256", "sha384"] as const;
    const image = await seen("image", active, { vm: { uefi: true } });
    await expectReplay(image);
    const before = firmwareLog(image);
    expect((await replayed(before)).text).toContain("EventType: EV_EFI_VARIABLE_DRIVER_CONFIG");
    const log = path.join(on.directory, "firmware-log");
    await writeFile(log, before);
    const prediction = await predicted("vda1:uki:image", { banks: active, log });
    for (const bank of active) {
      const measuredInto = Object.fromEntries([8, 9, 11, 12, 13].map((pcr) => [pcr, image.pcrs[bank]?.[pcr]]));
      expect(prediction[bank]).toEqual(measuredInto);
    }
    // Those of the image are the same wherever it boots.
    const anywhere = await predicted("vda1:uki:image");
    for (const pcr of [8, 11, 12, 13]) expect(anywhere["sha256"]?.[pcr]).toBe(image.pcrs["sha256"]?.[pcr]);
  });

  it("what changes which register", async () => {
    const entry = await predicted("vda1:bls1:a-plain");
    const of = async (name: string, policy?: string): Promise<Values> =>
      predicted(name, policy === undefined ? {} : { policy });
    expect(changed(entry, await of("vda1:bls1:b-option"))).toEqual([8]);
    expect(changed(entry, await of("vda1:bls1:c-kernel"))).toEqual([9]);
    expect(changed(entry, await of("vda1:bls1:d-initrd"))).toEqual([9]);
    expect(changed(entry, await of("vda1:bls1:a-plain", "other.json"))).toEqual([8]);
    const image = await of("vda1:uki:image");
    expect(changed(image, await of("vda1:uki:option"))).toEqual([8, 9, 11]);
    expect(changed(image, await of("vda1:uki:initrd"))).toEqual([9, 11]);
    expect(changed(image, await of("vda1:uki:credential"))).toEqual([9, 12]);
    expect(changed(image, await of("vda1:uki:extension"))).toEqual([9, 13]);
    expect(changed(image, await of("vda1:uki:image", "other.json"))).toEqual([8]);
    expect(changed(await of("vda1:bls1:e-given"), await of("vda1:bls1:f-given"))).toEqual([8, 12]);
  });

  it("a shell changes every register first", async () => {
    await using swtpm = await startSwtpm({ for: "qemu" });
    const busybox = await busyboxPath();
    const programs = ["/bin/busybox", "/bin/sh"].flatMap((name) => ["--include", `${busybox}:${name}`]);
    await using vm = await on.boot({
      append: "quiet slipway.discovery.deviceTimeoutSeconds=0",
      config: { rescue: { shell: true } },
      words: [...programs, "--policy", path.join(desk, "required.json")],
      vm: { qemuArguments: swtpm.qemuArguments },
    });
    await vm.expect("slipway> ", 120_000);
    vm.send("shell\n");
    await vm.expect("# ");
    vm.send(`${tellPcrs}; echo TO""LD\n`);
    await vm.expect("\nTOLD", 60_000);
    const pcrs = toldPcrs(vm.log);
    for (const bank of banks) {
      // What the firmware measured is the same as before.
      const firmware = (await replayed(firmwareLog(plain))).values[bank] ?? {};
      const sealedOff = compared.map((pcr) => [pcr, extended(bank, ["slipway shell"], firmware[pcr])]);
      expect(pcrs[bank]).toEqual(Object.fromEntries(sealedOff));
    }
  });
});

describe("without a TPM", () => {
  it("nothing boots that has to be measured", async () => {
    await using vm = await on.boot({ disks: [disk], words: ["--policy", path.join(desk, "required.json")] });
    await vm.expect(
      "slipway: refused vda1:bls1:a-plain: the policy wants every boot measured: this machine has no TPM 2.0\n",
      120_000,
    );
  });
});
