import { describe, expect, it } from "vitest";
import { discover } from "../../../src/discovery/discover.ts";
import { defaultDiscoveryLimits } from "../../../src/discovery/finder.ts";
import { finders } from "../../../src/discovery/finders.ts";
import { type FileSource, SourceError } from "../../../src/discovery/source.ts";
import type { MachineDescription } from "../../../src/machine/machine-description.ts";
import { machineDescription } from "../../fakes/machine-description.ts";
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

  describe("a menu that a configuration on another disk leads to", () => {
    const disk = (name: string, files: Readonly<Record<string, string>>): FileSource =>
      memorySource(`${name}1`, files, { disk: name, part: 1, table: "gpt" });
    const menu = `menuentry a {\nlinux /k ro $extra\n}\nmenuentry b {\nlinux /k b\n}\n`;
    const own = disk("sdb", { "/boot/grub/grub.cfg": menu, "/k": "kernel" });
    const stray = (before: string): FileSource =>
      disk("sda", { "/boot/grub/grub.cfg": `${before}\nset root=hd1,gpt1\nconfigfile /boot/grub/grub.cfg\n` });
    const shown = async (...sources: FileSource[]) =>
      (await found(...sources)).entries.map(({ id, options, configs }) => [
        id,
        options,
        configs.map(({ ref }) => ref.volume),
      ]);

    it("does not need that disk's files to be signed", async () => {
      expect(await shown(stray(""), own)).toEqual([
        ["sdb1:grub:0", "ro", ["sdb1"]],
        ["sdb1:grub:1", "b", ["sdb1"]],
      ]);
    });

    it("does not hide the disk's own entries where it changes them", async () => {
      const result = await found(stray("set extra=evil; export extra; set default=0; export default"), own);
      expect(result.entries.map(({ id, options, configs }) => [id, options, configs.length])).toEqual([
        ["sdb1:grub:0@sda1", "ro evil", 2],
        ["sdb1:grub:1", "b", 1],
        ["sdb1:grub:0", "ro", 1],
      ]);
      expect(result.menus.map(({ defaultId }) => defaultId)).toEqual(["sdb1:grub:0@sda1", "sdb1:grub:0"]);
    });

    it("neither where the menu is found by such detours alone", async () => {
      const hidden = disk("sdb", { "/menu.cfg": menu, "/k": "kernel" });
      const lead = (name: string): FileSource =>
        disk(name, { "/boot/grub/grub.cfg": "search --set --file /menu.cfg\nconfigfile /menu.cfg\n" });
      expect(await shown(lead("sda"), hidden, lead("sdc"))).toEqual([
        ["sdb1:grub:/menu.cfg:0", "ro", ["sda1", "sdb1"]],
        ["sdb1:grub:/menu.cfg:1", "b", ["sda1", "sdb1"]],
        ["sdb1:grub:/menu.cfg:0@sdc1", "ro", ["sdc1", "sdb1"]],
        ["sdb1:grub:/menu.cfg:1@sdc1", "b", ["sdc1", "sdb1"]],
      ]);
    });
  });

  it("nothing is found on nothing", async () => {
    expect(await found()).toEqual({ menus: [], entries: [], skipped: [], images: [] });
    expect(await found(memorySource("vda1", {}))).toEqual({ menus: [], entries: [], skipped: [], images: [] });
  });
});

describe("finders", () => {
  it("no format stands twice", () => {
    const formats = finders.map((finder) => finder.format);
    expect(new Set(formats).size).toBe(formats.length);
  });
});

it("finders know the machine that they are told of", async () => {
  const files = {
    "/syslinux.cfg": "sysappend 16\nlabel a\nlinux /k\n",
    "/autoexec.ipxe": `#!ipxe\nboot k \${serial}\n`,
    "/k": "",
  };
  const source = memorySource("vda1", files, { fstype: "vfat" });
  const options = async (machine?: () => MachineDescription): Promise<string[]> => {
    const { entries } = await discover([source], "x86_64", defaultDiscoveryLimits, null, machine);
    return entries.map((entry) => entry.options);
  };
  expect(await options(() => machineDescription())).toEqual(["SYSVENDOR=ACME", "S-1"]);
  expect(await options()).toEqual([]);
});

it("the machine is not read where nobody asks what it is", async () => {
  const source = memorySource("vda1", { "/loader/entries/a.conf": "linux /k\n", "/k": "" });
  const machine = (): MachineDescription => {
    throw new Error("read");
  };
  const { entries, skipped } = await discover([source], "x86_64", defaultDiscoveryLimits, null, machine);
  expect([entries.map(({ id }) => id), skipped]).toEqual([["vda1:bls1:a"], []]);
});
