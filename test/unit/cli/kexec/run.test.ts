import { describe, expect, it } from "vitest";
import { errno, SyscallError } from "../../../../src/linux/errno.ts";
import type { System } from "../../../../src/linux/system.ts";
import { type BenchOptions, KexecBench } from "../../../fakes/kexec-side.ts";

const withCrashMemory = { "proc/iomem": "01000000-3fffffff : System RAM\n  20000000-29ffffff : Crash kernel\n" };

/** One call on a fresh bench: `0: kexec_load at …, sync`, or what it said. */
async function calls(options: BenchOptions, ...words: readonly string[]): Promise<string> {
  using bench = new KexecBench(options);
  const { code } = await bench.run(...words);
  return `${code}: ${bench.calls.join(", ").replace(/at \d+/g, "at N")}`;
}

describe("what is asked of the kernel", () => {
  const rows: readonly (readonly [words: string, calls: string])[] = [
    ["-l @vmlinuz", "0: kexec_load at N, sync"],
    ["-l -y @vmlinuz", "0: kexec_load at N"],
    ["-s -l @vmlinuz", "0: kexec_file_load, sync"],
    ["-p @vmlinuz", "0: kexec_file_load crash"],
    ["-p -c @vmlinuz", "0: kexec_load at N crash"],
    ["@vmlinuz", "0: kexec_load at N, run /sbin/shutdown -r now, sync"],
    ["-f @vmlinuz", "255: kexec_load at N, sync, interfaces down, reboot kexec"],
    ["-f -x -y @vmlinuz", "255: kexec_load at N, reboot kexec"],
    // kexec-tools takes the interfaces down although it does not jump.
    ["-e -l @vmlinuz", "0: kexec_load at N, sync"],
    ["-u", "0: kexec_load nothing"],
    ["-p -u", "0: kexec_load nothing crash"],
    ["-u -p", "0: kexec_load nothing crash"],
    ["-u -l -y @vmlinuz", "0: kexec_load nothing, kexec_load at N"],
    ["-u -y -p @vmlinuz", "0: kexec_load nothing crash, kexec_file_load crash"],
    ["-s -u", "0: kexec_file_load unload"],
    ["-s -p -u", "0: kexec_file_load unload crash"],
    ["-l --dry-run @vmlinuz", "0: "],
    ["-f --dry-run @vmlinuz", "0: "],
    ["-u -l --dry-run @vmlinuz", "0: "],
    ["-l --check @vmlinuz", "0: "],
    ["-S", "0: "],
    ["--load-preserve-context --mem-max=0x8000000 -y @vmlinuz", "0: kexec_load at N returning"],
    ["--load-jump-back-helper --entry=0x1000", "0: kexec_load at N returning, sync"],
  ];
  for (const [words, expected] of rows) {
    it(words, async () => expect(await calls({ files: withCrashMemory }, ...words.split(" "))).toBe(expected));
  }
});

describe("a kernel that is loaded already", () => {
  const loaded = { "sys/kernel/kexec_loaded": "1\n" };
  it("-e jumps", async () => {
    expect(await calls({ files: loaded }, "-e")).toBe("255: sync, interfaces down, reboot kexec");
    expect(await calls({ files: loaded }, "-e", "-x", "-y")).toBe("255: reboot kexec");
  });
  it("-e: what the kernel says when the jump fails", async () => {
    using bench = new KexecBench({ files: loaded });
    const { stderr, stdout } = await bench.run("-e");
    expect({ stderr, stdout }).toEqual({ stderr: "kexec failed: Invalid argument: no kernel is loaded\n", stdout: "" });
  });
  it("-e warns of drivers, and goes on", async () => {
    using bench = new KexecBench({ files: { ...loaded, "proc/modules": "amdgpu 1 0 - Live 0x0\n" } });
    const { stderr } = await bench.run("-e");
    expect(stderr).toContain(
      "kexec: warning: amdgpu is loaded: the graphics card may not come up again in the target; unload it first",
    );
    expect(bench.calls).toContain("reboot kexec");
  });
  it("-e without one", async () => {
    using bench = new KexecBench();
    expect(await bench.run("-e")).toEqual({ code: 1, stdout: "", stderr: "Nothing has been loaded!\n" });
    expect(bench.calls).toEqual([]);
  });
  it("-p -f loads for a panic, and then has nothing to jump to", async () => {
    using bench = new KexecBench({ files: withCrashMemory });
    expect(await bench.run("-p", "-f", "@vmlinuz")).toMatchObject({ code: 1, stderr: "Nothing has been loaded!\n" });
    expect(bench.calls).toEqual(["kexec_file_load crash"]);
  });
  it("-e where the running kernel does not say: the jump asks it", async () => {
    const bench = new KexecBench({ files: { "sys/kernel/kexec_loaded": "?\n" } });
    using _ = bench;
    await bench.run("-e", "-y", "-x");
    expect(bench.calls).toEqual(["reboot kexec"]);
  });
  it("a way back cannot be loaded beside it", async () => {
    using bench = new KexecBench({ files: loaded });
    expect(await bench.run("--load-jump-back-helper", "--entry=1")).toEqual({
      code: 255,
      stdout: "",
      stderr: "There is kexec kernel loaded, make sure you are in kexeced kernel.\n",
    });
  });
});

