import { printable } from "../../formats/printable.ts";
import type { Finding } from "../../handoff/preflight.ts";
import type { KexecState } from "../../machine/kexec-state.ts";
import type { KexecSide } from "./side.ts";

/** A finding as a line: `warning: …; what can be done`. */
export function findingLine({ severity, what, remedy }: Finding): string {
  return printable(`${severity}: ${what}${remedy === null ? "" : `; ${remedy}`}`);
}

/** Whether the running kernel can do any of this. */
export function supportFindings({ loaded, crashLoaded }: KexecState): readonly Finding[] {
  if (loaded !== null || crashLoaded !== null) return [];
  const what = "the running kernel does not tell of kexec";
  return [{ severity: "warning", what, remedy: "CONFIG_KEXEC or CONFIG_KEXEC_FILE expected, and sysfs mounted" }];
}

/** Tells before a jump what may go wrong. Nothing is held up by it; a note is for those who ask. */
export function warn(side: KexecSide, found: readonly Finding[]): void {
  for (const finding of found) {
    if (finding.severity !== "note") side.err(`kexec: ${findingLine(finding)}\n`);
  }
}
