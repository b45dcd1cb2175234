import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { PlacementError } from "../../../../src/handoff/classic/placement.ts";
import { type ClassicPlan, PlanError } from "../../../../src/handoff/classic/plan.ts";
import { type BzImageEntry, planBzImage } from "../../../../src/handoff/classic/plan-bzimage.ts";
import type { PlanContext } from "../../../../src/handoff/classic/plan-context.ts";
import { planElf } from "../../../../src/handoff/classic/plan-elf.ts";
import type { EfiFacts } from "../../../../src/machine/platform.ts";
import { kernelImage } from "../../../fakes/kernel-image.ts";
import {
  bytesOf,
  crashContext,
  crashFacts,
  crashRegion,
  expectSound,
  initrdOf,
  kernelPart,
  memory12G,
  planContext,
  platform,
  segmentOf,
} from "../../../fakes/plan-context.ts";

const head = new Uint8Array(
  gunzipSync(readFileSync(new URL("../../../data/bzimage/debian-6.1-cloud-head.gz", import.meta.url))),
);
const debian = kernelPart(head, 14_186_432);
const memory = memory12G.filter(({ end }) => end <= 2 ** 32);

function planned(own: Partial<PlanContext> = {}, initrdBytes = 2 ** 20, entry: BzImageEntry = "64-bit"): ClassicPlan {
  const context = crashContext(own);
  const plan = planBzImage(debian, initrdOf(initrdBytes), context, entry);
  expectSound(plan, context);
  return plan;
}

