import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { captureWords, crash, expectDump, expectMakedumpfile, physicalMemory, startCrashGuest } from "./capture.ts";
import { iomemPieces, type MemoryPiece } from "./core-file.ts";
import { type Guest, guestBoot, guestCommands } from "./guest.ts";
import { distributionKernel, type Kernel } from "./kernels.ts";
import { commandMilliseconds, succeed } from "./second-kernel.ts";

/** A crash of a guest with two processors, by both calls, and the dump that the capture kernel finds. */

const kexec = guestCommands.slipway;
const mebibyte = 2 ** 20;
const processors = 2;

describe("kernel 6.1, under UEFI", () => {
  let kernel: Kernel;
  let guest: Guest;
  beforeAll(async () => {
    kernel = await distributionKernel("cloud");
    guest = await startCrashGuest({ kernel, processors, uefi: true, restorable: true });
    await guest.save();
  });
  beforeEach(() => guest.restore());
  afterAll(() => guest[Symbol.asyncDispose]());

  test("a capture kernel is loaded, told of and unloaded", async () => {
    const size = await succeed(guest, `${kexec} --print-ckr-size; cat /sys/kernel/kexec_crash_size`);
    expect(size.stdout).toBe(`${256 * mebibyte}\n${256 * mebibyte}\n`);
    const load = await succeed(guest, `${kexec} -p ${guestBoot.kernel}; ${kexec} -S; echo $?`);
    expect(load).toMatchObject({ stdout: "1\n", stderr: "", loaded: false, crashLoaded: true });
    const unload = await succeed(guest, `${kexec} -p -u; ${kexec} -S; echo $?`);
    expect(unload).toMatchObject({ stdout: "0\n", stderr: "", loaded: false, crashLoaded: false });
  });

  test("what cannot be: a region that is too small, none at all, headers that are kept up to date", async () => {
    const initBytes = (await readFile(kernel.vmlinuz)).readUInt32LE(0x260);
    const load = async (words: string): Promise<{ readonly code: number; readonly stderr: string }> => {
      const { code, stderr, crashLoaded } = await guest.run(
        `${kexec} -p ${words} ${guestBoot.kernel}`,
        commandMilliseconds,
      );
      expect(crashLoaded).toBe(false);
      return { code, stderr };
    };
    const hotplug = "--hotplug: the running kernel keeps no headers of a dump up to date (CONFIG_CRASH_HOTPLUG)";
    expect(await load("--hotplug")).toEqual({ code: 1, stderr: expect.stringContaining(hotplug) });
    await succeed(guest, `echo ${32 * mebibyte} > /sys/kernel/kexec_crash_size`);
    const region = `the crash region of ${32 * mebibyte} bytes (32 MiB)`;
    const file = `${region}: kernel and initrd take at least ${initBytes} bytes`;
    expect(await load("-s")).toEqual({ code: 255, stderr: expect.stringContaining(file) });
    const classic = `no room for the kernel: ${initBytes} bytes (`;
    expect(await load("-c")).toEqual({
      code: 1,
      stderr: expect.stringMatching(`^${RegExp.escape(classic)}.*the crash region has ${32 * mebibyte} bytes`),
    });
    await succeed(guest, "echo 0 > /sys/kernel/kexec_crash_size");
    const { code, stderr } = await load("");
    expect({ code, lines: stderr.split("\n") }).toEqual({
      code: 1,
      lines: [
        "Memory for crashkernel is not reserved",
        'Please reserve memory by passing "crashkernel=Y@X" parameter to kernel',
        "Then try to loading kdump kernel",
        '/proc/iomem shows no "Crash kernel", kexec_crash_size is 0',
        expect.stringMatching(
          `^This kernel and what goes with it take ${Math.ceil(initBytes / mebibyte)} MiB before they run;`,
        ),
        "",
      ],
    });
  });

  test("kexec_file_load", async () => {
    const commandLine = `${captureWords} two="a b"`;
    const captured = await crash(guest, `-s --append='${commandLine}'`);
    expect(captured.commandLine.replace(/^elfcorehdr=0x[0-9a-f]+ /, "")).toBe(commandLine);
    expectDump(captured, { kernel, processors, lowMemory: false });
    await expectFirmware(guest);
    await expectMakedumpfile(guest);
  });

  test("kexec_load: the capture kernel takes low memory, whose content is in the dump all the same", async () => {
    const { stdout: running } = await succeed(guest, "cat /proc/cmdline");
    const { stdout: iomem } = await succeed(guest, "cat /proc/iomem");
    const [low = nothing] = iomemPieces(iomem, "System RAM");
    let before: Uint8Array = new Uint8Array();
    const captured = await crash(guest, `-c --reuse-cmdline --append="${captureWords}"`, async () => {
      before = await physicalMemory(guest, low);
    });
    const reused = running.trimEnd().replace("crashkernel=256M ", "");
    expect(reused).not.toContain("crashkernel");
    expect(captured.commandLine.replace(/ elfcorehdr=\d+K$/, "")).toBe(`${reused} ${captureWords}`);
    expectDump(captured, { kernel, processors, lowMemory: true });
    await expectFirmware(guest);
    expect(await physicalMemory(guest, low)).not.toEqual(before);
    const { offset } = captured.core.loads.find(({ start }) => start === low.start) ?? { offset: 0 };
    const part = `bs=1024 skip=${offset / 1024} count=${(low.end - low.start) / 1024}`;
    const { stdout } = await succeed(guest, `dd if=/proc/vmcore ${part} | sha256sum`);
    expect(stdout).toBe(`${createHash("sha256").update(before).digest("hex")}  -\n`);
    await expectMakedumpfile(guest);
  });
});

