import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { MemoryRange } from "../../../../src/formats/memory-map.ts";
import { PlacementError } from "../../../../src/handoff/classic/placement.ts";
import { type ClassicPlan, PlanError } from "../../../../src/handoff/classic/plan.ts";
import { type BzImageEntry, planBzImage } from "../../../../src/handoff/classic/plan-bzimage.ts";
import type { KernelPart, PlanContext } from "../../../../src/handoff/classic/plan-context.ts";
import type { FileRange } from "../../../../src/linux/system.ts";
import type { EfiFacts } from "../../../../src/machine/platform.ts";
import {
  bytesOf,
  expectSound,
  initrdOf,
  kernelPart,
  memory12G,
  memory256M,
  planContext,
  platform,
  segmentOf,
} from "../../../fakes/plan-context.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";

const debianHead = new Uint8Array(
  gunzipSync(readFileSync(new URL("../../../data/bzimage/debian-6.1-cloud-head.gz", import.meta.url))),
);
/** vmlinuz-6.1.0-56-cloud-amd64: 20480 bytes of setup code, 0xd82200 of kernel, then a signature. */
const debian = kernelPart(debianHead, 14_186_432);

interface Case {
  readonly kernel?: KernelPart;
  readonly initrd?: FileRange | null;
  readonly entry?: BzImageEntry;
  readonly context?: Partial<PlanContext>;
}

function planned({ kernel = debian, initrd = null, entry = "64-bit", context = {} }: Case = {}): ClassicPlan {
  const whole = planContext(context);
  const plan = planBzImage(kernel, initrd, whole, entry);
  expectSound(plan, whole);
  return plan;
}

function refuses(own: Case, error: typeof PlanError, message: string): void {
  const act = (): unknown =>
    planBzImage(own.kernel ?? debian, own.initrd ?? null, planContext(own.context ?? {}), own.entry ?? "64-bit");
  expect(act).toThrow(error);
  expect(act).toThrow(message);
}

