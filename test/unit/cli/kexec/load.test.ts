import { readSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { LoadRequest } from "../../../../src/handoff/load-request.ts";
import { errno, SyscallError } from "../../../../src/linux/errno.ts";
import type { FileRange, KexecFileRequest } from "../../../../src/linux/system.ts";
import { kernelImage } from "../../../fakes/kernel-image.ts";
import { type BenchOptions, KexecBench, type KexecRun, kernelBytes } from "../../../fakes/kexec-side.ts";

/** What was asked to be planned, when `@vmlinuz` or another kernel is loaded with these words. */
async function requested(words: string, prepare: (bench: KexecBench) => void = () => {}): Promise<LoadRequest> {
  using bench = new KexecBench();
  prepare(bench);
  const result = await bench.run("-l", "--dry-run", ...words.split(" "));
  const [request] = bench.requests;
  if (request === undefined) throw new Error(`nothing was planned: ${result.stderr}`);
  return request;
}

/** Loads, and has the bytes of a range looked at while they are there. */
async function loadedInitrd(bench: KexecBench, ...words: readonly string[]): Promise<string> {
  await bench.run("-l", ...words);
  return bench.initrds.at(-1) ?? "none";
}

describe("the request", () => {
  const rows: readonly (readonly [words: string, request: Partial<LoadRequest>])[] = [
    ["@vmlinuz", { call: "auto", digest: "crc32", entryMode: null, onCrash: false, debug: false, initrd: null }],
    ["-s @vmlinuz", { call: "file" }],
    ["-c @vmlinuz", { call: "classic" }],
    ["-a -i @vmlinuz", { call: "auto", digest: "never" }],
    ["-d @vmlinuz", { debug: true }],
    ["--no-cma --force-dtb @vmlinuz", { noCma: true, forceDtb: true }],
    ["--real-mode @vmlinuz", { entryMode: "16-bit" }],
    ["--entry-32bit @vmlinuz", { entryMode: "32-bit" }],
    ["--entry-32bit --real-mode @vmlinuz", { entryMode: "16-bit" }],
  ];
  for (const [words, expected] of rows) it(words, async () => expect(await requested(words)).toMatchObject(expected));

  it("what only the classic call can do", async () => {
    const words = "--mem-min=0x100000 --mem-max=0x7ffffff --entry=0x1000 --reset-vga --console-vga --noefi";
    const more =
      "--reuse-video-type --pass-memmap-cmdline --elf32-core-headers --hotplug --console-serial --serial=ttyS1";
    const keepsHeaders = (bench: KexecBench): void => void bench.put("sys/kernel/crash_elfcorehdr_size", "917616\n");
    expect((await requested(`${words} ${more} --serial-baud=9600 @vmlinuz`, keepsHeaders)).classic).toEqual({
      memoryMin: 0x100000,
      memoryMax: 0x7ffffff,
      entry: 0x1000,
      preserveContext: false,
      resetVga: true,
      consoleVga: true,
      serial: { port: 0x2f8, baud: 9600 },
      noEfi: true,
      reuseVideoType: true,
      passMemmapCommandLine: true,
      elf32CoreHeaders: true,
      hotplug: true,
    });
  });
  it("a serial port without its console is told of", async () => {
    using bench = new KexecBench();
    expect(await bench.run("-l", "--serial=ttyS0", "@vmlinuz")).toMatchObject({
      code: 0,
      stderr: "kexec: warning: --serial and --serial-baud do nothing without --console-serial\n",
    });
    expect(bench.requests[0]?.classic.serial).toBeNull();
  });
  it("the command line", async () => {
    expect((await requested("@vmlinuz --append=a --command-line=b")).commandLine).toBe("b");
    expect((await requested("--reuse-cmdline @vmlinuz --append=b")).commandLine).toBe("root=/dev/vda1 ro b");
    expect((await requested("@vmlinuz")).commandLine).toBe("");
  });
  it("a device tree", async () => {
    const put = (bench: KexecBench): void => void bench.put("tree", Buffer.from("d00dfeed00000028", "hex"));
    expect((await requested("-c --dtb=@tree @vmlinuz", put)).devicetree).toHaveLength(8);
    using bench = new KexecBench();
    bench.put("tree", "text");
    expect(await bench.run("-l", "--dtb=@tree", "@vmlinuz")).toMatchObject({
      code: 1,
      stderr: "Cannot read @tree: a flattened device tree expected\n",
    });
    bench.put("tree", Buffer.alloc((2 << 20) + 1));
    expect(await bench.run("-l", "--dtb=@tree", "@vmlinuz")).toMatchObject({
      code: 1,
      stderr: "Cannot read @tree: 2097153 bytes, at most 2097152 are taken\n",
    });
  });
});

describe("initrds", () => {
  const reading: BenchOptions = {};
  it("one is the file itself, several are one after the other at multiples of 4", async () => {
    using bench = new KexecBench(reading);
    bench.put("one", "11111");
    bench.put("two", "22");
    expect(await loadedInitrd(bench, "-s", "@vmlinuz")).toBe("none");
    expect(await loadedInitrd(bench, "-s", "@vmlinuz", "--initrd=@one")).toBe("11111");
    expect(await loadedInitrd(bench, "-s", "@vmlinuz", "--initrd=@one", "--ramdisk=@two")).toBe("11111\0\0\x0022");
    expect(await loadedInitrd(bench, "-s", "@vmlinuz", "--initrd=@two", "--initrd=@one")).toBe("22\0\x0011111");
  });
});

/** A BeoBoot image (include/boot/beoboot.h of kexec-tools): a command line, a kernel, an initrd. */
function beoboot(commandLine: string, initrd: string): Buffer {
  const header = Buffer.alloc(16);
  header.write("BeoB");
  header[4] = 1;
  header[5] = 1;
  header.writeUInt16LE(commandLine.length + 1, 6);
  header.writeUInt32LE(kernelBytes.length, 8);
  header.writeUInt32LE(initrd.length, 12);
  return Buffer.concat([header, Buffer.from(`${commandLine}\0`), kernelBytes, Buffer.from(initrd)]);
}

describe("images that bring something of their own", () => {
  const put = (bench: KexecBench): void => {
    bench.put("image", beoboot("own=1", "OWN"));
    bench.put("more", "MORE");
  };
  it("their command line counts when none is given", async () => {
    expect((await requested("@image", put)).commandLine).toBe("own=1");
    expect((await requested("--append=given @image", put)).commandLine).toBe("given");
    expect((await requested("--append= @image", put)).commandLine).toBe("");
    expect((await requested("--reuse-cmdline @image", put)).commandLine).toBe("root=/dev/vda1 ro");
  });
  it("their initrd comes first", async () => {
    using bench = new KexecBench();
    put(bench);
    expect(await loadedInitrd(bench, "-s", "@image")).toBe("OWN");
    expect(await loadedInitrd(bench, "-s", "@image", "--initrd=@more")).toBe("OWN\0MORE");
  });
});

describe("-t", () => {
  const run = async (...words: readonly string[]): Promise<KexecRun> => {
    using bench = new KexecBench();
    bench.put("vmlinux", kernelImage("vmlinux"));
    bench.put("multiboot", kernelImage("multiboot2-elf64"));
    bench.put("text", "text\n");
    return await bench.run("-l", "-y", ...words);
  };
  const rows: readonly (readonly [words: string, stderr: string])[] = [
    ["-t bzImage64 @vmlinuz", ""],
    ["-t bzImage @vmlinuz", ""],
    ["-s -t bzImage @vmlinuz", ""],
    ["-t elf-x86_64 @vmlinux", ""],
    ["-t multiboot2-x86 @multiboot", ""],
    ["-t elf-x86_64 @multiboot", ""],
    [
      "-t nonsense @vmlinuz",
      "Unsupported kernel type nonsense\nOne of multiboot2-x86, elf-x86_64, multiboot-x86, elf-x86, bzImage64, bzImage, beoboot-x86, nbi-x86, uki expected\n",
    ],
    [
      "-t elf-x86 @vmlinux",
      "Wrong file type elf-x86, file matches type elf-x86_64\nIt is no elf-x86: an ELF file of 32 bits expected, not of 64\n",
    ],
    ["-t bzImage64 @text", "Cannot determine the file type of @text\n"],
  ];
  for (const [words, stderr] of rows) {
    it(words, async () => {
      expect(await run(...words.split(" "))).toEqual({ code: stderr === "" ? 0 : 255, stdout: "", stderr });
    });
  }
  it("of another type", async () => {
    const { code, stderr } = await run("-t", "uki", "@vmlinuz");
    expect(code).toBe(255);
    expect(stderr).toMatch(/^Wrong file type uki, file matches type bzImage64\nIt is no uki: .+\n$/);
  });
  it("bzImage has a bzImage64 entered by its 32-bit entry", async () => {
    const request = await requested("-t bzImage @vmlinuz");
    expect([request.kernel.kind, request.kernel.imageKind]).toEqual(["bzImage", "bzImage"]);
  });
});

describe("options of other types", () => {
  const put = (bench: KexecBench): void => {
    bench.put("vmlinux", kernelImage("vmlinux"));
    bench.put("elf32", kernelImage("multiboot-elf32"));
    bench.put("module", "module");
    bench.put("initrd", "initrd");
  };
  it("are left out, and told of", async () => {
    using bench = new KexecBench();
    put(bench);
    const result = await bench.run("-l", "-y", "--module=@nosuchfile", "--args-elf", "--append=x", "@vmlinuz");
    expect(result).toEqual({
      code: 0,
      stdout: "",
      stderr:
        "kexec: warning: --module does nothing for bzImage64\nkexec: warning: --args-elf does nothing for bzImage64\n",
    });
    expect(bench.requests[0]).toMatchObject({ modules: [], elfArguments: "linux", commandLine: "x" });
  });
  it("what an ELF file is given: Linux's parameters where it can only be Linux", async () => {
    const args = async (words: string): Promise<string> => (await requested(words, put)).elfArguments;
    expect(await args("@vmlinux")).toBe("linux");
    expect(await args("--args-none @vmlinux")).toBe("none");
    expect(await args("--args-elf --initrd=@initrd @vmlinux")).toBe("elf");
    expect(await args("-t elf-x86 @elf32")).toBe("elf");
    expect(await args("-t elf-x86 --initrd=@initrd @elf32")).toBe("linux");
    expect(await args("@elf32")).toBe("linux");
  });
  it("modules: the first word is the file, all of it is the string", async () => {
    const { modules } = await requested("@elf32", put);
    expect(modules).toEqual([]);
    using bench = new KexecBench();
    put(bench);
    await bench.run("-l", "--dry-run", "--module=@module a  b", "--module=@initrd", "@elf32");
    expect(bench.requests[0]?.modules.map(({ range, commandLine }) => [range.length, commandLine])).toEqual([
      [6, `${bench.path("module")} a  b`],
      [6, bench.path("initrd")],
    ]);
  });
});

describe("files that cannot be used", () => {
  const rows: readonly (readonly [words: string, code: number, stderr: string])[] = [
    ["@missing", 1, "Cannot open `@missing': No such file or directory\n"],
    ["-c @missing", 1, "Cannot open `@missing': No such file or directory\n"],
    ["-s @missing", 255, "Cannot open `@missing': No such file or directory\n"],
    ["-a @missing", 255, "Cannot open `@missing': No such file or directory\n"],
    ["@missing @vmlinuz", 1, expect.stringContaining("Cannot open `@missing'")],
    ["@folder", 1, "Read on @folder failed: Is a directory\nCannot read @folder\n"],
    ["@empty", 1, "Cannot read @empty: it is empty\n"],
    ["@text", 255, "Cannot determine the file type of @text\n"],
    ["@vmlinuz --initrd=@missing", 1, "Cannot open `@missing': No such file or directory\n"],
    ["@vmlinuz --initrd=@empty", 1, "Cannot read @empty: it is empty\n"],
    ["@vmlinuz/x", 1, "Cannot open `@vmlinuz/x': Not a directory\n"],
    [
      "--entry=1 -s @vmlinuz",
      255,
      "kexec_file_load takes no --entry: leave out -s, or the option\nCannot load @vmlinuz\n",
    ],
    ["--mem-max=0x1000 @vmlinuz", 1, expect.stringMatching(/^no room for the .*\nCannot load @vmlinuz\n$/)],
    [
      `-s --append=${"x".repeat(2017)} @vmlinuz`,
      255,
      "the options have 2017 bytes, this kernel takes at most 2016 by kexec_file_load\nCannot load @vmlinuz\n",
    ],
  ];
  for (const [words, code, stderr] of rows) {
    it(words.slice(0, 60), async () => {
      using bench = new KexecBench();
      bench.put("folder/file", "");
      bench.put("empty", "");
      bench.put("text", "text\n");
      expect(await bench.run("-l", ...words.split(" "))).toEqual({ code, stdout: "", stderr });
      expect(bench.calls).toEqual([]);
    });
  }
  it("further words are told of", async () => {
    using bench = new KexecBench();
    expect(await bench.run("-l", "@vmlinuz", "more", "words")).toEqual({
      code: 0,
      stdout: "",
      stderr: "kexec: warning: @vmlinuz is taken as the kernel; ignored: more words\n",
    });
  });
});

describe("what the running kernel refuses", () => {
  const refusing = (call: string, number: number): BenchOptions => {
    const refuse = async (): Promise<never> => {
      throw new SyscallError(call, [], number);
    };
    return { system: call === "kexec_load" ? { kexecLoad: refuse } : { kexecFileLoad: refuse } };
  };
  it("kexec_file_load: the words that scripts look for, and what they mean", async () => {
    using bench = new KexecBench(refusing("kexec_file_load", 126));
    expect(await bench.run("-s", "-l", "@vmlinuz")).toEqual({
      code: 255,
      stdout: "",
      stderr:
        "kexec_file_load failed: Required key not available: the image is signed with a key that the running kernel does not know: enrol its certificate (db, MOK)\n",
    });
  });
  it("kexec_file_load is not there: 253 with -s", async () => {
    using bench = new KexecBench(refusing("kexec_file_load", errno.ENOSYS));
    expect((await bench.run("-s", "-l", "@vmlinuz")).code).toBe(253);
  });
  it("kexec_load: entry, flags and segments", async () => {
    using bench = new KexecBench(refusing("kexec_load", errno.EBUSY));
    const { code, stderr } = await bench.run("-c", "-l", "@vmlinuz");
    expect(code).toBe(255);
    const lines = stderr.split("\n");
    expect(lines[0]).toBe(
      "kexec_load failed: Device or resource busy: another program is loading or unloading a kernel at this moment; try again",
    );
    expect(lines[1]).toMatch(/^entry {7}= 0x[0-9a-f]+ flags = 0x3e0000$/);
    expect(lines[2]).toMatch(/^nr_segments = [3-9]$/);
    expect(lines.slice(3)).toContain("segment[0].bufsz = 0x1000");
  });
  it("a load that is refused ends everything", async () => {
    using bench = new KexecBench(refusing("kexec_load", errno.EBUSY));
    expect((await bench.run("-c", "-f", "@vmlinuz")).code).toBe(255);
    expect(bench.calls).toEqual([]);
  });
  it("kexec_load_disabled is seen before anything is tried", async () => {
    using bench = new KexecBench({ files: { "proc/sys/kernel/kexec_load_disabled": "1\n" } });
    expect(await bench.run("-l", "@vmlinuz")).toEqual({
      code: 255,
      stdout: "",
      stderr:
        "kexec_load failed: Operation not permitted: kernel.kexec_load_disabled is 1, so the running kernel loads no kernel any more until it is rebooted\nCannot load @vmlinuz\n",
    });
  });
});

describe("-d", () => {
  it("tells the plan on standard error", async () => {
    using bench = new KexecBench();
    const { code, stdout, stderr } = await bench.run("-d", "-l", "@vmlinuz");
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(stderr).toMatch(/^kernel {7}@vmlinuz \(bzImage64, 6656 bytes\)\n/);
    expect(stderr).toMatch(/^call {9}kexec_load\nbecause {6}\S/m);
  });
  const refusals: readonly (readonly [number: number, calls: readonly string[], code: number])[] = [
    [errno.EINVAL, ["debug EINVAL", "plain"], 0],
    // Not the flag's fault: asking again may count as another load.
    [errno.EBUSY, ["debug EBUSY"], 255],
  ];
  for (const [number, expected, code] of refusals) {
    it(`asks the file call again without a debug flag that it does not know: ${expected[0]}`, async () => {
      const seen: string[] = [];
      const kexecFileLoad = async ({ debug }: KexecFileRequest): Promise<void> => {
        if (debug !== true) return void seen.push("plain");
        const error = new SyscallError("kexec_file_load", [], number);
        seen.push(`debug ${error.code}`);
        throw error;
      };
      using bench = new KexecBench({ system: { kexecFileLoad } });
      expect((await bench.run("-d", "-s", "-l", "-y", "@vmlinuz")).code).toBe(code);
      expect(seen).toEqual(expected);
    });
  }
});

describe("--dry-run", () => {
  it("the file call", async () => {
    using bench = new KexecBench();
    bench.put("initrd", "initrd");
    bench.put("vmlinuz.gz", gzipSync(kernelBytes));
    expect(await bench.run("-l", "-s", "--dry-run", "@vmlinuz.gz", "--initrd=@initrd", "--append=a b")).toEqual({
      code: 0,
      stderr: "",
      stdout: `kernel       @vmlinuz.gz (bzImage64, 6656 bytes, unwrapped from gzip)
initrd       6 bytes
command line a b
started by   kexec -e, or a reboot that uses it
call         kexec_file_load
because      -s asks for kexec_file_load
flags        none
segments     placed by the running kernel
note: @vmlinuz.gz was unwrapped from gzip: the running kernel does not see the file's attributes (security.ima)
nothing was loaded
`,
    });
    expect(bench.calls).toEqual([]);
  });
  it("the classic call: where everything goes", async () => {
    using bench = new KexecBench();
    const { code, stdout } = await bench.run("-l", "-i", "--dry-run", "@vmlinuz");
    expect(code).toBe(0);
    const lines = stdout.split("\n");
    expect(lines.slice(0, 9)).toEqual([
      "kernel       @vmlinuz (bzImage64, 6656 bytes)",
      "initrd       none",
      "command line (empty)",
      "started by   kexec -e, or a reboot that uses it",
      "call         kexec_load",
      expect.stringMatching(/^because {6}\S/),
      "otherwise    kexec_file_load",
      "flags        none",
      "digest       none",
    ]);
    expect(lines[9]).toMatch(/^entry {8}0x[0-9a-f]+, then the kernel in 64-bit mode at 0x[0-9a-f]+$/);
    expect(lines.slice(10, 12)).toEqual([
      "segments:",
      expect.stringMatching(/^ {2}name +address +reserved +memory +content$/),
    ]);
    expect(stdout).toMatch(/^ {2}kernel +0x[0-9a-f]+ +0x400000 +0x1000 +0x1000$/m);
    expect(lines.slice(-2)).toEqual(["nothing was loaded", ""]);
  });
  it("--json: for programs", async () => {
    using bench = new KexecBench();
    const words = ["-l", "-c", "-i", "--dry-run", "--json", "--append=quiet", "@vmlinuz"];
    const result = await bench.run(...words);
    const json: { readonly segments: readonly { readonly name: string }[] } = JSON.parse(result.stdout);
    expect(json).toMatchObject({
      version: 1,
      kernel: { path: "@vmlinuz", type: "bzImage64", imageType: "bzImage64", wrapping: null, bytes: 6656 },
      initrd: null,
      modules: [],
      commandLine: "quiet",
      onCrash: false,
      call: "kexec_load",
      reason: "-c asks for kexec_load",
      fallback: null,
      flags: [],
      digest: null,
      entry: expect.any(Number),
      findings: [],
    });
    expect(json.segments.find(({ name }) => name === "kernel")).toEqual({
      name: "kernel",
      address: expect.any(Number),
      memoryBytes: 4096,
      reservedBytes: 4 << 20,
      contentBytes: 4096,
    });
    const file = JSON.parse((await bench.run("-l", "-s", "--dry-run", "--json", "@vmlinuz")).stdout);
    expect(file).toMatchObject({ digest: null, entry: null, segments: null, flags: ["KEXEC_FILE_NO_INITRAMFS"] });
  });
  it("what cannot be planned", async () => {
    using bench = new KexecBench();
    expect(await bench.run("-l", "--dry-run", "-s", "--entry=1", "@vmlinuz")).toMatchObject({ code: 255, stdout: "" });
  });
});

describe("--check", () => {
  it("nothing against it", async () => {
    using bench = new KexecBench();
    expect(await bench.run("-l", "--check", "@vmlinuz")).toEqual({
      code: 0,
      stdout: "nothing stands against it\n",
      stderr: "",
    });
  });
  it("a refusal: exit code 2", async () => {
    using bench = new KexecBench({ machine: { memoryBytes: 8192 } });
    expect(await bench.run("-l", "--check", "@vmlinuz")).toMatchObject({
      code: 2,
      stdout: expect.stringMatching(/^refusal: kernel and initrd have 6656 bytes; /),
      stderr: "",
    });
  });
  it("a warning stops nothing", async () => {
    using bench = new KexecBench({ machine: { display: "qxldrmfb" } });
    const { code, stdout } = await bench.run("-l", "--check", "@vmlinuz");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^warning: the display is driven by qxldrmfb: .*; watch a serial console/);
    await bench
      .run("-f", "-y", "-x", "@vmlinuz")
      .then(({ stderr }) => expect(stderr).toMatch(/^kexec: warning: the dis/));
    expect(bench.calls).toEqual([expect.stringMatching(/^kexec_load/), "reboot kexec"]);
  });
  it("without a kernel: the machine", async () => {
    using bench = new KexecBench({ machine: { display: "qxldrmfb" } });
    const { code, stdout } = await bench.run("--check");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^warning: the display is driven by qxldrmfb.*\nnote: no kernel is loaded\n$/);
    expect((await bench.run("-e", "--check")).stdout).toBe(stdout);
  });
  it("a running kernel without kexec", async () => {
    using bench = new KexecBench({ files: { "sys/kernel/kexec_loaded": "", "sys/kernel/kexec_crash_loaded": "" } });
    const warning =
      "warning: the running kernel does not tell of kexec; CONFIG_KEXEC or CONFIG_KEXEC_FILE expected, and sysfs mounted\n";
    expect(await bench.run("-l", "--check", "@vmlinuz")).toMatchObject({ code: 0, stdout: warning });
    expect(await bench.run("--check")).toMatchObject({ code: 0, stdout: warning });
    expect((await bench.run("-l", "--dry-run", "@vmlinuz")).stdout).toContain(warning);
  });
  it("a file that cannot be read is no refusal", async () => {
    using bench = new KexecBench();
    expect(await bench.run("-l", "--check", "@missing")).toMatchObject({ code: 1, stdout: "" });
  });
});

it("--real-mode says what kexec-tools says", async () => {
  using bench = new KexecBench({ loader: { carryOut: async (_, plan) => ({ plan, fellBack: null }) } });
  expect(await bench.run("-l", "-y", "--real-mode", "@vmlinuz")).toMatchObject({
    stdout: "Starting the kernel in real mode\n",
  });
});

it("a range is read while the files are open", async () => {
  const lengths: number[] = [];
  const look = ({ fd, offset, length }: FileRange): void => {
    lengths.push(readSync(fd, new Uint8Array(length), 0, length, offset));
  };
  using bench = new KexecBench({
    loader: {
      carryOut: async (_, plan) => {
        look(plan.request.kernel.image);
        return { plan, fellBack: null };
      },
    },
  });
  await bench.run("-l", "@vmlinuz");
  expect(lengths).toEqual([kernelBytes.length]);
});
