import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hex } from "../../src/formats/bytes.ts";
import { appendEvents, parseEventLog, replayEventLog } from "../../src/formats/tpm-event-log.ts";
import { type Bank, bankAlgorithmNamed, nvAttribute, tpmBanks } from "../../src/formats/tpm2.ts";
import { extendMeasurements, hashOfBank, planMeasurements, predictPcrs } from "../../src/trust/measure.ts";
import { smallBoot } from "../fakes/measured-boot.ts";
import { type Swtpm, startSwtpm } from "./swtpm.ts";

/*
 * Commands, measurements and logs against a TPM in software, with tpm2-tools as the judge. No machine is needed.
 */

const algorithms = tpmBanks.flatMap((bank) => bankAlgorithmNamed(bank) ?? []);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const index = 0x01800001;
const readable = nvAttribute.authRead | nvAttribute.ownerRead;
const counter = { index, attributes: readable | nvAttribute.authWrite | nvAttribute.counter, size: 8 };
/** The same for tpm2_nvdefine, with an authorisation value that nobody gives. */
const lockedCounter = [
  `0x${index.toString(16)}`,
  "-s",
  "8",
  "-a",
  "authread|authwrite|ownerread|nt=counter",
  "-p",
  "own",
];

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "slipway-tpm-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** What tpm2_pcrread says: bank and PCR to lower-case hexadecimal. */
async function pcrsByTool(swtpm: Swtpm, bank: Bank, pcrs: readonly number[]): Promise<Map<number, string>> {
  const text = await swtpm.tool("tpm2_pcrread", `${bank}:${pcrs.join(",")}`);
  return new Map(
    [...text.matchAll(/^\s*(\d+)\s*: 0x([0-9A-F]+)$/gm)].map(([, pcr = "", value = ""]) => [
      Number(pcr),
      value.toLowerCase(),
    ]),
  );
}

describe("PCRs", () => {
  it("banks, extending and reading are what tpm2-tools see", async () => {
    await using swtpm = await startSwtpm({ for: "socket" });
    {
      await using tpm = await swtpm.open();
      expect(tpm.activeBanks).toEqual([...tpmBanks]);
      expect(tpm.foreignBanks).toEqual([]);
      await tpm.extend(
        23,
        algorithms.map((algorithm) => ({
          algorithm,
          digest: hashOfBank(algorithm, bytes("x")) ?? new Uint8Array(),
        })),
      );
      const all = Array.from({ length: 24 }, (_, pcr) => pcr);
      const values = await tpm.readPcrs("sha256", all);
      expect([...values.keys()].sort((a, b) => a - b)).toEqual(all);
    }
    for (const bank of tpmBanks) {
      await using tpm = await swtpm.open();
      const own = hex((await tpm.readPcrs(bank, [23])).get(23) ?? new Uint8Array());
      await tpm.close();
      const digest = createHash(bank).update("x").digest();
      expect(own).toBe(createHash(bank).update(Buffer.alloc(digest.length)).update(digest).digest("hex"));
      expect(await pcrsByTool(swtpm, bank, [23])).toEqual(new Map([[23, own]]));
    }
  });

  it("an entry's measurements give the predicted values, and its log replays to them", async () => {
    await using swtpm = await startSwtpm({ for: "socket" });
    const measurements = planMeasurements(smallBoot(), algorithms);
    {
      await using tpm = await swtpm.open();
      await extendMeasurements(tpm, measurements);
    }
    const predicted = predictPcrs(measurements, algorithms);
    const log = appendEvents(null, algorithms, measurements);
    expect(replayEventLog(parseEventLog(log), hashOfBank)).toEqual(predicted);
    for (const bank of tpmBanks) {
      const values = new Map([...(predicted.get(bank) ?? [])].map(([pcr, value]) => [pcr, hex(value)]));
      expect([...values.keys()].sort((a, b) => a - b)).toEqual([8, 9, 11, 12, 13]);
      expect(await pcrsByTool(swtpm, bank, [8, 9, 11, 12, 13])).toEqual(values);
    }
    // And the reference program reads the log.
    const file = path.join(directory, "log");
    await writeFile(file, log);
    const text = await swtpm.tool("tpm2_eventlog", file);
    expect(text.match(/EventType: EV_IPL/g)).toHaveLength(measurements.filter(({ type }) => type === 0x0d).length);
    expect(text).toContain("kernel_cmdline: BOOT_IMAGE=/vmlinuz root=/dev/vda2 ro");
    for (const bank of tpmBanks) {
      const replayed = new RegExp(`^  ${bank}:\n((?:    \\d+ *: 0x[0-9a-f]+\n)+)`, "m").exec(text)?.[1] ?? "";
      const found = [...replayed.matchAll(/(\d+) *: 0x([0-9a-f]+)/g)].map(([, pcr = "", value = ""]) => [
        Number(pcr),
        value,
      ]);
      expect(new Map(found as [number, string][])).toEqual(
        new Map([...(predicted.get(bank) ?? [])].map(([pcr, value]) => [pcr, hex(value)])),
      );
    }
  });

  it("a bank that is switched off is not active", async () => {
    const state = await mkdtemp(path.join(directory, "state-"));
    {
      await using swtpm = await startSwtpm({ for: "socket", stateDirectory: state });
      await swtpm.tool("tpm2_pcrallocate", "sha1:none+sha256:all+sha384:none+sha512:none");
    }
    await using swtpm = await startSwtpm({ for: "socket", stateDirectory: state });
    await using tpm = await swtpm.open();
    expect(tpm.activeBanks).toEqual(["sha256"]);
    await extendMeasurements(tpm, planMeasurements(smallBoot(), algorithms));
    const value = (await tpm.readPcrs("sha256", [8])).get(8);
    expect(value).toEqual(predictPcrs(planMeasurements(smallBoot(), algorithms), algorithms).get("sha256")?.get(8));
    expect(await tpm.readPcrs("sha1", [8])).toEqual(new Map());
  });
});

