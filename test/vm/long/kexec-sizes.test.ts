import { describe, expect, it } from "vitest";
import { liveGuest, quoteWord } from "../guest.ts";
import { distributionKernel } from "../kernels.ts";
import {
  efiVariables,
  expectEfiWrites,
  expectPowerOff,
  guestKernel,
  guestWords,
  jump,
  machineOf,
  otherFiles,
  otherKernel,
  planOf,
  quickWords,
  systemFacts,
} from "../second-kernel.ts";

// kexec_load on machines of all sizes, with each firmware: to a younger kernel and back to the older one.

const fourGib = 2 ** 32;
/** Of QEMU's q35: with less, all memory is below. */
const memoryAboveFourGib = (memoryMiB: number): boolean => memoryMiB > 3072;

const sizes = [1024, 4096, 12288].flatMap((memoryMiB) => [
  { memoryMiB, firmware: "BIOS" },
  { memoryMiB, firmware: "UEFI" },
]);
const paging = [
  { words: "", la57: true },
  { words: " no5lvl", la57: false },
  { words: "", la57: true },
];

describe.each(sizes)("$memoryMiB MiB, $firmware, two processors", ({ memoryMiB, firmware }) => {
  it("starts each kernel from the other with initrd, ACPI, all processors, and EFI where there is one", async () => {
    const uefi = firmware === "UEFI";
    const [older, younger] = [await distributionKernel("cloud"), await distributionKernel("cloud-6.12")];
    const files = await otherFiles(younger);
    await using guest = await liveGuest({ kernel: older, memoryMiB, processors: 2, uefi, files, append: quickWords });
    const first = await systemFacts(guest);
    expect(first).toMatchObject({ version: older.version, processors: 2 });
    expect(first.acpiTables).toContain("FACP");
    const variables = uefi ? await efiVariables(guest) : "";
    for (const [hop, { words, la57 }] of paging.entries()) {
      const [kernel, files] = hop % 2 === 0 ? [younger, otherKernel] : [older, guestKernel];
      const commandLine = `${guestWords} hop=${hop}${words}`;
      const load = `${files} --append=${quoteWord(commandLine)}`;
      const { segments } = await planOf(guest, load);
      const initrd = segments.find(({ name }) => name === "initrd");
      expect((initrd?.address ?? 0) >= fourGib).toBe(memoryAboveFourGib(memoryMiB));
      await jump(guest, load);
      const facts = await systemFacts(guest);
      expect(facts).toMatchObject({ version: kernel.version, commandLine, la57 });
      expect(facts.initrd).toEqual({ address: initrd?.address, bytes: initrd?.memoryBytes });
      expect(machineOf(facts)).toEqual(machineOf(first));
      if (!uefi) continue;
      expect(await efiVariables(guest)).toBe(variables);
      await expectEfiWrites(guest, 7);
      // As it was.
      await expectEfiWrites(guest, 0);
    }
    await expectPowerOff(guest);
  });
});
