import { type BzImage, bzImageFileProblem, bzImageHeadBytesMax, parseBzImage } from "../formats/bzimage.ts";
import { FormatError } from "../formats/format-error.ts";
import type { MachineFacts } from "../machine/machine-facts.ts";
import { callName, type KexecCall } from "./choose-call.ts";
import type { LoadRequest } from "./load-request.ts";

/** Something that would make the load or the target fail, found before anything is loaded. */
export class PreflightError extends Error {
  override readonly name = "PreflightError";
}

/** What was found out before a jump. A refusal stops a load; a warning and a note never do. */
export interface Finding {
  readonly severity: "refusal" | "warning" | "note";
  readonly what: string;
  /** What can be done about it; null: nothing has to be. */
  readonly remedy: string | null;
}

/** arch/x86/kernel/kexec-bzimage64.c reserves room for ` elfcorehdr=0x…` on every command line. */
const elfcorehdrBytes = 30;

/** Checks what needs no plan: throws {@link PreflightError} for the first reason why this request cannot be loaded. */
export function refuseUnloadable(request: LoadRequest, call: KexecCall, facts: MachineFacts): void {
  const first = requestFindings(request, call, facts).find(({ severity }) => severity === "refusal");
  if (first !== undefined) {
    throw new PreflightError(first.remedy === null ? first.what : `${first.what}; ${first.remedy}`);
  }
}

/** What is wrong with a request, or worth knowing of it. */
export function requestFindings(request: LoadRequest, call: KexecCall, facts: MachineFacts): Finding[] {
  const found: Finding[] = [];
  const refuse = (what: string, remedy: string | null = null): void => {
    found.push({ severity: "refusal", what, remedy });
  };
  if (facts.architecture !== "x86_64") {
    refuse(`this machine is ${facts.architecture}; this version hands over on x86_64`);
  }
  if (/[\0\n]/.test(request.commandLine)) refuse("the options hold a line end or a NUL");
  if (request.kernel.imageKind === "bzImage64" || request.kernel.imageKind === "bzImage") {
    found.push(...bzImageFindings(request, call, facts));
  }
  const total = request.kernel.image.length + (request.initrd?.length ?? 0);
  if (facts.memoryBytes !== null && total > facts.memoryBytes / 2) {
    refuse(
      `kernel and initrd have ${total} bytes; the running kernel loads at most half of the memory, ${Math.floor(facts.memoryBytes / 2)} bytes`,
      "use a smaller initrd",
    );
  }
  return found;
}

function bzImageFindings(request: LoadRequest, call: KexecCall, facts: MachineFacts): Finding[] {
  const image = readHeader(request);
  const found: Finding[] = [];
  // The running kernel takes a cut image as well, and jumps into what is left of it.
  const problem = bzImageFileProblem(image, request.kernel.image.length);
  if (problem !== null) found.push({ severity: "refusal", what: problem, remedy: null });
  if (call === "file" && !image.kernel64) {
    const what = "the kernel has no 64-bit entry point, which kexec_file_load needs";
    found.push({ severity: "refusal", what, remedy: null });
  }
  const length = Buffer.byteLength(request.commandLine);
  // The running kernel counts the NUL on its left side and not on its right.
  const most = image.commandLineBytesMax - (call === "file" ? elfcorehdrBytes + 1 : 0);
  if (length > most) {
    found.push({
      severity: "refusal",
      what: `the options have ${length} bytes, this kernel takes at most ${most} by ${callName(call)}`,
      remedy: null,
    });
  }
  if (facts.isEfi && !image.efiKexec && !request.classic.noEfi) {
    const what = "this kernel cannot use the firmware's EFI runtime services after a kexec: no EFI variables";
    found.push({ severity: "warning", what, remedy: null });
  }
  return found;
}

function readHeader(request: LoadRequest): BzImage {
  try {
    return parseBzImage(request.kernel.read(0, bzImageHeadBytesMax));
  } catch (error) {
    if (error instanceof FormatError) {
      throw new PreflightError(`the kernel is no x86 bzImage: ${error.message}`, { cause: error });
    }
    throw error;
  }
}
