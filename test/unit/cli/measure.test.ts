import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type MeasuredMachine, measureVerb, type OpenBoot } from "../../../src/cli/measure.ts";
import { openBoot } from "../../../src/cli/measured-entry.ts";
import { UsageError } from "../../../src/cli/verb.ts";
import { hex } from "../../../src/formats/bytes.ts";
import { appendEvents, type PcrValues, parseEventLog, replayEventLog } from "../../../src/formats/tpm-event-log.ts";
import { bankAlgorithmNamed } from "../../../src/formats/tpm2.ts";
import { hashOfBank, planMeasurements, predictPcrs } from "../../../src/trust/measure.ts";
import { bzImageFile } from "../../fakes/bzimage-head.ts";
import { capture } from "../../fakes/capture.ts";
import { smallBoot } from "../../fakes/measured-boot.ts";
import { tpmLog, tpmLogPcrs } from "../../fakes/tpm-exchanges.ts";
import { peImage } from "../../fakes/uki-image.ts";

const scratch = mkdtempSync(join(tmpdir(), "slipway-measure-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function put(path: string, content: string | Uint8Array): string {
  const full = join(scratch, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, content);
  return full;
}

put("root/vmlinuz", "kernel");
for (const name of ["one", "two"]) put(`root/loader/entries/${name}.conf`, "title Linux\nlinux /vmlinuz\n");
const config = put("config.json", "{}");
const root = ["--config", config, "--root", `${join(scratch, "root")},name=vda1`];
const log = put("log", tpmLog("ovmf"));

const algorithms = ["sha256"].flatMap((name) => bankAlgorithmNamed(name) ?? []);
const values = (of: PcrValues): Record<string, Record<string, string>> =>
  Object.fromEntries(
    [...of].map(([bank, pcrs]) => [
      bank,
      Object.fromEntries([...pcrs].map(([pcr, value]) => [String(pcr), hex(value)])),
    ]),
  );
const predicted = predictPcrs(planMeasurements(smallBoot(), algorithms), algorithms);

interface Fake {
  readonly log?: Uint8Array;
  readonly pcrs?: PcrValues;
}

/** Runs the verb on a machine with this log and these PCRs. Entries boot what {@link smallBoot} has. */
async function measure(args: readonly string[], fake: Fake = {}) {
  const asked: unknown[] = [];
  let open = 0;
  const openBoot: OpenBoot = async (_result, entry, words) => {
    asked.push([entry.id, words]);
    open++;
    return { input: smallBoot(), [Symbol.dispose]: () => open-- };
  };
  const machine: MeasuredMachine = {
    eventLog: async () => fake.log ?? null,
    pcrs: async (banks) => {
      asked.push(banks);
      return fake.pcrs ?? null;
    },
  };
  const captured = await capture(() => measureVerb(openBoot, machine).run(args));
  return { ...captured, asked, open };
}

describe("an entry", () => {
  it("its events", async () => {
    const { code, stdout, asked, open } = await measure([...root, "vda1:bls1:one"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^PCR +TYPE +BANK +DIGEST +EVENT\n8 +EV_IPL +sha256 +[0-9a-f]{64} +slipway policy\n/);
    expect(stdout).toMatch(/\n12 +EV_EVENT_TAG +sha256 +[0-9a-f]{64} +debug\.addon\.efi\n/);
    expect(stdout).toContain(`\nsha256  8    ${hex(predicted.get("sha256")?.get(8) ?? new Uint8Array())}\n`);
    expect(asked).toEqual([["vda1:bls1:one", { policy: undefined, keys: undefined }]]);
    expect(open).toBe(0);
  });

  it("its values alone, under the policy that is given", async () => {
    const { code, stdout, asked } = await measure([
      ...["--predict", "--json", "--policy", "p.json", "--keys", "k", ...root],
      "vda1:bls1:two",
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ version: 1, events: null, values: values(predicted), differences: null });
    expect(asked).toEqual([["vda1:bls1:two", { policy: "p.json", keys: "k" }]]);
  });

  it("in several banks", async () => {
    const { stdout } = await measure([
      "--predict",
      "--json",
      "--bank",
      "sha1",
      "--bank",
      "sha512",
      ...root,
      "vda1:bls1:one",
    ]);
    const found = JSON.parse(stdout).values;
    expect(Object.keys(found)).toEqual(["sha1", "sha512"]);
    expect(found.sha512["9"]).toHaveLength(128);
  });

  it("behind what a firmware measured", async () => {
    const { stdout } = await measure(["--predict", "--json", "--log", log, ...root, "vda1:bls1:one"]);
    const start = replayEventLog(parseEventLog(tpmLog("ovmf")), hashOfBank);
    const after = predictPcrs(planMeasurements(smallBoot(), algorithms), algorithms, start);
    expect(JSON.parse(stdout).values).toEqual(values(after));
    // The firmware's kernel had extended PCR 9, and nobody PCR 8.
    expect(values(after)["sha256"]?.["9"]).not.toBe(values(predicted)["sha256"]?.["9"]);
    expect(values(after)["sha256"]?.["8"]).toBe(values(predicted)["sha256"]?.["8"]);
  });

  it("compared with this machine", async () => {
    const same = await measure(["--predict", "--check", ...root, "vda1:bls1:one"], { pcrs: predicted });
    expect(same.code).toBe(0);
    expect(same.stdout).toMatch(/\nthis machine's PCRs hold these values\n$/);
    const other = new Map([["sha256", new Map(predicted.get("sha256")).set(9, new Uint8Array(32))]]);
    const differs = await measure(["--predict", "--check", ...root, "vda1:bls1:one"], { pcrs: other });
    expect(differs.code).toBe(2);
    expect(differs.stdout).toMatch(/\nthis machine's PCRs hold other values:\nBANK +PCR +FOUND\nsha256 +9 +0{64}\n$/);
    const json = await measure(["--predict", "--check", "--json", ...root, "vda1:bls1:one"], { pcrs: other });
    expect(JSON.parse(json.stdout).differences).toEqual([
      { bank: "sha256", pcr: 9, expected: values(predicted)["sha256"]?.["9"], found: "00".repeat(32) },
    ]);
  });
});

describe("files that a boot reads", () => {
  const sha = (content: string | Uint8Array): string => createHash("sha256").update(content).digest("hex");
  const wide = (text: string): Buffer => Buffer.from(`${text}\0`, "utf16le");
  const policy = put("policy.json", '{"mode":"audit"}');
  mkdirSync(join(scratch, "keys"));
  put("boot/vmlinuz", bzImageFile());
  put("boot/initrd", "an initrd");
  put("boot/loader/entries/one.conf", "title One\nlinux /vmlinuz\ninitrd /initrd\noptions root=/dev/vda2 ro\n");
  put("boot/loader/entries/other.conf", "title Other\nuki /EFI/Linux/uki.efi\noptions root=/dev/vda4\n");
  const image = peImage([
    [".osrel", "ID=acme\nPRETTY_NAME=Acme\n"],
    [".cmdline", "root=/dev/vda3"],
    [".linux", bzImageFile()],
  ]);
  put("boot/EFI/Linux/uki.efi", image);
  const addon = peImage([[".cmdline", "quiet"]]);
  put("boot/EFI/Linux/uki.efi.extra.d/a.addon.efi", addon);
  put("boot/EFI/Linux/uki.efi.extra.d/a.cred", "secret");

  const events = async (entry: string): Promise<string[]> => {
    const words = ["--config", config, "--policy", policy, "--keys", join(scratch, "keys")];
    const verb = measureVerb(openBoot);
    const { stdout } = await capture(() =>
      verb.run(["--json", ...words, "--root", `${join(scratch, "boot")},name=vda1`, entry]),
    );
    const found: { pcr: number; text: string; digests: { sha256: string } }[] = JSON.parse(stdout).events;
    return found.slice(1).map(({ pcr, text, digests }) => `${pcr} ${text} ${digests.sha256}`);
  };

  it("of a kernel with an initrd", async () => {
    expect(await events("vda1:bls1:one")).toEqual([
      `8 kernel_cmdline: root=/dev/vda2 ro ${sha("root=/dev/vda2 ro")}`,
      `9 /vmlinuz ${sha(bzImageFile())}`,
      `9 /initrd ${sha("an initrd")}`,
    ]);
  });

  it("of a unified kernel image with an add-on and a credential", async () => {
    const found = await events("vda1:uki:uki");
    const of = (pcr: number): string[] => found.filter((line) => line.startsWith(`${pcr} `));
    expect(of(8)).toEqual([`8 kernel_cmdline: root=/dev/vda3 quiet ${sha("root=/dev/vda3 quiet")}`]);
    expect(of(9)).toEqual([
      `9 /EFI/Linux/uki.efi ${sha(image)}`,
      `9 /EFI/Linux/uki.efi.extra.d/a.cred ${sha("secret")}`,
      `9 /EFI/Linux/uki.efi.extra.d/a.addon.efi ${sha(addon)}`,
    ]);
    expect(of(11)).toContain(`11 .cmdline ${sha("root=/dev/vda3")}`);
    expect(of(12).map((line) => line.replace(/ [0-9a-f]{64}$/, ""))).toEqual(["12 quiet", "12 Credentials initrd"]);
    expect(of(12)[0]).toBe(`12 quiet ${sha(wide("quiet"))}`);
  });

  it("of the image with other options: those of the add-on are not among them", async () => {
    const found = await events("vda1:bls1:other");
    expect(found[0]).toBe(`8 kernel_cmdline: root=/dev/vda4 quiet ${sha("root=/dev/vda4 quiet")}`);
    expect(found.filter((line) => line.startsWith("12 ")).slice(0, 2)).toEqual([
      `12 root=/dev/vda4 ${sha(wide("root=/dev/vda4"))}`,
      `12 quiet ${sha(wide("quiet"))}`,
    ]);
  });
});

describe("a log", () => {
  const seen = tpmLogPcrs["ovmf"]?.["sha256"] ?? {};
  const kernel: PcrValues = new Map([
    [
      "sha256",
      new Map(Object.entries(seen).map(([pcr, value]) => [Number(pcr), new Uint8Array(Buffer.from(value, "hex"))])),
    ],
  ]);

  it("is shown and replayed, in all its banks", async () => {
    const { code, stdout } = await measure(["--log", log, "--json"]);
    expect(code).toBe(0);
    const { events, values: replayed } = JSON.parse(stdout);
    expect(Object.keys(replayed)).toEqual(["sha1", "sha256", "sha384", "sha512"]);
    for (const [pcr, value] of Object.entries(replayed.sha256)) expect(value).toBe(seen[pcr]);
    expect(events).toContainEqual(
      expect.objectContaining({ pcr: 5, type: "EV_EFI_ACTION", text: "Exit Boot Services Invocation" }),
    );
    expect(Object.keys(events[0].digests)).toEqual(["sha1", "sha256", "sha384", "sha512"]);
  });

  it("in one bank", async () => {
    const { stdout } = await measure(["--log", log, "--bank", "sha256", "--json"]);
    const { events, values: replayed } = JSON.parse(stdout);
    expect(Object.keys(replayed)).toEqual(["sha256"]);
    expect(Object.keys(events[0].digests)).toEqual(["sha256"]);
  });

  it("of this system, compared with its PCRs", async () => {
    const { code, asked } = await measure(["--log", "auto", "--check"], { log: tpmLog("ovmf"), pcrs: kernel });
    expect(code).toBe(0);
    expect(asked).toEqual([["sha1", "sha256", "sha384", "sha512"]]);
    const more = appendEvents(
      tpmLog("ovmf"),
      [],
      planMeasurements(smallBoot(), parseEventLog(tpmLog("ovmf")).algorithms),
    );
    const changed = await measure(["--log", "auto", "--check"], { log: more, pcrs: kernel });
    expect(changed.code).toBe(2);
    expect([...(changed.stdout.split("FOUND\n")[1]?.matchAll(/^sha256 +(\d+)/gm) ?? [])].map(([, pcr]) => pcr)).toEqual(
      ["8", "9", "11", "12", "13"],
    );
  });
});

it("the values of this machine", async () => {
  const { code, stdout, asked } = await measure(["--pcrs"], { pcrs: predicted });
  expect(code).toBe(0);
  expect(stdout.split("\n")[0]).toMatch(/^BANK +PCR +VALUE$/);
  expect(stdout).not.toContain("EVENT");
  expect(asked).toEqual([["sha256"]]);
});

describe("what is refused", () => {
  const rows: readonly (readonly [args: readonly string[], message: string, fake?: Fake])[] = [
    [[], "measure: one entry expected"],
    [["a", "b"], "measure: one entry expected"],
    [["--pcrs", "a"], "measure: no entry expected with --log and --pcrs alone"],
    [["--log", "x", "a"], "measure: no entry expected with --log and --pcrs alone"],
    [["--predict", "--pcrs", "a"], "measure: one of --predict and --pcrs expected"],
    [["--pcrs", "--log", "x"], "measure: one of --log and --pcrs expected"],
    [["--check", "a"], "measure --check: goes with --predict or --log"],
    [["--check", "--pcrs"], "measure --check: goes with --predict or --log"],
    [["--bank", "md5", "a"], 'measure --bank "md5": sha1, sha256, sha384, sha512 expected'],
    [["--pcrs", "--root", "/"], "measure --root: goes with an entry"],
    [["--log", "x", "--policy", "p"], "measure --policy: goes with an entry"],
    [[...root, "three"], 'measure "three": no such entry; "slipway list" shows the entries\' ids'],
    [[...root, "vda1:*"], 'measure "vda1:*": one entry expected, found "vda1:bls1:two", "vda1:bls1:one"'],
    [["--log", join(scratch, "none")], `measure --log "${join(scratch, "none")}": ENOENT`],
    [
      ["--log", config],
      `measure --log "${config}": tpm event log: offset 28, eventSize: 4 byte(s) expected, the input ends at 2`,
    ],
    [["--log", "auto"], "measure --log auto: this system was handed no event log, and its firmware shows none"],
    [["--log", log, "--check"], "measure: this machine has no TPM 2.0"],
    [["--pcrs"], "measure: this machine has no TPM 2.0"],
    [["--pcrs", "--bank", "sha1"], "measure: this machine's TPM has no active bank sha1", { pcrs: predicted }],
  ];
  it.each(rows.map(([args, message, fake = {}]) => ({ args, message, fake })))("$message", async (row) => {
    await expect(measure(row.args, row.fake)).rejects.toThrow(row.message);
  });
  it("a log that lacks a bank", async () => {
    const old = put("old", tpmLog("seabios-1.2"));
    await expect(measure(["--log", old, "--bank", "sha256"])).rejects.toThrow(
      "measure --bank sha256: the log has no such bank",
    );
    await expect(measure(["--predict", "--log", old, ...root, "vda1:bls1:one"])).rejects.toThrow(
      `measure --log ${JSON.stringify(old)}: it has no bank sha256`,
    );
  });
  it("mistakes of the command line are told as such", async () => {
    await expect(measure([])).rejects.toThrow(UsageError);
  });
});
