import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { BootEntry } from "../../../src/discovery/entry.ts";
import { targetCommandLine } from "../../../src/handoff/command-line.ts";
import { execute } from "../../../src/handoff/execute.ts";
import { type LoadOptions, load } from "../../../src/handoff/load.ts";
import { PreflightError } from "../../../src/handoff/preflight.ts";
import { SyscallError } from "../../../src/linux/errno.ts";
import type { KexecFileRequest } from "../../../src/linux/system.ts";
import type { KexecState } from "../../../src/machine/kexec-state.ts";
import type { MachineFacts } from "../../../src/machine/machine-facts.ts";
import { readArtifacts } from "../../../src/trust/artifacts.ts";
import { verify } from "../../../src/trust/verify.ts";
import { bootEntry } from "../../fakes/boot-entry.ts";
import { bzImageFile } from "../../fakes/bzimage-head.ts";
import { kexecState, machineFacts } from "../../fakes/kexec-state.ts";
import { memorySource } from "../../fakes/memory-source.ts";
import { plainPolicy } from "../../fakes/policy.ts";
import { type FakeSystem, fakeSystem } from "../../fakes/system.ts";

const limits = { kernelBytesMax: 1 << 20, initrdBytesMax: 1 << 20, devicetreeBytesMax: 1 << 20 };

interface Case {
  readonly kernel?: Uint8Array | string;
  readonly entry?: Partial<BootEntry>;
  readonly machine?: Partial<MachineFacts>;
  readonly state?: Partial<KexecState>;
  readonly bootImage?: boolean;
  readonly system?: FakeSystem;
}

/** A locked-down machine, whose kernel takes the file call only. */
function options(own: Case = {}): LoadOptions {
  return {
    bootImage: own.bootImage ?? true,
    digest: "auto",
    kernelBytesMax: 1 << 20,
    initrdBytesMax: 1 << 20,
    state: kexecState({ lockdown: "integrity", ...own.state }),
    machine: machineFacts(own.machine),
  };
}

const acceptsAll = (): FakeSystem => fakeSystem({ kexecFileLoad: async () => {} });

/** Loads an entry as a boot does, with trust off; what the fake kernel was asked for. */
async function loads({ kernel = bzImageFile(), entry = {}, ...own }: Case = {}): Promise<readonly string[]> {
  const system = own.system ?? acceptsAll();
  using artifacts = await readArtifacts({
    system,
    sources: [memorySource("vda1", { "/vmlinuz": kernel, "/initrd": "initrd", "/dtb": "tree" })],
    entry: bootEntry(entry),
    policy: plainPolicy("off", []),
    limits,
    memoryBytes: null,
  });
  const verdict = verify(artifacts, plainPolicy("off", []));
  if (!verdict.ok) throw new Error(verdict.reason);
  await load(system, verdict.boot, options(own));
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
  it("an OS package", async () => {
    const kernel = readFileSync(new URL("../../data/os-package/acme-1.2.zip", import.meta.url));
    const entry = {
      format: "ospkg",
      embedded: true,
      configs: [],
      options: "console=ttyS0,115200n8 ro  quiet",
    } as const;
    expect(await loads({ kernel, entry })).toEqual(["kexecFileLoad with initrd: console=ttyS0,115200n8 ro  quiet"]);
    await expect(loads({ kernel, entry: { ...entry, options: "quiet" } })).rejects.toThrow(
      "changed since it was listed",
    );
  });

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
  it("another architecture", () =>
    refuses({ machine: { architecture: "aarch64" } }, "this machine is aarch64; this version hands over on x86_64"));
  it("a device tree", () =>
    refuses(
      { entry: { devicetree: { volume: "vda1", path: "/dtb" } } },
      "the entry has a device tree; a kernel for x86_64 takes none by kexec",
    ));
  it("a line end in the options", () =>
    refuses({ entry: { options: "a\nb" } }, "the options hold a line end or a NUL"));
  it("a NUL in the options", () => refuses({ entry: { options: "a\0b" } }, "the options hold a line end or a NUL"));
  it("more than half of the memory", () =>
    refuses(
      { machine: { memoryBytes: 4096 } },
      "kernel and initrd have 2576 bytes; the running kernel loads at most half of the memory, 2048 bytes; use a smaller initrd",
    ));

  // arch/x86/kernel/kexec-bzimage64.c: cmdline_len (with its NUL) + 30 > cmdline_size is refused.
  const words = (bytes: number): string => "x".repeat(bytes);
  it("options as long as the kernel takes", async () => {
    expect(await loads({ entry: { options: words(2016) } })).toHaveLength(1);
  });
  it("one byte more", () =>
    refuses(
      { entry: { options: words(2017) } },
      "the options have 2017 bytes, this kernel takes at most 2016 by kexec_file_load",
    ));
  it("bytes are counted, not characters", () =>
    refuses(
      { entry: { options: "ä".repeat(1009) } },
      "the options have 2018 bytes, this kernel takes at most 2016 by kexec_file_load",
    ));
  it("the loader's word counts too", () =>
    refuses(
      { entry: { options: words(2016), bootImage: "B" } },
      "the options have 2018 bytes, this kernel takes at most 2016 by kexec_file_load",
    ));
});

