import { describe, expect, it } from "vitest";
import { type Guest, guestCommands, liveGuest, quoteWord } from "./guest.ts";
import { distributionKernel } from "./kernels.ts";
import {
  commandMilliseconds,
  efiVariables,
  expectEfiWrites,
  expectPowerOff,
  guestKernel,
  guestWords,
  jump,
  loadOften,
  machineOf,
  otherFiles,
  otherKernel,
  planOf,
  quickWords,
  type SystemFacts,
  succeed,
  systemFacts,
} from "./second-kernel.ts";

// kexec_load on machines of several sizes. long/ has all sizes, with each firmware and each kernel, and long chains.

const fourGib = 2 ** 32;
const mebibyte = 2 ** 20;

describe("12 GiB, UEFI, two processors, 5-level page tables, Linux 6.12", () => {
  it("hands over an initrd of 200 MiB above 4 GiB, EFI runtime services, ACPI and all processors", async () => {
    const kernel = await distributionKernel("cloud-6.12");
    await using guest = await liveGuest({ kernel, memoryMiB: 12288, processors: 2, uefi: true, append: quickWords });
    const first = await systemFacts(guest);
    expect(first).toMatchObject({ version: kernel.version, processors: 2, la57: true });
    const variables = await efiVariables(guest);
    await refuseFourLevelKernel(guest);
    await makeBigInitrd(guest);

    const words = `${guestKernel} --initrd=${bigInitrd} --append=${quoteWord(`${guestWords} rdinit=/probe`)}`;
    const { call, segments } = await planOf(guest, words);
    const initrd = segments.find(({ name }) => name === "initrd");
    expect(call).toBe("kexec_load");
    expect(initrd?.address).toBeGreaterThanOrEqual(fourGib);
    expect(initrd?.memoryBytes).toBeGreaterThan(bigMebibytes * mebibyte);
    await jump(guest, words);

    // All of the file has come, up to its end.
    expect(guest.vm.log).toContain(`PROBE: ${bigMebibytes * mebibyte + bigEnd.length} ${bigEnd}\n`);
    const second = await systemFacts(guest);
    expect(second).toMatchObject({ version: kernel.version, commandLine: `${guestWords} rdinit=/probe`, la57: true });
    expect(second.initrd).toEqual({ address: initrd?.address, bytes: initrd?.memoryBytes });
    expect(machineOf(second)).toEqual(machineOf(first));
    expect(second.acpiTables).toContain("FACP");
    expect(await efiVariables(guest)).toBe(variables);
    await expectEfiWrites(guest, 7);
    await expectPowerOff(guest);
  });
});

const bigInitrd = "/tmp/big.cpio";
const bigMebibytes = 200;
const bigEnd = "the end of a long file";

/** An archive with a long file that is a hole but for its end, and a process 1 that looks at it before the usual one. */
async function makeBigInitrd(guest: Guest): Promise<void> {
  const probe = [
    "#!/bin/busybox sh",
    `echo PROBE: $(/bin/busybox stat -c %s /long) $(/bin/busybox tail -c ${bigEnd.length} /long)`,
    "/bin/busybox rm /long",
    "exec /init",
  ];
  const steps = [
    "mkdir /tmp/tree",
    "cd /tmp/tree",
    `printf '%s\\n' ${probe.map(quoteWord).join(" ")} > probe`,
    "chmod 755 probe",
    `truncate -s ${bigMebibytes}M long`,
    `echo -n ${quoteWord(bigEnd)} >> long`,
    `find . | cpio -o -H newc > ${bigInitrd}`,
    "rm -r /tmp/tree",
  ];
  await succeed(guest, steps.join(" && "));
}

/** Takes XLF_5LEVEL and XLF_5LEVEL_ENABLED (boot.rst, "xloadflags") from a copy of the kernel. */
async function refuseFourLevelKernel(guest: Guest): Promise<void> {
  const copy = "cp /boot/vmlinuz /tmp/old && printf '\\037' | dd of=/tmp/old bs=1 seek=566 conv=notrunc 2> /dev/null";
  await succeed(guest, copy);
  const { code, stderr, loaded } = await guest.run(`${guestCommands.slipway} -l -c /tmp/old`, commandMilliseconds);
  expect({ code, loaded }).toEqual({ code: 255, loaded: false });
  expect(stderr).toContain("this machine runs with 5-level page tables, which this kernel cannot be entered with");
}

describe("4 GiB, BIOS, Linux 6.1 and 6.12", () => {
  it("goes through five kernels in a row with a memory map of more than 128 ranges, and loses no memory", async () => {
    const [older, younger] = [await distributionKernel("cloud"), await distributionKernel("cloud-6.12")];
    await using guest = await liveGuest({
      kernel: older,
      memoryMiB: 4096,
      files: await otherFiles(younger),
      append: `${quickWords} add_efi_memmap memmap=${reserved.map(({ word }) => word).join(",")}`,
    });
    const [before, after] = await loadOften(guest, 5);
    expect(before.available - after.available).toBeLessThan(noiseKib);
    expect(after.slab - before.slab).toBeLessThan(noiseKib);
    const hops = [
      // The first takes the map from /proc/iomem, the others from /sys/firmware/memmap.
      { kernel: older, words: guestKernel, la57: false },
      { kernel: older, words: guestKernel, la57: false },
      { kernel: older, words: guestKernel, la57: true },
      { kernel: younger, words: otherKernel, la57: true },
      { kernel: older, words: guestKernel, la57: true },
    ];
    const systems: SystemFacts[] = [];
    for (const [hop, { kernel, words, la57 }] of hops.entries()) {
      const commandLine = `${guestWords} hop=${hop}${la57 ? "" : " no5lvl"}`;
      await jump(guest, `${words} --append=${quoteWord(commandLine)}`);
      const facts = await systemFacts(guest);
      expect(facts).toMatchObject({ version: kernel.version, commandLine, la57 });
      expect(facts.acpiTables).toContain("FACP");
      expect(await firmwareMap(guest)).toEqual(expect.arrayContaining(reserved.map(({ range }) => range)));
      systems.push(facts);
    }
    const [earliest, ...later] = systems.filter(({ version }) => version === older.version);
    for (const { memTotal, memAvailable, commandLine } of later) {
      expect((earliest?.memTotal ?? 0) - memTotal, commandLine).toBeLessThan(noiseKib);
      expect((earliest?.memAvailable ?? 0) - memAvailable, commandLine).toBeLessThan(noiseKib);
    }
  });
});

/** By so much two measurements of the same may differ, and two systems that were started in the same way. */
const noiseKib = 4096;

/** Pages that the first kernel is told to keep out of. */
const reserved = Array.from({ length: 70 }, (_, index) => {
  const start = (300 + 4 * index) * mebibyte;
  return {
    word: `4K$${start / mebibyte}M`,
    range: { start: `0x${start.toString(16)}`, end: `0x${(start + 0xfff).toString(16)}`, type: "Reserved" },
  };
});

/** The entries of /sys/firmware/memmap. */
async function firmwareMap(guest: Guest): Promise<Readonly<Record<string, string>>[]> {
  const { stdout } = await succeed(guest, "cd /sys/firmware/memmap && grep . */start */end */type");
  const entries = new Map<string, Record<string, string>>();
  for (const [, entry = "", field = "", value = ""] of stdout.matchAll(/^(\d+)\/(\w+):(.*)$/gm)) {
    entries.set(entry, { ...entries.get(entry), [field]: value });
  }
  return [...entries.values()];
}
