import { describe, expect, it } from "vitest";
import { elfBootNotes } from "../../../../src/handoff/classic/elf-boot-notes.ts";
import { PlacementError } from "../../../../src/handoff/classic/placement.ts";
import { type ClassicPlan, PlanError } from "../../../../src/handoff/classic/plan.ts";
import type { KernelPart, PlanContext } from "../../../../src/handoff/classic/plan-context.ts";
import { type ElfArguments, planElf } from "../../../../src/handoff/classic/plan-elf.ts";
import type { FileRange } from "../../../../src/linux/system.ts";
import { kernelImage, withWords } from "../../../fakes/kernel-image.ts";
import {
  bytesOf,
  expectSound,
  initrdOf,
  kernelPart,
  memory12G,
  planContext,
  platform,
  segmentOf,
} from "../../../fakes/plan-context.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";

// readelf -lW: 0x40 bytes from 0x1000 of the file at 0x1000000; 8 bytes from 0x2000 at 0x1200000, 0x4000 of memory; 8
// bytes from 0x3000 at 0x1400000. Entry point 0x1000000, a physical address.
const vmlinux = kernelPart(kernelImage("vmlinux"));
// readelf -lW: 0x94 bytes from 0 at 0xff000; 0x34 bytes from 0x1000 at 0x100000; 0x1234 of zeroes at 0x101000. Entry
// 0x100000.
const elf32 = kernelPart(kernelImage("multiboot-elf32"));
/** A machine that has RAM where the linker put the headers of such a file. */
const withHoleFilled = platform({
  memory: [
    { start: 0, end: 0xa0000, type: "ram" },
    { start: 0xe0000, end: 0x8000000, type: "ram" },
  ],
});

function planned(
  args: ElfArguments,
  kernel: KernelPart = vmlinux,
  own: Partial<PlanContext> = {},
  initrd: FileRange | null = null,
): ClassicPlan {
  const context = planContext(own);
  const plan = planElf(kernel, initrd, context, args);
  expectSound(plan, context);
  return plan;
}

function refuses(act: () => unknown, error: PlanError): void {
  expect(act).toThrow(error);
}

const kernelSegments = (plan: ClassicPlan): unknown =>
  plan.segments
    .filter(({ name }) => name === "kernel")
    .map(({ address, memoryBytes, content }) => [address, memoryBytes, content]);
const fileAt = (offset: number, length: number): unknown => ({ kind: "file", range: { fd: 10, offset, length } });
const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

describe("a vmlinux of 64 bits", () => {
  const plan = planned("linux", vmlinux, { platform: platform({ memory: memory12G }) }, initrdOf(2 ** 20));

  it("each segment of the file where it says, with its zeroes", () =>
    expect(kernelSegments(plan)).toEqual([
      [0x1000000, 0x1000, fileAt(0x1000, 0x40)],
      [0x1200000, 0x4000, fileAt(0x2000, 8)],
      [0x1400000, 0x1000, fileAt(0x3000, 8)],
    ]));
  it("entered in 64-bit mode with the parameters in rsi, which may lie anywhere", () => {
    const { address } = segmentOf(plan, "boot parameters");
    expect(plan.target).toEqual({ mode: "64-bit", address: 0x1000000, rsi: address });
    expect(address).toBeGreaterThan(2 ** 32);
  });
  it("parameters with a header that is made up", () => {
    const v = view(bytesOf(plan, "boot parameters"));
    expect(v.getUint32(0x202, false)).toBe(0x48647253); // HdrS
    expect(v.getUint32(0x228, true)).toBe((segmentOf(plan, "boot parameters").address + 4096) % 2 ** 32);
    expect(v.getUint32(0xc0, true) * 2 ** 32 + v.getUint32(0x218, true)).toBe(segmentOf(plan, "initrd").address);
    expect(v.getUint8(0x1e8)).toBe(memory12G.length);
  });
  it("a virtual entry point is translated", () =>
    expect(planned("linux", kernelPart(kernelImage("vmlinux-virtual-entry"))).target).toMatchObject({
      address: 0x1000020,
    }));
  it("a command line that is too long", () =>
    refuses(
      () => planned("linux", vmlinux, { commandLine: "x".repeat(2048) }),
      new PlanError("the command line has 2048 bytes; this kernel takes at most 2047"),
    ));
  it("5-level page tables are remarked: nothing in the file tells", () =>
    expect(planned("linux", vmlinux, { platform: platform({ fiveLevelPaging: true }) }).remarks).toEqual([
      "this machine runs with 5-level page tables; whether a vmlinux can be entered with them does not show: " +
        "if it does not start, use the bzImage, or start the running kernel with no5lvl",
    ]));
  it("where it has to be is no RAM", () =>
    refuses(
      () => planned("linux", vmlinux, { bounds: { start: 0, end: 0x1300000 } }),
      new PlacementError("the kernel has to lie at 0x1400000..0x1401000, outside 0x0..0x1300000, where parts may lie"),
    ));
});

