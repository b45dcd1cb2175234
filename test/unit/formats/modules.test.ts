import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import { AliasIndex } from "../../../src/formats/modalias.ts";
import { ModuleIndex, type ModuleSources, moduleName } from "../../../src/formats/modules.ts";

function data(name: string): string {
  return gunzipSync(readFileSync(new URL(`../../data/modules/${name}.gz`, import.meta.url))).toString("utf8");
}

function rows(name: string): string[][] {
  const lines = data(name).split("\n");
  return lines.filter((line) => line !== "").map((line) => line.trim().split(" "));
}

const debian: ModuleSources = {
  dep: data("modules.dep"),
  alias: data("modules.alias"),
  softdep: data("modules.softdep"),
  builtin: data("modules.builtin"),
  builtinModinfo: data("modules.builtin.modinfo"),
};

function expectError(sources: ModuleSources, text: string): void {
  let thrown: unknown = null;
  try {
    ModuleIndex.parse(sources);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(FormatError);
  expect(thrown).toHaveProperty("message", text);
}

describe("a real kernel's modules, as kmod 30 sees them", () => {
  const index = ModuleIndex.parse(debian);
  const softLines = (name: string): number =>
    (debian.softdep ?? "").split("\n").filter((line) => moduleName(line.split(" ")[1] ?? "") === moduleName(name))
      .length;

  it("has the same load order as modprobe --show-depends", () => {
    const golden = rows("modprobe-show-depends").map(([name = "", ...paths]) => [name.replace(":", ""), ...paths]);
    expect(golden.length).toBe(1121);
    const several = (paths: readonly string[]): boolean => paths.some((path) => softLines(path) > 1);
    const compared = golden.filter(([, ...paths]) => !several(paths));
    expect(compared.length).toBeGreaterThan(1100);
    // kmod repeats a module that is its own soft dependency's dependency.
    for (const [name = "", ...paths] of compared) {
      expect([name, ...index.loadOrder(name)]).toEqual([name, ...new Set(paths)]);
    }
  });

  it("resolves aliases as modprobe --resolve-alias", () => {
    const golden = rows("modprobe-resolve-alias");
    expect(golden.length).toBeGreaterThan(2000);
    // kmod repeats a module of which several patterns match.
    for (const [alias = "", ...names] of golden) {
      expect([alias, ...index.resolve(alias).sort()]).toEqual([alias, ...new Set(names.sort())]);
    }
  });

  it("takes all soft dependencies of btrfs", () => {
    const order = index.loadPlan("btrfs");
    expect(order.at(-1)).toEqual({ name: "btrfs", path: "kernel/fs/btrfs/btrfs.ko", required: true });
    expect(order.filter((step) => !step.required).map((step) => step.name)).toEqual([
      "crc32c_intel",
      "blake2b_generic",
      "sha256_ssse3",
      "xxhash_generic",
    ]);
  });

  it("tells what is built in, by name and by alias", () => {
    const words = ["ext4", "fs-ext4", "nvme-core", "hmac", "xfs", "no_such"];
    expect(words.map((word) => index.isBuiltin(word))).toEqual([true, true, true, true, false, false]);
    expect(index.problems).toEqual([]);
  });

  it("is a smaller index of the same kind once it is filtered", () => {
    const names = index.loadPlan(["virtio_blk", "virtio_pci", "btrfs"]).map((step) => step.name);
    const small = ModuleIndex.parse(index.filtered(names));
    expect([...small.names()].sort()).toEqual([...names].sort());
    for (const name of names) expect(small.loadPlan(name)).toEqual(index.loadPlan(name));
    expect(small.modulesFor("virtio:d00000002v00001AF4")).toEqual(["virtio_blk"]);
    expect(small.modulesFor("fs-btrfs")).toEqual(["btrfs"]);
    expect(small.modulesFor("fs-xfs")).toEqual([]);
    expect(small.isBuiltin("ext4")).toBe(true);
  });
});

describe("load order", () => {
  const order = (dep: string, softdep: string, words: string | string[], alias = ""): string[] =>
    ModuleIndex.parse({ dep, softdep, alias })
      .loadOrder(words)
      .map((path) => moduleName(path));

  it("loads dependencies from last to first", () => {
    expect(order("a.ko: b.ko c.ko\nb.ko: c.ko\nc.ko:\n", "", "a")).toEqual(["c", "b", "a"]);
  });
  it("puts pre before and post after", () => {
    const dep = "a.ko: d.ko\np.ko:\nq.ko:\nd.ko:\n";
    expect(order(dep, "softdep a pre: p post: q\n", "a")).toEqual(["d", "p", "a", "q"]);
  });
  it("ignores soft words without a kind, and soft ones that are not there", () => {
    expect(order("a.ko:\nb.ko:\n", "softdep a b pre: nothing\n", "a")).toEqual(["a"]);
  });
  it("resolves soft dependencies by alias", () => {
    expect(order("a.ko:\nx1.ko:\nx2.ko:\n", "softdep a pre: x", "a", "alias x x1\nalias x x2\n")).toEqual([
      "x1",
      "x2",
      "a",
    ]);
  });
  it("ends with dependencies in a circle", () => {
    expect(order("a.ko: b.ko\nb.ko: a.ko\n", "softdep b pre: a\n", "a")).toEqual(["b", "a"]);
  });
  it("loads each once for several names", () => {
    expect(order("a.ko: c.ko\nb.ko: c.ko\nc.ko:\n", "", ["b", "a"])).toEqual(["c", "b", "a"]);
  });
  it("takes - and _ for the same", () => {
    expect(order("k/usb-storage.ko.xz: k/usb-core.ko.xz\nk/usb-core.ko.xz:\n", "", "usb_storage")).toEqual([
      "usb_core",
      "usb_storage",
    ]);
  });
  it("takes a chain of ten thousand", () => {
    const dep = Array.from({ length: 10_000 }, (_, i) => `m${i}.ko: m${i + 1}.ko`).join("\n");
    expect(order(dep, "", "m0").length).toBe(10_001);
  });
  it("marks what only a soft dependency needs", () => {
    const index = ModuleIndex.parse({ dep: "a.ko:\ns.ko: t.ko\nt.ko:\n", softdep: "softdep a pre: s" });
    expect(index.loadPlan("a").map((step) => [step.name, step.required])).toEqual([
      ["t", false],
      ["s", false],
      ["a", true],
    ]);
  });
  it("has nothing for unknown words", () => {
    expect(order("a.ko:\n", "", ["b", "c:d"])).toEqual([]);
  });
});

describe("renaming", () => {
  it("rewrites modules.dep", () => {
    const index = ModuleIndex.parse({
      dep: "k/a.ko.zst: k/b.ko.zst\nk/b.ko.zst:\nk/c.ko.zst:\n",
      alias: "alias x a\nalias y c\n",
    });
    expect(index.filtered(["a", "b"], (path) => path.replace(".zst", ""))).toEqual({
      dep: "k/a.ko: k/b.ko\nk/b.ko:\n",
      alias: "alias x a\n",
      softdep: "",
      builtin: "",
    });
  });
});

describe("alias patterns", () => {
  const find = (patterns: readonly string[], modalias: string): string[] => {
    const index = new AliasIndex();
    for (const pattern of patterns) index.add(pattern, pattern);
    return index.find(modalias);
  };

  it("matches what the kernel's documentation gives as examples", () => {
    // usb_device_id of drivers/usb/storage/unusual_devs.h through file2alias.c: a range of BCD digits.
    const usb = "usb:v0421p0060d055[1-9]dc*dsc*dp*ic*isc*ip*in*";
    expect(find([usb], "usb:v0421p0060d0553dc00dsc00dp00ic08isc06ip50in00")).toEqual([usb]);
    expect(find([usb], "usb:v0421p0060d0550dc00dsc00dp00ic08isc06ip50in00")).toEqual([]);
  });
  it("finds many of one beginning, in order, as the plain way does", () => {
    const patterns = Array.from({ length: 5000 }, (_, i) => [
      `of:N*T*Cacme,part-${i}`,
      `of:N*T*Cacme,part-${i}C*`,
    ]).flat();
    expect(find(patterns, "of:NuartT(null)Cacme,part-77Cacme,part_9")).toEqual([
      "of:N*T*Cacme,part-9",
      "of:N*T*Cacme,part-77C*",
    ]);
    expect(find(patterns, "of:NuartT(null)Cother,part")).toEqual([]);
  });
  it("agrees with trying each pattern alone, on random ones", () => {
    const random = generator(7);
    const word = (letters: string, length: number): string =>
      Array.from({ length }, () => letters[random() % letters.length]).join("");
    for (let round = 0; round < 60; round++) {
      const patterns = [...new Set(Array.from({ length: 150 }, () => word("aab*-?", 1 + (random() % 7))))];
      const text = word("aaab_", random() % 9);
      const alone = patterns.filter((pattern) => find([pattern], text).length > 0);
      expect([text, ...find(patterns, text)]).toEqual([text, ...alone]);
      const expression = (p: string): RegExp =>
        new RegExp(`^${p.replaceAll("-", "_").replace(/\*/g, ".*").replace(/\?/g, ".")}$`);
      expect([text, ...alone]).toEqual([text, ...patterns.filter((pattern) => expression(pattern).test(text))]);
    }
  });
  it("is quick with forty thousand patterns", () => {
    const index = new AliasIndex();
    for (let i = 0; i < 40_000; i++) index.add(`pci:v0000${hex4(i % 500)}d0000${hex4(i)}sv*sd*bc*sc*i*`, `m${i}`);
    const start = performance.now();
    for (let i = 0; i < 1000; i++) {
      expect(index.find(`pci:v0000${hex4(i % 500)}d0000${hex4(i)}sv00001AF4sd00000002bc01sc00i00`)).toEqual([`m${i}`]);
    }
    // Trying each in turn takes over ten seconds; this takes a fraction of one, with room for a loaded machine.
    expect(performance.now() - start).toBeLessThan(3000);
  });
  it("finds nothing for an alias that is too long", () => {
    expect(find(["*"], "x".repeat(4096))).toEqual(["*"]);
    expect(find(["*"], "x".repeat(4097))).toEqual([]);
  });
});

describe("broken files", () => {
  it("says what is wrong where", () => {
    expectError({ dep: "kernel/a.ko\n" }, `modules.dep: line 1: "kernel/a.ko": PATH: [PATH]… expected`);
    const place = "a path of a .ko file (or .ko.xz, .ko.zst, .ko.gz) below the directory of modules.dep expected";
    expectError({ dep: "a.ko:\n../b.ko:\n" }, `modules.dep: line 2: "../b.ko": ${place}`);
    expectError({ dep: "/lib/modules/1/b.ko:\n" }, `modules.dep: line 1: "/lib/modules/1/b.ko": ${place}`);
    expectError({ dep: "a.ko: b.so\n" }, `modules.dep: line 1: "b.so": ${place}`);
    expectError({ dep: "", alias: "alias x\n" }, `modules.alias: line 1: "alias x": alias PATTERN MODULE expected`);
    expectError(
      { dep: "", alias: "# x\nalias x y z\n" },
      `modules.alias: line 2: "alias x y z": alias PATTERN MODULE expected`,
    );
    expectError(
      { dep: "", softdep: "soft a\n" },
      `modules.softdep: line 1: "soft a": softdep NAME pre: NAME… post: NAME… expected`,
    );
  });
  it("leaves a bad pattern out and keeps the others", () => {
    const index = ModuleIndex.parse({ dep: "a.ko:\n", alias: "alias x[1 a\nalias y a\n" });
    expect(index.modulesFor("y")).toEqual(["a"]);
    expect(index.problems.map((problem) => problem.message)).toEqual([
      `modules.alias: line 1: pattern "x[1": "]" expected after "["`,
    ]);
  });
  it("throws nothing but FormatError for mutated files", () => {
    const random = generator(11);
    const dep = (debian.dep ?? "").slice(0, 2000);
    for (let round = 0; round < 300; round++) {
      const at = random() % dep.length;
      const text = `${dep.slice(0, at)}${String.fromCharCode(random() % 128)}${dep.slice(at + (random() % 3))}`;
      for (const sources of [{ dep: text }, { dep: "", alias: text }, { dep: "", softdep: text }]) {
        try {
          const index = ModuleIndex.parse(sources);
          index.loadOrder(index.names());
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }
    }
  });
});

function hex4(number: number): string {
  return number.toString(16).toUpperCase().padStart(4, "0");
}

/** xorshift32 (Marsaglia, 2003). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
