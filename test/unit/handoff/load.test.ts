import { describe, expect, it } from "vitest";
import type { BootEntry } from "../../../src/discovery/entry.ts";
import { targetCommandLine } from "../../../src/handoff/command-line.ts";
import { execute } from "../../../src/handoff/execute.ts";
import { load } from "../../../src/handoff/load.ts";
import { PreflightError } from "../../../src/handoff/preflight.ts";
import { SyscallError } from "../../../src/linux/errno.ts";
import type { KexecFileRequest } from "../../../src/linux/system.ts";
import { readArtifacts } from "../../../src/trust/artifacts.ts";
import { verify } from "../../../src/trust/verify.ts";
import { bootEntry } from "../../fakes/boot-entry.ts";
import { type BzImageHead, bzImageHead } from "../../fakes/bzimage-head.ts";
import { memorySource } from "../../fakes/memory-source.ts";
import { type FakeSystem, fakeSystem } from "../../fakes/system.ts";

const limits = { kernelBytesMax: 1 << 20, initrdBytesMax: 1 << 20, devicetreeBytesMax: 1 << 20 };

interface Case {
  readonly kernel?: Uint8Array | string;
  readonly entry?: Partial<BootEntry>;
  readonly architecture?: string;
  readonly bootImage?: boolean;
  readonly system?: FakeSystem;
}

const acceptsAll = (): FakeSystem => fakeSystem({ kexecFileLoad: async () => {} });

/** Loads an entry as a boot does, with trust off; what the fake kernel was asked for. */
async function loads({ kernel = bzImageHead(), entry = {}, ...own }: Case = {}): Promise<readonly string[]> {
  const system = own.system ?? acceptsAll();
  using artifacts = await readArtifacts({
    system,
    sources: [memorySource("vda1", { "/vmlinuz": kernel, "/initrd": "initrd", "/dtb": "tree" })],
    entry: bootEntry(entry),
    policy: { mode: "off", keys: [] },
    limits,
    memoryBytes: null,
  });
  const verdict = verify(artifacts, { mode: "off", keys: [] });
  if (!verdict.ok) throw new Error(verdict.reason);
  await load(system, verdict.boot, { bootImage: own.bootImage ?? true, architecture: own.architecture ?? "x86_64" });
  return system.log.filter((line) => line.startsWith("kexec"));
}

describe("targetCommandLine", () => {
  const gives = (entry: Partial<BootEntry>, withBootImage: boolean, text: string): void =>
    expect(targetCommandLine(bootEntry(entry), withBootImage)).toBe(text);
  const grub = { options: "root=/dev/vda1 ro", bootImage: "BOOT_IMAGE=/vmlinuz" };
  it("the loader's word comes first", () => gives(grub, true, "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro"));
  it("unless it is switched off", () => gives(grub, false, "root=/dev/vda1 ro"));
  it("no options, no blank", () => gives({ ...grub, options: "" }, true, "BOOT_IMAGE=/vmlinuz"));
  it("nothing at all", () => gives({ options: "" }, true, ""));
});

describe("load", () => {
  it("hands over kernel, initrd and command line", async () => {
    expect(
      await loads({ entry: { initrd: [{ volume: "vda1", path: "/initrd" }], bootImage: "BOOT_IMAGE=/v" } }),
    ).toEqual(["kexecFileLoad with initrd: BOOT_IMAGE=/v quiet"]);
  });
  it("without an initrd", async () => {
    expect(await loads({ bootImage: false, entry: { bootImage: "BOOT_IMAGE=/v" } })).toEqual([
      "kexecFileLoad alone: quiet",
    ]);
  });
});

