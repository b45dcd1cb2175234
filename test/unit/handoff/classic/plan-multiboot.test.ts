import { describe, expect, it } from "vitest";
import { PlacementError } from "../../../../src/handoff/classic/placement.ts";
import { type ClassicPlan, PlanError } from "../../../../src/handoff/classic/plan.ts";
import type { KernelPart, PlanContext } from "../../../../src/handoff/classic/plan-context.ts";
import { type MultibootPart, planMultiboot } from "../../../../src/handoff/classic/plan-multiboot.ts";
import { kernelImage, withWords } from "../../../fakes/kernel-image.ts";
import {
  bytesOf,
  crashContext,
  expectSound,
  kernelPart,
  memory12G,
  planContext,
  platform,
  segmentOf,
} from "../../../fakes/plan-context.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";

/** EGA text, as a BIOS leaves it: 80 columns, 25 lines. */
const textScreen = new Uint8Array(4096);
textScreen[0x07] = 80;
textScreen[0x0e] = 25;
textScreen[0x0f] = 1;

/** RAM from 0xe0000 on, too: linkers put the headers of the ELF file in front of 1 MiB. */
const lowRam = platform({
  memory: [
    { start: 0, end: 0xa0000, type: "ram" },
    { start: 0xe0000, end: 0x10000000, type: "ram" },
    { start: 0x10000000, end: 0x10010000, type: "acpi" },
  ],
  bootParams: textScreen,
});

const modules: readonly MultibootPart[] = [
  { range: { fd: 21, offset: 0, length: 0x1801 }, commandLine: "initrd root=/dev/vda" },
  { range: { fd: 22, offset: 4096, length: 5 }, commandLine: "second" },
];

interface Case {
  readonly version?: 1 | 2;
  readonly modules?: readonly MultibootPart[];
  readonly context?: Partial<PlanContext>;
}

function planned(kernel: KernelPart, own: Case = {}): ClassicPlan {
  const context = planContext({ platform: lowRam, commandLine: "xen.gz console=com1", ...own.context });
  const plan = planMultiboot(kernel, own.modules ?? [], context, own.version ?? 1);
  expectSound(plan, context);
  return plan;
}

