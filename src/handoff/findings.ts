import { FormatError } from "../formats/format-error.ts";
import { readPe } from "../formats/pe.ts";
import type { KexecState } from "../machine/kexec-state.ts";
import type { MachineFacts } from "../machine/machine-facts.ts";
import type { LoadRequest } from "./load-request.ts";
import type { LoadPlan } from "./plan-load.ts";
import { type Finding, requestFindings } from "./preflight.ts";

/** Everything worth knowing before this plan is carried out and jumped to: refusals first, then warnings, then notes. */
export function findings(plan: LoadPlan, facts: MachineFacts): readonly Finding[] {
  const all = [
    ...requestFindings(plan.request, plan.call, facts),
    ...signatureFindings(plan),
    ...plan.remarks.map((what): Finding => ({ severity: "note", what, remedy: null })),
    ...machineFindings(plan.state, facts),
  ];
  const order = ["refusal", "warning", "note"];
  return all.toSorted((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
}

/** What a jump does to this machine, whatever is loaded. */
export function machineFindings(state: KexecState, facts: MachineFacts): Finding[] {
  return [...displayFindings(facts), ...driverFindings(state)];
}

/** Under lockdown the running kernel verifies the image, and only the image. */
function signatureFindings(plan: LoadPlan): Finding[] {
  const { request, state } = plan;
  if (plan.call !== "file" || state.lockdown === null || state.lockdown === "none") return [];
  const isSigned = hasCertificates(request);
  if (isSigned !== false) return [];
  const what = `the running kernel is locked down (${state.lockdown}) and ${request.kernel.name} has no signature`;
  return [{ severity: "warning", what, remedy: "sign it with a key that the running kernel knows (sbsign)" }];
}

/** Null: the file has no structure that could hold a signature in a way this program knows. */
function hasCertificates({ kernel }: LoadRequest): boolean | null {
  try {
    return readPe(kernel.read, kernel.image.length).certificates !== null;
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}

/** Frame buffers that the firmware has set up: the target can go on drawing there. */
const firmwareDisplays = ["EFI VGA", "VESA VGA", "simple", "simpledrmdrmfb", "simpledrm", "efidrm", "vesadrm"];

function displayFindings({ display }: MachineFacts): Finding[] {
  if (display === null || firmwareDisplays.includes(display)) return [];
  const what = `the display is driven by ${display}: the screen stays as it is until the target loads a driver of its own`;
  return [{ severity: "warning", what, remedy: "watch a serial console, or put the display's driver into the initrd" }];
}

/** Drivers whose devices are known not to come back, or to come back slowly, after a kexec without a reset. */
const troublesomeDrivers: readonly (readonly [module: string, trouble: string])[] = [
  ["amdgpu", "the graphics card may not come up again in the target"],
  ["nouveau", "the graphics card may not come up again in the target"],
  ["nvidia", "the graphics card may not come up again in the target"],
  ["radeon", "the graphics card may not come up again in the target"],
  ["mlx4_core", "the network card may need a reset that the target does not give it"],
  ["bnx2x", "the network card's firmware may refuse to start again in the target"],
  ["hpsa", "the storage adapter takes long to reset in the target"],
  ["megaraid_sas", "the storage adapter takes long to reset in the target"],
];

function driverFindings({ modules }: KexecState): Finding[] {
  return troublesomeDrivers
    .filter(([module]) => modules.includes(module))
    .map(([module, trouble]) => ({
      severity: "warning",
      what: `${module} is loaded: ${trouble}`,
      remedy: `unload it first (modprobe -r ${module}), or unbind its devices`,
    }));
}
