import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { unsigned } from "./authenticode.ts";
import { type CommandResult, type Guest, guestBoot, guestCommands, liveGuest } from "./guest.ts";
import { distributionKernel } from "./kernels.ts";
import { expectReport, jumpFiles, jumpMilliseconds, targetWords, tellingInitrd } from "./kexec-jumps.ts";

/**
 * What can go wrong with a load, brought about: what is said of it, and that it changes nothing. Signatures are for
 * kexec-signatures.test.ts.
 */

const { first: initrd } = jumpFiles;
const kexec = guestCommands.slipway;
/** Of the lines below: a command, a kernel, an initrd. */
const variables = `X=${kexec}; K=${guestBoot.kernel}; I=--initrd=${initrd}`;
const kernel = await distributionKernel("cloud-6.12");
const memoryMiB = 768;

interface Fault {
  readonly line: string;
  readonly code: number;
  /** Stands in what is written to standard error; of several texts, each. */
  readonly says: string | readonly string[];
}

let guest: Guest;
beforeAll(async () => {
  guest = await liveGuest({
    kernel,
    append: "init_on_alloc=0 mitigations=off",
    memoryMiB,
    restorable: true,
    files: {
      [initrd]: await tellingInitrd("first"),
      "/files/text": "a text, and no kernel\n".repeat(100),
      "/files/empty": "",
      "/files/unsigned": unsigned(await readFile(kernel.vmlinuz)),
      "/files/busy": { copyOf: kernel.vmlinuz },
      "/etc/passwd": "nobody:x:65534:65534:nobody:/:/bin/sh\n",
    },
  });
});
afterAll(() => guest[Symbol.asyncDispose]());

function run(line: string, timeoutMs?: number): Promise<CommandResult> {
  return guest.run(`${variables}; ${line}`, timeoutMs);
}

async function expectFault({ line, code, says }: Fault, loaded: boolean): Promise<void> {
  const result = await run(line);
  for (const text of [says].flat()) expect(result.stderr).toContain(text);
  expect({ code: result.code, loaded: result.loaded, crashLoaded: result.crashLoaded }).toEqual({
    ...{ code, loaded, crashLoaded: false },
  });
}

/** Brings them all about, one after the other. */
function testFaults(faults: readonly Fault[], loaded: boolean): void {
  test.each(faults.map((fault) => [fault.line, fault] as const))("%s", (_line, fault) => expectFault(fault, loaded));
}

const words = (bytes: number): string => `"--append=$(printf %${bytes}s | tr ' ' x)"`;
const halfOfMemory =
  /^kernel and initrd have \d+ bytes; the running kernel loads at most half of the memory, \d+ bytes; use a smaller initrd$/m;
const cut = "the file is cut: going by the header, ";

