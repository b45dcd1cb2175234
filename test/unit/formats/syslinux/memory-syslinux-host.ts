import { evaluateSyslinux, type SyslinuxEvaluation } from "../../../../src/formats/syslinux/evaluate.ts";
import { locationText, type SyslinuxHost } from "../../../../src/formats/syslinux/host.ts";
import type { SyslinuxLimits } from "../../../../src/formats/syslinux/limits.ts";
import { chooseSyslinuxDefault, type SyslinuxEntry } from "../../../../src/formats/syslinux/menu.ts";

export type Texts = Readonly<Record<string, string | Uint8Array>>;

/** Files in memory: a location's text to the file. */
export function memorySyslinuxHost(files: Texts, more: Partial<SyslinuxHost> = {}): SyslinuxHost {
  return {
    variant: "syslinux",
    cpu: "x86_64",
    async readFile(location, bytesMax) {
      const file = files[locationText(location)];
      if (file === undefined) return null;
      const bytes = typeof file === "string" ? new TextEncoder().encode(file) : file;
      if (bytes.length > bytesMax) throw new Error(`${bytes.length} bytes, at most ${bytesMax} are taken`);
      return bytes;
    },
    loaderFile: async () => null,
    exists: async (location) => files[locationText(location)] !== undefined,
    sysappend: () => null,
    ...more,
  };
}

/** Evaluates `/syslinux.cfg`. */
export function evaluateText(
  config: string | Uint8Array,
  files: Texts = {},
  more: Partial<SyslinuxHost> = {},
  limits: Partial<SyslinuxLimits> = {},
): Promise<SyslinuxEvaluation> {
  const host = memorySyslinuxHost({ "/syslinux.cfg": config, ...files }, more);
  return evaluateSyslinux(host, { kind: "path", path: "/syslinux.cfg" }, "/", limits);
}

/** One line for an entry: what it boots, or why not. */
export function entryRow({ label, title, submenu, outcome }: SyslinuxEntry): string {
  const name = `${label} (${[...submenu, title].join(" > ")})`;
  if (outcome.kind === "refused") return `${name} refused: ${outcome.reason}`;
  const { kernel, initrds, modules, options, bootImage } = outcome.load;
  const files = initrds.map(({ location, member }) => {
    const wrapped = member === null ? "" : ` as ${member.path} ${member.mode.toString(8)} ${member.withDirectories}`;
    return locationText(location) + wrapped;
  });
  const parts = modules.map(({ file, options: string }) => `${locationText(file.location)} "${string}"`);
  const rest = [`${bootImage ?? ""}|${options}|`, ...files, ...parts].join(" ");
  return `${name} ${locationText(kernel.location)} ${rest}`.trimEnd();
}

export async function rowsOf(config: string | Uint8Array, files: Texts = {}, more: Partial<SyslinuxHost> = {}) {
  const { menu } = await evaluateText(config, files, more);
  return menu?.entries.map(entryRow) ?? null;
}

/** The label of what boots by itself and why, and the seconds before. */
export async function defaultOf(config: string, missing: readonly string[] = [], files: Texts = {}) {
  const { menu } = await evaluateText(config, files);
  if (menu === null) return null;
  const { entry, reason } = chooseSyslinuxDefault(
    menu,
    ({ outcome }) => outcome.kind === "boot" && !missing.includes(locationText(outcome.load.kernel.location)),
  );
  return [entry?.label ?? null, menu.timeoutSeconds, reason];
}