describe("status", () => {
  const rows: readonly (readonly [loaded: number, crash: number, words: string, code: number])[] = [
    [0, 0, "-S", 0],
    [1, 0, "-S", 0],
    [0, 1, "-S", 1],
    [0, 1, "-S -p", 1],
    [0, 1, "-S -l", 0],
    [1, 0, "-S -l", 1],
    [1, 0, "-l -S", 1],
    [1, 0, "-S -l -p", 0],
    [1, 1, "-u -S", 1],
    [1, 0, "-S @nosuchfile", 0],
    [1, 0, "-S -t nonsense", 0],
  ];
  for (const [loaded, crash, words, code] of rows) {
    it(`loaded ${loaded}, for a panic ${crash}: ${words}`, async () => {
      const files = { "sys/kernel/kexec_loaded": `${loaded}\n`, "sys/kernel/kexec_crash_loaded": `${crash}\n` };
      using bench = new KexecBench({ files });
      expect(await bench.run(...words.split(" "))).toEqual({ code, stdout: "", stderr: "" });
      expect(bench.calls).toEqual([]);
    });
  }
  it("a kernel that does not say", async () => {
    using bench = new KexecBench({ files: { "sys/kernel/kexec_crash_loaded": "" } });
    expect((await bench.run("-S")).code).toBe(255);
  });
  it("the newer place comes first", async () => {
    using bench = new KexecBench({ files: { "sys/kernel/kexec/loaded": "1\n" } });
    expect((await bench.run("-S", "-l")).code).toBe(1);
  });
});

describe("unload", () => {
  const refusing = (call: "kexecLoad" | "kexecFileUnload", name: string, number: number): Partial<System> => ({
    [call]: async () => {
      throw new SyscallError(name, [], number);
    },
  });
  const locked = { "sys/kernel/security/lockdown": "none [integrity] confidentiality\n" };

  it("by the file call first where the kernel is locked down", async () => {
    expect(await calls({ files: locked }, "-u")).toBe("0: kexec_file_load unload");
    expect(await calls({ files: locked }, "-c", "-u")).toBe("0: kexec_load nothing");
  });
  it("by the other call when the first is refused or not there", async () => {
    for (const number of [errno.EPERM, 13, errno.ENOSYS]) {
      expect(await calls({ system: refusing("kexecLoad", "kexec_load", number) }, "-u")).toBe(
        "0: kexec_file_load unload",
      );
    }
    const system = refusing("kexecFileUnload", "kexec_file_load", errno.ENOSYS);
    expect(await calls({ files: locked, system }, "-p", "-u")).toBe("0: kexec_load nothing crash");
  });
  it("by one call only when one is asked for, and not when the kernel is busy", async () => {
    expect(await calls({ system: refusing("kexecLoad", "kexec_load", errno.EPERM) }, "-c", "-u")).toBe("255: ");
    expect(await calls({ system: refusing("kexecLoad", "kexec_load", errno.EBUSY) }, "-u")).toBe("255: ");
  });
  it("says why not", async () => {
    const both = {
      ...refusing("kexecLoad", "kexec_load", errno.EPERM),
      ...refusing("kexecFileUnload", "kexec_file_load", errno.ENOSYS),
    };
    using bench = new KexecBench({ system: both, files: { "proc/sys/kernel/kexec_load_disabled": "1\n" } });
    expect(await bench.run("-u")).toEqual({
      code: 255,
      stdout: "",
      stderr:
        "kexec unload failed: Operation not permitted: kernel.kexec_load_disabled is 1, so the running kernel loads no kernel any more until it is rebooted\n",
    });
  });
  it("a failed unload is the end", async () => {
    const system = refusing("kexecLoad", "kexec_load", errno.EBUSY);
    expect(await calls({ system }, "-u", "-l", "@vmlinuz")).toBe("255: ");
  });
});

