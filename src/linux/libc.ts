import type { Koffi } from "./addon.ts";
import { loadKoffi } from "./addon.ts";
import { SyscallError } from "./errno.ts";

/** System call numbers that differ between architectures (arch/x86/entry/syscalls, asm-generic/unistd.h). */
const callNumbers: Readonly<
  Record<string, { readonly kexecLoad: number; readonly kexecFileLoad: number; readonly finitModule: number }>
> = {
  x64: { kexecLoad: 246, kexecFileLoad: 320, finitModule: 313 },
  arm64: { kexecLoad: 104, kexecFileLoad: 294, finitModule: 273 },
};

/** Numbers that are the same on every architecture. */
const openTreeNumber = 428;
const fsopenNumber = 430;
const fsconfigNumber = 431;
const fsmountNumber = 432;
const openat2Number = 437;
const mountSetattrNumber = 442;

/** A C function; numbers and pointers as koffi passes them. */
type CFunction = ((...args: unknown[]) => number | bigint) & {
  async: (...args: [...unknown[], (error: unknown, result: number | bigint) => void]) => void;
};

/**
 * The C library, declared. Private to this floor: `native.ts` gives it meaning.
 */
export class Libc {
  readonly koffi: Koffi;
  readonly #functions: Readonly<Record<string, CFunction>>;

  constructor() {
    this.koffi = loadKoffi();
    const numbers = callNumbers[process.arch];
    if (numbers === undefined) throw new Error(`this processor (${process.arch}) has no system call table here`);
    const library = this.koffi.load("libc.so.6");
    const declare = (name: string, result: "int" | "long", ...args: string[]): CFunction =>
      library.func(name, result, args);
    /** A call without a C wrapper goes through syscall(2), its number bound. */
    const raw = (number: number, ...args: string[]): CFunction => {
      const call = declare("syscall", "long", "long", ...args);
      const bound = (...values: unknown[]): number | bigint => call(number, ...values);
      return Object.assign(bound, {
        async: (...values: [...unknown[], (error: unknown, result: number | bigint) => void]) =>
          call.async(number, ...values),
      });
    };
    this.#functions = {
      memfd_create: declare("memfd_create", "int", "str", "uint"),
      fcntl: declare("fcntl", "int", "int", "int", "long"),
      mmap: declare("mmap", "long", "void *", "size_t", "int", "int", "int", "int64"),
      munmap: declare("munmap", "int", "int64", "size_t"),
      mount: declare("mount", "int", "str", "str", "str", "ulong", "str"),
      ioctl: declare("ioctl", "int", "int", "ulong", "void *"),
      getrandom: declare("getrandom", "long", "void *", "size_t", "uint"),
      sync: declare("sync", "int"),
      reboot: declare("reboot", "int", "int"),
      socket: declare("socket", "int", "int", "int", "int"),
      bind: declare("bind", "int", "int", "void *", "uint"),
      setsockopt: declare("setsockopt", "int", "int", "int", "int", "void *", "uint"),
      recvfrom: declare("recvfrom", "long", "int", "void *", "size_t", "int", "void *", "void *"),
      waitid: declare("waitid", "int", "int", "int", "void *", "int"),
      open_tree: raw(openTreeNumber, "int", "str", "uint"),
      fsopen: raw(fsopenNumber, "str", "uint"),
      fsconfig: raw(fsconfigNumber, "int", "uint", "str", "str", "int"),
      fsmount: raw(fsmountNumber, "int", "uint", "uint"),
      openat2: raw(openat2Number, "int", "str", "void *", "size_t"),
      mount_setattr: raw(mountSetattrNumber, "int", "str", "uint", "void *", "size_t"),
      kexec_load: raw(numbers.kexecLoad, "ulong", "ulong", "void *", "ulong"),
      kexec_file_load: raw(numbers.kexecFileLoad, "int", "int", "ulong", "str", "ulong"),
      finit_module: raw(numbers.finitModule, "int", "str", "int"),
    };
  }

  /** Calls; a result of -1 becomes a SyscallError that prints `shown` as the arguments. */
  call(name: string, args: readonly unknown[], shown: readonly (string | number | null)[]): number {
    const result = Number(this.#function(name)(...args));
    if (result === -1) throw new SyscallError(name, shown, this.koffi.errno());
    return result;
  }

  /** Calls; returns -errno instead of throwing. */
  tryCall(name: string, args: readonly unknown[]): number {
    const result = Number(this.#function(name)(...args));
    return result === -1 ? -this.koffi.errno() : result;
  }

  /** Calls on a thread of the pool, for calls that a device may hold up. */
  callAsync(name: string, args: readonly unknown[], shown: readonly (string | number | null)[]): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#function(name).async(...args, (error, result) => {
        const number = Number(result);
        // koffi hands the thread's errno over before it calls back.
        if (error !== null && error !== undefined) reject(error);
        else if (number === -1) reject(new SyscallError(name, shown, this.koffi.errno()));
        else resolve(number);
      });
    });
  }

  /**
   * Maps a file, read-only and private; the address, for `view` and `munmap`.
   *
   * @param offset a multiple of the page
   */
  map(fd: number, offset: number, length: number): bigint {
    const address = this.#function("mmap")(null, length, 1 /* PROT_READ */, 2 /* MAP_PRIVATE */, fd, offset);
    if (BigInt.asIntN(64, BigInt(address)) === -1n) {
      throw new SyscallError("mmap", [length, fd, offset], this.koffi.errno());
    }
    return BigInt(address);
  }

  #function(name: string): CFunction {
    const found = this.#functions[name];
    if (found === undefined) throw new Error(`the C function ${name} is not declared`);
    return found;
  }
}