describe("with nothing loaded", () => {
  testFaults(
    [
      { line: "$X -l /missing", code: 1, says: "Cannot open `/missing': No such file or directory\n" },
      { line: "$X -s -l /missing", code: 255, says: "Cannot open `/missing': No such file or directory\n" },
      { line: "$X -l $K --initrd=/missing", code: 1, says: "Cannot open `/missing': No such file or directory\n" },
      { line: "$X -l /files", code: 1, says: "Read on /files failed: Is a directory\nCannot read /files\n" },
      { line: "$X -l /files/empty", code: 1, says: "Cannot read /files/empty: it is empty\n" },
      { line: "$X -s -l $K --initrd=/files/empty", code: 1, says: "Cannot read /files/empty: it is empty\n" },
      { line: "$X -l /files/text", code: 255, says: "Cannot determine the file type of /files/text\n" },
      { line: `$X -l ${initrd}`, code: 255, says: `Cannot determine the file type of ${initrd}\n` },
      {
        line: "$X -t uki -l $K",
        code: 255,
        says: "Wrong file type uki, file matches type bzImage64\n",
      },
      {
        line: "head -c 10000 $K > /tmp/cut; $X -c -l /tmp/cut",
        code: 255,
        says: [`${cut}the setup code ends at byte `, "but the file at byte 10000\nCannot load /tmp/cut\n"],
      },
      {
        line: "head -c 100000 $K > /tmp/cut; $X -s -l /tmp/cut",
        code: 255,
        says: [`${cut}the kernel ends at byte `, "but the file at byte 100000\nCannot load /tmp/cut\n"],
      },
      {
        line: `$X -c -l $K ${words(2048)}`,
        code: 255,
        says: "2048 bytes, this kernel takes at most 2047 by kexec_load\nCannot load /boot/vmlinuz\n",
      },
      {
        line: `$X -s -l $K ${words(2017)}`,
        code: 255,
        says: "2017 bytes, this kernel takes at most 2016 by kexec_file_load\nCannot load /boot/vmlinuz\n",
      },
      {
        line: "$X -s --noefi -l $K",
        code: 255,
        says: "kexec_file_load takes no --noefi: leave out -s, or the option\n",
      },
      {
        line: "$X -l $K --mem-max=0x1000000",
        code: 1,
        says: ["no room for the kernel: ", "\nCannot load /boot/vmlinuz\n"],
      },
      {
        line: "$X -p $K $I",
        code: 1,
        says: [
          "Memory for crashkernel is not reserved\n",
          'Please reserve memory by passing "crashkernel=Y@X" parameter to kernel\n',
          '/proc/iomem shows no "Crash kernel", kexec_crash_size is 0\n',
        ],
      },
      {
        line: "cp $K /tmp/busy; exec 9<> /tmp/busy; $X -s -l /tmp/busy",
        code: 255,
        says: "kexec_file_load failed: Text file busy: the kernel or the initrd is open for writing in some program",
      },
      {
        line: `cp ${initrd} /tmp/busy; exec 9<> /tmp/busy; $X -s -l $K --initrd=/tmp/busy`,
        code: 255,
        says: "kexec_file_load failed: Text file busy: the kernel or the initrd is open for writing in some program",
      },
      { line: "$X -e", code: 1, says: "Nothing has been loaded!\n" },
    ],
    false,
  );

  test.each(["-c", "-s"])("an initrd of more than half of the memory, by %s", async (call) => {
    const { code, loaded, stderr } = await run(
      `truncate -s ${memoryMiB / 2}M /tmp/big; $X ${call} -l $K --initrd=/tmp/big`,
    );
    expect(stderr).toMatch(halfOfMemory);
    expect({ code, loaded }).toEqual({ code: 255, loaded: false });
  });

  test("a file that is open for writing goes through the other call", async () => {
    const { code, loaded, stderr } = await run("cp $K /tmp/busy; exec 9<> /tmp/busy; $X -l /tmp/busy");
    expect({ code, loaded, stderr }).toEqual({ code: 0, loaded: true, stderr: "" });
  });
});

const notPermitted = (call: string, why: string): string => `${call} failed: Operation not permitted: ${why}`;
const disabled =
  "kernel.kexec_load_disabled is 1, so the running kernel loads no kernel any more until it is rebooted\n";
const atLimit = (kind: string): string =>
  `kernel.kexec_load_limit_${kind} is 0: as many kernels were loaded as the administrator allows\n`;
const noCapability = "this process lacks CAP_SYS_BOOT; run it as root\n";
const asNobody = (line: string): string => `su -s /bin/sh nobody -c "${line}"`;
const lockedDown = "the running kernel is locked down (integrity)";
const appraises = "the integrity subsystem (IMA) appraises kernels, and can do that for kexec_file_load only (-s)";