function refuses(act: () => unknown, error: PlanError): void {
  expect(act).toThrow(error);
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const info = "multiboot information";
/** The text at a physical address inside of the information. */
function textAt(plan: ClassicPlan, address: number): string {
  const bytes = bytesOf(plan, info).subarray(address - segmentOf(plan, info).address);
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}
const fileAt = (offset: number, length: number): unknown => ({ kind: "file", range: { fd: 10, offset, length } });
const kernelSegments = (plan: ClassicPlan): unknown =>
  plan.segments.filter(({ name }) => name === "kernel").map((s) => [s.address, s.memoryBytes, s.content]);

describe("Multiboot, an ELF file", () => {
  // readelf -lW: 0x94 bytes from 0 at 0xff000; 0x34 from 0x1000 at 0x100000; 0x1234 of zeroes at 0x101000; entry
  // 0x100000.
  const elf = kernelPart(kernelImage("multiboot-elf32"));
  const plan = planned(elf, { modules });

  it("image, modules and information, one behind the other", () => {
    expect(kernelSegments(plan)).toEqual([
      [0xff000, 0x1000, fileAt(0, 0x94)],
      [0x100000, 0x1000, fileAt(0x1000, 0x34)],
      [0x101000, 0x2000, fileAt(0, 0)],
    ]);
    const others = plan.segments.filter(({ name }) => name !== "kernel").map(({ name, address }) => [name, address]);
    expect(others).toEqual([
      ["module 1", 0x103000],
      ["module 2", 0x105000],
      [info, 0x106000],
      ["purgatory", 0x10000000 - 0x4000],
    ]);
    expect(segmentOf(plan, "module 2").content).toEqual({ kind: "file", range: modules[1]?.range });
  });
  // Multiboot Specification 0.6.96, section 3.2.
  it("the signature in eax, the information in ebx", () =>
    expect(plan.target).toEqual({ mode: "32-bit", address: 0x100000, eax: 0x2badb002, ebx: 0x106000, esi: 0 }));
  // Section 3.3, by its offsets.
  it("the information", () => {
    const v = view(bytesOf(plan, info));
    const flags = v.getUint32(0, true);
    expect(flags & 0x24d).toBe(0x24d); // memory, command line, modules, map, loader's name
    expect([v.getUint32(4, true), v.getUint32(8, true)]).toEqual([640, 0x10000000 / 1024 - 1024]);
    expect(textAt(plan, v.getUint32(16, true))).toBe("xen.gz console=com1");
    expect(textAt(plan, v.getUint32(64, true))).toBe("slipway");
    expect(v.getUint32(20, true)).toBe(2);
    const at = v.getUint32(24, true) - 0x106000;
    const list = [0, 16].map((n) => [v.getUint32(at + n, true), v.getUint32(at + n + 4, true)]);
    expect(list).toEqual([
      [0x103000, 0x103000 + 0x1801],
      [0x105000, 0x105005],
    ]);
    expect([0, 16].map((n) => textAt(plan, v.getUint32(at + n + 8, true)))).toEqual(["initrd root=/dev/vda", "second"]);
    expect(v.getUint32(44, true)).toBe(3 * 24);
  });
  it("asks for a video mode: text is told of, nothing has to be said", () => {
    expect(plan.remarks).toEqual([]);
    expect(planned(elf, { context: { platform: { ...lowRam, bootParams: null } } }).remarks).toEqual([
      "the kernel asks for a video mode, and there is none to tell of",
    ]);
  });
  it("an ELF file for another machine", () =>
    refuses(
      () => planned(kernelPart(withWords(kernelImage("multiboot-elf32"), [16, 2 + 40 * 0x10000]))),
      new PlanError("an ELF file for x86 expected, this one is for machine 40, 32 bits, little-endian"),
    ));
  it("no module", () => expect(view(bytesOf(planned(elf), info)).getUint32(20, true)).toBe(0));
  it("an empty module is named, but takes no memory", () => {
    const empty = planned(elf, { modules: [{ range: { fd: 1, offset: 0, length: 0 }, commandLine: "empty" }] });
    const v = view(bytesOf(empty, info));
    const at = v.getUint32(24, true) - segmentOf(empty, info).address;
    expect([v.getUint32(at, true), v.getUint32(at + 4, true)]).toEqual([0, 0]);
  });
  it("below 4 GiB, whatever there is above", () => {
    const memory = [{ start: 0xe0000, end: 0x200000, type: "ram" } as const, ...memory12G.slice(3)];
    const low = planned(elf, { modules, context: { platform: platform({ memory }) } });
    expect(low.segments.every((s) => s.address + s.memoryBytes <= 2 ** 32)).toBe(true);
  });
  it("behind the kernel is no room: below it, from 1 MiB on", () => {
    const memory = [{ start: 0x100000, end: 0x300000, type: "ram" } as const];
    const flat = kernelPart(kernelImage("multiboot-flat"));
    const big = [{ range: { fd: 1, offset: 0, length: 0x100000 }, commandLine: "" }];
    const full = planned(flat, { modules: big, context: { platform: platform({ memory }) } });
    expect(segmentOf(full, "module 1").address).toBe(0x100000);
  });
  it("too many modules", () => {
    const many = Array.from(
      { length: 14 },
      (_, n): MultibootPart => ({ range: { fd: n, offset: 0, length: 1 }, commandLine: "" }),
    );
    expect(() => planned(elf, { modules: many })).toThrow(
      "19 segments, and kexec_load takes at most 16: kernel at 0xff000",
    );
  });
});

describe("Multiboot, a flat file with addresses", () => {
  // Its header's words, at 0x20 of the file: header 0x200020, load 0x20000c, load end 0x200050, bss end 0x200550, entry
  // 0x200040.
  const flat = kernelPart(kernelImage("multiboot-flat"));

  it("what the header names, and no more", () => {
    const plan = planned(flat);
    expect(plan.target).toMatchObject({ address: 0x200040, eax: 0x2badb002 });
    const { address, memoryBytes } = segmentOf(plan, "kernel");
    expect([address, memoryBytes]).toEqual([0x200000, 0x1000]);
    const bytes = bytesOf(plan, "kernel");
    expect(bytes).toHaveLength(0x50);
    expect(bytes.subarray(0, 0xc).every((byte) => byte === 0)).toBe(true);
    expect(bytes.subarray(0xc)).toEqual(kernelImage("multiboot-flat").subarray(0xc, 0x50));
  });
  it("flags that nobody knows are refused by number", () => {
    const flags = 0x10001 + 0x8008;
    const strange = withWords(kernelImage("multiboot-flat"), [0x24, flags], [0x28, -(0x1badb002 + flags)]);
    refuses(
      () => planned(kernelPart(strange)),
      new PlanError("the Multiboot header requires flags 3, 15, which this loader does not know"),
    );
  });
  it("no header", () =>
    refuses(
      () => planned(kernelPart(kernelImage("vmlinux"))),
      new PlanError("a Multiboot header expected in the first 8192 bytes"),
    ));
});

describe("Multiboot2", () => {
  /** The tags of the boot information: type → the offset of its tag (specification 2.0, section 3.6). */
  function tags(plan: ClassicPlan): Map<number, DataView> {
    const bytes = bytesOf(plan, info);
    const found = new Map<number, DataView>();
    for (let at = 8; ; ) {
      const type = view(bytes).getUint32(at, true);
      const size = view(bytes).getUint32(at + 4, true);
      found.set(type, view(bytes.subarray(at, at + size)));
      if (type === 0) return found;
      at += Math.ceil(size / 8) * 8;
    }
  }

  // All of its tags are listed in the file's source: entry 0x300001, relocatable 0x200000..0x3fffffff by 2 MiB, high.
  for (const name of ["multiboot2-elf32", "multiboot2-elf64"]) {
    const elf = kernelPart(kernelImage(name));
    const plan = planned(elf, { version: 2, modules });

    it(`${name}: moved as high as it may be`, () => {
      // From 0x2ff000 to 0x3000c8: by 2 MiB the highest place below 0x10000000 is 0xfe00000.
      expect(plan.segments.filter((s) => s.name === "kernel").map((s) => s.address)).toEqual([0xfe00000, 0xfe01000]);
      const { address } = segmentOf(plan, info);
      expect(plan.target).toEqual({ mode: "32-bit", address: 0xfe01001, eax: 0x36d76289, ebx: address, esi: 0 });
      expect(tags(plan).get(21)?.getUint32(8, true)).toBe(0xfe00000);
      expect(plan.remarks).toEqual(["the kernel asks for the ACPI root pointer, which cannot be read"]);
    });
    it(`${name}: what it is told`, () => {
      const list = tags(plan);
      expect([...list.keys()].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 6, 8, 21]);
      expect(list.get(3)?.getUint32(8, true)).toBe(segmentOf(plan, "module 2").address);
      expect(list.get(8)?.getUint32(8, true)).toBe(0xb8000);
      const rsdp = new Uint8Array(36);
      rsdp.set(new TextEncoder().encode("RSD PTR "));
      rsdp[15] = 2;
      rsdp[20] = 36;
      const told = planned(elf, { version: 2, context: { platform: { ...lowRam, rsdpBytes: rsdp } } });
      expect([tags(told).get(15)?.byteLength, told.remarks]).toEqual([44, []]);
    });
  }

  const file = kernelImage("multiboot2-elf32");
  /** Where a tag stands in the file: the header is at 0x1008, its tags follow in the order of the source. */
  const at = { request: 0x1018, console: 0x1050, framebuffer: 0x1060, relocatable: 0x10a8 } as const;

  it("the places of its tags", () => {
    const v = view(file);
    expect(v.getUint32(0x1008, true)).toBe(0xe85250d6);
    expect(Object.values(at).map((offset) => v.getUint16(offset, true))).toEqual([1, 4, 5, 10]);
  });

  const preferring = (preference: number, ...more: readonly (readonly [number, number])[]): KernelPart =>
    kernelPart(withWords(file, [at.relocatable + 20, preference], ...more));
  const base = (plan: ClassicPlan): number | undefined => plan.segments.find(({ name }) => name === "kernel")?.address;

  it("as low as it may be", () => expect(base(planned(preferring(1), { version: 2 }))).toBe(0x200000));
  it("no preference: where it was linked for, if that is right and free", () => {
    // 0x2ff000 is no multiple of 2 MiB.
    expect(base(planned(preferring(0), { version: 2 }))).toBe(0x200000);
    const page = [at.relocatable + 16, 0x1000] as const;
    expect(base(planned(preferring(0, page), { version: 2 }))).toBe(0x2ff000);
    const memory = [{ start: 0x300000, end: 0x10000000, type: "ram" } as const];
    const moved = planned(preferring(0, page), {
      version: 2,
      context: { platform: { ...platform({ memory }), bootParams: textScreen } },
    });
    expect(base(moved)).toBe(0x300000);
    expect(moved.target).toMatchObject({ address: 0x301001 });
  });
  it("nowhere", () => {
    const narrow = kernelPart(withWords(file, [at.relocatable + 8, 0x20000000], [at.relocatable + 12, 0x20ffffff]));
    refuses(
      () => planned(narrow, { version: 2 }),
      new PlacementError(
        "no room for the kernel: 4296 bytes (4.2 KiB) expected, aligned to 0x200000, in 0x20000000..0x21000000; nothing is free there",
      ),
    );
  });

  it("required information that it cannot have, by name", () =>
    refuses(
      () => planned(kernelPart(withWords(file, [at.request + 8, 9], [at.request + 12, 99])), { version: 2 }),
      new PlanError("the Multiboot2 header requires information that this loader has not: ELF symbols, type 99"),
    ));
  it("a required tag that nobody knows", () =>
    refuses(
      () => planned(kernelPart(withWords(file, [at.console, 77])), { version: 2 }),
      new PlanError("the Multiboot2 header requires tags 77, which this loader does not know"),
    ));
  it("screens", () => {
    const dark = { version: 2, context: { platform: { ...lowRam, bootParams: null } } } as const;
    refuses(
      () => planned(kernelPart(file), dark),
      new PlanError("the Multiboot2 header requires a console, and there is no screen to tell of"),
    );
    refuses(
      () => planned(kernelPart(withWords(file, [at.framebuffer, 5])), dark),
      new PlanError("the Multiboot2 header requires a frame buffer, and there is none to tell of"),
    );
    const console = withWords(file, [at.console + 8, 2]);
    expect(planned(kernelPart(console), dark).remarks).toContain(
      "the kernel asks for a frame buffer, and there is none to tell of",
    );
    // The purgatory leaves text where it writes.
    const vga = { vga: true, serial: null, resetVga: false };
    const plan = planned(kernelPart(file), { version: 2, context: { ...dark.context, console: vga } });
    expect(tags(plan).get(8)?.getUint8(29)).toBe(2);
  });
  it("another architecture", () => {
    const length = view(file).getUint32(0x1010, true);
    const mips = withWords(file, [0x100c, 4], [0x1014, -(0xe85250d6 + 4 + length)]);
    refuses(
      () => planned(kernelPart(mips), { version: 2 }),
      new PlanError("the Multiboot2 header is for architecture mips; i386 expected"),
    );
  });
  it("addresses in a flat file", () => {
    const plan = planned(kernelPart(kernelImage("multiboot2-flat")), { version: 2 });
    expect(plan.target).toMatchObject({ address: 0x400000, eax: 0x36d76289 });
    expect(kernelSegments(plan)).toEqual([[0x400000, 0x1000, fileAt(0, 72)]]);
    expect(tags(plan).has(21)).toBe(false);
  });
  it("no header", () =>
    refuses(
      () => planned(kernelPart(kernelImage("multiboot-flat")), { version: 2 }),
      new PlanError("a Multiboot2 header expected in the first 32768 bytes"),
    ));
});

