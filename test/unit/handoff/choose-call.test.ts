import { describe, expect, it } from "vitest";
import { ChoiceError, chooseCall } from "../../../src/handoff/choose-call.ts";
import type { KernelFile } from "../../../src/handoff/kernel-file.ts";
import {
  type ClassicOptions,
  type LoadRequest,
  noClassicOptions,
  plainRequest,
} from "../../../src/handoff/load-request.ts";
import type { KexecState } from "../../../src/machine/kexec-state.ts";
import { kexecState } from "../../fakes/kexec-state.ts";

function kernel(imageKind: KernelFile["imageKind"]): KernelFile {
  return {
    name: "/boot/vmlinuz",
    kind: imageKind,
    imageKind,
    image: { fd: -1, offset: 0, length: 1 },
    container: { fd: -1, offset: 0, length: 1 },
    read: () => new Uint8Array(),
    wrapping: null,
    enclosed: null,
    problemWith: () => null,
    remarks: [],
    [Symbol.dispose]() {},
  };
}

interface Case extends Partial<Omit<LoadRequest, "kernel" | "classic">> {
  readonly kind?: KernelFile["imageKind"];
  readonly classic?: Partial<ClassicOptions>;
  readonly state?: Partial<KexecState>;
}

function choose({ kind = "bzImage64", classic = {}, state = {}, ...own }: Case): ReturnType<typeof chooseCall> {
  const request = {
    ...plainRequest,
    commandLine: "",
    ...own,
    kernel: kernel(kind),
    classic: { ...noClassicOptions, ...classic },
  };
  return chooseCall(request, kexecState(state));
}

describe("chooseCall", () => {
  const chooses = (name: string, given: Case, call: string, fallback: string | null, reason: RegExp): void =>
    it(name, () => {
      const choice = choose(given);
      expect([choice.call, choice.fallback]).toEqual([call, fallback]);
      expect(choice.reason).toMatch(reason);
    });
  chooses("nothing special", {}, "classic", "file", /covers the files/);
  chooses("verified bytes", { digest: "verified" }, "classic", "file", /sealed memory an instant ago/);
  chooses("no checks", { digest: "never" }, "classic", "file", /without a digest/);
  chooses("-s", { call: "file" }, "file", null, /^-s/);
  chooses("-c", { call: "classic" }, "classic", null, /^-c/);
  chooses(
    "-c under lockdown is the operator's wish",
    { call: "classic", state: { lockdown: "integrity" } },
    "classic",
    null,
    /^-c/,
  );
  chooses("lockdown", { state: { lockdown: "integrity" } }, "file", null, /locked down \(integrity\)/);
  chooses("IMA", { state: { appraised: true } }, "file", null, /IMA/);
  chooses("kexec handover", { state: { handover: true } }, "file", null, /kho=on/);
  chooses("for a crash", { onCrash: true }, "file", "classic", /headers itself/);
  chooses("an ELF kernel", { kind: "elf-x86_64" }, "classic", null, /does not take elf-x86_64/);
  chooses("an ELF kernel for a crash", { kind: "elf-x86_64", onCrash: true }, "classic", null, /does not take/);
  chooses("memory bounds", { classic: { memoryMin: 4096 } }, "classic", null, /--mem-min/);
  chooses("a limit that has not been reached", { state: { limitReboot: 1 } }, "classic", "file", /./);
  chooses(
    "unknown facts are no obstacle",
    { state: { permitted: null, disabled: null, lockdown: null } },
    "classic",
    "file",
    /./,
  );

  const refuses = (name: string, given: Case, message: RegExp): void =>
    it(name, () => {
      expect(() => choose(given)).toThrow(ChoiceError);
      expect(() => choose(given)).toThrow(message);
    });
  refuses("-s with bounds", { call: "file", classic: { memoryMax: 1 } }, /takes no --mem-max: leave out -s/);
  refuses("-s with an ELF kernel", { call: "file", kind: "elf-x86" }, /is elf-x86/);
  refuses(
    "bounds under lockdown",
    { classic: { memoryMax: 1 }, state: { lockdown: "confidentiality" } },
    /only kexec_load can do this/,
  );
  refuses(
    "multiboot under lockdown",
    { kind: "multiboot-x86", state: { lockdown: "integrity" } },
    /only kexec_load can start this/,
  );
  refuses(
    "without the capability",
    { state: { permitted: false } },
    /^kexec_load failed: Operation not permitted: .*CAP_SYS_BOOT/,
  );
  refuses(
    "disabled",
    { call: "file", state: { disabled: true } },
    /^kexec_file_load failed: Operation not permitted: .*kexec_load_disabled/,
  );
  refuses("no load left", { state: { limitReboot: 0 } }, /kexec_load_limit_reboot is 0/);
  refuses("no crash load left", { onCrash: true, state: { limitPanic: 0 } }, /kexec_load_limit_panic is 0/);
});
