import { rmSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { writeElfCoreHeader } from "../../../src/formats/elf-core.ts";
import { FormatError } from "../../../src/formats/format-error.ts";
import { CrashFactsError, parseVmcoreinfo, readCrashFacts } from "../../../src/machine/crash-facts.ts";
import type { CrashFacts } from "../../../src/machine/platform.ts";
import { type KernelTree, kernelTree, plantTree } from "../../fakes/kernel-tree.ts";

const planted: string[] = [];
afterEach(() => {
  for (const root of planted.splice(0)) rmSync(root, { recursive: true });
});

const bios = kernelTree("bios");
const crash = [{ start: 0x6f00_0000, end: 0x7f00_0000 }];

type Own = Readonly<Record<string, string | Uint8Array | null>>;

async function factsOf(tree: KernelTree, own: Own = {}, regions = crash): Promise<CrashFacts> {
  const places = plantTree(tree, own);
  planted.push(places.root);
  return readCrashFacts({ crash: regions }, places);
}

describe("guests", () => {
  test("SeaBIOS, Linux 6.1", async () => {
    expect(await factsOf(bios)).toEqual({
      notes: [
        { cpu: 0, address: 0x1_bac3_9600, bytes: 368 },
        { cpu: 1, address: 0x1_bad3_9600, bytes: 368 },
      ],
      vmcoreinfo: { address: 0x1_bacc_c000, bytes: 0x1024 },
      // _text and _end of /proc/kallsyms are ffffffff83600000 and ffffffff85e30000.
      kernelText: { physical: { start: 0x1_9de0_0000, end: 0x1_a063_0000 }, virtual: 0xffff_ffff_8360_0000n },
      directMap: 0xff3f_72dd_0000_0000n,
      memory: [
        { start: 0x1000, end: 0x9_fc00 },
        { start: 0x10_0000, end: 0x6f00_0000 },
        { start: 0x7f00_0000, end: 0x7ffd_c000 },
        { start: 0x1_0000_0000, end: 0x1_c000_0000 },
      ],
      headerBytes: null,
    });
  });
  test("OVMF, Linux 6.12, four levels of page tables", async () => {
    const facts = await factsOf(kernelTree("uefi-6.12"), {}, [{ start: 0x6b00_0000, end: 0x7b00_0000 }]);
    expect(facts).toMatchObject({
      notes: [
        { cpu: 0, address: 0x1_bac3_d800, bytes: 368 },
        { cpu: 1, address: 0x1_bad3_d800, bytes: 368 },
      ],
      vmcoreinfo: { address: 0x1_0094_a000, bytes: 0x1024 },
      // _text and _end of /proc/kallsyms are ffffffffb6e00000 and ffffffffb9a30000.
      kernelText: { physical: { start: 0x1520_0000, end: 0x17e3_0000 }, virtual: 0xffff_ffff_b6e0_0000n },
      directMap: 0xffff_8e13_4000_0000n,
      headerBytes: 917_616,
    });
    expect(facts.memory.map(({ start, end }) => [start, end])).toEqual([
      [0x1000, 0xa_0000],
      [0x10_0000, 0x80_0000],
      [0x80_8000, 0x80_b000],
      [0x80_c000, 0x81_0000],
      [0x90_0000, 0x6b00_0000],
      [0x7b00_0000, 0x7eea_1000],
      [0x7ef6_2000, 0x7f8e_d000],
      [0x7fbf_f000, 0x7ff5_0000],
      [0x1_0000_0000, 0x1_c000_0000],
    ]);
  });
});

describe("the running kernel's mappings", () => {
  const kcore = (...loads: readonly (readonly [virtual: bigint, physical: number, bytes: number])[]): Own => ({
    "proc/kcore": writeElfCoreHeader({
      bits: 64,
      machine: 62,
      notes: [],
      vmcoreinfo: null,
      loads: loads.map(([virtual, physical, bytes]) => ({ virtual, physical, bytes })),
      bytesMin: 0,
      align: 8,
    }),
  });
  const text = [0xffff_ffff_8360_0000n, 0x1_9de0_0000, 0x283_0000] as const;

  test("closed, gone or of another kind", async () => {
    for (const content of [null, "", "not ELF", (bios.get("proc/kcore") ?? new Uint8Array()).subarray(0, 200)]) {
      const facts = await factsOf(bios, { "proc/kcore": content });
      expect([facts.kernelText, facts.directMap]).toEqual([null, null]);
    }
  });
  test("RAM that begins where the kernel does is not its text", async () => {
    const ram = [0xff11_0001_9de0_0000n, 0x1_9de0_0000, 0x1000_0000] as const;
    for (const own of [kcore(text, ram), kcore(ram, text)]) {
      const facts = await factsOf(bios, own);
      expect(facts.kernelText?.virtual).toBe(text[0]);
      expect(facts.directMap).toBe(0xff11_0000_0000_0000n);
    }
  });
  test("kernels before 4.19 tell 0 for every physical address", async () => {
    const facts = await factsOf(bios, kcore([0xffff_ffff_8100_0000n, 0, 4096], [0xffff_8800_0010_0000n, 0, 4096]));
    expect([facts.kernelText, facts.directMap]).toEqual([null, null]);
  });
  test("mappings that contradict each other", async () => {
    const facts = await factsOf(
      bios,
      kcore(text, [0xff11_0000_0010_0000n, 0x10_0000, 4096], [0xff11_0000_0030_0000n, 0x20_0000, 4096]),
    );
    expect(facts.directMap).toBeNull();
    expect(facts.kernelText?.virtual).toBe(text[0]);
  });
});

describe("what a dump needs", () => {
  const cpu = "sys/devices/system/cpu";
  const rows: readonly (readonly [string, Own, string])[] = [
    ["vmcoreinfo", { "sys/kernel/vmcoreinfo": null }, "the running kernel has no such file; it cannot be dumped"],
    ["vmcoreinfo's numbers", { "sys/kernel/vmcoreinfo": "0x1000\n" }, 'a number from 1 to 2^52 expected, not ""'],
    ["notes", { [`${cpu}/cpu0/crash_notes`]: null, [`${cpu}/cpu1/crash_notes`]: null }, "no processor has notes"],
    ["a note's address", { [`${cpu}/cpu0/crash_notes`]: "0\n" }, 'a number from 1 to 2^52 expected, not "0"'],
    ["a note's size", { [`${cpu}/cpu1/crash_notes_size`]: "-1\n" }, 'a number from 1 to 2^52 expected, not "-1"'],
    [
      "the header's size",
      { "sys/kernel/crash_elfcorehdr_size": "many\n" },
      'a number from 1 to 2^52 expected, not "many"',
    ],
    ["memory", { "proc/iomem": null }, "the running kernel has no such file; it cannot be dumped"],
  ];
  test.each(rows)("%s", async (_, own, message) => {
    await expect(factsOf(bios, own)).rejects.toBeInstanceOf(CrashFactsError);
    await expect(factsOf(bios, own)).rejects.toThrow(message);
  });
  test("addresses shown as 0", async () => {
    await expect(factsOf(bios, { "proc/iomem": "0-0 : System RAM\n" })).rejects.toBeInstanceOf(FormatError);
  });
  test("processors that were unplugged have no notes; old kernels tell no size; numbers go beyond 9", async () => {
    const facts = await factsOf(bios, {
      [`${cpu}/cpu0/crash_notes_size`]: null,
      [`${cpu}/cpu1/crash_notes`]: null,
      [`${cpu}/cpu10/crash_notes`]: "1000\n",
      [`${cpu}/cpu10/crash_notes_size`]: "16\n",
      [`${cpu}/cpu2/crash_notes`]: "2000\n",
      [`${cpu}/cpufreq/crash_notes`]: "3000\n",
    });
    expect(facts.notes).toEqual([
      { cpu: 0, address: 0x1_bac3_9600, bytes: 1024 },
      { cpu: 2, address: 0x2000, bytes: 1024 },
      { cpu: 10, address: 0x1000, bytes: 16 },
    ]);
  });
  test("memory of drivers is dumped, the AGP aperture is not", async () => {
    const iomem = "1000-ffff : System RAM\n  4000-7fff : GART\n20000-2ffff : dax\n  20000-2ffff : System RAM (kmem)\n";
    const facts = await factsOf(bios, { "proc/iomem": iomem }, [{ start: 0xf000, end: 0x2_1000 }]);
    expect(facts.memory).toEqual([
      { start: 0x1000, end: 0x4000 },
      { start: 0x8000, end: 0xf000 },
      { start: 0x2_1000, end: 0x3_0000 },
    ]);
    expect(facts.kernelText).toBeNull();
  });
});

test("vmcoreinfo's forms", () => {
  expect(parseVmcoreinfo("0x00000001bacccc00 1024")).toEqual({ address: 0x1_bacc_cc00, bytes: 0x1024 });
  expect(parseVmcoreinfo("bacc 10")).toEqual({ address: 0xbacc, bytes: 16 });
  expect(() => parseVmcoreinfo("0x1000 0x10")).toThrow(CrashFactsError);
});