describe("both", () => {
  it("never for a crash", () =>
    refuses(
      () => planMultiboot(kernelPart(kernelImage("multiboot-flat")), [], crashContext(), 1),
      new PlanError("a Multiboot kernel cannot be a capture kernel: a Linux kernel expected"),
    ));
  it("whatever stands in the headers: a sound plan or a sentence", () => {
    const numbers = randomNumbers(20260804);
    const random = (below: number): number => (numbers() >>> 8) % below;
    let plans = 0;
    const rows = [
      [1, "multiboot-elf32", [0, 52, 0x1000, 0x1034]],
      [1, "multiboot-flat", [0x20, 0x40]],
      [2, "multiboot2-elf32", [0x1008, 0x10c8]],
      [2, "multiboot2-flat", [0x08, 0x48]],
    ] as const;
    for (let round = 0; round < 1600; round++) {
      const [version, name, where] = rows[random(4)] ?? rows[0];
      const file = kernelImage(name);
      const pair = random(where.length / 2) * 2;
      const [from = 0, to = 1] = where.slice(pair, pair + 2);
      for (let n = random(2); n >= 0; n--) file[from + random(to - from)] = random(256);
      try {
        planned(kernelPart(file), { version, modules });
        plans++;
      } catch (error) {
        if (!(error instanceof PlanError)) throw error;
      }
    }
    expect(plans).toBeGreaterThan(200);
  });
});
