import type { LoadOptions } from "../handoff/load.ts";
import { readKexecState } from "../machine/kexec-state.ts";
import { readMachineFacts } from "../machine/machine-facts.ts";
import type { Config } from "./config.ts";

/** How a boot with this configuration hands over, on this machine. */
export function loadOptions(config: Config): LoadOptions {
  return {
    bootImage: config.handoff.bootImage,
    digest: config.handoff.digest,
    kernelBytesMax: config.limits.kernelBytesMax,
    initrdBytesMax: config.limits.initrdBytesMax,
    state: readKexecState(),
    machine: readMachineFacts(),
  };
}
