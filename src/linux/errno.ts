import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";

/** Errors that kexec, modules and mounts return and that Node's own table does not name (asm-generic/errno.h). */
const furtherErrors: readonly (readonly [number, string, string])[] = [
  [15, "ENOTBLK", "block device required"],
  [61, "ENODATA", "no data available"],
  [65, "ENOPKG", "package not installed"],
  [74, "EBADMSG", "bad message"],
  [80, "ELIBBAD", "accessing a corrupted shared library"],
  [117, "EUCLEAN", "structure needs cleaning"],
  [123, "ENOMEDIUM", "no medium found"],
  [126, "ENOKEY", "required key not available"],
  [127, "EKEYEXPIRED", "key has expired"],
  [128, "EKEYREVOKED", "key has been revoked"],
  [129, "EKEYREJECTED", "key was rejected by service"],
  [524, "ENOTSUPP", "operation is not supported by the kernel"],
];

/** The C library's words (strerror(3), C locale) for what kexec and opening a file fail with: scripts look for them. */
const libraryWords: Readonly<Record<string, string>> = {
  EPERM: "Operation not permitted",
  ENOENT: "No such file or directory",
  EIO: "Input/output error",
  ENOEXEC: "Exec format error",
  ENOMEM: "Cannot allocate memory",
  EACCES: "Permission denied",
  EFAULT: "Bad address",
  EBUSY: "Device or resource busy",
  ENOTDIR: "Not a directory",
  EISDIR: "Is a directory",
  EINVAL: "Invalid argument",
  EMFILE: "Too many open files",
  ETXTBSY: "Text file busy",
  EFBIG: "File too large",
  ENAMETOOLONG: "File name too long",
  ENOSYS: "Function not implemented",
  ELOOP: "Too many levels of symbolic links",
  ENODATA: "No data available",
  ENOPKG: "Package not installed",
  EBADMSG: "Bad message",
  ELIBBAD: "Accessing a corrupted shared library",
  EMSGSIZE: "Message too long",
  EOPNOTSUPP: "Operation not supported",
  ENOTSUP: "Operation not supported",
  EADDRNOTAVAIL: "Cannot assign requested address",
  ENOKEY: "Required key not available",
  EKEYEXPIRED: "Key has expired",
  EKEYREVOKED: "Key has been revoked",
  EKEYREJECTED: "Key was rejected by service",
  ENOTSUPP: "Unknown error 524",
};

/** What strerror(3) says of an error by its name; the name itself for one that is not in the table. */
export function libraryText(code: string): string {
  return libraryWords[code] ?? code;
}

/** Numbers of the errors that code decides by (asm-generic, the same on every architecture Slipway runs on). */
export const errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  ENOEXEC: 8,
  EAGAIN: 11,
  ECHILD: 10,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  EINVAL: 22,
  ENOSYS: 38,
  ELOOP: 40,
  ENOBUFS: 105,
} as const;

export interface ErrnoFacts {
  readonly name: string;
  readonly text: string;
}

/** Name and plain text of an error number. */
export function describeErrno(number: number): ErrnoFacts {
  const further = furtherErrors.find(([value]) => value === number);
  if (further !== undefined) return { name: further[1], text: further[2] };
  const known = getSystemErrorMap().get(-number);
  if (known !== undefined) return { name: known[0], text: known[1] };
  const named = Object.entries(constants.errno).find(([, value]) => value === number);
  return { name: named?.[0] ?? `error ${number}`, text: "" };
}

/** A failed system call. Prints as the call, then what the error means there: `mount("none", "/x"): EBUSY: …`. */
export class SyscallError extends Error {
  override readonly name = "SyscallError";
  /** The name of the call: `mount`. */
  readonly call: string;
  readonly errno: number;
  /** `EBUSY`. */
  readonly code: string;

  /**
   * @param args the call's arguments as they should print
   * @param hint what this error means in this place, in plain words
   */
  constructor(call: string, args: readonly (string | number | null)[], number: number, hint?: string) {
    const { name, text } = describeErrno(number);
    const printed = args.map((arg) => (typeof arg === "string" ? JSON.stringify(arg) : String(arg))).join(", ");
    const meaning = hint ?? text;
    super(`${call}(${printed}): ${name}${meaning === "" ? "" : `: ${meaning}`}`);
    this.call = call;
    this.errno = number;
    this.code = name;
  }
}