describe("preflight", () => {
  const refuses = async (own: Case, reason: string): Promise<void> => {
    const system = acceptsAll();
    const error = await loads({ ...own, system }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(PreflightError);
    expect(error instanceof Error && error.message).toBe(reason);
    expect(system.log.filter((line) => line.startsWith("kexec"))).toEqual([]);
  };
  const head = (own: BzImageHead): Uint8Array => bzImageHead(own);

  it("another architecture", () =>
    refuses({ architecture: "aarch64" }, "this machine is aarch64; this version hands over on x86_64"));
  it("a device tree", () =>
    refuses(
      { entry: { devicetree: { volume: "vda1", path: "/dtb" } } },
      "the entry has a device tree; the kernel takes none by kexec_file_load on x86_64",
    ));
  it("a line end in the options", () =>
    refuses({ entry: { options: "a\nb" } }, "the options hold a line end or a NUL"));
  it("a NUL in the options", () => refuses({ entry: { options: "a\0b" } }, "the options hold a line end or a NUL"));
  it("no 64-bit entry point", () =>
    refuses({ kernel: head({ xloadFlags: 2 }) }, "the kernel has no 64-bit entry point, which kexec_file_load needs"));
  it("a protocol without the 64-bit flag", () =>
    refuses(
      { kernel: head({ protocol: 0x20b }) },
      "the kernel has no 64-bit entry point, which kexec_file_load needs",
    ));
  it("no bzImage", () =>
    refuses(
      { kernel: "x".repeat(600) },
      "the kernel is no x86 bzImage: bzimage: offset 510, boot_flag: 0xaa55 expected, not 0x7878",
    ));
  it("an empty file", () =>
    refuses(
      { kernel: "" },
      "the kernel is no x86 bzImage: bzimage: offset 510, boot_flag: 2 byte(s) expected, the input ends at 0",
    ));
  it("a zImage", () =>
    refuses(
      { kernel: head({ loadFlags: 0 }) },
      "the kernel is no x86 bzImage: bzimage: offset 529, loadflags: LOADED_HIGH expected: this is a zImage, not a bzImage",
    ));

  // arch/x86/kernel/kexec-bzimage64.c: cmdline_len (with its NUL) + 30 > cmdline_size is refused.
  const options = (bytes: number): string => "x".repeat(bytes);
  it("options as long as the kernel takes", async () => {
    expect(await loads({ entry: { options: options(2016) } })).toHaveLength(1);
  });
  it("one byte more", () =>
    refuses(
      { entry: { options: options(2017) } },
      "the options have 2017 bytes, this kernel takes at most 2016 by kexec_file_load",
    ));
  it("bytes are counted, not characters", () =>
    refuses(
      { entry: { options: "ä".repeat(1009) } },
      "the options have 2018 bytes, this kernel takes at most 2016 by kexec_file_load",
    ));
  it("the loader's word counts too", () =>
    refuses(
      { entry: { options: options(2016), bootImage: "B" } },
      "the options have 2018 bytes, this kernel takes at most 2016 by kexec_file_load",
    ));
});

describe("what the kernel's refusals mean", () => {
  const says = async (errno: number, message: string | RegExp): Promise<void> => {
    const system = fakeSystem({
      kexecFileLoad: async (_request: KexecFileRequest) => {
        throw new SyscallError("kexec_file_load", [1, 2], errno);
      },
    });
    await expect(loads({ system })).rejects.toThrow(message);
  };
  // Numbers of asm-generic/errno.h.
  const rows: readonly (readonly [number, string, RegExp])[] = [
    [1, "EPERM", /CAP_SYS_BOOT .* kexec_load_disabled .* lockdown/],
    [8, "ENOEXEC", /uncompressed bzImage/],
    [12, "ENOMEM", /memory/],
    [13, "EACCES", /IMA/],
    [16, "EBUSY", /another kexec load/],
    [22, "EINVAL", /half of the memory/],
    [26, "ETXTBSY", /open for writing/],
    [27, "EFBIG", /larger/],
    [38, "ENOSYS", /CONFIG_KEXEC_FILE/],
    [61, "ENODATA", /wants a signature and the image has none/],
    [65, "ENOPKG", /algorithm/],
    [74, "EBADMSG", /malformed/],
    [80, "ELIBBAD", /PE structure/],
    [90, "EMSGSIZE", /digest/],
    [99, "EADDRNOTAVAIL", /no free range/],
    [126, "ENOKEY", /not in the running kernel's keyrings/],
    [129, "EKEYREJECTED", /signature is bad/],
    [524, "ENOTSUPP", /wrapper/],
  ];
  for (const [errno, code, meaning] of rows) {
    it(code, async () => {
      await says(errno, new RegExp(`^kexec_file_load failed: ${code}: `));
      await says(errno, meaning);
    });
  }
  it("one that is not in the table stands for itself", () => says(5, /^kexec_file_load failed: EIO$/));
  it("one that has no name", () => says(999, /^kexec_file_load failed: error 999$/));
  it("another failure is passed on", async () => {
    const system = fakeSystem({
      kexecFileLoad: async () => {
        throw new TypeError("something else");
      },
    });
    await expect(loads({ system })).rejects.toThrow(new TypeError("something else"));
  });
});

describe("execute", () => {
  it("returns only by rejecting", async () => {
    const system = fakeSystem({ kexecFileLoad: async () => {}, sync: async () => {}, reboot: () => {} });
    using artifacts = await readArtifacts({
      system,
      sources: [memorySource("vda1", { "/vmlinuz": bzImageHead() })],
      entry: bootEntry(),
      policy: { mode: "off", keys: [] },
      limits,
      memoryBytes: null,
    });
    const verdict = verify(artifacts, { mode: "off", keys: [] });
    if (!verdict.ok) throw new Error(verdict.reason);
    const kernel = await load(system, verdict.boot, { bootImage: true, architecture: "x86_64" });
    await expect(execute(system, kernel)).rejects.toThrow(
      'reboot(LINUX_REBOOT_CMD_KEXEC) returned; the command line was "quiet"',
    );
    expect(system.log.at(-1)).toBe("reboot kexec");
  });
});
