import type { KexecState } from "../../src/machine/kexec-state.ts";
import type { MachineFacts } from "../../src/machine/machine-facts.ts";

/** An ordinary machine: nothing loaded, nothing forbidden. */
export function kexecState(own: Partial<KexecState> = {}): KexecState {
  return {
    loaded: false,
    crashLoaded: false,
    crashBytes: 0,
    disabled: false,
    limitReboot: null,
    limitPanic: null,
    lockdown: "none",
    secureBoot: false,
    appraised: null,
    permitted: true,
    handover: false,
    modules: [],
    ...own,
  };
}

export function machineFacts(own: Partial<MachineFacts> = {}): MachineFacts {
  return { architecture: "x86_64", memoryBytes: 1 << 30, display: null, isEfi: false, ...own };
}
