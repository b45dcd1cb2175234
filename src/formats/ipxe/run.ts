import { toByteText } from "./byte-text.ts";
import { ipxeCommands } from "./commands.ts";
import type { IpxeHost } from "./host.ts";
import { IpxeInterpreter } from "./interpreter.ts";
import { defaultIpxeLimits, type IpxeLimits } from "./limits.ts";
import type { IpxeRun } from "./outcome.ts";
import { parseUri } from "./uri.ts";

/** The script to start with. */
export interface IpxeStart<H> {
  readonly file: H;
  /** What relative names are relative to: `file:/EFI/BOOT/autoexec.ipxe`. */
  readonly uri: string;
  readonly bytes: Uint8Array;
}

/**
 * Runs an iPXE script: what it would boot, and why. Nothing is fetched, shown or waited for but through the host. A run
 * ends within its limits, and does not reject but for an error that the host's menus or prompts reject with.
 */
export async function runIpxeScript<H>(
  host: IpxeHost<H>,
  { file, uri, bytes }: IpxeStart<H>,
  limits: Partial<IpxeLimits> = {},
): Promise<IpxeRun<H>> {
  const script = new IpxeInterpreter(host, ipxeCommands, { ...defaultIpxeLimits, ...limits }, file);
  const outcome = await script.start(parseUri(toByteText(uri)), bytes);
  const { scripts, problems, output, steps, variables } = script;
  return { outcome, scripts, problems, output, steps, variables };
}