describe("with a kernel loaded, which stays", () => {
  const keptWords = `${targetWords} loaded=before`;
  beforeAll(async () => {
    const { stderr, loaded } = await run(`$X -u; $X -l $K $I --append='${keptWords}'`);
    expect({ stderr, loaded }).toEqual({ stderr: "", loaded: true });
    await guest.save();
  });

  /** A machine changed for good, until the next block. */
  function onMachine(about: string, line: string, faults: readonly Fault[]): void {
    describe(about, () => {
      beforeAll(async () => {
        await guest.restore();
        const { code, stderr } = await run(line);
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      });
      testFaults(faults, true);
    });
  }

  onMachine("without CAP_SYS_BOOT", "true", [
    { line: asNobody("$X -c -l $K"), code: 255, says: notPermitted("kexec_load", noCapability) },
    { line: asNobody("$X -s -l $K"), code: 255, says: notPermitted("kexec_file_load", noCapability) },
    { line: asNobody("$X -u"), code: 255, says: notPermitted("kexec unload", noCapability) },
    { line: asNobody("$X -e"), code: 255, says: "kexec failed: Operation not permitted" },
  ]);

  onMachine("kexec_load_limit_reboot is 0", "echo 0 > /proc/sys/kernel/kexec_load_limit_reboot", [
    { line: "$X -c -l $K", code: 255, says: notPermitted("kexec_load", atLimit("reboot")) },
    { line: "$X -s -l $K", code: 255, says: notPermitted("kexec_file_load", atLimit("reboot")) },
    // An unload counts as a load.
    { line: "$X -u", code: 255, says: notPermitted("kexec unload", atLimit("reboot")) },
    {
      line: "echo 0 > /proc/sys/kernel/kexec_load_limit_panic; $X -p -u",
      code: 255,
      says: notPermitted("kexec unload", atLimit("panic")),
    },
  ]);

  onMachine("lockdown", "echo integrity > /sys/kernel/security/lockdown", [
    {
      line: "$X -c -l $K",
      code: 255,
      says: [
        notPermitted("kexec_load", `${lockedDown}: it takes kernels by kexec_file_load only (-s)`),
        "\nentry       = 0x",
        "\nsegment[0].buf   = ",
      ],
    },
    {
      line: "$X -d -l /files/unsigned",
      code: 255,
      says: [
        "\ncall         kexec_file_load\n",
        `\nbecause      ${lockedDown} and refuses kexec_load\n`,
        notPermitted("kexec_file_load", `${lockedDown} and finds no valid signature on the image`),
      ],
    },
    {
      line: "$X --noefi -l $K",
      code: 255,
      says: `--noefi: only kexec_load can do this, and ${lockedDown} and refuses kexec_load\n`,
    },
    {
      line: "$X -c -u",
      code: 255,
      says: notPermitted("kexec unload", `${lockedDown} and unloads by kexec_file_load only (-s)\n`),
    },
  ]);

  const appraise = "appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig";
  onMachine("IMA appraises kernels", `echo "${appraise}" > /sys/kernel/security/ima/policy`, [
    { line: "$X -c -l $K", code: 255, says: `kexec_load failed: Permission denied: ${appraises}\n` },
    {
      line: "$X -l $K",
      code: 255,
      says: "kexec_file_load failed: Permission denied: the integrity subsystem (IMA) refuses the kernel: it has no signature (security.ima) that the policy accepts\n",
    },
    { line: "$X -c -u", code: 255, says: `kexec unload failed: Permission denied: ${appraises}\n` },
  ]);

  test("another program is loading at this moment", async () => {
    await guest.restore();
    const limitDisk = (bytesPerSecond: number): Promise<unknown> =>
      guest.vm.qmp("block_set_io_throttle", {
        ...{ device: "disk0", bps: bytesPerSecond, bps_rd: 0, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0 },
      });
    await limitDisk(100_000);
    try {
      // The running kernel reads the file with its lock held, for as long as the disk makes it last.
      await run("$X -s -l /files/busy & true");
      const { stdout } = await run("for n in $(seq 100); do $X -u 2>&1 || break; done", jumpMilliseconds);
      expect(stdout).toBe(
        "kexec unload failed: Device or resource busy: another program is loading or unloading a kernel at this moment; try again\n",
      );
    } finally {
      await limitDisk(0);
    }
    const { loaded } = await run("until $X -u 2> /tmp/refused; do true; done", jumpMilliseconds);
    expect(loaded).toBe(false);
  });

  onMachine("kexec_load_disabled is 1", "echo 1 > /proc/sys/kernel/kexec_load_disabled", [
    { line: "$X -l $K", code: 255, says: notPermitted("kexec_load", disabled) },
    { line: "$X -s -l $K", code: 255, says: notPermitted("kexec_file_load", disabled) },
    { line: "$X -u", code: 255, says: notPermitted("kexec unload", disabled) },
    // And what never gets so far.
    { line: "$X -l /files/text", code: 255, says: "Cannot determine the file type of /files/text\n" },
  ]);

  test("it still starts", async () => {
    guest.start(`${variables}; $X -e`);
    const [said] = await guest.vm.expect(/[\s\S]*?TARGET-DONE/, jumpMilliseconds);
    expectReport(said, { commandLine: keptWords, version: kernel.version, markers: ["first"] });
  });
});
