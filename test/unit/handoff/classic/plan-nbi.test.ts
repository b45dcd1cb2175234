import { describe, expect, it } from "vitest";
import { PlacementError } from "../../../../src/handoff/classic/placement.ts";
import { type ClassicPlan, PlanError } from "../../../../src/handoff/classic/plan.ts";
import type { PlanContext } from "../../../../src/handoff/classic/plan-context.ts";
import { planNbi } from "../../../../src/handoff/classic/plan-nbi.ts";
import { bytesOf, crashContext, expectSound, kernelPart, planContext, segmentOf } from "../../../fakes/plan-context.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";

interface Record {
  readonly address: number;
  readonly content: string;
  readonly memoryBytes: number;
}

/** A tagged image: the header block is loaded to 0x92:0 × 0x100 = 0x92000 + `offset`. All records are absolute. */
function image(entry32: boolean, entry: number, records: readonly Record[], headerAddress = 0x92000): Uint8Array {
  const total = records.reduce((sum, { content }) => sum + content.length, 512);
  const bytes = Buffer.alloc(total);
  bytes.writeUInt32LE(0x1b031336, 0);
  bytes.writeUInt32LE((entry32 ? 2 ** 31 : 0) + 4, 4);
  bytes.writeUInt16LE(headerAddress % 16, 8);
  bytes.writeUInt16LE(Math.floor(headerAddress / 16), 10);
  bytes.writeUInt32LE(entry, 12);
  let data = 512;
  records.forEach(({ address, content, memoryBytes }, index) => {
    const at = 16 + index * 16;
    bytes[at] = 4;
    bytes[at + 3] = index === records.length - 1 ? 4 : 0;
    bytes.writeUInt32LE(address, at + 4);
    bytes.writeUInt32LE(content.length, at + 8);
    bytes.writeUInt32LE(memoryBytes, at + 12);
    bytes.write(content, data);
    data += content.length;
  });
  return bytes;
}

const code: Record = { address: 0x10000, content: "code", memoryBytes: 0x1800 };
const data: Record = { address: 0x100000, content: "more data", memoryBytes: 0x3000 };

function planned(bytes: Uint8Array, own: Partial<PlanContext> = {}): ClassicPlan {
  const context = planContext({ commandLine: "", ...own });
  const plan = planNbi(kernelPart(bytes), context);
  expectSound(plan, context);
  return plan;
}

describe("a net boot image", () => {
  it("in 16-bit mode: header and segments where they belong, a stack, the purgatory below 640 KiB", () => {
    const plan = planned(image(false, 0x1000_0004, [code, data]));
    const places = plan.segments.map(({ name, address, memoryBytes }) => [name, address, memoryBytes]);
    expect(places).toEqual([
      ["kernel", 0x10000, 0x2000],
      ["kernel", 0x92000, 0x1000],
      ["stack", 0x9a000, 0x1000],
      ["purgatory", 0x9b000, 0x4000],
      ["kernel", 0x100000, 0x3000],
    ]);
    expect(plan.target).toEqual({ mode: "16-bit", cs: 0x1000, ip: 4, ds: 0, ss: 0x9a00, sp: 0x1000 });
    expect(plan.segments[0]?.content).toEqual({ kind: "file", range: { fd: 10, offset: 512, length: 4 } });
    expect(plan.segments[1]?.content).toEqual({ kind: "file", range: { fd: 10, offset: 0, length: 512 } });
    expect(plan.segments[4]?.content).toEqual({ kind: "file", range: { fd: 10, offset: 516, length: 9 } });
    expect([plan.commandLine, plan.remarks]).toEqual(["", []]);
  });
  it("in 32-bit mode: nothing in the registers", () =>
    expect(planned(image(true, 0x100000, [data])).target).toEqual({
      mode: "32-bit",
      address: 0x100000,
      eax: 0,
      ebx: 0,
      esi: 0,
    }));
  it("a header that shares a page with a segment: they are put together", () => {
    const plan = planned(image(true, 0x100000, [{ ...code, address: 0x90500 }], 0x90300));
    expect(segmentOf(plan, "kernel")).toMatchObject({ address: 0x90000, memoryBytes: 0x2000 });
    const bytes = bytesOf(plan, "kernel");
    expect(new TextDecoder().decode(bytes.subarray(0x500))).toBe("code");
    expect(bytes[0x300]).toBe(0x36);
  });
  it("takes no command line", () =>
    expect(planned(image(true, 0x100000, [data]), { commandLine: "quiet" }).remarks).toEqual([
      "the command line is passed to nobody: a net boot image takes none",
    ]));
});

describe("what cannot be", () => {
  const refuses = (act: () => unknown, error: PlanError): void => expect(act).toThrow(error);
  it("where there is no RAM", () =>
    refuses(
      () => planned(image(true, 0xf0000, [{ ...code, address: 0xf0000 }])),
      new PlacementError(
        "the kernel has to lie at 0xf0000..0xf2000: RAM expected, but 0xf0000..0xf2000 cannot be used",
      ),
    ));
  it("a capture kernel", () =>
    refuses(
      () => planNbi(kernelPart(image(true, 0x100000, [data])), crashContext()),
      new PlanError("a net boot image cannot be a capture kernel: a Linux kernel expected"),
    ));
  it("cut off anywhere", () => {
    const whole = image(false, 0x1000_0004, [code, data]);
    for (let end = 0; end < whole.length; end++) expect(() => planned(whole.subarray(0, end))).toThrow(PlanError);
  });
  it("whatever stands there: a sound plan or a sentence", () => {
    const numbers = randomNumbers(20260805);
    const random = (below: number): number => (numbers() >>> 8) % below;
    let plans = 0;
    for (let round = 0; round < 1500; round++) {
      const bytes = Uint8Array.from(image(random(2) === 0, 0x1000_0004, [code, data]));
      for (let n = random(3); n >= 0; n--) bytes[random(48)] = random(256);
      try {
        planned(bytes);
        plans++;
      } catch (error) {
        if (!(error instanceof PlanError)) throw error;
      }
    }
    expect(plans).toBeGreaterThan(100);
  });
});
