import { describe, expect, it } from "vitest";
import { ConfigBudget } from "../../../src/discovery/config-budget.ts";
import { discover } from "../../../src/discovery/discover.ts";
import { defaultDiscoveryLimits } from "../../../src/discovery/finder.ts";
import { memorySource } from "../../fakes/memory-source.ts";

describe("ConfigBudget", () => {
  const file = "x".repeat(60);
  it("is one for all sources that it charges, and refuses when it is used up", async () => {
    const budget = new ConfigBudget(100);
    const first = budget.charge(memorySource("vda1", { "/a": file }));
    const second = budget.charge(memorySource("vda2", { "/b": file, "/c": file }));
    expect((await first.readFile("/a", 1000)).length).toBe(60);
    expect((await second.readFile("/b", 1000)).length).toBe(60);
    await expect(second.readFile("/c", 1000)).rejects.toThrow(
      'read "/c" on vda2: more than 100 bytes of configuration on one disk',
    );
    expect(await second.stat("/c")).toEqual({ type: "file", size: 60 });
  });

  it("a disk full of configuration costs itself, and another disk's entry is found", async () => {
    const filler = `# ${"x".repeat(60_000)}\n`.repeat(17);
    const entry = "title t\nlinux /k\n";
    const volumes = ["vda1", "vda2", "vda3"].map((name) => {
      const files: Record<string, string> = { "/k": "k" };
      for (let i = 0; i < 16; i++) files[`/loader/entries/e${i}.conf`] = `${entry}${filler}`;
      return memorySource(name, files, { disk: "vda" });
    });
    const good = memorySource("vdb1", { "/loader/entries/good.conf": entry, "/k": "k" }, { disk: "vdb" });
    const { entries, skipped } = await discover([...volumes, good], "x86_64", defaultDiscoveryLimits);
    expect(entries.map(({ id }) => id)).toContain("vdb1:bls1:good");
    expect(entries.length).toBeLessThan(36);
    expect(skipped.some(({ reason }) => reason.includes("bytes of configuration on one disk"))).toBe(true);
  });
});