describe("an ELF image of 32 bits", () => {
  it("Linux: parameters in esi, all below 4 GiB", () => {
    const plan = planned("linux", elf32, { platform: withHoleFilled });
    const { address } = segmentOf(plan, "boot parameters");
    expect(plan.target).toEqual({ mode: "32-bit", address: 0x100000, eax: 0, ebx: 0, esi: address });
    expect(kernelSegments(plan)).toEqual([
      [0xff000, 0x1000, fileAt(0, 0x94)],
      [0x100000, 0x1000, fileAt(0x1000, 0x34)],
      [0x101000, 0x2000, fileAt(0, 0)],
    ]);
  });
  it("ELF boot notes: the signature in eax, their address in ebx and as an argument", () => {
    const plan = planned("elf", elf32, { platform: withHoleFilled });
    const { address } = segmentOf(plan, "ELF boot notes");
    const registers = { eax: 0x0e1fb007, ebx: address, esi: 0 };
    expect(plan.target).toEqual({ mode: "32-bit", address: 0x100000, ...registers, argument: address });
    expect(bytesOf(plan, "ELF boot notes")).toEqual(elfBootNotes("slipway", "console=ttyS0 quiet"));
  });
  it("nothing", () => {
    const plan = planned("none", elf32, { platform: withHoleFilled });
    expect(plan.target).toEqual({ mode: "32-bit", address: 0x100000, eax: 0, ebx: 0, esi: 0 });
    expect(plan.segments.map(({ name }) => name)).toEqual(["kernel", "kernel", "kernel", "purgatory"]);
    expect([plan.commandLine, plan.remarks]).toEqual([
      "",
      ["the command line is passed to nobody: --args-none means none"],
    ]);
    expect(planned("none", elf32, { platform: withHoleFilled, commandLine: "" }).remarks).toEqual([]);
  });
  it("a segment where a PC has no RAM", () =>
    refuses(
      () => planned("none", elf32),
      new PlacementError(
        "the kernel has to lie at 0xff000..0x100000: RAM expected, but 0xff000..0x100000 cannot be used",
      ),
    ));
});

describe("an ELF image of 64 bits that is not Linux", () => {
  it("ELF boot notes as an argument", () => {
    const plan = planned("elf");
    const argument = segmentOf(plan, "ELF boot notes").address;
    expect(plan.target).toEqual({ mode: "64-bit", address: 0x1000000, rsi: 0, argument });
  });
  it("nothing", () => expect(planned("none").target).toEqual({ mode: "64-bit", address: 0x1000000, rsi: 0 }));
});

describe("what cannot be", () => {
  it("an initrd for what takes none", () => {
    for (const args of ["elf", "none"] as const) {
      refuses(
        () => planned(args, vmlinux, {}, initrdOf(1)),
        new PlanError(`an ELF image with --args-${args} takes no initrd; --args-linux does`),
      );
    }
  });
  const file = kernelImage("vmlinux");
  const typed = (type: number, machine: number): KernelPart =>
    kernelPart(withWords(file, [16, type + machine * 0x10000]));
  it("a file that is position-independent", () =>
    refuses(
      () => planned("linux", typed(3, 62)),
      new PlanError("an executable ELF file expected, this one is of type shared"),
    ));
  it("another machine", () => {
    refuses(
      () => planned("linux", typed(2, 183)),
      new PlanError("an ELF file for x86 expected, this one is for machine 183, 64 bits, little-endian"),
    );
    refuses(
      () => planned("linux", typed(2, 3)),
      new PlanError("an ELF file for x86 expected, this one is for machine 3, 64 bits, little-endian"),
    );
  });
  it("segments that overlap", () =>
    refuses(
      () => planned("linux", kernelPart(withWords(file, [64 + 56 + 24, 0x1000020]))),
      new PlanError("elf: PT_LOAD: segments at 0x1000000 and 0x1000020 overlap"),
    ));
  it("a file that is cut off", () => {
    for (let end = 0; end < 0x3008; end += 7) {
      expect(() => planned("linux", kernelPart(file.subarray(0, end)))).toThrow(PlanError);
    }
  });
  it("whatever stands in its headers: a sound plan or a sentence", () => {
    const numbers = randomNumbers(20260803);
    const random = (below: number): number => (numbers() >>> 8) % below;
    let plans = 0;
    for (let round = 0; round < 1500; round++) {
      const changed = file.slice();
      for (let n = random(3); n >= 0; n--) changed[random(64 + 4 * 56)] = random(256);
      const args = (["linux", "elf", "none"] as const)[random(3)] ?? "linux";
      try {
        planned(args, kernelPart(changed));
        plans++;
      } catch (error) {
        if (!(error instanceof PlanError)) throw error;
      }
    }
    expect(plans).toBeGreaterThan(200);
  });
});

