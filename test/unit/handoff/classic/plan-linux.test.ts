import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { ClassicPlan } from "../../../../src/handoff/classic/plan.ts";
import { planBzImage } from "../../../../src/handoff/classic/plan-bzimage.ts";
import type { PlanContext } from "../../../../src/handoff/classic/plan-context.ts";
import { bytesOf, expectSound, kernelPart, planContext, platform, segmentOf } from "../../../fakes/plan-context.ts";

const head = gunzipSync(readFileSync(new URL("../../../data/bzimage/debian-6.1-cloud-head.gz", import.meta.url)));
/** vmlinuz-6.1.0-56-cloud-amd64. */
const debian = kernelPart(head, 14_186_432);

function planned(own: Partial<PlanContext>): ClassicPlan {
  const context = planContext(own);
  const plan = planBzImage(debian, null, context, "64-bit");
  expectSound(plan, context);
  return plan;
}

/** The chain of setup data as a kernel follows it, from boot_params on (boot.rst, zero-page.rst): type and payload. */
function chainOf(plan: ClassicPlan): (readonly [type: string, data: Uint8Array])[] {
  const { address, memoryBytes } = segmentOf(plan, "setup data");
  const bytes = Buffer.alloc(memoryBytes);
  bytes.set(bytesOf(plan, "setup data"));
  const parameters = Buffer.from(bytesOf(plan, "boot parameters"));
  const found: (readonly [type: string, data: Uint8Array])[] = [];
  for (let next = Number(parameters.readBigUInt64LE(0x250)); next !== 0; ) {
    const at = next - address;
    const end = at + 16 + bytes.readUInt32LE(at + 12);
    expect(end).toBeLessThanOrEqual(memoryBytes);
    found.push([`0x${bytes.readUInt32LE(at + 8).toString(16)}`, Uint8Array.from(bytes.subarray(at + 16, end))]);
    next = Number(bytes.readBigUInt64LE(at));
  }
  return found;
}

const typesOf = (plan: ClassicPlan): string[] => chainOf(plan).map(([type]) => type);

describe("further records of setup data", () => {
  const data = Uint8Array.from({ length: 300_001 }, (_, n) => n % 251);
  const setupData = [
    { type: 0x534c5052, data: Uint8Array.of(1, 2, 3) },
    { type: 0x534c5045, data },
  ];
  it("stand behind what the kernel itself is told", () => {
    const [seed, ...further] = chainOf(planned({ setupData }));
    expect(seed?.[0]).toBe("0x9");
    expect(further).toEqual([
      ["0x534c5052", Uint8Array.of(1, 2, 3)],
      ["0x534c5045", data],
    ]);
  });
  it("none, where none are given", () => expect(typesOf(planned({}))).toEqual(["0x9"]));
  it("those of the running kernel are not passed on", () => {
    const bootParams = new Uint8Array(4096);
    new DataView(bootParams.buffer).setBigUint64(0x250, 0x12340000n, true);
    const running = { platform: platform({ bootParams }) };
    expect(typesOf(planned(running))).toEqual(["0x9"]);
    expect(typesOf(planned({ ...running, setupData }))).toEqual(["0x9", "0x534c5052", "0x534c5045"]);
  });
});
