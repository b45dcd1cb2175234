import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { SyscallError } from "../../../src/linux/errno.ts";
import { nativeSystem } from "../../../src/linux/native.ts";

const system = nativeSystem();
const directory = mkdtempSync(join(tmpdir(), "slipway-native-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe("memory files", () => {
  it("cannot be changed once sealed, and map to the bytes written", () => {
    const fd = system.createMemoryFile("test");
    writeSync(fd, "hello");
    system.sealMemoryFile(fd);
    expect(() => writeSync(fd, "x")).toThrow(/EPERM/);
    const again = openSync(`/proc/self/fd/${fd}`, "r");
    expect(readFileSync(again, "utf8")).toBe("hello");
    {
      using mapped = system.mapFile(fd, 5);
      expect(Buffer.from(mapped.bytes).toString()).toBe("hello");
    }
    closeSync(again);
    closeSync(fd);
  });

  it("an empty file maps to no bytes", () => {
    const fd = system.createMemoryFile("empty");
    using mapped = system.mapFile(fd, 0);
    expect(mapped.bytes).toHaveLength(0);
    closeSync(fd);
  });
});

describe("openBeneath", () => {
  mkdirSync(join(directory, "sub"));
  writeFileSync(join(directory, "sub/file"), "content");
  symlinkSync("sub/file", join(directory, "link"));
  const root = openSync(directory, "r");
  afterAll(() => closeSync(root));

  it("opens a file below the directory", async () => {
    const fd = await system.openBeneath(root, "sub/file");
    expect(readFileSync(fd, "utf8")).toBe("content");
    closeSync(fd);
  });

  const refused = async (path: string, code: string): Promise<void> => {
    const error = await system.openBeneath(root, path).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(SyscallError);
    expect(error instanceof SyscallError && error.code).toBe(code);
  };
  it("refuses a link", () => refused("link", "ELOOP"));
  it("refuses to leave the directory", () => refused("../etc/passwd", "EXDEV"));
  it("refuses an absolute path", () => refused("/etc/passwd", "EXDEV"));
  it("says that there is no such file", () => refused("none", "ENOENT"));
});

describe("errors print as the call", () => {
  it("with the arguments and what the number means", () => {
    expect(() => system.mount({ source: "x", target: "/nowhere/at/all", type: "tmpfs", flags: [], data: "" })).toThrow(
      'mount("x", "/nowhere/at/all", "tmpfs"): ENOENT: no such file or directory',
    );
  });

  it("a filesystem that is not known", async () => {
    await expect(system.openFilesystem({ type: "nosuchfs", source: "/dev/null", options: [] })).rejects.toThrow(
      /^fsopen\("nosuchfs"\): E(NODEV|PERM): /,
    );
  });

  it("a module that is not a module", async () => {
    const fd = openSync(join(directory, "sub/file"), "r");
    await expect(system.loadModule(fd, "file.ko", "")).rejects.toThrow(
      /^finit_module\("file.ko", ""\): E(NOEXEC|PERM|NOSYS)/,
    );
    closeSync(fd);
  });

  it("a kernel that is not a kernel", async () => {
    const fd = openSync(join(directory, "sub/file"), "r");
    await expect(system.kexecFileLoad({ kernelFd: fd, initrdFd: null, commandLine: "a b" })).rejects.toThrow(
      /^kexec_file_load\(\d+, null, 4, "a b", 4\): E(NOEXEC|PERM|NOSYS): /,
    );
    closeSync(fd);
  });
});

describe("reapOrphans", () => {
  it("finds nobody where no child has ended", () => {
    expect(system.reapOrphans(new Set())).toEqual([]);
  });
});

describe("watchReadable", () => {
  it("promises that wait for it go on at once, though nothing else happens", async () => {
    const script = `
      const { nativeSystem } = await import(${JSON.stringify(new URL("../../../src/linux/native.ts", import.meta.url).href)});
      const { spawn } = await import("node:child_process");
      const { openSync, constants } = await import("node:fs");
      const fd = openSync(process.argv[1], constants.O_RDONLY | constants.O_NONBLOCK);
      const writer = spawn("sh", ["-c", "sleep 0.2; echo x > " + process.argv[1] + "; sleep 5"], { stdio: "ignore" });
      writer.unref();
      const start = performance.now();
      await new Promise((resolve) => {
        const watch = nativeSystem().watchReadable(fd, () => { watch.close(); resolve(); });
      });
      await null;
      process.stdout.write(String(performance.now() - start));
      writer.kill();
      process.exit(0);
    `;
    const fifo = join(directory, "fifo");
    execFileSync("mkfifo", [fifo]);
    const words = ["--input-type=module", "-e", script, fifo];
    const elapsedMs = Number(execFileSync(process.execPath, words, { encoding: "utf8", timeout: 20_000 }));
    expect(elapsedMs).toBeLessThan(4000);
  });
});