describe("segments that share pages", () => {
  // The second and third segment of the file are moved behind the first, into its page.
  const close = kernelImage("vmlinux");
  const moved = kernelPart(withWords(close, [64 + 56 + 24, 0x1000080], [64 + 112 + 24, 0x1000000 + 0x4080 + 0x10]));

  it("are put together, with zeroes between them", () => {
    const plan = planned("none", moved);
    expect(plan.segments.map(({ name, address, memoryBytes }) => [name, address, memoryBytes]).slice(0, 1)).toEqual([
      ["kernel", 0x1000000, 0x5000],
    ]);
    const bytes = bytesOf(plan, "kernel");
    expect(bytes).toHaveLength(0x4098);
    expect(bytes.subarray(0, 0x40)).toEqual(close.subarray(0x1000, 0x1040));
    expect(bytes.subarray(0x80, 0x88)).toEqual(close.subarray(0x2000, 0x2008));
    expect(bytes.subarray(0x4090, 0x4098)).toEqual(close.subarray(0x3000, 0x3008));
    expect(bytes.subarray(0x88, 0x4090).every((byte) => byte === 0)).toBe(true);
  });
  it("a first segment that does not start with a page", () => {
    const plan = planned("none", kernelPart(withWords(close, [24, 0x1000123], [64 + 24, 0x1000123])));
    const [first] = plan.segments;
    expect([first?.address, first?.memoryBytes]).toEqual([0x1000000, 0x1000]);
    const content = first?.content;
    expect(content?.kind === "bytes" && content.bytes.subarray(0x123)).toEqual(close.subarray(0x1000, 0x1040));
  });
  it("but not without bounds", () => {
    const far = kernelPart(
      withWords(close, [64 + 56 + 24, 0x1000080], [64 + 56 + 40, 0x6000000], [64 + 112 + 24, 0x7000080]),
    );
    refuses(
      () => planned("none", far),
      new PlanError(
        "the pieces of the image from 0x1000000 share pages: 100663432 bytes (96 MiB) to put together, at most 67108864 bytes (64 MiB) are taken",
      ),
    );
  });
  it("nor all together, when every segment is the same bytes of the file", () => {
    // p_offset 0, p_paddr, p_filesz and p_memsz (32 MiB) of all three segments; none starts with a page.
    const same = [0x1000123, 0x4000123, 0x7000123].flatMap((address, n): [number, number][] => {
      const at = 64 + n * 56;
      return [
        [at + 8, 0],
        [at + 24, address],
        [at + 32, 0x2000000],
        [at + 40, 0x2000000],
      ];
    });
    const file = kernelPart(withWords(close, [24, 0x1000123], ...same), 0x2000000);
    refuses(
      () => planned("none", file),
      new PlanError(
        "the pieces of the image from 0x1000000 share pages: 100664169 bytes (96 MiB) to put together, at most 67108864 bytes (64 MiB) are taken",
      ),
    );
  });
});

describe("ELF boot notes", () => {
  // By hand, from elf_boot.h: signature, size, checksum, records; then namesz 0, descsz, type, text padded to words.
  const notes = elfBootNotes("slipway", "quiet");
  const words = Array.from({ length: notes.length / 4 }, (_, n) => view(notes).getUint32(n * 4, true));
  it("header and two notes", () => {
    expect(notes).toHaveLength(12 + 12 + 8 + 12 + 8);
    expect(words[0]).toBe(0x0e1fb007);
    expect(words[1]).toBe(52);
    expect(view(notes).getUint16(10, true)).toBe(2);
    expect(words.slice(3, 6)).toEqual([0, 8, 2]);
    expect(new TextDecoder().decode(notes.subarray(24, 32))).toBe("slipway\0");
    expect(words.slice(8, 11)).toEqual([0, 6, 4]);
    expect(new TextDecoder().decode(notes.subarray(44))).toBe("quiet\0\0\0");
  });
  it("the checksum makes the whole sum up to ones (RFC 1071)", () => {
    for (const line of ["", "quiet", "x".repeat(3000), "\xff".repeat(999)]) {
      const bytes = elfBootNotes("slipway", line);
      let sum = 0;
      for (let at = 0; at < bytes.length; at += 2) sum += view(bytes).getUint16(at, true);
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
      expect(sum).toBe(0xffff);
    }
  });
  it("no NUL inside", () =>
    refuses(
      () => planned("elf", vmlinux, { commandLine: "a\0b" }),
      new PlanError("elf boot notes: command line: text without NUL expected"),
    ));
});