describe("memory for a capture kernel", () => {
  it("--print-ckr-size: the last region", async () => {
    const iomem =
      "00000000-0009ffff : System RAM\n100000-3fffffff : System RAM\n  10000000-1000ffff : Crash kernel\n  20000000-29ffffff : Crash kernel\n    20000000-2000ffff : x\n";
    using bench = new KexecBench({ files: { "proc/iomem": iomem } });
    expect(await bench.run("--print-ckr-size")).toEqual({ code: 0, stdout: "167772160\n", stderr: "" });
  });
  it("--hotplug: refused by a kernel that keeps no headers up to date, whichever call it is", async () => {
    for (const call of ["-s", "-c", "-a"]) {
      using bench = new KexecBench({ files: withCrashMemory });
      const { code, stderr } = await bench.run("-p", call, "--hotplug", "@vmlinuz");
      expect({ code, stderr, calls: bench.calls }).toEqual({
        code: 1,
        stderr: `--hotplug: the running kernel keeps no headers of a dump up to date (CONFIG_CRASH_HOTPLUG): it has no @sys/kernel/crash_elfcorehdr_size\n`,
        calls: [],
      });
    }
    for (const name of ["sys/kernel/crash_elfcorehdr_size", "sys/kernel/kexec/crash_elfcorehdr_size"]) {
      const files = { ...withCrashMemory, [name]: "917616\n" };
      expect(await calls({ files }, "-p", "-c", "--hotplug", "@vmlinuz")).toBe("0: kexec_load at N crash");
    }
  });
  it("a region that is too small for the running kernel's own placement: both sizes", async () => {
    const files = { ...withCrashMemory, "sys/kernel/kexec_crash_size": "3145728\n" };
    // EADDRNOTAVAIL
    const kexecFileLoad = async (): Promise<never> => {
      throw new SyscallError("kexec_file_load", [], 99);
    };
    using bench = new KexecBench({ files, system: { kexecFileLoad } });
    bench.put("initrd", Buffer.alloc(1 << 20));
    expect(await bench.run("-p", "@vmlinuz", "--initrd=@initrd")).toEqual({
      code: 255,
      stdout: "",
      stderr:
        "kexec_file_load failed: Cannot assign requested address: there is no room in the crash region of 3145728 bytes (3 MiB): " +
        "kernel and initrd take at least 5242880 bytes (5 MiB); reserve more by crashkernel= on the running kernel's command line\n",
    });
  });
  it("--print-ckr-size without a region, or without rights", async () => {
    using none = new KexecBench({ files: { "proc/iomem": "100000-3fffffff : System RAM\n" } });
    expect((await none.run("--print-ckr-size")).stdout).toBe("0\n");
    using hidden = new KexecBench({
      files: { "proc/iomem": "00000000-00000000 : System RAM\n", "sys/kernel/kexec_crash_size": "1048576\n" },
    });
    expect((await hidden.run("--print-ckr-size")).stdout).toBe("1048576\n");
  });
  it("-p without it: the words of kexec-tools, and the numbers", async () => {
    using bench = new KexecBench({ files: { "sys/kernel/kexec_crash_size": "0\n" } });
    bench.put("initrd", Buffer.alloc(3 << 20));
    expect(await bench.run("-p", "@vmlinuz", "--initrd=@initrd")).toEqual({
      code: 1,
      stdout: "",
      stderr: `Memory for crashkernel is not reserved
Please reserve memory by passing "crashkernel=Y@X" parameter to kernel
Then try to loading kdump kernel
/proc/iomem shows no "Crash kernel", kexec_crash_size is 0
This kernel and what goes with it take 7 MiB before they run; a usual size is crashkernel=256M
`,
    });
    expect(bench.calls).toEqual([]);
  });
  it("-p without it, and without a kernel", async () => {
    using bench = new KexecBench();
    expect(await bench.run("-p")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Memory for crashkernel is/),
    });
    expect(await bench.run("-p", "@nosuchfile")).toMatchObject({ code: 1 });
    expect((await bench.run("-p", "-u")).code).toBe(0);
    expect((await bench.run("-p", "-S")).code).toBe(0);
  });
});