function refuses(own: Partial<PlanContext>, error: typeof PlanError, message: string): void {
  const act = (): unknown => planBzImage(debian, initrdOf(2 ** 20), crashContext(own), "64-bit");
  expect(act).toThrow(error);
  expect(act).toThrow(message);
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function e820(plan: ClassicPlan): (readonly [start: number, end: number, type: number])[] {
  const v = view(bytesOf(plan, "boot parameters"));
  return Array.from({ length: v.getUint8(0x1e8) }, (_, n) => {
    const at = 0x2d0 + n * 20;
    const start = Number(v.getBigUint64(at, true));
    return [start, start + Number(v.getBigUint64(at + 8, true)), v.getUint32(at + 16, true)];
  });
}

/** Program headers by the offsets of the gABI, ELF64. */
function programHeaders(
  plan: ClassicPlan,
): (readonly [type: number, offset: number, virtual: bigint, physical: number, bytes: number])[] {
  const v = view(bytesOf(plan, "elfcorehdr"));
  const at = Number(v.getBigUint64(32, true));
  return Array.from({ length: v.getUint16(56, true) }, (_, n) => {
    const entry = at + n * v.getUint16(54, true);
    const word = (offset: number): bigint => v.getBigUint64(entry + offset, true);
    expect(word(32)).toBe(word(40));
    return [v.getUint32(entry, true), Number(word(8)), word(16), Number(word(24)), Number(word(32))];
  });
}

describe("Debian's kernel in a crash region of 256 MiB", () => {
  const plan = planned();
  const places = Object.fromEntries(plan.segments.map((s) => [s.name, s.address]));
  const backup = places["backup of low memory"] ?? 0;

  // By hand, from 0x30000000 down: the kernel is 0x3378000 long and aligned to 0x200000; above it are 0x88000 bytes,
  // too few for the initrd and the backup (0x9ec00 bytes, 0x9f pages).
  it("everything inside of it", () =>
    expect(plan.segments.map(({ name, address, memoryBytes }) => [name, address.toString(16), memoryBytes])).toEqual([
      ["backup of low memory", "2ca61000", 0x9f000],
      ["initrd", "2cb00000", 0x100000],
      ["kernel", "2cc00000", 0x3378000],
      ["boot parameters", "2fff5000", 0x2000],
      ["setup data", "2fff7000", 0x1000],
      ["elfcorehdr", "2fff8000", 0x4000],
      ["purgatory", "2fffc000", 0x4000],
    ]));
  it("the purgatory copies low memory", () => {
    expect(plan.backup).toEqual({ source: 0x1000, destination: backup, bytes: 0x9ec00 });
    expect(segmentOf(plan, "backup of low memory").content).toEqual({ kind: "bytes", bytes: new Uint8Array(0) });
    expect(plan.segments.filter(({ digested }) => !digested).map(({ name }) => name)).toEqual([
      "backup of low memory",
      "purgatory",
    ]);
  });
  it("the command line names header and root pointer", () => {
    expect(plan.commandLine).toBe(`console=ttyS0 quiet acpi_rsdp=0xf59d0 elfcorehdr=${0x2fff8000 / 1024}K`);
    const bytes = bytesOf(plan, "boot parameters");
    expect(new TextDecoder().decode(bytes.subarray(4096, bytes.indexOf(0, 4096)))).toBe(plan.commandLine);
  });
  it("words that go to init stay behind", () =>
    expect(planned({ commandLine: "quiet -- single" }).commandLine).toBe(
      "quiet acpi_rsdp=0xf59d0 elfcorehdr=786400K -- single",
    ));
  it("the capture kernel may use the region, less backup and header, and low memory", () =>
    expect(e820(plan)).toEqual([
      [0, 0x9fc00, 1],
      [0x9fc00, 0xa0000, 2],
      [0xf0000, 0x100000, 2],
      [0x20000000, 0x2ca61000, 1],
      [0x2cb00000, 0x2fff8000, 1],
      [0x2fffc000, 0x30000000, 1],
      [0x7ffe0000, 0x80000000, 2],
      [0xfffc0000, 0x100000000, 2],
    ]));
  it("the dump: notes, vmcoreinfo, the kernel's text, low memory from its backup, the rest where it lies", () => {
    const direct = 0xffff888000000000n;
    expect(programHeaders(plan)).toEqual([
      [4, 0x7fc0a000, 0n, 0x7fc0a000, 0x170],
      [4, 0x7fc1a000, 0n, 0x7fc1a000, 0x170],
      [4, 0x2345000, 0n, 0x2345000, 4096],
      [1, 0x1000000, 0xffffffff81000000n, 0x1000000, 0x1c00000],
      [1, backup, direct + 0x1000n, 0x1000, 0x9ec00],
      [1, 0x100000, direct + 0x100000n, 0x100000, 0x1ff00000],
      [1, 0x30000000, direct + 0x30000000n, 0x30000000, 0x4ffe0000],
    ]);
    const header = view(bytesOf(plan, "elfcorehdr"));
    expect([header.getUint16(16, true), header.getUint16(18, true)]).toEqual([4, 62]); // ET_CORE, x86-64
    expect(header.byteLength).toBe(16 * 1024);
  });
  it("the same again from the same", () => expect(planned()).toEqual(plan));
});

describe("what a crashed kernel does not tell", () => {
  it("its text and its direct map", () => {
    const facts = crashFacts({ kernelText: null, directMap: null });
    const loads = programHeaders(planned({ crash: { facts } })).filter(([type]) => type === 1);
    expect(loads.map(([, , virtual]) => virtual)).toEqual([2n ** 64n - 1n, 2n ** 64n - 1n, 2n ** 64n - 1n]);
  });
  it("low memory in pieces: one copy from the first to the last", () => {
    const facts = crashFacts({
      memory: [
        { start: 0x1000, end: 0x58000 },
        { start: 0x59000, end: 0x9e000 },
        { start: 0x100000, end: 0x20000000 },
      ],
    });
    const plan = planned({ crash: { facts } });
    const destination = segmentOf(plan, "backup of low memory").address;
    expect(plan.backup).toEqual({ source: 0x1000, destination, bytes: 0x9d000 });
    expect(programHeaders(plan).slice(4)).toMatchObject([
      [1, destination, expect.anything(), 0x1000, 0x57000],
      [1, destination + 0x58000, expect.anything(), 0x59000, 0x45000],
      [1, 0x100000, expect.anything(), 0x100000, 0x1ff00000],
    ]);
  });
  it("low memory that goes on above 640 KiB", () => {
    const facts = crashFacts({ memory: [{ start: 0x1000, end: 0x20000000 }] });
    const plan = planned({ crash: { facts } });
    expect(plan.backup?.bytes).toBe(0x9f000);
    expect(programHeaders(plan).slice(4)).toMatchObject([
      [1, plan.backup?.destination, expect.anything(), 0x1000, 0x9f000],
      [1, 0xa0000, expect.anything(), 0xa0000, 0x1ff60000],
    ]);
  });
  it("no low memory, no backup", () => {
    const plan = planned({ crash: { facts: crashFacts({ memory: [{ start: 0x100000, end: 0x20000000 }] }) } });
    expect(plan.backup).toBeNull();
    expect(plan.segments.map(({ name }) => name)).not.toContain("backup of low memory");
  });
});

describe("options", () => {
  it("--elf32-core-headers", () => {
    const header = bytesOf(planned({ elf32CoreHeaders: true }), "elfcorehdr");
    expect(header[4]).toBe(1); // ELFCLASS32
    const facts = crashFacts({ memory: [{ start: 2 ** 32, end: 2 ** 33 }] });
    refuses(
      { elf32CoreHeaders: true, crash: { facts } },
      PlanError,
      "memory up to 0x200000000: 32-bit core headers end at 4 GiB",
    );
  });
  it("--pass-memmap-cmdline", () => {
    const tables = [
      ...memory.slice(0, 4),
      { start: 0x7ffe0000, end: 0x7ffe4200, type: "acpi" },
      { start: 0x7ffe4200, end: 0x7fff0000, type: "acpi-nvs" },
    ] as const;
    const own = platform({ memory: tables, crash: [crashRegion] });
    const plan = planned({ platform: own, passMemmapCommandLine: true });
    // 0x4000 bytes of RAM above the header are not worth a word.
    expect(plan.commandLine).toBe(
      "console=ttyS0 quiet acpi_rsdp=0xf59d0 elfcorehdr=786400K memmap=exactmap memmap=639K@0K " +
        `memmap=${(0x2ca61000 - 0x20000000) / 1024}K@524288K memmap=${(0x2fff8000 - 0x2cb00000) / 1024}K@${0x2cb00000 / 1024}K ` +
        "memmap=17K#2097024K memmap=48K#2097040K",
    );
  });
  it("--hotplug: room for headers that the running kernel writes, which the digest leaves out", () => {
    const facts = crashFacts({ headerBytes: 0x80000 });
    const plan = planned({ hotplug: true, crash: { facts } });
    expect(segmentOf(plan, "elfcorehdr")).toMatchObject({ memoryBytes: 0x80000, digested: false });
    const still = planned({ crash: { facts } });
    expect(segmentOf(still, "elfcorehdr")).toMatchObject({ memoryBytes: 0x4000, digested: true });
    refuses(
      { hotplug: true },
      PlanError,
      "--hotplug: the running kernel does not keep crash headers up to date (CONFIG_CRASH_HOTPLUG)",
    );
  });
  it("EFI: the root pointer is found by it", () => {
    const efi: EfiFacts = { systemTable: 1n, vendor: 1n, runtime: 1n, tables: 1n, smbios: null, runtimeMap: [] };
    const own = platform({ memory, crash: [crashRegion], efi });
    expect(planned({ platform: own }).commandLine).toBe("console=ttyS0 quiet elfcorehdr=786400K");
    expect(planned({ platform: own, noEfi: true }).commandLine).toBe(
      "console=ttyS0 quiet acpi_rsdp=0xf59d0 elfcorehdr=786400K",
    );
  });
});

describe("regions", () => {
  const low = { start: 0x60000000, end: 0x70000000 };
  const high = { start: 2 ** 32, end: 2 ** 32 + 2 ** 28 };
  const both = platform({ memory: memory12G, crash: [low, high] });

  it("the last one is loaded into, the lower one used by the capture kernel", () => {
    const plan = planned({ platform: both });
    expect(plan.segments.every(({ address }) => address >= high.start)).toBe(true);
    expect(e820(plan)).toContainEqual([low.start, low.end, 1]);
  });
  it("a 32-bit entry is below 4 GiB", () => {
    const act = (): unknown => planBzImage(debian, null, crashContext({ platform: both }), "32-bit");
    expect(act).toThrow(PlacementError);
    expect(act).toThrow(
      "nothing is free there; the crash region has 268435456 bytes (256 MiB) at 0x100000000..0x110000000",
    );
  });
  it("none", () =>
    refuses(
      { platform: platform({ memory }) },
      PlanError,
      'Memory for crashkernel is not reserved: start the running kernel with "crashkernel=SIZE"',
    ));
  it("too small: what is needed, and what there is", () =>
    refuses(
      { platform: platform({ memory, crash: [{ start: 0x20000000, end: 0x22000000 }] }) },
      PlacementError,
      "no room for the kernel: 53968896 bytes (51.5 MiB) expected, aligned to 0x200000, at 0x1000000 or higher; " +
        "the largest free range there is 33554432 bytes (32 MiB) at 0x20000000..0x22000000; " +
        "the crash region has 33554432 bytes (32 MiB) at 0x20000000..0x22000000",
    ));
  it("too small for the initrd", () =>
    expect(() => planned({}, 2 ** 28)).toThrow(
      "no room for the initrd: 268435456 bytes (256 MiB) expected, aligned to 0x1000, at 0x1000000 or higher; " +
        "the largest free range there is 213909504 bytes (204 MiB) at 0x20000000..0x2cc00000; the crash region has",
    ));
});

describe("no capture kernel", () => {
  it("what cannot be moved", () => {
    const fixed = head.slice();
    fixed[0x234] = 0;
    expect(() => planBzImage(kernelPart(fixed, debian.range.length), null, crashContext(), "64-bit")).toThrow(
      new PlanError("this kernel is not relocatable, so it cannot be loaded into the crash region"),
    );
  });
  it("in real mode", () =>
    expect(() => planBzImage(debian, null, crashContext(), "16-bit")).toThrow(
      new PlanError("a capture kernel cannot be entered in real mode: the BIOS does not know of the crash region"),
    ));
  it("one that is to come back", () =>
    refuses(
      { preserveContext: true },
      PlanError,
      "a capture kernel cannot come back: --load-preserve-context and a load for a crash exclude each other",
    ));
  it("a command line that has no room for what is added", () => {
    refuses(
      { commandLine: "x".repeat(2011) },
      PlanError,
      "the command line has 2048 bytes; this kernel takes at most 2047",
    );
    refuses({ commandLine: 'a="b' }, PlanError, "command line: a closing quote expected");
  });
});

describe("a vmlinux", () => {
  const vmlinux = kernelPart(kernelImage("vmlinux"));

  it("in a region that holds its addresses", () => {
    const crash = [{ start: 0x1000000, end: 0x3000000 }];
    const context = crashContext({ platform: platform({ memory, crash }) });
    const plan = planElf(vmlinux, null, context, "linux");
    expectSound(plan, context);
    expect(plan.target).toMatchObject({ mode: "64-bit", address: 0x1000000 });
    expect(plan.commandLine).toMatch(/elfcorehdr=\d+K$/);
    expect(plan.backup?.source).toBe(0x1000);
  });
  it("elsewhere", () =>
    expect(() => planElf(vmlinux, null, crashContext(), "linux")).toThrow(
      new PlacementError(
        "the kernel has to lie at 0x1000000..0x1001000: RAM expected, but 0x1000000..0x1001000 cannot be used; " +
          "the crash region has 268435456 bytes (256 MiB) at 0x20000000..0x30000000",
      ),
    ));
  it("with other arguments than Linux'", () => {
    for (const args of ["elf", "none"] as const) {
      expect(() => planElf(vmlinux, null, crashContext(), args)).toThrow(
        new PlanError(
          `an ELF image with --args-${args} is not told of the crash; --args-linux starts a capture kernel`,
        ),
      );
    }
  });
  it("outside of a crash none of it is added", () =>
    expect(planElf(vmlinux, null, planContext(), "linux").commandLine).toBe("console=ttyS0 quiet"));
});
