import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { captureWords, crash, type DumpOf, expectDump, expectMakedumpfile, startCrashGuest } from "../capture.ts";
import { type Guest, type GuestOptions, guestBoot, guestCommands } from "../guest.ts";
import { distributionKernel, type KernelFlavour } from "../kernels.ts";
import { commandMilliseconds, succeed } from "../second-kernel.ts";

/** Crashes on machines, and with options, that kdump.test.ts leaves out. */

interface CrashRow {
  /** What follows `kexec -p`. */
  readonly words: string;
  /** What is added to the command line, before it and behind it. */
  readonly before?: string;
  readonly behind: string;
  readonly lowMemory: boolean;
  readonly bits?: 32;
}

interface CrashMachine extends Omit<GuestOptions, "kernel" | "restorable"> {
  readonly about: string;
  readonly flavour: KernelFlavour;
  /** A line of shell that is run first. */
  readonly prepare?: string;
  /** That are online then. */
  readonly online: number;
  readonly rows: readonly CrashRow[];
}

const root = "acpi_rsdp=0x[0-9a-f]+";
const header = "elfcorehdr=\\d+K";
const byFile: CrashRow = { words: "-s", before: "elfcorehdr=0x[0-9a-f]+ ", behind: "", lowMemory: false };
const byClassic: CrashRow = { words: "-c", behind: ` ${root} ${header}`, lowMemory: true };

const machines: readonly CrashMachine[] = [
  {
    about: "kernel 6.1 with a BIOS",
    flavour: "cloud",
    processors: 2,
    online: 2,
    rows: [
      byFile,
      byClassic,
      { ...byClassic, words: "-c -i" },
      { ...byClassic, words: "-c --entry-32bit" },
      { ...byClassic, words: "-c --elf32-core-headers", bits: 32 },
      {
        ...byClassic,
        words: "-c --pass-memmap-cmdline",
        behind: ` ${root} ${header} memmap=exactmap( memmap=\\d+K[@#]\\d+K)+`,
      },
    ],
  },
  {
    about: "kernel 6.12 under UEFI, one processor",
    flavour: "cloud-6.12",
    uefi: true,
    processors: 1,
    online: 1,
    rows: [
      byFile,
      { ...byClassic, behind: ` ${header}` },
      { ...byClassic, words: "-c --noefi" },
      {
        ...byClassic,
        words: "-c --pass-memmap-cmdline",
        behind: ` ${header} memmap=exactmap( memmap=\\d+K[@#]\\d+K)+`,
      },
    ],
  },
  {
    about: "a crash region above 4 GiB and one below, a processor that is off",
    flavour: "cloud",
    append: "crashkernel=256M,high",
    // What is left below the hole for devices is 2 GiB.
    memoryMiB: 3072,
    processors: 4,
    prepare: "echo 0 > /sys/devices/system/cpu/cpu2/online",
    online: 3,
    rows: [byFile, byClassic],
  },
];

describe.each(machines)("$about", ({ flavour, prepare, online, rows, ...options }) => {
  let guest: Guest;
  let dump: Omit<DumpOf, "lowMemory">;
  beforeAll(async () => {
    const kernel = await distributionKernel(flavour);
    dump = { kernel, processors: online };
    guest = await startCrashGuest({ ...options, kernel, restorable: true });
    if (prepare !== undefined) await succeed(guest, prepare);
    await guest.save();
  });
  beforeEach(() => guest.restore());
  afterAll(() => guest[Symbol.asyncDispose]());

  test.each(rows)("kexec -p $words", async ({ words, before = "", behind, lowMemory, bits = 64 }) => {
    const captured = await crash(guest, `${words} --append="${captureWords}"`);
    expect(captured.commandLine).toMatch(RegExp(`^${before}${RegExp.escape(captureWords)}${behind}$`));
    expect(captured.core.bits).toBe(bits);
    expectDump(captured, { ...dump, lowMemory });
    await expectMakedumpfile(guest);
  });

  if (options.memoryMiB !== undefined) {
    test("32-bit headers cannot tell of memory above 4 GiB", async () => {
      const words = `-p -c --elf32-core-headers ${guestBoot.kernel}`;
      const { code, stderr, crashLoaded } = await guest.run(`${guestCommands.slipway} ${words}`, commandMilliseconds);
      expect({ code, crashLoaded }).toEqual({ code: 255, crashLoaded: false });
      expect(stderr).toContain("32-bit core headers end at 4 GiB");
    });
  }
});
