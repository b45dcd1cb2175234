import { bzImageHeadBytesMax, parseBzImage } from "../formats/bzimage.ts";
import { FormatError } from "../formats/format-error.ts";
import type { System } from "../linux/system.ts";
import type { VerifiedBoot } from "../trust/verify.ts";

/** Something that would make the load or the target fail, found before anything is loaded. */
export class PreflightError extends Error {
  override readonly name = "PreflightError";
}

/** arch/x86/kernel/kexec-bzimage64.c reserves room for ` elfcorehdr=0x…` on every command line. */
const elfcorehdrBytes = 30;

/**
 * Checks what the running kernel would refuse with a bare error number, or what would hang after the jump. Throws
 * {@link PreflightError}.
 */
export function preflight(system: System, boot: VerifiedBoot, commandLine: string, architecture: string): void {
  if (architecture !== "x86_64") {
    throw new PreflightError(`this machine is ${architecture}; this version hands over on x86_64`);
  }
  if (boot.devicetree !== null) {
    throw new PreflightError("the entry has a device tree; the kernel takes none by kexec_file_load on x86_64");
  }
  if (/[\0\n]/.test(commandLine)) throw new PreflightError("the options hold a line end or a NUL");
  using mapped = system.mapFile(boot.kernel.fd, Math.min(boot.kernel.size, bzImageHeadBytesMax));
  const image = readHeader(mapped.bytes);
  if (!image.kernel64) throw new PreflightError("the kernel has no 64-bit entry point, which kexec_file_load needs");
  const length = Buffer.byteLength(commandLine);
  // The kernel counts the NUL on its left side and not on its right.
  const most = image.commandLineBytesMax - elfcorehdrBytes - 1;
  if (length > most) {
    throw new PreflightError(`the options have ${length} bytes, this kernel takes at most ${most} by kexec_file_load`);
  }
}

function readHeader(bytes: Uint8Array): ReturnType<typeof parseBzImage> {
  try {
    return parseBzImage(bytes);
  } catch (error) {
    if (error instanceof FormatError)
      throw new PreflightError(`the kernel is no x86 bzImage: ${error.message}`, { cause: error });
    throw error;
  }
}
