import { fstatSync, readSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { readCpio } from "../../../src/formats/cpio.ts";
import { rangesOf } from "../../../src/formats/ranges.ts";
import type { KernelFile } from "../../../src/handoff/kernel-file.ts";
import { describeHandoff, load } from "../../../src/handoff/load.ts";
import { type LoadRequest, plainRequest } from "../../../src/handoff/load-request.ts";
import { planFallback, planLoad } from "../../../src/handoff/plan-load.ts";
import {
  type HandedOver,
  HandedOverFiles,
  recordArchive,
  recordSetupData,
  recordWay,
  type SettledFacts,
} from "../../../src/handoff/record.ts";
import type { FileRange } from "../../../src/linux/system.ts";
import { readArtifacts } from "../../../src/trust/artifacts.ts";
import { MemoryFile } from "../../../src/trust/memory-file.ts";
import { verify } from "../../../src/trust/verify.ts";
import { bootEntry } from "../../fakes/boot-entry.ts";
import { bzImageFile, bzImageHead } from "../../fakes/bzimage-head.ts";
import { formatErrorOf } from "../../fakes/hostile-input.ts";
import { kexecState, machineFacts } from "../../fakes/kexec-state.ts";
import { memorySource } from "../../fakes/memory-source.ts";
import { plainPolicy } from "../../fakes/policy.ts";
import { fakeSystem } from "../../fakes/system.ts";

const textOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const handed: HandedOver = { record: textOf('{"version":1}\n'), eventLog: Uint8Array.of(1, 2, 3, 4, 5) };
const system = fakeSystem();

const kept: Disposable[] = [];
afterEach(() => {
  for (const item of kept.splice(0)) item[Symbol.dispose]();
});

/** Sealed bytes, as an initrd comes. */
function sealed(bytes: Uint8Array): FileRange {
  const memory = new MemoryFile(system, "test");
  kept.push(memory);
  memory.append(bytes);
  memory.seal();
  return { fd: memory.fd, offset: 0, length: memory.size };
}

function filesOf(own: FileRange | null, what: HandedOver = handed): HandedOverFiles {
  const files = new HandedOverFiles(system, what, own);
  kept.push(files);
  return files;
}

function contentOf({ fd, offset, length }: FileRange): Buffer {
  const bytes = Buffer.alloc(length);
  expect(readSync(fd, bytes, 0, length, offset)).toBe(length);
  return bytes;
}

function kernel(own: Partial<KernelFile> = {}, head: Uint8Array = bzImageHead()): KernelFile {
  const bytes = Buffer.concat([head, Buffer.alloc(4096)]);
  bytes.writeUInt32LE(4096 / 16, 0x1f4);
  const range = { fd: -1, offset: 0, length: bytes.length };
  return {
    ...{ name: "/vmlinuz", kind: "bzImage64", imageKind: "bzImage64", image: range, container: range },
    ...{ read: rangesOf(bytes), wrapping: null, enclosed: null, problemWith: () => null, remarks: [] },
    [Symbol.dispose]() {},
    ...own,
  };
}

describe("the way of a record", () => {
  type Row = readonly [
    what: string,
    kernel: KernelFile,
    call: "file" | "classic",
    way: "setup data" | "initrd" | null,
    own?: Partial<LoadRequest>,
  ];
  const rows: readonly Row[] = [
    ["a kernel by kexec_load", kernel(), "classic", "setup data"],
    ["by its 32-bit entry", kernel({ imageKind: "bzImage" }), "classic", "setup data", { entryMode: "32-bit" }],
    ["by its 16-bit entry", kernel({ imageKind: "bzImage" }), "classic", "initrd", { entryMode: "16-bit" }],
    ["by kexec_file_load", kernel(), "file", "initrd"],
    ["of protocol 2.09", kernel({}, bzImageHead({ protocol: 0x209 })), "classic", "setup data"],
    ["of protocol 2.08", kernel({}, bzImageHead({ protocol: 0x208 })), "classic", "initrd"],
    ["a vmlinux", kernel({ imageKind: "elf-x86_64" }), "classic", "setup data"],
    ["of 32 bits", kernel({ imageKind: "elf-x86" }), "classic", "setup data"],
    ["with ELF boot notes", kernel({ imageKind: "elf-x86_64" }), "classic", null, { elfArguments: "elf" }],
    ["a hypervisor", kernel({ imageKind: "multiboot2-x86" }), "classic", null],
    ["an older one", kernel({ imageKind: "multiboot-x86" }), "classic", null],
    ["a network boot image", kernel({ imageKind: "nbi-x86" }), "classic", null],
  ];
  for (const [what, image, call, way, own] of rows) {
    it(what, () => expect(recordWay({ ...plainRequest, kernel: image, ...own }, call)).toBe(way));
  }
});

describe("setup data", () => {
  it("the record and the log, by the numbers of the paper", () =>
    expect(recordSetupData(handed)).toEqual([
      { type: 0x534c5052, data: handed.record },
      { type: 0x534c5045, data: handed.eventLog },
    ]));
  it("without a log", () =>
    expect(recordSetupData({ ...handed, eventLog: null })).toEqual([{ type: 0x534c5052, data: handed.record }]));
  it("what its reader would not take is not handed over", () => {
    const refuses = (own: Partial<HandedOver>, reason: string): void =>
      expect(formatErrorOf(() => filesOf(null, { ...handed, ...own }))).toBe(`handover: ${reason}`);
    refuses({ record: new Uint8Array(262_145) }, "the record has 262145 bytes, at most 262144 are handed over");
    refuses(
      { eventLog: new Uint8Array(16_777_217) },
      "the event log has 16777217 bytes, at most 16777216 are handed over",
    );
  });
});

describe("files behind the initrd", () => {
  const members = (archive: Uint8Array): unknown =>
    readCpio(archive).entries.map(({ name, type, permissions, content }) => [
      name,
      type,
      permissions.toString(8),
      Buffer.from(content).toString(),
    ]);
  const directories = [
    [".extra", "directory", "555", ""],
    [".extra/slipway", "directory", "555", ""],
  ];
  it("one of the record, one of the log", () =>
    expect(members(recordArchive(handed))).toEqual([
      ...directories,
      [".extra/slipway/record.json", "file", "444", '{"version":1}\n'],
      [".extra/slipway/event-log", "file", "444", "\x01\x02\x03\x04\x05"],
    ]));
  it("without a log", () =>
    expect(members(recordArchive({ ...handed, eventLog: null }))).toEqual([
      ...directories,
      [".extra/slipway/record.json", "file", "444", '{"version":1}\n'],
    ]));
  it("begin at a multiple of 4, behind the target's own", () => {
    const bytes = contentOf(filesOf(sealed(textOf("abcde"))).initrd());
    expect(bytes.subarray(0, 8).toString()).toBe("abcde\0\0\0");
    expect(bytes.subarray(8).equals(recordArchive(handed))).toBe(true);
  });
  it("alone where it has none", () =>
    expect(contentOf(filesOf(null).initrd()).equals(recordArchive(handed))).toBe(true));
  it("are made once, and go with what made them", () => {
    const files = new HandedOverFiles(system, handed, sealed(textOf("abcde")));
    const range = files.initrd();
    expect(files.initrd()).toBe(range);
    files[Symbol.dispose]();
    expect(() => fstatSync(range.fd)).toThrow("EBADF");
  });
});

describe("a planned load", () => {
  const request = { ...plainRequest, kernel: kernel(), commandLine: "quiet" };
  const own = (): FileRange => sealed(textOf("own."));
  const fileCall = { ...request, call: "file" } as const;

  it("by kexec_file_load has the record behind its initrd, also when it takes the other call's place", async () => {
    const record = filesOf(own());
    const plan = await planLoad(system, { ...fileCall, initrd: own() }, kexecState(), machineFacts(), record);
    expect(plan).toMatchObject({ call: "file", recordWay: "initrd", request: { initrd: record.initrd() } });
    const other = await planFallback(system, plan, "file", "tried in vain");
    expect(other).toMatchObject({ recordWay: "initrd", request: { initrd: record.initrd() } });
    expect(contentOf(record.initrd()).subarray(4).equals(recordArchive(handed))).toBe(true);
  });
  it("without a record has its initrd as it is", async () => {
    const initrd = own();
    const plan = await planLoad(system, { ...fileCall, initrd }, kexecState(), machineFacts());
    expect(plan).toMatchObject({ record: null, recordWay: null, request: { initrd } });
    expect(describeHandoff(plan)).not.toContain("told nothing");
  });
  it("of what takes no record says so", async () => {
    const plan = await planLoad(system, fileCall, kexecState(), machineFacts(), filesOf(null));
    const hypervisor = { ...request, kernel: kernel({ imageKind: "multiboot2-x86" }) };
    expect(describeHandoff(plan)).not.toContain("told nothing");
    expect(describeHandoff({ ...plan, request: hypervisor, recordWay: null })).toBe(
      "kexec_file_load, the running kernel's own digest: -s asks for kexec_file_load; multiboot2-x86 is told nothing of " +
        "its boot, for it takes no boot parameters of Linux",
    );
  });
  it("of a file that is no longer a kernel is refused as ever", async () => {
    const cut = kernel({ read: rangesOf(bzImageFile().subarray(0, 100)) });
    await expect(
      planLoad(system, { ...fileCall, kernel: cut }, kexecState(), machineFacts(), filesOf(null)),
    ).rejects.toThrow("the kernel is no x86 bzImage");
  });
});

describe("a boot", () => {
  /** What the running kernel is given as the initrd of an entry, whose own is `initrd`; and what the record is made of. */
  async function boots(make: ((facts: SettledFacts) => Promise<HandedOver>) | undefined): Promise<Buffer | null> {
    let given: Buffer | null = null;
    const kernelSide = fakeSystem({
      kexecFileLoad: async ({ initrdFd }) => {
        given = initrdFd === null ? null : contentOf({ fd: initrdFd, offset: 0, length: fstatSync(initrdFd).size });
      },
    });
    using artifacts = await readArtifacts({
      system: kernelSide,
      sources: [memorySource("vda1", { "/vmlinuz": bzImageFile(), "/initrd": "initrd" })],
      entry: bootEntry({ initrd: [{ volume: "vda1", path: "/initrd" }], bootImage: "BOOT_IMAGE=/v" }),
      policy: plainPolicy("off", []),
      limits: { kernelBytesMax: 1 << 20, initrdBytesMax: 1 << 20, devicetreeBytesMax: 1 << 20 },
      memoryBytes: null,
    });
    const verdict = verify(artifacts, plainPolicy("off", []));
    if (!verdict.ok) throw new Error(verdict.reason);
    const state = kexecState({ lockdown: "integrity" });
    const options = {
      bootImage: true,
      digest: "auto",
      kernelBytesMax: 1 << 20,
      initrdBytesMax: 1 << 20,
      state,
      machine: machineFacts(),
    } as const;
    await load(kernelSide, verdict.boot, options, make === undefined ? {} : { handOver: make });
    return given;
  }

  it("has its record made once, of the command line as the target gets it", async () => {
    const asked: SettledFacts[] = [];
    const initrd = await boots(async (facts) => {
      asked.push(facts);
      return handed;
    });
    expect(asked).toEqual([{ commandLine: "BOOT_IMAGE=/v quiet", unified: null }]);
    expect(initrd?.equals(Buffer.concat([textOf("initrd\0\0"), recordArchive(handed)]))).toBe(true);
  });
  it("without a record loads the initrd that was verified, and no more", async () =>
    expect((await boots(undefined))?.toString()).toBe("initrd"));
  it("whose record cannot be made is not loaded", async () => {
    const made = boots(async () => {
      throw new Error("the TPM does not answer");
    });
    await expect(made).rejects.toThrow(new Error("the TPM does not answer"));
  });
});
