import { fstatSync, openSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { nativeSystem } from "../../../src/linux/native.ts";
import { DeadlineError, withDeadline } from "../../../src/machine/deadline.ts";
import { filesystemSupport, filesystems } from "../../../src/machine/filesystems.ts";
import { availableMemoryBytes, parseAvailableMemory } from "../../../src/machine/memory.ts";
import { findMountPoint, openVolume } from "../../../src/machine/mounts.ts";
import type { Volume } from "../../../src/machine/volumes.ts";
import { fakeSystem } from "../../fakes/system.ts";

describe("findMountPoint", () => {
  // The first line is the sample of proc_pid_mountinfo(5).
  const table = `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
40 1 254:1 /sub /bind rw - ext4 /dev/vda1 rw
41 1 254:1 / /with\\040space\\134and\\011tab rw,relatime shared:1 - ext4 /dev/vda1 rw
42 1 254:1 / /second rw - ext4 /dev/vda1 rw
43 1 254:10 / /ten rw - ext4 /dev/vda10 rw
`;
  const finds = (devno: string, path: string | null): void => expect(findMountPoint(table, devno)).toBe(path);
  it("the first mount of the whole filesystem, unescaped", () => finds("254:1", "/with space\\and\ttab"));
  it("numbers are compared whole", () => finds("254:10", "/ten"));
  it("a mounted directory is not the whole", () => finds("98:0", null));
  it("not mounted", () => finds("254:2", null));
  it("a mount that another one covers is not seen at its path", () =>
    expect(findMountPoint(`${table}44 1 254:99 / /ten rw - ext4 /dev/x rw\n`, "254:10")).toBeNull());
  it("an empty table", () => expect(findMountPoint("", "254:1")).toBeNull());
});

describe("parseAvailableMemory", () => {
  const reads = (text: string, bytes: number | null): void => expect(parseAvailableMemory(text)).toBe(bytes);
  it("sample of proc_meminfo(5)", () =>
    reads("MemTotal:        2048000 kB\nMemFree: 1 kB\nMemAvailable:    1987654 kB\nBuffers: 1 kB\n", 1987654 * 1024));
  it("kernels before 3.14 do not say", () => reads("MemTotal:        2048000 kB\nMemFree: 1 kB\n", null));
  it("nothing", () => reads("", null));
  it("another unit is not guessed at", () => reads("MemAvailable: 1 MB\n", null));
  it("this machine's", async () => expect(await availableMemoryBytes()).toBeGreaterThan(1 << 20));
});

describe("withDeadline", () => {
  it("hands on what arrives in time", async () => {
    expect(await withDeadline(Promise.resolve(7), 1, "work")).toBe(7);
  });
  it("hands on a failure", async () => {
    await expect(withDeadline(Promise.reject(new Error("broken")), 1, "work")).rejects.toThrow("broken");
  });
  it("says what did not answer", async () => {
    const error = await withDeadline(new Promise(() => {}), 0.01, "read /dev/sda").catch((e: unknown) => e);
    expect(error).toBeInstanceOf(DeadlineError);
    expect(String(error)).toBe("DeadlineError: read /dev/sda: no answer within 0.01 s");
  });
  it("gives back what arrives too late, once", async () => {
    const released: number[] = [];
    const { promise, resolve } = Promise.withResolvers<number>();
    await expect(withDeadline(promise, 0.01, "x", (late) => released.push(late))).rejects.toThrow("no answer");
    expect(released).toEqual([]);
    resolve(9);
    await promise;
    await new Promise(setImmediate);
    expect(released).toEqual([9]);
  });
  it("gives nothing back that arrived in time", async () => {
    const released: number[] = [];
    await withDeadline(Promise.resolve(1), 0.01, "x", (late) => released.push(late));
    await new Promise((done) => setTimeout(done, 30));
    expect(released).toEqual([]);
  });
  it("a failure that comes too late is nobody's", async () => {
    const { promise, reject } = Promise.withResolvers<number>();
    await expect(withDeadline(promise, 0.01, "x", () => {})).rejects.toThrow("no answer");
    reject(new Error("late"));
    await new Promise(setImmediate);
  });
});

describe("filesystems", () => {
  it("no type stands twice", () => {
    const types = filesystems.map((filesystem) => filesystem.type);
    expect(new Set(types).size).toBe(types.length);
  });
  it("those with a journal are told not to replay it", () => {
    const options = (type: string): unknown => filesystemSupport(type)?.options;
    expect(options("ext4")).toEqual([["noload", null]]);
    expect(options("ext3")).toEqual([["noload", null]]);
    expect(options("xfs")).toContainEqual(["norecovery", null]);
    expect(options("f2fs")).toContainEqual(["norecovery", null]);
    expect(options("btrfs")).toEqual([["rescue", "nologreplay"]]);
  });
  it("what holds no files has none", () => {
    expect(filesystemSupport("crypto_LUKS")).toBeNull();
  });
});

describe("openVolume", () => {
  const volume = (type: string): Volume => ({
    device: {
      name: "vdz1",
      // It is opened, and then only handed to the fake kernel.
      node: "/dev/null",
      sizeBytes: 1n << 20n,
      sectorBytes: 512,
      disk: "vdz",
      partition: 1,
      devno: "0:0",
      diskSequence: null,
      stack: null,
    },
    partition: null,
    superblock: { type, usage: "filesystem", uuid: null, label: null },
  });

  const readOnlyLoop = (): { node: string; fd: number } => ({ node: "/dev/loop7", fd: openSync("/dev/null", "r") });

  it("asks for the driver that never replays a journal", async () => {
    const requests: unknown[] = [];
    const system = fakeSystem({
      attachReadOnlyLoop: readOnlyLoop,
      openFilesystem: async (request) => {
        requests.push(request);
        return 42;
      },
    });
    expect(await openVolume(system, null, volume("ext3"), 1)).toEqual([42]);
    expect(requests).toEqual([{ type: "ext4", source: "/dev/loop7", options: [["noload", null]] }]);
  });

  describe("btrfs: the top, then the default subvolume", () => {
    /** Roots of the mounts, one a call. */
    const mounting = async (
      ...roots: readonly string[]
    ): Promise<{ views: number; options: unknown[]; open: boolean[] }> => {
      const options: unknown[] = [];
      const fds = roots.map((root) => openSync(root, "r"));
      const system = fakeSystem({
        attachReadOnlyLoop: readOnlyLoop,
        openFilesystem: async (request) => {
          options.push(request.options);
          return fds[options.length - 1] ?? -1;
        },
      });
      const opened = await openVolume(system, null, volume("btrfs"), 1);
      return { views: opened.length, options, open: fds.map(isOpen) };
    };
    const isOpen = (fd: number): boolean => {
      try {
        fstatSync(fd);
        return true;
      } catch {
        return false;
      }
    };
    it("each is mounted", async () => {
      const own = ["rescue", "nologreplay"];
      expect(await mounting("/proc", "/sys")).toEqual({
        views: 2,
        options: [[own, ["subvolid", "5"]], [own]],
        open: [true, true],
      });
    });
    it("where they are the same, one is enough", async () => {
      expect(await mounting("/proc", "/proc")).toMatchObject({ views: 1, open: [true, false] });
    });
    it("one that fails takes the others with it", async () => {
      const first = openSync("/proc", "r");
      let calls = 0;
      const system = fakeSystem({
        attachReadOnlyLoop: readOnlyLoop,
        openFilesystem: async () => {
          if (calls++ > 0) throw new Error("no such subvolume");
          return first;
        },
      });
      await expect(openVolume(system, null, volume("btrfs"), 1)).rejects.toThrow("no such subvolume");
      expect(isOpen(first)).toBe(false);
    });
  });

  it("mounts nothing on a live machine that has no loop device to stand between", async () => {
    const system = fakeSystem({
      attachReadOnlyLoop: () => {
        throw new Error("no loop device");
      },
    });
    await expect(openVolume(system, null, volume("ext4"), 1)).rejects.toThrow("no loop device");
  });

  it("refuses what it does not read", async () => {
    await expect(openVolume(fakeSystem(), null, volume("ntfs"), 1)).rejects.toThrow(
      "mount /dev/null: Slipway does not read ntfs",
    );
  });

  it("a mount that comes too late is let go", async () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    const system = fakeSystem({ attachReadOnlyLoop: readOnlyLoop, openFilesystem: () => promise });
    await expect(openVolume(system, null, volume("vfat"), 0.01)).rejects.toThrow(
      "mount /dev/null: no answer within 0.01 s",
    );
    const fd = nativeSystem().createMemoryFile("late");
    resolve(fd);
    await new Promise((done) => setTimeout(done, 20));
    expect(() => fstatSync(fd)).toThrow("EBADF");
  });
});
