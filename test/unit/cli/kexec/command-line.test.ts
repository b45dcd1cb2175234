import { describe, expect, it } from "vitest";
import { type CommandLineParts, composeCommandLine } from "../../../../src/cli/kexec/command-line.ts";

describe("composeCommandLine", () => {
  const rows: readonly (readonly [parts: Partial<CommandLineParts>, line: string])[] = [
    [{}, ""],
    [{ append: "a b" }, "a b"],
    [{ append: "" }, ""],
    [{ enclosed: "own" }, "own"],
    [{ enclosed: "own", append: "" }, ""],
    [{ enclosed: "own", append: "given" }, "given"],
    [{ enclosed: "own", running: "root=/dev/vda1\n" }, "root=/dev/vda1"],
    [{ running: "root=/dev/vda1 ro\n", append: "single" }, "root=/dev/vda1 ro single"],
    [{ running: "\n", append: "single" }, "single"],
    [{ running: "BOOT_IMAGE=(hd0)/vmlinuz ro BOOT_IMAGE=/again\n" }, "ro"],
    // kexec-tools gives up at a hit in the middle of a word.
    [{ running: "x=BOOT_IMAGE BOOT_IMAGE=/k ro\n" }, "x=BOOT_IMAGE ro"],
    [{ running: "a initrd=/initrd.img b\n" }, "a initrd=/initrd.img b"],
    // kexec-tools cuts a quoted value at its first space.
    [{ running: 'BOOT_IMAGE="/my kernel" dyndbg="file a +p" ro\n' }, 'dyndbg="file a +p" ro'],
    [{ running: "crashkernel=256M ro\n" }, "crashkernel=256M ro"],
    [{ running: "crashkernel=512M,high ro crashkernel=72M,low\n", onCrash: true, append: "nr_cpus=1" }, "ro nr_cpus=1"],
    [{ running: "kexec_jump_back_entry=0x1000 ro elfcorehdr=0x2000K\n" }, "ro"],
    // What follows goes to init, whatever it looks like.
    [{ running: "ro -- BOOT_IMAGE=x\n", append: "y" }, "ro -- BOOT_IMAGE=x y"],
  ];
  for (const [parts, line] of rows) {
    it(JSON.stringify(parts), () => {
      const all = { running: null, append: null, enclosed: null, onCrash: false, ...parts };
      expect(composeCommandLine(all)).toBe(line);
    });
  }
});
