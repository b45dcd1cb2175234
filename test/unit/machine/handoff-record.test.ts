import { rmSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { type HandoffRecord, writeHandoffRecord } from "../../../src/formats/handoff-record.ts";
import { readHandedEventLog, readHandoffRecord } from "../../../src/machine/handoff-record.ts";
import { kernelTree, plantTree } from "../../fakes/kernel-tree.ts";

const planted: string[] = [];
afterEach(() => {
  for (const root of planted.splice(0)) rmSync(root, { recursive: true });
});

type Files = Readonly<Record<string, string | Uint8Array>>;

/** A machine with these files besides what a guest showed of itself. */
function machine(files: Files, tree = new Map<string, Uint8Array>()): string {
  const { root } = plantTree(tree, files);
  planted.push(root);
  return root;
}

const record = (title: string): HandoffRecord => ({
  version: 1,
  slipway: "0.1.0",
  entry: { id: "vda1:bls1:a", title, format: "bls1", volume: "vda1" },
  trust: { mode: "enforce", by: ["test"], product: null, manifestVersion: null },
  rollback: null,
  measured: false,
  commandLine: "quiet",
});

const recordType = "0x534c5052\n";
const logType = "0x534c5045\n";
const log = Uint8Array.from({ length: 9001 }, (_, n) => n & 255);
/** A record of setup data, as sysfs shows it. */
const node = (number: number, type: string, data: string | Uint8Array): Files => ({
  [`sys/kernel/boot_params/setup_data/${number}/type`]: type,
  [`sys/kernel/boot_params/setup_data/${number}/data`]: data,
});
const seed = node(0, "0x9\n", "");
const files = (directory: string, title: string): Files => ({
  [`${directory}/record.json`]: writeHandoffRecord(record(title)),
});

/** The title of the record that is found, and how many bytes of an event log. */
async function finds(own: Files): Promise<readonly [string | null, number | null]> {
  const root = machine(own);
  const found = await readHandoffRecord(root);
  return [found?.entry.title ?? null, (await readHandedEventLog(root))?.length ?? null];
}

describe("where it is found", () => {
  const told = { ...seed, ...node(2, recordType, writeHandoffRecord(record("setup data"))) };
  it("nowhere", async () => expect(await finds({})).toEqual([null, null]));
  it("only the kernel's own setup data", async () => expect(await finds(seed)).toEqual([null, null]));
  it("setup data", async () => {
    const root = machine({ ...told, ...node(10, logType, log) });
    expect(await readHandoffRecord(root)).toEqual(record("setup data"));
    expect(await readHandedEventLog(root)).toEqual(log);
  });
  it("files behind the initrd", async () =>
    expect(await finds({ ...files(".extra/slipway", "initrd"), ".extra/slipway/event-log": log })).toEqual([
      "initrd",
      9001,
    ]));
  it("files that the initrd kept", async () =>
    expect(await finds({ ...seed, ...files("run/slipway", "kept"), "run/slipway/event-log": log })).toEqual([
      "kept",
      9001,
    ]));
  it("in this order, and never a log of one with the record of another", async () => {
    const kept = { ...files("run/slipway", "kept"), "run/slipway/event-log": log };
    const both = { ...files(".extra/slipway", "initrd"), ...kept };
    expect(await finds(both)).toEqual(["initrd", null]);
    expect(await finds({ ...told, ...both })).toEqual(["setup data", null]);
  });
  it("a log without a record is nobody's", async () =>
    expect(await finds({ ...seed, ...node(1, logType, log), "run/slipway/event-log": log })).toEqual([null, null]));
  it("the first of several records", async () =>
    expect(await finds({ ...told, ...node(10, recordType, writeHandoffRecord(record("tenth"))) })).toEqual([
      "setup data",
      null,
    ]));
  it("what sysfs says in another way is passed over", async () =>
    expect(await finds({ ...node(1, "SLPR\n", writeHandoffRecord(record("odd"))) })).toEqual([null, null]));
  it("nothing on a machine that another loader has started", async () => {
    const root = machine({}, new Map(kernelTree("bios")));
    expect([await readHandoffRecord(root), await readHandedEventLog(root)]).toEqual([null, null]);
  });
});

describe("what is not taken", () => {
  it("a record that is none", async () => {
    const root = machine({ ...node(3, recordType, "{}") });
    await expect(readHandoffRecord(root)).rejects.toThrow(
      new Error(
        `read ${root}/sys/kernel/boot_params/setup_data/3/data: handoff record: entry: missing, an object expected`,
      ),
    );
  });
  it("a record without an end", async () => {
    const root = machine({ "run/slipway/record.json": new Uint8Array(300_000).fill(0x20) });
    await expect(readHandoffRecord(root)).rejects.toThrow(
      new Error(`read ${root}/run/slipway/record.json: at most 262144 bytes expected`),
    );
  });
  it("a log without an end", async () => {
    const root = machine({
      ...files("run/slipway", "kept"),
      "run/slipway/event-log": new Uint8Array(2 ** 24 + 1),
    });
    await expect(readHandedEventLog(root)).rejects.toThrow(
      new Error(`read ${root}/run/slipway/event-log: at most 16777216 bytes expected`),
    );
  });
});
