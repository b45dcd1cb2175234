import { closeSync, fstatSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { BootEntry } from "../../../src/discovery/entry.ts";
import type { FileSource } from "../../../src/discovery/source.ts";
import { nativeSystem } from "../../../src/linux/native.ts";
import {
  ArtifactError,
  type Artifacts,
  type ReadArtifactsRequest,
  readArtifacts,
} from "../../../src/trust/artifacts.ts";
import { timelessClock } from "../../../src/trust/clock.ts";
import { MemoryFile } from "../../../src/trust/memory-file.ts";
import { minisignAnchorReader } from "../../../src/trust/schemes/minisign.ts";
import { noRevocations } from "../../../src/trust/schemes/scheme.ts";
import { bootEntry } from "../../fakes/boot-entry.ts";
import { memorySource } from "../../fakes/memory-source.ts";
import { minisign, newSigner } from "../../fakes/minisign-signer.ts";
import { plainPolicy } from "../../fakes/policy.ts";
import { fakeSystem } from "../../fakes/system.ts";

const signer = newSigner();
const keys = minisignAnchorReader.readAnchors("key", Buffer.from(signer.publicFile));
const limits = { kernelBytesMax: 100, initrdBytesMax: 200, devicetreeBytesMax: 50 };

const withInitrds: BootEntry = bootEntry({
  initrd: ["/a", "/b"].map((path) => ({ volume: "vda1", path })),
  devicetree: { volume: "vda1", path: "/dtb" },
});
const files = { "/vmlinuz": "kernel", "/a": "aaaaa", "/b": "bb", "/dtb": "d" };

function request(own: Partial<ReadArtifactsRequest>): ReadArtifactsRequest {
  return {
    system: fakeSystem(),
    sources: [memorySource("vda1", files)],
    entry: withInitrds,
    policy: plainPolicy("off", []),
    limits,
    memoryBytes: null,
    ...own,
  };
}

/** A volume whose `path` is read by the given function instead. */
function withReader(
  source: FileSource,
  path: string,
  read: (into: Uint8Array, position: number) => Promise<number>,
): FileSource {
  return {
    ...source,
    open: async (asked) => {
      const file = await source.open(asked);
      return asked === path ? { ...file, read } : file;
    },
  };
}

const rejects = async (own: Partial<ReadArtifactsRequest>, reason: string): Promise<void> => {
  await expect(readArtifacts(request(own))).rejects.toThrow(new ArtifactError(reason));
};

describe("limits", () => {
  const sized = (path: string, bytes: number): FileSource =>
    memorySource("vda1", { ...files, [path]: "x".repeat(bytes) });
  it("a kernel", () =>
    rejects(
      { sources: [sized("/vmlinuz", 101)] },
      'linux "/vmlinuz" on vda1: 101 bytes, at most 100 are taken (limits.kernelBytesMax)',
    ));
  it("all initrds together", () =>
    rejects(
      { sources: [sized("/b", 196)] },
      'initrd "/b" on vda1: 201 bytes, at most 200 are taken (limits.initrdBytesMax)',
    ));
  it("a device tree", () =>
    rejects(
      { sources: [sized("/dtb", 51)] },
      'devicetree "/dtb" on vda1: 51 bytes, at most 50 are taken (limits.devicetreeBytesMax)',
    ));
  it("memory, which everything needs twice", () =>
    rejects({ memoryBytes: 27 }, "kernel and initrds have 14 bytes and are needed twice in memory, 27 bytes are free"));
  it("just enough memory", async () => {
    using artifacts = await readArtifacts(request({ memoryBytes: 28 }));
    expect(artifacts.kernel?.size).toBe(6);
  });
  it("nothing is copied when a limit refuses", async () => {
    const system = fakeSystem();
    await expect(readArtifacts(request({ system, memoryBytes: 0 }))).rejects.toThrow();
    expect(system.log).toEqual([]);
  });
});

describe("files that are not as expected", () => {
  it("missing", () =>
    rejects(
      { sources: [memorySource("vda1", { ...files, "/vmlinuz": { link: "gone" } })] },
      'linux "/vmlinuz" on vda1: no such file',
    ));
  it("a directory", () =>
    rejects(
      { sources: [memorySource("vda1", { "/vmlinuz": "k", "/a/x": "", "/b": "", "/dtb": "" })] },
      'initrd "/a" on vda1: a directory, a regular file expected',
    ));
  it("on a volume that is not there", () => rejects({ sources: [] }, '"/entry.conf" on vda1: the volume is not there'));
  it("shrinks while it is read", () =>
    rejects(
      {
        sources: [
          withReader(memorySource("vda1", files), "/vmlinuz", async (_into, position) => (position === 0 ? 2 : 0)),
        ],
      },
      'linux "/vmlinuz" on vda1: it ended after 2 of 6 bytes',
    ));
  it("grows while it is read: no more than its size is taken", async () => {
    const growing = withReader(memorySource("vda1", files), "/vmlinuz", async (into) => into.fill(7).length);
    using artifacts = await readArtifacts(request({ sources: [growing] }));
    expect(artifacts.kernel?.size).toBe(6);
  });
  it("comes in pieces", async () => {
    const whole = memorySource("vda1", files);
    const pieces = withReader(whole, "/vmlinuz", async (into, position) => {
      into[0] = "kernel".charCodeAt(position);
      return 1;
    });
    using artifacts = await readArtifacts(request({ sources: [pieces] }));
    expect(readFileSync(`/proc/self/fd/${artifacts.kernel?.fd}`, "utf8")).toBe("kernel");
  });
});

describe("what is read", () => {
  it("initrds stand one after the other, each at a multiple of 4, with zeros between", async () => {
    using artifacts = await readArtifacts(request({}));
    expect(readFileSync(`/proc/self/fd/${artifacts.initrd?.fd}`, "utf8")).toBe("aaaaa\0\0\0bb");
    const initrds = artifacts.artifacts.filter((artifact) => artifact.role === "initrd");
    expect(initrds.map((artifact) => Buffer.from(artifact.content?.bytes() ?? []).toString())).toEqual(["aaaaa", "bb"]);
  });

  it("progress counts to the sum", async () => {
    const seen: string[] = [];
    using _artifacts = await readArtifacts(request({ progress: (done, total) => seen.push(`${done}/${total}`) }));
    expect(seen).toHaveLength(4);
    expect(seen.at(-1)).toBe("14/14");
  });

  it("files over one chunk arrive whole and in order", async () => {
    const kernel = Uint8Array.from({ length: (2 << 20) + 12_345 }, (_, index) => (index * 31) >> 3);
    const entry = bootEntry();
    const source = memorySource("vda1", { "/vmlinuz": kernel, "/vmlinuz.minisig": minisign(signer, kernel) });
    using artifacts = await readArtifacts(
      request({
        entry,
        sources: [source],
        limits: { ...limits, kernelBytesMax: 4 << 20 },
        policy: plainPolicy("audit", keys),
      }),
    );
    expect(Buffer.compare(readFileSync(`/proc/self/fd/${artifacts.kernel?.fd}`), kernel)).toBe(0);
    const [, linux] = artifacts.artifacts;
    const found = linux?.signatures[0];
    if (linux?.content == null || found === undefined || !("signature" in found)) {
      throw new Error("a kernel with a signature expected");
    }
    const context = { anchors: keys, clock: timelessClock, revocations: noRevocations };
    expect(found.signature.check(linux.content, context)).toMatchObject({ signer: { label: "key" }, reason: null });
  });

  const opened = async (
    signatures: Record<string, string>,
  ): Promise<{ artifacts: Artifacts; log: readonly string[]; opens: string[] }> => {
    const system = fakeSystem();
    const opens: string[] = [];
    const inner = memorySource("vda1", { ...files, ...signatures });
    const source: FileSource = {
      ...inner,
      open: (path) => {
        opens.push(path);
        return inner.open(path);
      },
    };
    const artifacts = await readArtifacts(request({ system, sources: [source], policy: plainPolicy("enforce", keys) }));
    return { artifacts, log: system.log, opens };
  };

  it("of a refused entry, no big file", async () => {
    const everything = Object.fromEntries(
      Object.entries(files).map(([path, text]) => [`${path}.minisig`, minisign(signer, text)]),
    );
    const { artifacts, log, opens } = await opened(everything);
    // The configuration has no signature.
    expect([opens, log]).toEqual([[], []]);
    expect(artifacts.kernel).toBeNull();
    expect(artifacts.artifacts.map((a) => [a.role, a.content === null])).toEqual([
      ["config", false],
      ["linux", true],
      ["initrd", true],
      ["initrd", true],
      ["devicetree", true],
    ]);
  });
});

describe("memory", () => {
  it("is closed when the artifacts are disposed", async () => {
    let fd = -1;
    {
      using artifacts = await readArtifacts(request({}));
      fd = artifacts.kernel?.fd ?? -1;
      expect(fstatSync(fd).size).toBe(6);
    }
    expect(() => fstatSync(fd)).toThrow("EBADF");
  });

  it("of a failed entry is given back only when nothing writes to it any more", async () => {
    const events: string[] = [];
    const native = nativeSystem();
    let initrdFd = -1;
    const system = fakeSystem({
      createMemoryFile(name) {
        const fd = native.createMemoryFile(name);
        if (name === "initrd") initrdFd = fd;
        return fd;
      },
    });
    // The kernel ends early while the initrd is still being read.
    const broken = withReader(memorySource("vda1", files), "/vmlinuz", async () => 0);
    const slow = withReader(broken, "/a", async (into) => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      events.push(fstatSync(initrdFd).isFile() ? "open while read" : "");
      return into.length;
    });
    await readArtifacts(request({ system, sources: [slow] })).then(
      () => events.push("read"),
      (error: unknown) => events.push(String(error)),
    );
    expect(events).toEqual(["open while read", 'ArtifactError: linux "/vmlinuz" on vda1: it ended after 0 of 6 bytes']);
    expect(() => fstatSync(initrdFd)).toThrow("EBADF");
  });

  it("is handed out only when it is sealed, and then takes nothing more", () => {
    using file = new MemoryFile(fakeSystem(), "test");
    expect(() => file.fd).toThrow("a memory file is handed out only when it is sealed");
    file.append(Buffer.from("abc"));
    file.seal();
    expect(file.size).toBe(3);
    expect(() => file.append(Buffer.from("d"))).toThrow("a memory file that is sealed or closed cannot be written");
    expect(readFileSync(`/proc/self/fd/${file.fd}`, "utf8")).toBe("abc");
  });

  it("does not write to the file that got its number after it was closed", () => {
    const file = new MemoryFile(fakeSystem(), "first");
    file[Symbol.dispose]();
    const next = nativeSystem().createMemoryFile("next");
    expect(() => file.append(Buffer.from("stray"))).toThrow("cannot be written");
    file[Symbol.dispose]();
    expect(fstatSync(next).size).toBe(0);
    closeSync(next);
  });
});