describe("NV memory", () => {
  it("a counter counts, and stays when the TPM was switched off", async () => {
    const state = await mkdtemp(path.join(directory, "state-"));
    let before: bigint;
    {
      await using swtpm = await startSwtpm({ for: "socket", stateDirectory: state });
      await using tpm = await swtpm.open();
      expect(await tpm.nvPublic(index)).toBeNull();
      expect(await tpm.nvReadCounter(index)).toBeNull();
      await tpm.nvDefine(counter);
      before = await tpm.nvIncrement(index);
      expect(await tpm.nvIncrement(index)).toBe(before + 1n);
      expect(await tpm.nvPublic(index)).toMatchObject({ index, size: 8, policy: new Uint8Array(0) });
    }
    await using swtpm = await startSwtpm({ for: "socket", stateDirectory: state });
    {
      await using tpm = await swtpm.open();
      expect(await tpm.nvReadCounter(index)).toBe(before + 1n);
    }
    const text = await swtpm.tool("tpm2_nvreadpublic", `0x${index.toString(16)}`);
    expect(text).toMatch(/friendly: authwrite\|nt=0x1\|ownerread\|authread\|written/);
    expect(text).toMatch(/size: 8/);
  });

  it("bytes are written once and locked for ever", async () => {
    await using swtpm = await startSwtpm({ for: "socket" });
    const content = Uint8Array.from({ length: 1200 }, (_, i) => i * 7);
    {
      await using tpm = await swtpm.open();
      await tpm.nvDefine({ index, attributes: readable | nvAttribute.authWrite | nvAttribute.writeDefine, size: 1200 });
      expect(await tpm.nvRead(index)).toBeNull();
      await tpm.nvWrite(index, content);
      await tpm.nvWriteLock(index);
      expect(await tpm.nvRead(index)).toEqual(content);
      await expect(tpm.nvWrite(index, content)).rejects.toThrow(
        "NV_Write NV index 0x1800001: TPM_RC_NV_LOCKED: the index is locked",
      );
      expect(((await tpm.nvPublic(index))?.attributes ?? 0) & nvAttribute.writeLocked).not.toBe(0);
    }
    const file = path.join(directory, "nv");
    await swtpm.tool("tpm2_nvread", `0x${index.toString(16)}`, "-o", file);
    await expect(swtpm.tool("tpm2_nvread", `0x${index.toString(16)}`)).resolves.toBeDefined();
  });

  it("each refusal has its own reason", async () => {
    await using swtpm = await startSwtpm({ for: "socket" });
    await swtpm.tool("tpm2_changeauth", "-c", "owner", "secret");
    await swtpm.tool("tpm2_nvdefine", ...lockedCounter, "-P", "secret");
    await using tpm = await swtpm.open();
    const refused = (work: Promise<unknown>, reason: string): Promise<void> =>
      expect(work.then(() => "done")).rejects.toThrow(reason);
    await refused(
      tpm.nvDefine(counter),
      "NV_DefineSpace NV index 0x1800001: TPM_RC_BAD_AUTH (session 1): the authorisation value is wrong",
    );
    await refused(
      tpm.nvDefine(counter, bytes("secret")),
      "NV_DefineSpace NV index 0x1800001: TPM_RC_NV_DEFINED: the index is there already",
    );
    await refused(
      tpm.nvIncrement(index),
      "NV_Increment NV index 0x1800001: TPM_RC_AUTH_FAIL (session 1): the authorisation value is wrong",
    );
    await refused(
      tpm.nvUndefine(0x01800002, bytes("secret")),
      "NV_UndefineSpace NV index 0x1800002: TPM_RC_HANDLE (handle 2): there is nothing with this handle",
    );
    await tpm.nvUndefine(index, bytes("secret"));
    expect(await tpm.nvPublic(index)).toBeNull();
    await tpm.nvDefine(counter, bytes("secret"));
    await refused(
      tpm.nvWrite(index, new Uint8Array(8)),
      "NV_Write NV index 0x1800001: TPM_RC_ATTRIBUTES: the attributes do not go together",
    );
    await tpm.nvUndefine(index, bytes("secret"));
    await tpm.nvDefine({ index, attributes: readable | nvAttribute.authWrite, size: 4 }, bytes("secret"));
    await refused(
      tpm.nvWrite(index, new Uint8Array(5)),
      "NV_Write NV index 0x1800001: TPM_RC_NV_RANGE: the bytes leave the index",
    );
    await refused(
      tpm.nvIncrement(index),
      "NV_Increment NV index 0x1800001: TPM_RC_ATTRIBUTES (handle 2): the attributes do not go together",
    );
  });

  it("wrong values lock a TPM out", async () => {
    await using swtpm = await startSwtpm({ for: "socket" });
    await swtpm.tool("tpm2_dictionarylockout", "--setup-parameters", "--max-tries=1");
    await swtpm.tool("tpm2_nvdefine", ...lockedCounter);
    await using tpm = await swtpm.open();
    await expect(tpm.nvIncrement(index)).rejects.toThrow("TPM_RC_AUTH_FAIL");
    await expect(tpm.nvIncrement(index)).rejects.toThrow(
      "NV_Increment NV index 0x1800001: TPM_RC_LOCKOUT: too many wrong authorisation values were given",
    );
  });
});
