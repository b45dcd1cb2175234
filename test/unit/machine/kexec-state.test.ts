import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type KexecState, readKexecState } from "../../../src/machine/kexec-state.ts";

const made: string[] = [];
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true });
});

/** The state of a machine whose /sys and /proc hold these files. */
function state(files: Readonly<Record<string, string | Uint8Array>>): KexecState {
  const root = mkdtempSync(path.join(tmpdir(), "slipway-state-"));
  made.push(root);
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(root, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  return readKexecState({ sysfs: path.join(root, "sys"), proc: path.join(root, "proc") });
}

describe("readKexecState", () => {
  it("a machine that tells nothing", () =>
    expect(state({})).toEqual({
      loaded: null,
      crashLoaded: null,
      crashBytes: null,
      disabled: null,
      limitReboot: null,
      limitPanic: null,
      lockdown: null,
      secureBoot: null,
      appraised: null,
      permitted: null,
      handover: false,
      modules: [],
    }));
  it("what is loaded", () => {
    const told = state({ "sys/kernel/kexec_loaded": "1\n", "sys/kernel/kexec_crash_loaded": "0\n" });
    expect([told.loaded, told.crashLoaded]).toEqual([true, false]);
  });
  it("the directory of newer kernels comes first", () => {
    const files = { "sys/kernel/kexec/loaded": "1\n", "sys/kernel/kexec_loaded": "0\n" };
    expect(state(files).loaded).toBe(true);
  });
  it("the crash region", () =>
    expect(state({ "sys/kernel/kexec_crash_size": "268435456\n" }).crashBytes).toBe(268_435_456));
  it("limits: -1 is none", () => {
    const told = state({
      "proc/sys/kernel/kexec_load_limit_reboot": "-1\n",
      "proc/sys/kernel/kexec_load_limit_panic": "0\n",
      "proc/sys/kernel/kexec_load_disabled": "1\n",
    });
    expect([told.limitReboot, told.limitPanic, told.disabled]).toEqual([null, 0, true]);
  });

  const lockdown = (line: string, wanted: KexecState["lockdown"]): void =>
    it(`lockdown ${line}`, () => expect(state({ "sys/kernel/security/lockdown": `${line}\n` }).lockdown).toBe(wanted));
  lockdown("[none] integrity confidentiality", "none");
  lockdown("none [integrity] confidentiality", "integrity");
  lockdown("none integrity [confidentiality]", "confidentiality");
  lockdown("none integrity confidentiality", null);

  const variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
  it("Secure Boot on", () => expect(state({ [variable]: Uint8Array.of(6, 0, 0, 0, 1) }).secureBoot).toBe(true));
  it("Secure Boot off", () => expect(state({ [variable]: Uint8Array.of(6, 0, 0, 0, 0) }).secureBoot).toBe(false));
  it("a variable of another length", () => expect(state({ [variable]: Uint8Array.of(6, 0) }).secureBoot).toBe(null));

  it("an IMA policy that appraises kernels", () => {
    const policy = "measure func=BPRM_CHECK\nappraise func=KEXEC_KERNEL_CHECK appraise_type=imasig\n";
    expect(state({ "sys/kernel/security/ima/policy": policy }).appraised).toBe(true);
  });
  it("one that only measures them", () =>
    expect(state({ "sys/kernel/security/ima/policy": "measure func=KEXEC_KERNEL_CHECK\n" }).appraised).toBe(false));
  it("the built-in policy of secure boot", () =>
    expect(state({ "proc/cmdline": 'quiet ima_policy="tcb|secure_boot"\n' }).appraised).toBe(true));

  // capsh --decode=0000000000400000 names CAP_SYS_BOOT.
  it("the capability", () => expect(state({ "proc/self/status": "CapEff:\t0000000000400000\n" }).permitted).toBe(true));
  it("without it", () => expect(state({ "proc/self/status": "CapEff:\t000001ffffbfffff\n" }).permitted).toBe(false));

  const handover = (line: string, wanted: boolean): void =>
    it(`kexec handover: ${line}`, () => expect(state({ "proc/cmdline": `${line}\n` }).handover).toBe(wanted));
  handover("quiet kho=on", true);
  handover("kho=on kho=off", false);
  handover("akho=on", false);
  it("loaded modules", () =>
    expect(state({ "proc/modules": "amdgpu 1 0 - Live 0x0\nloop 2 0 - Live 0x0\n" }).modules).toEqual([
      "amdgpu",
      "loop",
    ]));
});
