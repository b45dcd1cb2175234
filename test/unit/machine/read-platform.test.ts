import { rmSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import type { AddressRange, MemoryRange } from "../../../src/formats/memory-map.ts";
import { SyscallError } from "../../../src/linux/errno.ts";
import type { System } from "../../../src/linux/system.ts";
import type { Platform } from "../../../src/machine/platform.ts";
import { PlatformError, readPlatform } from "../../../src/machine/read-platform.ts";
import { type KernelTree, kernelTree, plantTree } from "../../fakes/kernel-tree.ts";
import { fakeSystem } from "../../fakes/system.ts";

const planted: string[] = [];
afterEach(() => {
  for (const root of planted.splice(0)) rmSync(root, { recursive: true });
});

type Own = Readonly<Record<string, string | Uint8Array | null>>;

/** Reads the platform of a guest, with some files of its own (null: not there) and the frame buffer that it had. */
async function platformOf(tree: KernelTree, own: Own = {}, system: Partial<System> = {}): Promise<Platform> {
  const screen = tree.get("fb") ?? new Uint8Array();
  const places = plantTree(tree, { ...(screen.length > 0 ? { "dev/fb0": "" } : {}), ...own });
  planted.push(places.root);
  const framebufferInfo = (): ReturnType<System["framebufferInfo"]> => ({
    fixed: screen.subarray(0, 80),
    variable: screen.subarray(80),
  });
  return readPlatform(fakeSystem({ framebufferInfo, ...system }), places);
}

function ranges(...pairs: readonly (readonly [start: number, end: number])[]): AddressRange[] {
  return pairs.map(([start, end]) => ({ start, end }));
}

const bios = kernelTree("bios");
const uefi = kernelTree("uefi");
const uefi612 = kernelTree("uefi-6.12");

describe("SeaBIOS, Linux 6.1", () => {
  test("memory", async () => {
    const platform = await platformOf(bios);
    expect(platform.memory).toHaveLength(10);
    expect(platform.memory[3]).toEqual({ start: 0x10_0000, end: 0x7ffd_c000, type: "ram" });
    // RAM in both maps, whole pages, without page 0 and the crash region; the running kernel's own place is free to take.
    expect(platform.usable).toEqual(
      ranges([0x1000, 0x9_f000], [0x10_0000, 0x6f00_0000], [0x7f00_0000, 0x7ffd_c000], [0x1_0000_0000, 0x1_c000_0000]),
    );
    expect(platform.crash).toEqual(ranges([0x6f00_0000, 0x7f00_0000]));
  });
  test("firmware", async () => {
    const platform = await platformOf(bios);
    expect(platform).toMatchObject({
      architecture: "x86_64",
      display: null,
      efi: null,
      rsdp: 0xf_59a0,
      fiveLevelPaging: true,
      remarks: [],
    });
    expect(Buffer.from(platform.rsdpBytes ?? []).toString("latin1", 0, 8)).toBe("RSD PTR ");
    expect(platform.rsdpBytes).toHaveLength(20);
    expect(platform.bootParams).toHaveLength(4096);
    expect(platform.edd.map(({ device, mbrSignature }) => [device, mbrSignature])).toEqual([
      [0x80, 0],
      [0x81, 0x1234_abcd],
    ]);
  });
  test("/sys/firmware/edd tells the same disks as the boot parameters", async () => {
    const told = (await platformOf(bios)).edd;
    const platform = await platformOf(bios, { "sys/kernel/boot_params/data": null });
    expect(platform.bootParams).toBeNull();
    // The BIOS wrote more than its own length field says; sysfs shows that many bytes.
    const lengths = [0x1a, 74];
    const shown = told.map((disk, index) => {
      const parameters = new Uint8Array(74);
      parameters.set(disk.parameters.subarray(0, lengths[index]));
      return { ...disk, parameters };
    });
    expect(platform.edd).toEqual(shown);
  });
});

describe("OVMF", () => {
  test("memory: the page that Linux keeps for a firmware table is no RAM", async () => {
    const platform = await platformOf(uefi);
    const around = (at: number): MemoryRange | undefined =>
      platform.memory.find(({ start, end }) => start <= at && at < end);
    expect(around(0x7d7e_9fff)).toEqual({ start: 0x90_0000, end: 0x7d7e_a000, type: "ram" });
    expect(around(0x7d7e_a018)).toEqual({ start: 0x7d7e_a000, end: 0x7d7e_b000, type: "reserved" });
    expect(around(0)).toEqual({ start: 0, end: 0x1000, type: "reserved" });
    expect(around(0x7fb6_d000)).toEqual({ start: 0x7fb6_d000, end: 0x7fb7_f000, type: "acpi" });
    expect(platform.usable).toEqual(
      ranges(
        [0x1000, 0xa_0000],
        [0x10_0000, 0x80_0000],
        [0x80_8000, 0x80_b000],
        [0x80_c000, 0x81_0000],
        [0x90_0000, 0x6b00_0000],
        [0x7b00_0000, 0x7d7e_a000],
        [0x7d7e_b000, 0x7eea_1000],
        [0x7ef6_2000, 0x7f8e_d000],
        [0x7fbf_f000, 0x7ff5_0000],
        [0x1_0000_0000, 0x1_c000_0000],
      ),
    );
    expect(platform.crash).toEqual(ranges([0x6b00_0000, 0x7b00_0000]));
  });
  test("firmware", async () => {
    const platform = await platformOf(uefi);
    expect(platform).toMatchObject({ rsdp: 0x7fb7_e014, rsdpBytes: null, edd: [], fiveLevelPaging: true, remarks: [] });
    expect(platform.efi).toMatchObject({
      systemTable: 0x7f9e_c018n,
      vendor: 0x7f91_c818n,
      runtime: 0x7f9e_cb98n,
      tables: 0x7f9e_cc98n,
      smbios: 0x7f91_8000n,
    });
    expect(platform.efi?.runtimeMap).toHaveLength(6);
    expect(platform.efi?.runtimeMap[0]).toEqual({
      type: 6,
      physical: 0x7ff5_0000,
      virtual: 0xffff_fffe_fff5_0000n,
      pages: 0x20,
      attributes: 0x8000_0000_0000_000fn,
    });
    expect(platform.efi?.runtimeMap[5]).toEqual({
      type: 3,
      physical: 0,
      virtual: 0xffff_fffe_fca0_0000n,
      pages: 1,
      attributes: 0x8000_0000_0000_000fn,
    });
    expect(platform.display?.driver).toBe("EFI VGA");
  });
  test("Linux 6.12 with no5lvl", async () => {
    const platform = await platformOf(uefi612);
    expect(platform).toMatchObject({ rsdp: 0x7fb7_e014, fiveLevelPaging: false, remarks: [] });
    expect(platform.efi?.runtimeMap).toHaveLength(6);
    expect(platform.crash).toEqual(ranges([0x6b00_0000, 0x7b00_0000]));
  });
});

describe("what is not there or not shown", () => {
  test("/proc/iomem without CAP_SYS_ADMIN: the firmware's map alone", async () => {
    const platform = await platformOf(bios, { "proc/iomem": "00000000-00000000 : System RAM\n" });
    expect(platform.usable).toEqual(
      ranges([0x1000, 0x9_f000], [0x10_0000, 0x7ffd_c000], [0x1_0000_0000, 0x1_c000_0000]),
    );
    expect(platform.crash).toEqual([]);
    expect(platform.remarks).toEqual([
      "/proc/iomem: iomem: every address is 0, as the kernel shows them to those without CAP_SYS_ADMIN",
    ]);
  });
  test("no /sys/firmware/memmap, or add_efi_memmap: /proc/iomem", async () => {
    const without = new Map([...bios].filter(([file]) => !file.includes("memmap")));
    const commandLine = { "proc/cmdline": "console=ttyS0 add_efi_memmap\n" };
    for (const platform of [await platformOf(without), await platformOf(bios, commandLine)]) {
      expect(platform.memory[0]).toEqual({ start: 0, end: 0x1000, type: "reserved" });
      expect(platform.usable[0]).toEqual({ start: 0x1000, end: 0x9_f000 });
      expect(platform.remarks).toEqual([]);
    }
  });
  test("a broken map: /proc/iomem, and a remark", async () => {
    const platform = await platformOf(bios, { "sys/firmware/memmap/3/end": "yes\n" });
    expect(platform.memory[0]).toEqual({ start: 0, end: 0x1000, type: "reserved" });
    expect(platform.remarks).toEqual([
      '/sys/firmware/memmap: memmap: end: "yes": a hexadecimal address below 2^53 expected',
    ]);
  });
  test("no map at all", async () => {
    const without = new Map([...bios].filter(([file]) => !file.includes("memmap")));
    const read = platformOf(without, { "proc/iomem": null });
    await expect(read).rejects.toBeInstanceOf(PlatformError);
    await expect(read).rejects.toThrow("neither /sys/firmware/memmap nor /proc/iomem tells which memory there is");
    await expect(platformOf(without, { "proc/iomem": "0-0 : System RAM\n" })).rejects.toThrow("CAP_SYS_ADMIN");
  });
  test("what others have set aside inside RAM is not taken, also when two regions are for crashes", async () => {
    const iomem = [
      "00001000-7fffffff : System RAM",
      "  01000000-01ffffff : Kernel code",
      "  02000000-020fffff : Reserved",
      "  10000000-1fffffff : Crash kernel",
      "  30000800-300013ff : GART",
      "100000000-13fffffff : System RAM",
      "  120000000-12fffffff : Crash kernel",
      "140000000-17fffffff : System RAM (virtio_mem)",
      "",
    ].join("\n");
    const map = { "sys/firmware/memmap/3/start": "0x0\n", "sys/firmware/memmap/3/end": "0x1ffffffff\n" };
    const others = Object.fromEntries([...bios.keys()].filter((f) => f.includes("memmap")).map((f) => [f, null]));
    const entry = { "sys/firmware/memmap/3/type": "System RAM\n" };
    const platform = await platformOf(bios, { ...others, ...map, ...entry, "proc/iomem": iomem });
    expect(platform.usable).toEqual(
      ranges(
        [0x1000, 0x200_0000],
        [0x210_0000, 0x1000_0000],
        [0x2000_0000, 0x3000_0000],
        [0x3000_2000, 0x8000_0000],
        [0x1_0000_0000, 0x1_2000_0000],
        [0x1_3000_0000, 0x1_4000_0000],
      ),
    );
    expect(platform.crash).toEqual(ranges([0x1000_0000, 0x2000_0000], [0x1_2000_0000, 0x1_3000_0000]));
  });
  test("boot parameters cut off", async () => {
    const platform = await platformOf(bios, { "sys/kernel/boot_params/data": new Uint8Array(100) });
    expect(platform.bootParams).toBeNull();
    expect(platform.edd).toHaveLength(2);
    expect(platform.remarks).toEqual(["/sys/kernel/boot_params: boot parameters: 100 bytes, 4096 expected"]);
  });
  test("boot parameters too long", async () => {
    const platform = await platformOf(bios, { "sys/kernel/boot_params/data": new Uint8Array(4097) });
    expect(platform.bootParams).toBeNull();
    expect(platform.remarks[0]).toContain("at most 4096 bytes expected");
  });
  test("runtime services are off", async () => {
    const off = Object.fromEntries([...uefi.keys()].filter((f) => f.includes("runtime-map")).map((f) => [f, null]));
    const platform = await platformOf(uefi, off);
    expect(platform.efi).toBeNull();
    expect(platform.rsdp).toBe(0x7fb7_e014);
    expect(platform.remarks).toEqual([
      "EFI runtime services are not passed on: the running kernel shows no /sys/firmware/efi/runtime-map",
    ]);
  });
  test("32-bit firmware", async () => {
    const bootParams = new Uint8Array(uefi.get("sys/kernel/boot_params/data") ?? []);
    bootParams.set(new TextEncoder().encode("EL32"), 0x1c0);
    const platform = await platformOf(uefi, { "sys/kernel/boot_params/data": bootParams });
    expect(platform.efi).toBeNull();
    expect(platform.remarks).toEqual([
      'EFI runtime services are not passed on: 64-bit firmware ("EL64") expected, not "EL32"',
    ]);
  });
  test.each([
    ["fw_vendor", "7f91c818\n", 'read FILE: "0x…" expected, not "7f91c818"'],
    ["runtime", null, 'read FILE: "0x…" expected, not ""'],
    ["runtime-map/1/phys_addr", "0x10000000000000\n", "read FILE: below 2^52 expected, not 0x10000000000000"],
  ])("EFI's %s", async (file, content, message) => {
    const platform = await platformOf(uefi, { [`sys/firmware/efi/${file}`]: content });
    expect(platform.efi).toBeNull();
    const remarks = platform.remarks.map((remark) => remark.replace(/read \S+:/, "read FILE:"));
    expect(remarks).toEqual([`EFI runtime services are not passed on: ${message}`]);
  });
  test("a frame buffer that answers no ioctl", async () => {
    const framebufferInfo = (): never => {
      throw new SyscallError("ioctl", [3, "FBIOGET_FSCREENINFO"], 22);
    };
    const platform = await platformOf(uefi, {}, { framebufferInfo });
    expect(platform.display).toBeNull();
    expect(platform.remarks).toHaveLength(1);
    expect(platform.remarks[0]).toContain('/dev/fb0: ioctl(3, "FBIOGET_FSCREENINFO"): EINVAL');
  });
  test("a processor's flags that only look like la57", async () => {
    const flags = (text: string): Own => ({ "proc/cpuinfo": `processor\t: 0\nflags\t\t: ${text}\nbugs\t\t: la57\n` });
    expect((await platformOf(bios, flags("fpu xla57 la57x"))).fiveLevelPaging).toBe(false);
    expect((await platformOf(bios, flags("la57 fpu"))).fiveLevelPaging).toBe(true);
    expect((await platformOf(bios, flags("fpu la57"))).fiveLevelPaging).toBe(true);
    expect((await platformOf(bios, { "proc/cpuinfo": null })).fiveLevelPaging).toBe(false);
  });
});

describe("the ACPI root pointer", () => {
  const cleared = new Uint8Array(bios.get("sys/kernel/boot_params/data") ?? []);
  cleared.fill(0, 0x70, 0x78);
  const bare = { "sys/kernel/boot_params/data": cleared };

  test("from the BIOS' memory", async () => {
    expect((await platformOf(bios, bare)).rsdp).toBe(0xf_59a0);
  });
  test("from the extended BIOS data area first", async () => {
    const memory = new Uint8Array(bios.get("dev/mem") ?? []);
    expect([memory[0x40e], memory[0x40f]]).toEqual([0xc0, 0x9f]);
    memory.copyWithin(0x9_fc20, 0xf_59a0, 0xf_59b4);
    const platform = await platformOf(bios, { ...bare, "dev/mem": memory });
    expect(platform.rsdp).toBe(0x9_fc20);
    expect(platform.rsdpBytes).toHaveLength(20);
  });
  test("nobody tells", async () => {
    const platform = await platformOf(bios, { ...bare, "dev/mem": null });
    expect([platform.rsdp, platform.rsdpBytes, platform.remarks]).toEqual([null, null, []]);
  });
  test("acpi_rsdp= goes first, the last one, in hexadecimal", async () => {
    const line = (text: string): Own => ({ "proc/cmdline": `${text}\n` });
    expect((await platformOf(bios, line("acpi_rsdp=0x1 quiet acpi_rsdp=0xf0000"))).rsdp).toBe(0xf_0000);
    expect((await platformOf(bios, line("acpi_rsdp=f0010"))).rsdp).toBe(0xf_0010);
    expect((await platformOf(bios, line("acpi_rsdp=no"))).rsdp).toBe(0xf_59a0);
    expect((await platformOf(bios, line("acpi_rsdp=0"))).rsdp).toBe(0xf_59a0);
  });
  test("EFI's tables: 2.0 before 1.0; none there is none", async () => {
    const systab = (text: string): Own => ({ "sys/firmware/efi/systab": text });
    expect((await platformOf(uefi, systab("ACPI=0x7fb7e000\nSMBIOS=0x1\n"))).rsdp).toBe(0x7fb7_e000);
    expect((await platformOf(uefi, systab("odd line\nACPI=0x1000\nACPI20=0x2000\n"))).rsdp).toBe(0x2000);
    const none = await platformOf(uefi, { ...systab("SMBIOS3=0x7f918000\n"), "dev/mem": bios.get("dev/mem") ?? null });
    expect([none.rsdp, none.efi?.smbios]).toEqual([null, null]);
  });
  test("bytes of ACPI 2.0", async () => {
    const memory = new Uint8Array(0x2100);
    const pointer = new Uint8Array(36);
    pointer.set(new TextEncoder().encode("RSD PTR "));
    pointer[15] = 2;
    pointer[20] = 36;
    const sum = (length: number): number => pointer.subarray(0, length).reduce((total, byte) => total + byte, 0);
    pointer[8] = -sum(20);
    pointer[32] = -sum(36);
    memory.set(pointer, 0x2000);
    const platform = await platformOf(uefi, { "sys/firmware/efi/systab": "ACPI20=0x2000\n", "dev/mem": memory });
    expect(platform.rsdpBytes).toEqual(pointer);
  });
});

test("this machine, whatever it is: a platform or a sentence", async () => {
  const read = readPlatform(
    fakeSystem({ framebufferInfo: () => ({ fixed: new Uint8Array(80), variable: new Uint8Array(160) }) }),
  );
  await read.then(
    (platform) => expect(platform.memory.length).toBeGreaterThan(0),
    (error: unknown) => expect(error).toBeInstanceOf(PlatformError),
  );
});