describe("a kernel that cannot be started", () => {
  const refuses = async (own: Case, reason: string | RegExp): Promise<void> => {
    const system = acceptsAll();
    await expect(loads({ ...own, system })).rejects.toThrow(reason);
    expect(system.log.filter((line) => line.startsWith("kexec"))).toEqual([]);
  };
  it("no kernel", () => refuses({ kernel: "x".repeat(600) }, "Cannot determine the file type of /vmlinuz"));
  it("one that is cut, by whichever call", async () => {
    const kernel = bzImageFile().subarray(0, 5 * 512);
    const reason = "the file is cut: going by the header, the setup code ends at byte 2560, but the file at byte 2560";
    await refuses({ kernel }, reason);
    await refuses({ kernel, state: { lockdown: "integrity" } }, reason);
  });
  it("an empty file", () => refuses({ kernel: "" }, "Cannot determine the file type of /vmlinuz"));
  it("a zImage", () =>
    refuses({ kernel: bzImageFile({ loadFlags: 0 }) }, "Cannot determine the file type of /vmlinuz"));
  it("no 64-bit entry point, under lockdown", () =>
    refuses(
      { kernel: bzImageFile({ xloadFlags: 2 }) },
      "bzImage: only kexec_load can start this, and the running kernel is locked down (integrity) and refuses kexec_load",
    ));
});

describe("what the kernel's refusals mean", () => {
  const says = async (errno: number, message: string | RegExp, state: Partial<KexecState> = {}): Promise<void> => {
    const system = fakeSystem({
      kexecFileLoad: async (_request: KexecFileRequest) => {
        throw new SyscallError("kexec_file_load", [1, 2], errno);
      },
    });
    await expect(loads({ system, state })).rejects.toThrow(message);
  };
  // Numbers of asm-generic/errno.h, and the words of strerror(3).
  const rows: readonly (readonly [number, string, RegExp])[] = [
    [1, "Operation not permitted", /locked down \(integrity\).*signed/],
    [8, "Exec format error", /uncompressed bzImage/],
    [12, "Cannot allocate memory", /memory/],
    [13, "Permission denied", /IMA/],
    [16, "Device or resource busy", /another program/],
    [22, "Invalid argument", /half of the memory, or the image's signature is broken/],
    [26, "Text file busy", /open for writing/],
    [27, "File too large", /larger/],
    [38, "Function not implemented", /CONFIG_KEXEC_FILE/],
    [61, "No data available", /wants a signature and the image has none/],
    [65, "Package not installed", /algorithm/],
    [74, "Bad message", /malformed/],
    [80, "Accessing a corrupted shared library", /PE structure/],
    [90, "Message too long", /digest/],
    [99, "Cannot assign requested address", /no free range/],
    [126, "Required key not available", /enrol/],
    [129, "Key was rejected by service", /not valid/],
    [524, "Unknown error 524", /wrapper/],
  ];
  for (const [errno, words, meaning] of rows) {
    it(words, async () => {
      await says(errno, `kexec_file_load failed: ${words}: `);
      await says(errno, meaning);
    });
  }
  it("one that is not in the table stands for itself", () => says(5, /^kexec_file_load failed: Input\/output error$/));
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

describe("steps of a boot", () => {
  it("tells how it hands over, and readies the digest before the file call", async () => {
    const said: string[] = [];
    const system = fakeSystem({
      kexecFileLoad: async () => {
        said.push("load");
      },
    });
    using artifacts = await readArtifacts({
      system,
      sources: [memorySource("vda1", { "/vmlinuz": bzImageFile() })],
      entry: bootEntry(),
      policy: plainPolicy("off", []),
      limits,
      memoryBytes: null,
    });
    const verdict = verify(artifacts, plainPolicy("off", []));
    if (!verdict.ok) throw new Error(verdict.reason);
    await load(system, verdict.boot, options(), {
      decided: (handoff) => said.push(handoff),
      beforeFileCall: async () => void said.push("digest"),
    });
    expect(said).toEqual([
      "kexec_file_load, the running kernel's own digest: the running kernel is locked down (integrity) and refuses kexec_load",
      "digest",
      "load",
    ]);
  });
});

describe("execute", () => {
  it("returns only by rejecting", async () => {
    const system = fakeSystem({ kexecFileLoad: async () => {}, sync: async () => {}, reboot: () => {} });
    using artifacts = await readArtifacts({
      system,
      sources: [memorySource("vda1", { "/vmlinuz": bzImageFile() })],
      entry: bootEntry(),
      policy: plainPolicy("off", []),
      limits,
      memoryBytes: null,
    });
    const verdict = verify(artifacts, plainPolicy("off", []));
    if (!verdict.ok) throw new Error(verdict.reason);
    const kernel = await load(system, verdict.boot, options());
    await expect(execute(system, kernel)).rejects.toThrow(
      'reboot(LINUX_REBOOT_CMD_KEXEC) returned; the command line was "quiet"',
    );
    expect(system.log.at(-1)).toBe("reboot kexec");
  });
});
