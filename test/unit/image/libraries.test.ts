import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { HostFiles } from "../../../src/image/host-files.ts";
import { ImageError } from "../../../src/image/image-error.ts";
import { libraryClosure, linkerConfigDirectories } from "../../../src/image/libraries.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "slipway-libraries-"));
afterAll(() => rmSync(scratch, { recursive: true }));

let root = "";
beforeEach(() => {
  root = mkdtempSync(path.join(scratch, "root-"));
});

function put(inside: string, content: string | Uint8Array): void {
  mkdirSync(path.dirname(path.join(root, inside)), { recursive: true });
  writeFileSync(path.join(root, inside), content);
}

function link(inside: string, target: string): void {
  mkdirSync(path.dirname(path.join(root, inside)), { recursive: true });
  symlinkSync(target, path.join(root, inside));
}

/** test/data/elf: `program` needs libone.so.1 and has RPATH /opt/old; `libone.so` needs libtwo.so.2 and libc.so.6. */
function elf(name: string): Uint8Array {
  return gunzipSync(readFileSync(new URL(`../../data/elf/${name}.gz`, import.meta.url)));
}

/** The smallest stand-in for a library: it needs nothing. */
const leaf = elf("static");

describe("programs of this machine", () => {
  // ldd prints "NAME => PATH (0x…)" and "INTERPRETER (0x…)"; linux-vdso has no file.
  const ldd = (file: string): string[] => {
    const text = execFileSync("ldd", [file], { encoding: "utf8" });
    return [...text.matchAll(/(\/\S+) \(0x/g)].map((match) => realpathSync(match[1] ?? "")).sort();
  };
  it.each([process.execPath, "/bin/ls", "/bin/bash", "/usr/bin/cpio"])("%s needs what ldd says", (file) => {
    const closure = libraryClosure(new HostFiles(), file);
    expect(closure.libraries.map((library) => realpathSync(library.source)).sort()).toEqual(ldd(file));
    for (const library of closure.libraries) expect(existsSync(library.path)).toBe(true);
  });
});

describe("a machine with merged directories", () => {
  beforeEach(() => {
    link("lib", "usr/lib");
    link("lib64", "usr/lib64");
    put("program", elf("program"));
    put("usr/lib64/ld-linux-x86-64.so.2", leaf);
    put("usr/lib/x86_64-linux-gnu/libone.so.1", elf("libone.so"));
    put("usr/lib/x86_64-linux-gnu/libc.so.6.0", leaf);
    link("usr/lib/x86_64-linux-gnu/libc.so.6", "libc.so.6.0");
  });
  const close = () => libraryClosure(new HostFiles(root), path.join(root, "program"));

  it("has its links, and libraries where they were found", () => {
    put("usr/lib/x86_64-linux-gnu/libtwo.so.2", leaf);
    const { libraries, links, aliases } = close();
    expect(libraries.map((library) => library.path)).toEqual([
      "/usr/lib64/ld-linux-x86-64.so.2",
      "/usr/lib/x86_64-linux-gnu/libone.so.1",
      "/usr/lib/x86_64-linux-gnu/libtwo.so.2",
      "/usr/lib/x86_64-linux-gnu/libc.so.6",
    ]);
    expect(libraries.at(-1)?.source).toBe(path.join(root, "usr/lib/x86_64-linux-gnu/libc.so.6.0"));
    expect(links).toEqual([
      { path: "/lib", target: "usr/lib" },
      { path: "/lib64", target: "usr/lib64" },
    ]);
    expect(aliases).toEqual([]);
  });
  it("finds libraries of ld.so.conf, and links them beside libc", () => {
    put("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n");
    put("etc/ld.so.conf.d/local.conf", "# local\n/usr/local/lib\n");
    put("usr/local/lib/libtwo.so.2", leaf);
    const { libraries, aliases } = close();
    expect(libraries.map((library) => library.path)).toContain("/usr/local/lib/libtwo.so.2");
    expect(aliases).toEqual([{ path: "/usr/lib/x86_64-linux-gnu/libtwo.so.2", target: "/usr/local/lib/libtwo.so.2" }]);
  });
  it("prefers the run path of the file, with $ORIGIN", () => {
    put("usr/lib/x86_64-linux-gnu/libtwo.so.2", leaf);
    put("usr/lib/lib/libtwo.so.2", leaf);
    expect(close().libraries.map((library) => library.path)).toContain("/usr/lib/lib/libtwo.so.2");
  });
  it("passes over a library of another class", () => {
    put("usr/lib/lib/libtwo.so.2", elf("lib32.so"));
    put("opt/lib/libtwo.so.2", leaf);
    expect(close().libraries.map((library) => library.path)).toContain("/opt/lib/libtwo.so.2");
  });
  it("says which library is missing, for whom, and where it was looked for", () => {
    expect(close).toThrow(
      new ImageError(
        'find library "libtwo.so.2", which "libone.so.1" needs: it is in none of "/usr/lib/lib", "/opt/lib", ' +
          '"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"',
      ),
    );
  });
  it("names a broken library", () => {
    put("opt/lib/libtwo.so.2", "not a library");
    const file = path.join(root, "opt/lib/libtwo.so.2");
    expect(close).toThrow(new ImageError(`read "${file}": elf: offset 0, e_ident: an ELF file expected`));
  });
});

describe("other machines", () => {
  it("a static program needs nothing", () => {
    put("program", leaf);
    expect(libraryClosure(new HostFiles(root), path.join(root, "program"))).toEqual({
      libraries: [],
      links: [],
      aliases: [],
    });
  });
  it("a program's RPATH counts for the libraries of its libraries, unless they have a run path", () => {
    put("program", elf("program"));
    put("lib64/ld-linux-x86-64.so.2", leaf);
    put("opt/old/libone.so.1", leaf);
    const { libraries, links } = libraryClosure(new HostFiles(root), path.join(root, "program"));
    expect(libraries.map((library) => library.path)).toEqual(["/lib64/ld-linux-x86-64.so.2", "/opt/old/libone.so.1"]);
    expect(links).toEqual([]);
  });
  it("links in a circle are refused", () => {
    link("a", "b");
    link("b", "a");
    expect(() => new HostFiles(root).resolve("/a/x")).toThrow(new ImageError('follow "/a/x": more than 40 links'));
  });
  it("links stay inside the root", () => {
    put("target/file", "");
    link("absolute", "/target");
    link("relative", "../../../target");
    const host = new HostFiles(root);
    expect(host.resolve("/absolute/file")?.path).toBe("/target/file");
    expect(host.resolve("/relative/file")?.path).toBe("/target/file");
    expect(host.resolve("/absolute/other")).toBe(null);
  });
});

describe("ld.so.conf", () => {
  it("is read in order, with what it includes, each file once", () => {
    put(
      "etc/ld.so.conf",
      "/first\ninclude ld.so.conf.d/*.conf\nhwcap 1 x\n/last /more # comment\ninclude /etc/ld.so.conf\n",
    );
    put("etc/ld.so.conf.d/b.conf", "/b\n");
    put("etc/ld.so.conf.d/a.conf", "/a1:/a2,/a3\n");
    put("etc/ld.so.conf.d/c.other", "/c\n");
    expect(linkerConfigDirectories(new HostFiles(root))).toEqual([
      "/first",
      "/a1",
      "/a2",
      "/a3",
      "/b",
      "/last",
      "/more",
    ]);
  });
  it("may be missing", () => {
    expect(linkerConfigDirectories(new HostFiles(root))).toEqual([]);
  });
});
