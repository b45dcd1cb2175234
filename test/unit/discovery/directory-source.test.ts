import { execFileSync } from "node:child_process";
import {
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { DirectorySource } from "../../../src/discovery/directory-source.ts";
import { SourceError, type VolumeFacts } from "../../../src/discovery/source.ts";
import { nativeSystem } from "../../../src/linux/native.ts";
import type { System } from "../../../src/linux/system.ts";
import { fakeSystem } from "../../fakes/system.ts";

const scratch = mkdtempSync(join(tmpdir(), "slipway-source-"));
afterAll(() => rmSync(scratch, { recursive: true }));

writeFileSync(join(scratch, "outside"), "secret");
const root = join(scratch, "root");
mkdirSync(join(root, "boot/deep"), { recursive: true });
const at = (path: string): string => join(root, path);
writeFileSync(at("boot/vmlinuz"), "kernel");
writeFileSync(at("boot/deep/file"), "deep");
writeFileSync(at("boot/empty"), "");
writeFileSync(at("boot/Ä"), "umlaut");
const links: Readonly<Record<string, string>> = {
  relative: "boot/vmlinuz",
  absolute: "/boot/vmlinuz",
  "directory-link": "boot/deep",
  "boot/up": "../boot/vmlinuz",
  "boot/deep/absolute": "/boot/deep",
  chain: "relative",
  out: "../outside",
  "boot/deep/far-out": "../../../outside",
  "out-and-in": "../root/boot/vmlinuz",
  password: "/etc/passwd",
  dangling: "nowhere",
  loop: "loop",
  "loop-a": "loop-b",
  "loop-b": "loop-a",
  "through-file": "boot/vmlinuz/x",
  dots: "./boot/.//vmlinuz",
};
for (const [path, target] of Object.entries(links)) symlinkSync(target, at(path));
for (let i = 0; i <= 41; i++) symlinkSync(i === 0 ? "boot/vmlinuz" : `hop${i - 1}`, at(`hop${i}`));
symlinkSync("a/".repeat(2000), at("wide"));
execFileSync("mkfifo", [at("fifo")]);

const facts: VolumeFacts = {
  name: "vda1",
  fstype: null,
  uuid: null,
  label: null,
  partuuid: null,
  partlabel: null,
  disk: null,
  part: null,
  table: null,
  parttype: null,
  layer: null,
};
const open = (system: System = nativeSystem(), seconds = 5): DirectorySource =>
  new DirectorySource(system, openSync(root, "r"), facts, seconds);
const source = open();
afterAll(() => source.close());

const text = async (path: string): Promise<string> => Buffer.from(await source.readFile(path, 100)).toString();

/** The error's whole text; the system's own words are long, so a prefix may be given. */
async function refuses(work: Promise<unknown>, message: string): Promise<void> {
  const error = await work.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(SourceError);
  expect(error instanceof Error && error.message).toBe(message);
}

describe("links are followed inside the volume", () => {
  const reads = (path: string, real: string, content: string): void => {
    it(path, async () => {
      expect(await source.realPath(path)).toBe(real);
      expect(await text(path)).toBe(content);
      expect(await source.stat(path)).toEqual({ type: "file", size: content.length });
    });
  };
  reads("/boot/vmlinuz", "/boot/vmlinuz", "kernel");
  reads("boot//./vmlinuz", "/boot/vmlinuz", "kernel");
  reads("/boot/deep/../vmlinuz", "/boot/vmlinuz", "kernel");
  reads("/relative", "/boot/vmlinuz", "kernel");
  reads("/absolute", "/boot/vmlinuz", "kernel");
  reads("/boot/up", "/boot/vmlinuz", "kernel");
  reads("/directory-link/file", "/boot/deep/file", "deep");
  reads("/directory-link/absolute/absolute/file", "/boot/deep/file", "deep");
  reads("/directory-link/../vmlinuz", "/boot/vmlinuz", "kernel");
  reads("/chain", "/boot/vmlinuz", "kernel");
  reads("/dots", "/boot/vmlinuz", "kernel");
  reads("/hop39", "/boot/vmlinuz", "kernel");
  reads("/boot/empty", "/boot/empty", "");
});

describe("nothing leaves the volume", () => {
  const leaves = (path: string): void => {
    it(path, async () => {
      const message = `open ${JSON.stringify(path)} on vda1: the path leaves the volume`;
      await refuses(source.realPath(path), message);
      await refuses(source.stat(path), message);
      await refuses(source.readFile(path, 100), message);
      await refuses(source.open(path), message);
      await refuses(source.list(path), message);
    });
  };
  leaves("/..");
  leaves("/../outside");
  leaves("/boot/../../outside");
  leaves("/out");
  leaves("/boot/deep/far-out");
  leaves("/out-and-in");
  it("an absolute link means the volume's own root", async () => {
    expect(await source.realPath("/password")).toBeNull();
  });
});

describe("what is not there", () => {
  for (const path of [
    "/nowhere",
    "/boot/nowhere/x",
    "/dangling",
    "/boot/vmlinuz/x",
    "/boot/vmlinuz/../vmlinuz",
    "/through-file",
    `/${"n".repeat(300)}`,
  ]) {
    it(path.slice(0, 40), async () => {
      expect(await source.realPath(path)).toBeNull();
      expect(await source.stat(path)).toBeNull();
      expect(await source.list(path)).toEqual([]);
      await refuses(source.open(path), `open ${JSON.stringify(path)} on vda1: no such file`);
    });
  }
});

describe("hostile paths", () => {
  const circle = (path: string): void => {
    it(path, () => refuses(source.stat(path), `open ${JSON.stringify(path)} on vda1: more than 40 symbolic links`));
  };
  circle("/loop");
  circle("/loop-a");
  circle("/hop41");
  it("NUL", () =>
    refuses(source.stat("/boot\0"), 'open "/boot\\u0000" on vda1: a path of at most 4096 bytes without NUL expected'));
  it("too long, in bytes", () => {
    const path = "Ä".repeat(2049);
    return refuses(source.stat(path), `open "${path}" on vda1: a path of at most 4096 bytes without NUL expected`);
  });
  it("as long as it may be", async () => {
    expect(await source.stat("/boot/./vmlinuz".padStart(4096, "/"))).toEqual({ type: "file", size: 6 });
  });
  it("a link that makes it long", async () => {
    expect(await source.stat("/wide")).toBeNull();
  });
});

describe("only regular files are opened", () => {
  it("a FIFO does not block", async () => {
    expect(await source.stat("/fifo")).toEqual({ type: "other", size: 0 });
    await refuses(source.open("/fifo"), 'open "/fifo" on vda1: a regular file expected');
  });
  it("a directory", async () => {
    expect((await source.stat("/boot"))?.type).toBe("directory");
    await refuses(source.open("/boot"), 'open "/boot" on vda1: a regular file expected');
    await refuses(source.open("/"), 'open "/" on vda1: a regular file expected');
  });
});

describe("readFile", () => {
  it("as large as it may be", async () => {
    expect(await source.readFile("/boot/vmlinuz", 6)).toHaveLength(6);
  });
  it("larger than it may be", () =>
    refuses(source.readFile("/relative", 5), 'read "/relative" on vda1: 6 bytes, at most 5 are taken'));
});

describe("list", () => {
  it("is in the order of bytes", async () => {
    expect(await source.list("/boot")).toEqual(["deep", "empty", "up", "vmlinuz", "Ä"]);
    expect(await source.list("/directory-link")).toEqual(["absolute", "far-out", "file"]);
  });
  it("a file is no directory", () =>
    refuses(source.list("/boot/vmlinuz"), 'list "/boot/vmlinuz" on vda1: ENOTDIR: not a directory'));
});

describe("reading", () => {
  it("at a position, up to the end", async () => {
    await using file = await source.open("/boot/vmlinuz");
    const into = new Uint8Array(4);
    expect(await file.read(into, 3)).toBe(3);
    expect(Buffer.from(into.subarray(0, 3)).toString()).toBe("nel");
    expect(await file.read(into, 6)).toBe(0);
  });
});

describe("a system that misbehaves", () => {
  it("does not answer: the request fails in time, and the descriptor that comes later is closed", async () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    const dead = open(fakeSystem({ openBeneath: () => promise }), 0.02);
    await refuses(dead.open("/boot/vmlinuz"), 'open "/boot/vmlinuz" on vda1: wait: no answer within 0.02 s');
    // The first silence is the last one that is waited for.
    await refuses(dead.stat("/boot"), 'stat "/boot" on vda1: the volume has stopped answering');
    const fd = openSync(at("boot/vmlinuz"), "r");
    resolve(fd);
    await new Promise((done) => setTimeout(done, 20));
    expect(() => fstatSync(fd)).toThrow("EBADF");
    await dead.close();
  });

  it("no descriptor stays open", async () => {
    const openFiles = (): string[] =>
      readdirSync("/proc/self/fd").flatMap((fd) => {
        try {
          return [readlinkSync(`/proc/self/fd/${fd}`)].filter((target) => target.startsWith(root));
        } catch {
          return [];
        }
      });
    const before = openFiles();
    const again = open();
    await again.readFile("/boot/vmlinuz", 100);
    await again.readFile("/boot/vmlinuz", 1).catch(() => {});
    await again.open("/fifo").catch(() => {});
    await again.open("/boot").catch(() => {});
    await again.close();
    expect(openFiles()).toEqual(before);
  });
});

describe("a closed volume", () => {
  it("refuses everything and may be closed again", async () => {
    const closed = open();
    await closed.close();
    await closed.close();
    const message = 'open "/boot" on vda1: the volume is closed';
    await refuses(closed.stat("/boot"), message);
    await refuses(closed.list("/boot"), message);
    await refuses(closed.open("/boot"), message);
    await refuses(closed.realPath("/boot"), message);
  });
});