/** A changed copy of Debian's head: fields by their offset in boot.rst. */
function changed(...changes: readonly (readonly [at: number, bytes: readonly number[]])[]): KernelPart {
  const head = debianHead.slice();
  for (const [at, bytes] of changes) head.set(bytes, at);
  return kernelPart(head, debian.range.length);
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const text = (bytes: Uint8Array, at: number): string => {
  const end = bytes.indexOf(0, at);
  return new TextDecoder().decode(bytes.subarray(at, end));
};
/** boot_params by the offsets of zero-page.rst and boot.rst. */
const parameters = (plan: ClassicPlan): DataView => view(bytesOf(plan, "boot parameters"));
const wide = (v: DataView, low: number, high: number): number =>
  v.getUint32(high, true) * 2 ** 32 + v.getUint32(low, true);
const e820 = (v: DataView): (readonly [start: number, size: number, type: number])[] =>
  Array.from({ length: v.getUint8(0x1e8) }, (_, n) => {
    const at = 0x2d0 + n * 20;
    return [Number(v.getBigUint64(at, true)), Number(v.getBigUint64(at + 8, true)), v.getUint32(at + 16, true)];
  });
/** The chain of setup_data: type → payload. */
function setupData(plan: ClassicPlan): Map<number, DataView> {
  const { address } = segmentOf(plan, "setup data");
  const bytes = bytesOf(plan, "setup data");
  const found = new Map<number, DataView>();
  for (let next = Number(parameters(plan).getBigUint64(0x250, true)); next !== 0; ) {
    const header = view(bytes.subarray(next - address, next - address + 16));
    const length = header.getUint32(12, true);
    found.set(header.getUint32(8, true), view(bytes.subarray(next - address + 16, next - address + 16 + length)));
    next = Number(header.getBigUint64(0, true));
  }
  return found;
}

describe("Debian's kernel on a BIOS machine of 256 MiB", () => {
  const plan = planned({ initrd: initrdOf(5 * 2 ** 20 + 1) });
  const places = plan.segments.map(({ name, address, memoryBytes, reservedBytes }) => [
    name,
    address.toString(16),
    reservedBytes,
    memoryBytes,
  ]);

  // By hand: RAM ends at 0xffe0000, init_size is 0x3378000, kernel_alignment 0x200000; the highest multiple of it below
  // 0xffe0000 - 0x3378000 = 0xcc68000 is 0xcc00000, and the kernel ends at 0xff78000, too high for the initrd above it.
  it("from the top, each part in pages of its own", () =>
    expect(places).toEqual([
      ["initrd", "c6ff000", 0x501000, 0x501000],
      // Its 0xd82200 bytes in whole pages are filled.
      ["kernel", "cc00000", 0x3378000, 0xd83000],
      // One table of each level: all of the memory lies in the first GiB.
      ["page tables", "ffd6000", 0x3000, 0x3000],
      ["boot parameters", "ffd9000", 0x2000, 0x2000],
      ["setup data", "ffdb000", 0x1000, 0x1000],
      ["purgatory", "ffdc000", 0x4000, 0x4000],
    ]));
  it("the kernel without setup code and signature", () =>
    expect(segmentOf(plan, "kernel").content).toEqual({
      kind: "file",
      range: { fd: 10, offset: 20_480, length: 0xd82200 },
    }));
  it("the initrd as it is", () =>
    expect(segmentOf(plan, "initrd").content).toEqual({ kind: "file", range: initrdOf(5 * 2 ** 20 + 1) }));
  it("everything but the purgatory is digested", () =>
    expect(plan.segments.filter(({ digested }) => !digested).map(({ name }) => name)).toEqual(["purgatory"]));
  it("enters the kernel 0x200 behind its start, with the parameters in rsi", () => {
    expect(plan.target).toEqual({ mode: "64-bit", address: 0xcc00200, rsi: 0xffd9000 });
    expect(plan.entry).toBe(0xffdc000);
    expect([plan.backup, plan.jumpBackCommandLineEnd, plan.remarks]).toEqual([null, null, []]);
  });

  it("boot parameters", () => {
    const v = parameters(plan);
    const bytes = bytesOf(plan, "boot parameters");
    expect([...bytes.subarray(0x202, 0x206)]).toEqual([..."HdrS"].map((c) => c.charCodeAt(0)));
    expect(v.getUint16(0x206, true)).toBe(0x20f);
    expect(v.getUint8(0x210)).toBe(0xd0);
    expect(v.getUint8(0x1ef)).toBe(0); // sentinel
    expect(wide(v, 0x218, 0xc0)).toBe(0xc6ff000);
    expect(wide(v, 0x21c, 0xc4)).toBe(5 * 2 ** 20 + 1);
    expect(wide(v, 0x228, 0xc8)).toBe(0xffd9000 + 4096);
    expect(text(bytes, 4096)).toBe("console=ttyS0 quiet");
    expect(Number(v.getBigUint64(0x70, true))).toBe(0xf59d0);
    expect(e820(v)).toEqual([
      [0, 0x9fc00, 1],
      [0x9fc00, 0x400, 2],
      [0xf0000, 0x10000, 2],
      [0x100000, 0xfee0000, 1],
      [0xffe0000, 0x20000, 2],
      [0xfffc0000, 0x40000, 2],
    ]);
    expect(bytes.subarray(0x1c0, 0x1e0).every((byte) => byte === 0)).toBe(true);
  });
  it("a seed for random numbers (SETUP_RNG_SEED)", () => {
    expect(Number(parameters(plan).getBigUint64(0x250, true))).toBe(0xffdb000);
    const chain = setupData(plan);
    expect([...chain.keys()]).toEqual([9]);
    expect(chain.get(9)?.getUint8(31)).toBe(32);
    expect(chain.get(9)?.byteLength).toBe(32);
  });
  it("the same again from the same", () => expect(planned({ initrd: initrdOf(5 * 2 ** 20 + 1) })).toEqual(plan));
});

describe("places", () => {
  const big = { platform: platform({ memory: memory12G }) };

  it("above 4 GiB, where the kernel allows it", () => {
    const plan = planned({ initrd: initrdOf(2 ** 30), context: big });
    // But for the page tables, which a processor in 32-bit mode has to reach.
    expect(plan.segments.map(({ name, address }) => [name, address > 2 ** 32])).toEqual([
      ["page tables", false],
      ...["initrd", "kernel", "boot parameters", "setup data", "purgatory"].map((name) => [name, true]),
    ]);
    const v = parameters(plan);
    expect(wide(v, 0x218, 0xc0)).toBe(segmentOf(plan, "initrd").address);
    expect(wide(v, 0x228, 0xc8)).toBe(segmentOf(plan, "boot parameters").address + 4096);
    // code32_start has 32 bits, and nobody uses it here.
    expect(v.getUint32(0x214, true)).toBe(0);
  });
  it("below 4 GiB, where it does not (XLF_CAN_BE_LOADED_ABOVE_4G)", () => {
    const plan = planned({ kernel: changed([0x236, [0x3d, 0]]), initrd: initrdOf(2 ** 20), context: big });
    // initrd_addr_max is 0x7fffffff, above the end of RAM there.
    const ends = plan.segments.map(({ name, address, memoryBytes }) => [name, address + memoryBytes <= 0x7ffe0000]);
    expect(ends.filter(([name, isLow]) => !isLow && name !== "purgatory")).toEqual([]);
    expect(segmentOf(plan, "purgatory").address).toBeGreaterThan(2 ** 32);
  });
  it("an initrd stays below initrd_addr_max", () => {
    const kernel = changed([0x236, [0x3d, 0]], [0x22c, [0xff, 0xff, 0xff, 0x37]]);
    const plan = planned({ kernel, initrd: initrdOf(2 ** 20), context: big });
    expect(segmentOf(plan, "initrd").address).toBe(0x38000000 - 2 ** 20);
  });
  it("never below the preferred address, to which a kernel moves itself from there", () => {
    const memory: MemoryRange[] = [
      { start: 0, end: 0xa0000, type: "ram" },
      { start: 0x100000, end: 0x4000000, type: "ram" },
    ];
    // From 0xc00000 it would fit, but it would unpack itself over 0x1000000 to 0x4378000, of which the end is no RAM.
    refuses(
      { context: { platform: platform({ memory }) } },
      PlacementError,
      "no room for the kernel: 53968896 bytes (51.5 MiB) expected, aligned to 0x200000, at 0x1000000 or higher; " +
        "the largest free range there is 50331648 bytes (48 MiB) at 0x1000000..0x4000000",
    );
  });
  it("inside the operator's bounds", () => {
    const plan = planned({ context: { bounds: { start: 0x1000000, end: 0x6000000 } } });
    expect(segmentOf(plan, "kernel").address).toBe(0x2c00000);
  });
  it("a kernel that is not relocatable: where it wants to be", () => {
    const plan = planned({ kernel: changed([0x234, [0]]) });
    expect(segmentOf(plan, "kernel").address).toBe(0x1000000);
    refuses(
      { kernel: changed([0x234, [0]]), context: { bounds: { start: 0, end: 0x2000000 } } },
      PlacementError,
      "the kernel has to lie at 0x1000000..0x4378000, outside 0x0..0x2000000, where parts may lie",
    );
  });
  it("no room", () => {
    refuses(
      { initrd: initrdOf(300 * 2 ** 20) },
      PlacementError,
      "no room for the initrd: 314572800 bytes (300 MiB) expected, aligned to 0x1000, at 0x1000000 or higher; " +
        "the largest free range there is 197132288 bytes (188 MiB) at 0x1000000..0xcc00000",
    );
    refuses(
      { context: { bounds: { start: 0x1000000, end: 0x1800000 } } },
      PlacementError,
      "no room for the kernel: 53968896 bytes (51.5 MiB) expected, aligned to 0x200000, in 0x1000000..0x1800000; " +
        "the largest free range there is 8388608 bytes (8 MiB) at 0x1000000..0x1800000",
    );
  });
  it("says when the running kernel will not take so much", () => {
    const plan = planned({ initrd: initrdOf(120 * 2 ** 20) });
    expect(plan.remarks).toEqual([
      "the segments have 140038144 bytes (133.6 MiB): the running kernel takes at most half of its memory, 133953024 bytes (127.7 MiB)",
    ]);
  });
  it("an empty initrd is none", () => {
    const plan = planned({ initrd: initrdOf(0) });
    expect(plan.segments.map(({ name }) => name)).not.toContain("initrd");
    expect(wide(parameters(plan), 0x218, 0xc0)).toBe(0);
  });
});

describe("32-bit entry", () => {
  it("enters the kernel's start with the parameters in esi, all below 4 GiB", () => {
    const plan = planned({ entry: "32-bit", context: { platform: platform({ memory: memory12G }) } });
    const kernel = segmentOf(plan, "kernel").address;
    const { address } = segmentOf(plan, "boot parameters");
    expect(plan.target).toEqual({ mode: "32-bit", address: kernel, eax: 0, ebx: 0, esi: address });
    expect(parameters(plan).getUint32(0x214, true)).toBe(kernel);
    expect(plan.segments.every((s) => s.address + s.memoryBytes <= 2 ** 32)).toBe(true);
  });
  it("a 32-bit kernel stays in the memory that it maps", () => {
    const kernel = changed([0x236, [0, 0]]);
    const plan = planned({ kernel, entry: "32-bit", context: { platform: platform({ memory: memory12G }) } });
    const { address, memoryBytes } = segmentOf(plan, "kernel");
    expect(address + memoryBytes).toBeLessThanOrEqual(0x38000000);
    refuses(
      { kernel },
      PlanError,
      "this kernel has no 64-bit entry point (XLF_KERNEL_64); --entry-32bit uses the other one",
    );
  });
});

describe("16-bit entry", () => {
  const plan = planned({ entry: "16-bit", initrd: initrdOf(2 ** 20) });

  it("setup code as low as it goes, the purgatory below 640 KiB", () => {
    expect(segmentOf(plan, "setup code").address).toBe(0x10000);
    expect(segmentOf(plan, "purgatory").address).toBe(0x9f000 - 0x4000);
    expect(plan.segments.map(({ name }) => name)).toEqual(["setup code", "purgatory", "initrd", "kernel"]);
  });
  it("tells how the BIOS is kept from the disks, unless the command line says something of it", () => {
    expect(plan.remarks).toEqual([expect.stringContaining("edd=skipmbr on the command line")]);
    const told = planned({ entry: "16-bit", context: { commandLine: "quiet edd=off" } });
    expect(told.remarks).toEqual([]);
  });
  // boot.rst, "RUNNING THE KERNEL".
  it("enters it 0x20 paragraphs from its start", () =>
    expect(plan.target).toEqual({ mode: "16-bit", cs: 0x1020, ip: 0, ds: 0x1000, ss: 0x1000, sp: 0xe000 }));
  it("the header says where everything is", () => {
    const setup = bytesOf(plan, "setup code");
    const v = view(setup);
    expect(v.getUint32(0x214, true)).toBe(segmentOf(plan, "kernel").address);
    expect(v.getUint32(0x218, true)).toBe(segmentOf(plan, "initrd").address);
    expect(v.getUint32(0x21c, true)).toBe(2 ** 20);
    expect(v.getUint32(0x228, true)).toBe(0x1e000);
    expect(v.getUint16(0x224, true)).toBe(0xe000 - 0x200);
    expect(v.getUint8(0x211) & 0x81).toBe(0x81);
    expect(text(setup, 0xe000)).toBe("console=ttyS0 quiet");
    expect(setup.subarray(0x300, 0x5000)).toEqual(debianHead.subarray(0x300, 0x5000));
  });
  it("setup code without room for its heap", () =>
    refuses(
      { kernel: kernelPart(changed([0x1f1, [112]]).read(0, 20_480), 15_000_000), entry: "16-bit" },
      PlanError,
      "57856 bytes of setup code; at most 56832 leave room for its heap",
    ));
});

describe("what cannot be", () => {
  it("a command line that is too long, by both numbers", () => {
    refuses(
      { context: { commandLine: "x".repeat(2048) } },
      PlanError,
      "the command line has 2048 bytes; this kernel takes at most 2047",
    );
    expect(planned({ context: { commandLine: "x".repeat(2047) } }).commandLine).toHaveLength(2047);
    // Bytes count, not characters.
    refuses(
      { context: { commandLine: "ä".repeat(1024) } },
      PlanError,
      "the command line has 2048 bytes; this kernel takes at most 2047",
    );
    refuses(
      { entry: "16-bit", context: { commandLine: "x".repeat(2048) } },
      PlanError,
      "the command line has 2048 bytes; this kernel takes at most 2047",
    );
  });
  it("a NUL in it", () =>
    refuses({ context: { commandLine: "a\0b" } }, PlanError, "the command line holds a NUL, which would end it"));
  it("5-level page tables, and a kernel that does not know them", () => {
    const context = { platform: platform({ fiveLevelPaging: true }) };
    expect(planned({ context }).remarks).toEqual([]);
    const kernel = changed([0x236, [0x1f, 0]]);
    refuses(
      { kernel, context },
      PlanError,
      "this machine runs with 5-level page tables, which this kernel cannot be entered with (XLF_5LEVEL); " +
        "start the running kernel with no5lvl, or use --entry-32bit",
    );
    expect(planned({ kernel, context, entry: "32-bit" }).target.mode).toBe("32-bit");
  });
  it("a kernel that is cut off", () => {
    refuses(
      { kernel: kernelPart(debianHead, 14_000_000) },
      PlanError,
      "the file is cut: going by the header, the kernel ends at byte 14184960, but the file at byte 14000000",
    );
    refuses({ kernel: kernelPart(debianHead.subarray(0, 0x230)) }, PlanError, "bzimage: offset");
    refuses(
      { kernel: kernelPart(debianHead.subarray(0, 0x280)) },
      PlanError,
      "the file is cut: going by the header, the setup code ends at byte 20480, but the file at byte 640",
    );
  });
  it("a console that is none", () =>
    refuses(
      { context: { console: { vga: false, serial: { port: 0x3f8, baud: 12345 }, resetVga: false } } },
      PlanError,
      "purgatory: 12345 bits per second: a rate that divides 115200, or 0, expected",
    ));
  it("but one whose last paragraph is not full is whole", () => {
    // The payload ends where it did; 9 bytes of what the header counts are missing.
    const head = debianHead.slice();
    view(head).setUint32(0x24c, 0xd00000, true);
    const { content } = segmentOf(planned({ kernel: kernelPart(head, 14_184_951) }), "kernel");
    expect(content.kind === "file" && content.range).toEqual({ fd: 10, offset: 20_480, length: 0xd82200 - 9 });
  });
  it("a kernel of no bytes", () =>
    refuses(
      { kernel: changed([0x1f4, [0, 0, 0, 0]], [0x24c, [0, 0, 0, 0]]) },
      PlanError,
      "the kernel's header says that it has no bytes (syssize)",
    ));
  it("no kernel at all", () =>
    refuses(
      { kernel: kernelPart(new Uint8Array(1024)) },
      PlanError,
      "bzimage: offset 510, boot_flag: 0xaa55 expected, not 0x0",
    ));
});

describe("old protocols", () => {
  const old = (protocol: number): KernelPart =>
    changed([0x206, [protocol & 0xff, protocol >> 8]], [0x258, [0, 0, 0, 0, 0, 0, 0, 0]]);

  it("2.08: no setup data", () => {
    const plan = planned({ kernel: changed([0x206, [8, 2]]), entry: "32-bit" });
    expect(plan.segments.map(({ name }) => name)).toEqual(["kernel", "boot parameters", "purgatory"]);
    expect(plan.remarks).toEqual([]);
  });
  it("2.05: a relocatable kernel without a preferred address", () =>
    expect(segmentOf(planned({ kernel: old(0x205), entry: "32-bit" }), "kernel").address % 0x200000).toBe(0));
  it("2.00: at 1 MiB, a command line of 255 bytes", () => {
    expect(segmentOf(planned({ kernel: old(0x200), entry: "32-bit" }), "kernel").address).toBe(0x100000);
    refuses(
      { kernel: old(0x200), entry: "32-bit", context: { commandLine: "x".repeat(256) } },
      PlanError,
      "the command line has 256 bytes; this kernel takes at most 255",
    );
  });
});

describe("many ranges of memory", () => {
  const memory = Array.from(
    { length: 300 },
    (_, n): MemoryRange => ({
      start: 2 ** 20 + n * 2 ** 20,
      end: 2 ** 21 + n * 2 ** 20,
      type: n % 2 === 0 ? "reserved" : "acpi",
    }),
  );
  const many: MemoryRange[] = [
    { start: 0, end: 0xa0000, type: "ram" },
    ...memory,
    { start: 2 ** 29, end: 2 ** 30, type: "ram" },
  ];
  const own = platform({ memory: many });

  it("128 in the zero page, the rest in SETUP_E820_EXT", () => {
    const plan = planned({ context: { platform: own } });
    expect(e820(parameters(plan))).toHaveLength(128);
    const rest = setupData(plan).get(1);
    expect(rest?.byteLength).toBe((302 - 128) * 20);
    // The last entry is the last range: RAM from 512 MiB on.
    expect(rest?.getBigUint64((302 - 129) * 20, true)).toBe(2n ** 29n);
    expect(rest?.getUint32((302 - 129) * 20 + 16, true)).toBe(1);
  });
  it("a kernel without setup data is told so many, and people that", () => {
    const plan = planned({ kernel: changed([0x206, [8, 2]]), entry: "32-bit", context: { platform: own } });
    expect(plan.remarks).toEqual(["this kernel is told 128 ranges of memory; 174 more are kept from it"]);
  });
});

describe("EFI", () => {
  const efi: EfiFacts = {
    systemTable: 0x7f9ee018n,
    vendor: 0xfffffffeff9d8a98n,
    runtime: 0xfffffffeff9eeb98n,
    tables: 0xfffffffeff8d7018n,
    smbios: 0x7f942000n,
    runtimeMap: [
      { type: 6, physical: 0x7f9d0000, virtual: 0xfffffffeff9d0000n, pages: 0x20, attributes: 0x800000000000000fn },
      { type: 5, physical: 0x7f9b0000, virtual: 0xfffffffeff8b0000n, pages: 0x10, attributes: 0x800000000000000fn },
    ],
  };
  const bootParams = new Uint8Array(4096);
  bootParams.set([0x45, 0x4c, 0x36, 0x34], 0x1c0); // EL64

  it("system table and runtime map", () => {
    const plan = planned({ context: { platform: platform({ efi, bootParams, rsdp: 0x7fb7e014 }) } });
    const v = parameters(plan);
    expect(text(bytesOf(plan, "boot parameters"), 0x1c0).slice(0, 4)).toBe("EL64");
    expect(wide(v, 0x1c4, 0x1d8)).toBe(0x7f9ee018);
    const { address } = segmentOf(plan, "setup data");
    const map = wide(v, 0x1d0, 0x1dc);
    const size = v.getUint32(0x1d4, true);
    expect(size).toBe(2 * v.getUint32(0x1c8, true));
    const bytes = view(bytesOf(plan, "setup data").subarray(map - address, map - address + size));
    expect(bytes.getUint32(0, true)).toBe(6);
    expect(bytes.getBigUint64(8, true)).toBe(0x7f9d0000n);
    expect(bytes.getBigUint64(16, true)).toBe(0xfffffffeff9d0000n);
    const setup = setupData(plan);
    expect([...setup.keys()].sort()).toEqual([4, 9]);
    expect([0, 8, 16, 24].map((at) => setup.get(4)?.getBigUint64(at, true))).toEqual([
      efi.vendor,
      efi.runtime,
      efi.tables,
      efi.smbios,
    ]);
  });

  const without = (own: Case): void => {
    const plan = planned(own);
    expect(
      bytesOf(plan, "boot parameters")
        .subarray(0x1c0, 0x1e0)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect(setupData(plan).has(4)).toBe(false);
  };
  it("not with --noefi", () => without({ context: { noEfi: true, platform: platform({ efi, bootParams }) } }));
  it("not for a kernel that cannot take it over", () =>
    without({ kernel: changed([0x236, [0x2f, 0]]), context: { platform: platform({ efi, bootParams }) } }));

  const remark =
    "nothing tells where the ACPI root pointer is: unless the target finds it in a BIOS, it starts without ACPI";
  it("without EFI and root pointer on a machine that EFI started: that has to be said", () => {
    expect(planned({ context: { platform: platform({ rsdp: null, bootParams }) } }).remarks).toEqual([remark]);
    expect(planned({ context: { platform: platform({ rsdp: null, bootParams: null }) } }).remarks).toEqual([remark]);
    const noEfi = { noEfi: true, platform: platform({ efi, rsdp: null, bootParams }) };
    expect(planned({ context: noEfi }).remarks).toEqual([remark]);
  });
  it("on a BIOS the kernel finds it", () =>
    expect(planned({ context: { platform: platform({ rsdp: null }) } }).remarks).toEqual([]));
});

describe("the rest of what the target is told", () => {
  it("what the running kernel was told: subarchitecture, secure boot", () => {
    const bootParams = new Uint8Array(4096);
    bootParams[0x23c] = 4;
    bootParams[0x1ec] = 3;
    const v = parameters(planned({ context: { platform: platform({ bootParams }) } }));
    expect([v.getUint32(0x23c, true), v.getUint8(0x1ec)]).toEqual([4, 3]);
  });
  it("the screen that the running kernel was started with", () => {
    const bootParams = new Uint8Array(4096);
    bootParams[0x0f] = 0x70;
    bootParams[0x1b] = 0xc0;
    const bytes = bytesOf(planned({ context: { platform: platform({ bootParams }) } }), "boot parameters");
    expect([bytes[0x0f], bytes[0x1b]]).toEqual([0x70, 0xc0]);
  });
  it("a remark about a display that is lost", () => {
    const display = { driver: "i915drmfb", fixed: new Uint8Array(80), variable: new Uint8Array(160) };
    expect(planned({ context: { platform: platform({ display }) } }).remarks).toEqual([
      'no frame buffer: "i915drmfb" has set a mode of its own; the target shows nothing until it has loaded a driver (--reuse-video-type passes it on)',
    ]);
  });
  it("text, when the purgatory resets the screen", () => {
    const display = { driver: "i915drmfb", fixed: new Uint8Array(80), variable: new Uint8Array(160) };
    const console = { vga: true, serial: null, resetVga: true };
    const plan = planned({ context: { console, platform: platform({ display }) } });
    expect([bytesOf(plan, "boot parameters")[0x0f], plan.remarks, plan.console]).toEqual([1, [], console]);
  });
  it("a device tree (SETUP_DTB)", () => {
    const plan = planned({ context: { devicetree: Uint8Array.of(0xd0, 0x0d, 0xfe, 0xed) } });
    expect(setupData(plan).get(2)?.getUint32(0, false)).toBe(0xd00dfeed);
  });
  it("another entry than the purgatory", () =>
    expect(planned({ context: { entryOverride: 0x123000 } }).entry).toBe(0x123000));
  it("without the purgatory nobody changes the page tables: what the kernel needs is filled", () => {
    const plan = planned({ context: { entryOverride: 0x123000 } });
    expect(plan.pageTables).toBe(null);
    expect(segmentOf(plan, "kernel").memoryBytes).toBe(0x3378000);
  });
});

describe("coming back", () => {
  const bounds = { start: 0x1000000, end: 0x5000000 };
  const plan = planned({ context: { preserveContext: true, bounds } });

  it("the target may use what is saved: every page within the bounds is in a segment", () => {
    let at = bounds.start;
    for (const { address, memoryBytes } of plan.segments) {
      expect(address).toBe(at);
      at = address + memoryBytes;
    }
    expect(at).toBe(bounds.end);
    expect(e820(parameters(plan)).filter(([, , type]) => type === 1)).toEqual([[0x1000000, 0x4000000, 1]]);
    expect(e820(parameters(plan)).filter(([, , type]) => type === 2)).toHaveLength(4);
    const saved = plan.segments.filter(({ name }) => name === "saved memory");
    expect(saved.every(({ content, digested }) => content.kind === "bytes" && !digested)).toBe(true);
  });
  it("room behind the command line for the way back", () => {
    const end = segmentOf(plan, "boot parameters").address + 4096 + "console=ttyS0 quiet".length;
    expect(plan.jumpBackCommandLineEnd).toBe(end);
    const bytes = bytesOf(plan, "boot parameters");
    expect(bytes.length).toBeGreaterThanOrEqual(4096 + "console=ttyS0 quiet".length + 42);
    refuses(
      { context: { preserveContext: true, bounds, commandLine: "x".repeat(2010) } },
      PlanError,
      "the command line has 2010 bytes, and up to 41 are added for the way back; this kernel takes at most 2047",
    );
  });
  it("a memory in too many pieces", () => {
    const memory = Array.from(
      { length: 20 },
      (_, n): MemoryRange => ({
        start: 2 ** 24 + n * 2 ** 27,
        end: 2 ** 24 + n * 2 ** 27 + 2 ** 26,
        type: "ram",
      }),
    );
    refuses(
      { context: { preserveContext: true, platform: platform({ memory }) } },
      PlanError,
      "25 segments, and kexec_load takes at most 16: saved memory at 0x1000000",
    );
  });
});

describe("hostile heads", () => {
  it("whatever stands there: a sound plan or a sentence", () => {
    const numbers = randomNumbers(20260802);
    // The lowest bits of these numbers repeat soon.
    const random = (below: number): number => (numbers() >>> 8) % below;
    let plans = 0;
    for (let round = 0; round < 1500; round++) {
      const head = debianHead.slice();
      for (let n = random(4); n >= 0; n--) head[0x1f1 + random(0x7b)] = random(256);
      const memory = random(2) === 0 ? memory256M : memory12G;
      const context = planContext({ platform: platform({ memory, fiveLevelPaging: random(4) === 0 }) });
      const entry = (["64-bit", "32-bit", "16-bit"] as const)[random(3)] ?? "64-bit";
      try {
        const initrd = initrdOf(random(2 ** 24));
        const plan = planBzImage(kernelPart(head, debian.range.length), initrd, context, entry);
        expectSound(plan, context);
        plans++;
      } catch (error) {
        if (!(error instanceof PlanError)) throw error;
      }
    }
    expect(plans).toBeGreaterThan(300);
  });
  it("cut anywhere", () => {
    for (let end = 0; end < 0x300; end++) {
      refuses({ kernel: kernelPart(debianHead.subarray(0, end)) }, PlanError, "");
    }
  });
});
