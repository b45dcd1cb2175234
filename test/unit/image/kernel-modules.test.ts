import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { ImageError } from "../../../src/image/image-error.ts";
import { selectModules } from "../../../src/image/kernel-modules.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "slipway-modules-"));
afterAll(() => rmSync(scratch, { recursive: true }));

let directory = "";
const put = (name: string, content: string | Uint8Array): void => {
  mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
  writeFileSync(path.join(directory, name), content);
};

beforeEach(() => {
  directory = path.join(mkdtempSync(path.join(scratch, "m-")), "6.1.0-test");
  put("modules.dep", "k/disk.ko.zst: k/bus.ko.gz\nk/bus.ko.gz:\nk/sum.ko.xz:\nk/other.ko:\n");
  put("modules.alias", "alias pci:v1* disk\nalias crypto-sum sum\nalias other* other\n");
  put("modules.softdep", "softdep disk pre: crypto-sum\n");
  put("modules.builtin", "k/inside.ko\n");
  put("k/disk.ko.zst", zstdCompressSync("the disk"));
  put("k/bus.ko.gz", gzipSync("the bus"));
  put("k/sum.ko.xz", "packed");
});

const lists = [{ purpose: "storage", words: ["disk", "inside", "elsewhere"] }];

describe("modules of a kernel", () => {
  it("come with their dependencies, unpacked where that is possible", async () => {
    const { version, modules, texts, absent } = selectModules(directory, lists);
    expect(version).toBe("6.1.0-test");
    expect(modules.map((module) => module.path)).toEqual(["k/bus.ko", "k/sum.ko.xz", "k/disk.ko"]);
    const contents = modules.map(({ content }) => (content.kind === "made" ? content.make() : content));
    expect((await Promise.all(contents)).map((c) => (c instanceof Uint8Array ? Buffer.from(c).toString() : c))).toEqual(
      ["the bus", { kind: "file", source: path.join(directory, "k/sum.ko.xz") }, "the disk"],
    );
    expect(texts).toEqual({
      dep: "k/disk.ko: k/bus.ko\nk/bus.ko:\nk/sum.ko.xz:\n",
      alias: "alias pci:v1* disk\nalias crypto-sum sum\n",
      softdep: "softdep disk pre: crypto-sum\n",
      builtin: "k/inside.ko\n",
    });
    expect(absent).toEqual([
      { word: "inside", list: "storage", status: "built in" },
      { word: "elsewhere", list: "storage", status: "absent" },
    ]);
  });
  it("are refused when files are missing or broken", async () => {
    put("k/disk.ko.zst", "not zstd");
    const [, , disk] = selectModules(directory, lists).modules;
    const made = disk?.content.kind === "made" ? disk.content.make() : Promise.resolve();
    await expect(made).rejects.toThrow(`decompress "${path.join(directory, "k/disk.ko.zst")}": `);
    rmSync(path.join(directory, "k/bus.ko.gz"));
    expect(() => selectModules(directory, lists)).toThrow(
      new ImageError(
        `take module "${path.join(directory, "k/bus.ko.gz")}": there is no such file, though modules.dep names it (depmod(8) is to be run)`,
      ),
    );
    rmSync(path.join(directory, "modules.dep"));
    expect(() => selectModules(directory, lists)).toThrow(
      new ImageError(
        `read "${path.join(directory, "modules.dep")}": there is no such file, one that depmod(8) wrote for the kernel was expected`,
      ),
    );
  });
});
