import { describe, expect, it } from "vitest";
import { discover } from "../../../src/discovery/discover.ts";
import { defaultDiscoveryLimits } from "../../../src/discovery/finder.ts";
import { finders } from "../../../src/discovery/finders.ts";
import { type FileSource, SourceError } from "../../../src/discovery/source.ts";
import { memorySource } from "../../fakes/memory-source.ts";

const conf = (title: string): string => `title ${title}\nlinux /vmlinuz\noptions quiet\n`;
const good = (name: string, ids: readonly string[]): FileSource =>
  memorySource(name, {
    "/vmlinuz": "kernel",
    ...Object.fromEntries(ids.map((id) => [`/loader/entries/${id}.conf`, conf(id)])),
  });

/** A volume on which every request fails. */
function broken(name: string): FileSource {
  const fail = async (): Promise<never> => {
    throw new SourceError(`read "/" on ${name}: EIO: i/o error`);
  };
  return { ...memorySource(name, {}), stat: fail, readFile: fail, list: fail, open: fail, realPath: fail };
}

const found = (...sources: FileSource[]) => discover(sources, "x86_64", defaultDiscoveryLimits);

describe("discover", () => {
  it("finds the entries of every volume, in device order", async () => {
    const { entries, skipped, menus } = await found(good("vdb1", ["x"]), good("vda1", ["b", "a"]));
    expect(entries.map((entry) => entry.id)).toEqual(["vdb1:bls1:x", "vda1:bls1:b", "vda1:bls1:a"]);
    expect(skipped).toEqual([]);
    expect(menus.map((menu) => [menu.volume, menu.format])).toEqual([
      ["vdb1", "bls1"],
      ["vda1", "bls1"],
    ]);
  });

  it("a volume that fails costs itself, and says so", async () => {
    const { entries, skipped } = await found(broken("vda1"), good("vdb1", ["x"]));
    expect(entries.map((entry) => entry.id)).toEqual(["vdb1:bls1:x"]);
    expect(skipped.length).toBeGreaterThan(0);
    for (const skip of skipped) {
      expect(skip.source.volume).toBe("vda1");
      expect(skip.reason).toContain("EIO");
    }
  });

  it("no entry and no remark stands twice", async () => {
    // Both places lead to the same directory.
    const linked = memorySource("vda1", {
      "/vmlinuz": "kernel",
      "/loader/entries/x.conf": conf("x"),
      "/loader/entries/bad.conf": "title bad\nlinux /missing\n",
      "/boot": { link: "/" },
    });
    const { entries, skipped } = await found(linked);
    const ids = entries.map((entry) => entry.id);
    expect(ids).toEqual(["vda1:bls1:x"]);
    const reasons = skipped.map((skip) => JSON.stringify(skip));
    expect(new Set(reasons).size).toBe(reasons.length);
    expect(skipped.some((skip) => skip.reason.includes("/missing"))).toBe(true);
  });

  it("nothing is found on nothing", async () => {
    expect(await found()).toEqual({ menus: [], entries: [], skipped: [] });
    expect(await found(memorySource("vda1", {}))).toEqual({ menus: [], entries: [], skipped: [] });
  });
});

describe("finders", () => {
  it("no format stands twice", () => {
    const formats = finders.map((finder) => finder.format);
    expect(new Set(formats).size).toBe(formats.length);
  });
});