describe("--reuseinitrd", () => {
  it("needs retain_initrd", async () => {
    using bench = new KexecBench();
    expect(await bench.run("-l", "--reuseinitrd", "@vmlinuz")).toEqual({
      code: 1,
      stdout: "",
      stderr: "unrecoverable error: current boot didn't retain the initrd for reuse.\n",
    });
  });
  it("takes it from where the running kernel shows it, behind the others", async () => {
    using bench = new KexecBench({ files: { "proc/cmdline": "retain_initrd\n", "sys/firmware/initrd": "RRRR" } });
    bench.put("initrd", "IIII");
    expect((await bench.run("-l", "--reuseinitrd", "--initrd=@initrd", "@vmlinuz")).code).toBe(0);
    expect(bench.requests[0]?.initrd?.length).toBe(8);
  });
  it("says when it shows none", async () => {
    using bench = new KexecBench({ files: { "proc/cmdline": "retain_initrd\n" } });
    expect(await bench.run("-l", "--reuseinitrd", "@vmlinuz")).toMatchObject({
      code: 1,
      stderr: "--reuseinitrd: the running kernel does not show its initrd (@sys/firmware/initrd)\n",
    });
  });
});

describe("what is printed where", () => {
  it("help, version", async () => {
    using bench = new KexecBench();
    const help = await bench.run("-h");
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toMatch(/^usage: slipway kexec \[OPTION\]/);
    expect(await bench.run("-v")).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^kexec-tools 2\.\d+\.\d+ /),
    });
    expect(await bench.run("-?")).toEqual({ code: 1, stdout: help.stdout, stderr: "" });
    expect(await bench.run("--nonsense")).toEqual({
      code: 1,
      stdout: help.stdout,
      stderr: "kexec: unrecognized option '--nonsense'\n",
    });
    expect(await bench.run("-l", "--mem-min=zz", "@vmlinuz")).toEqual({
      code: 1,
      stdout: help.stdout,
      stderr: "Bad option value in --mem-min=zz\n",
    });
    expect(await bench.run()).toEqual({ code: 255, stdout: help.stdout, stderr: "No kernel specified\n" });
    expect(bench.calls).toEqual([]);
  });
  it("no shutdown program", async () => {
    using bench = new KexecBench({ side: { runProgram: async () => null } });
    expect(await bench.run("@vmlinuz")).toMatchObject({
      code: 255,
      stderr: "shutdown: No such file or directory: /sbin/shutdown, /etc/shutdown, /bin/shutdown expected\n",
    });
    expect(bench.calls).toEqual([expect.stringMatching(/^kexec_load at/)]);
  });
  it("a shutdown program that fails", async () => {
    using bench = new KexecBench({ side: { runProgram: async () => 4 } });
    expect((await bench.run("@vmlinuz")).code).toBe(4);
  });
  it("a way back without an entry, and one that is refused", async () => {
    using bench = new KexecBench({
      system: {
        kexecLoad: async () => {
          throw new SyscallError("kexec_load", [], errno.EINVAL);
        },
      },
    });
    const message = "Please specify jump back entry in command line\n";
    expect(await bench.run("--load-jump-back-helper")).toEqual({ code: 255, stdout: "", stderr: message });
    expect(await bench.run("--load-jump-back-helper", "--entry=1")).toEqual({
      code: 255,
      stdout: "",
      stderr: "load jump back kernel failed: Invalid argument\n",
    });
    expect(bench.calls).toEqual([]);
  });
});
