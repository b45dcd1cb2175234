import { describe, expect, it } from "vitest";
import { rangesOf } from "../../../src/formats/ranges.ts";
import type { KernelFile } from "../../../src/handoff/kernel-file.ts";
import { type LoadRequest, noClassicOptions, plainRequest } from "../../../src/handoff/load-request.ts";
import { type LoadPlan, planLoad } from "../../../src/handoff/plan-load.ts";
import { bzImageHead } from "../../fakes/bzimage-head.ts";
import { kexecState, machineFacts } from "../../fakes/kexec-state.ts";
import { fakeSystem } from "../../fakes/system.ts";

/** A bzImage of 4096 bytes behind its setup code. */
function kernel(): KernelFile {
  const bytes = Buffer.concat([bzImageHead(), Buffer.alloc(4096)]);
  bytes.writeUInt32LE(4096 / 16, 0x1f4);
  return {
    name: "/boot/vmlinuz",
    kind: "bzImage64",
    imageKind: "bzImage64",
    image: { fd: -1, offset: 0, length: bytes.length },
    container: { fd: -1, offset: 0, length: bytes.length },
    read: rangesOf(bytes),
    wrapping: null,
    enclosed: null,
    problemWith: () => null,
    remarks: ["it was unwrapped"],
    [Symbol.dispose]() {},
  };
}

function plans(own: Partial<LoadRequest>, lockdown: "none" | "integrity" = "none"): Promise<LoadPlan> {
  const request = { ...plainRequest, commandLine: "quiet", kernel: kernel(), ...own };
  return planLoad(fakeSystem(), request, kexecState({ lockdown }), machineFacts());
}

// The machine that runs the tests is what is planned for; what it is made of does not matter here.
describe("planLoad", () => {
  it("the file call needs no look at the machine", async () => {
    const plan = await plans({ call: "file" });
    expect(plan).toMatchObject({ call: "file", remarks: ["it was unwrapped"] });
  });
  it("what finds no room is refused: the running kernel might place it where it cannot start", async () => {
    const huge = { fd: -1, offset: 0, length: 2 ** 50 };
    const machine = machineFacts({ memoryBytes: null });
    const request = { ...plainRequest, commandLine: "", kernel: kernel(), initrd: huge, call: "classic" } as const;
    await expect(planLoad(fakeSystem(), request, kexecState(), machine)).rejects.toThrow(/no room|memory/);
  });
  it("what only kexec_load can do is not left out", async () => {
    const huge = { fd: -1, offset: 0, length: 2 ** 50 };
    const classic = { ...noClassicOptions, noEfi: true };
    const machine = machineFacts({ memoryBytes: null });
    const request = { ...plainRequest, commandLine: "", kernel: kernel(), initrd: huge, classic };
    await expect(planLoad(fakeSystem(), request, kexecState(), machine)).rejects.toThrow(/no room|memory/);
  });
});
