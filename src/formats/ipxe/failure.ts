/**
 * Why a command failed. The numbers are those of POSIX as iPXE has them (include/errno.h), which it shows in `${errno}` as
 * `0xNN` in the top byte; the lower bits of its own, which name a line of its source, are not known here.
 */
export interface Failure {
  readonly status: number;
  /** A sentence. */
  readonly reason: string;
}

/** Null: the command succeeded. */
export type Status = Failure | null;

/** Top bytes of iPXE's error numbers (include/ipxe/errno/…, include/errno.h), as its builds for PC BIOS and EFI have them. */
export const errorNumbers = {
  cancelled: 0x0b,
  invalid: 0x1c,
  noDevice: 0x2c,
  noEntry: 0x2d,
  notExecutable: 0x2e,
  notSupported: 0x3c,
  notPermitted: 0x02,
  range: 0x44,
  noScript: 0x3b,
  timedOut: 0x4c,
} as const;

export type ErrorName = keyof typeof errorNumbers;

export function failure(name: ErrorName, reason: string): Failure {
  return { status: errorNumbers[name] * 0x1000000, reason };
}