const nothing: MemoryPiece = { start: 0, end: 0 };

/** The capture kernel knows where EFI's runtime services are, and finds ACPI's tables by it. */
async function expectFirmware(guest: Guest): Promise<void> {
  const { stdout } = await succeed(guest, "efibootmgr; cat /sys/firmware/efi/systab; ls /sys/firmware/acpi/tables");
  expect(stdout).toMatch(/^BootOrder: [\s\S]*^ACPI20=0x[\s\S]*^FACP$/m);
}

describe("kernel 6.12, with a BIOS", () => {
  let kernel: Kernel;
  let guest: Guest;
  beforeAll(async () => {
    kernel = await distributionKernel("cloud-6.12");
    // A slot for a DIMM, which is taken at the end.
    const vm = { qemuArguments: ["-m", "1024,slots=1,maxmem=2G"] };
    guest = await startCrashGuest({ kernel, processors, restorable: true, vm });
    await guest.save();
  });
  beforeEach(() => guest.restore());
  afterAll(() => guest[Symbol.asyncDispose]());

  test.each([
    ["kexec_file_load", "-s", false],
    ["kexec_load", "-c", true],
  ] as const)("%s", async (_, call, lowMemory) => {
    const captured = await crash(guest, `${call} --append="${captureWords}"`);
    const added = { "-s": "^elfcorehdr=0x[0-9a-f]+ ", "-c": " acpi_rsdp=0x[0-9a-f]+ elfcorehdr=\\d+K$" }[call];
    expect(captured.commandLine.replace(RegExp(added), "")).toBe(captureWords);
    expectDump(captured, { kernel, processors, lowMemory });
  });

  test("kexec_load --hotplug: memory that comes later is in the dump", async () => {
    // The machine cannot be put back afterwards.
    const captured = await crash(guest, `-c --hotplug --append="${captureWords}"`, plugMemory);
    expect(iomemPieces(captured.iomem, "System RAM")).toContainEqual(pluggedMemory);
    expectDump(captured, { kernel, processors, lowMemory: false });
  });
});

/** Where QEMU maps the first DIMM of a machine with all memory below 4 GiB. */
const pluggedMemory: MemoryPiece = { start: 2 ** 32, end: 2 ** 32 + 128 * mebibyte };

async function plugMemory(guest: Guest): Promise<void> {
  const blocks = "/sys/devices/system/memory";
  await succeed(guest, `echo online > ${blocks}/auto_online_blocks`);
  const size = pluggedMemory.end - pluggedMemory.start;
  await guest.vm.qmp("object-add", { "qom-type": "memory-backend-ram", id: "more", size });
  await guest.vm.qmp("device_add", { driver: "pc-dimm", id: "dimm", memdev: "more" });
  const block = `${blocks}/memory${pluggedMemory.start / size}`;
  await succeed(guest, `until grep -qs online ${block}/state; do sleep 0.1; done`);
}
