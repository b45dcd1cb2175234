import { describe, expect, it } from "vitest";
import { SubvolumeSource } from "../../../src/discovery/subvolume-source.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** openSUSE: the default subvolume is a snapshot below `@`. */
const system: MemoryFiles = {
  "/boot/grub2/grub.cfg": "relative",
  "/boot/vmlinuz": { link: "vmlinuz-1" },
  "/boot/vmlinuz-1": "kernel",
  "/only": "default",
};
const at = (prefix: string, files: MemoryFiles): MemoryFiles =>
  Object.fromEntries(Object.entries(files).map(([path, content]) => [`${prefix}${path}`, content]));

const source = (top: MemoryFiles): SubvolumeSource =>
  new SubvolumeSource([memorySource("vda2", top), memorySource("vda2", system)]);

describe("SubvolumeSource", () => {
  const suse = source(at("/@/.snapshots/1/snapshot", system));
  it("is one volume", () => expect(suse.volume.name).toBe("vda2"));
  it("GRUB's paths from the top", async () => {
    const path = "/@/.snapshots/1/snapshot/boot/vmlinuz";
    expect(text(await suse.readFile(path, 100))).toBe("kernel");
    expect(await suse.realPath(path)).toBe("/@/.snapshots/1/snapshot/boot/vmlinuz-1");
  });
  it("paths from the default subvolume", async () => {
    expect(text(await suse.readFile("/boot/grub2/grub.cfg", 100))).toBe("relative");
    expect(await suse.stat("/boot/vmlinuz")).toEqual({ type: "file", size: 6 });
    expect(await suse.realPath("/boot/vmlinuz")).toBe("/boot/vmlinuz-1");
    await using file = await suse.open("/boot/vmlinuz");
    expect(file.size).toBe(6);
  });
  it("neither", async () => {
    expect(await suse.stat("/none")).toBeNull();
    expect(await suse.realPath("/none")).toBeNull();
    await expect(suse.open("/none")).rejects.toThrow('"/none" on vda2');
    expect(await suse.list("/none")).toEqual([]);
  });
  it("where both have a path, the top's file is the one", async () => {
    const both = source({ "/boot/grub2/grub.cfg": "old", "/first": "top" });
    expect(text(await both.readFile("/boot/grub2/grub.cfg", 100))).toBe("old");
    expect(await both.list("/")).toEqual(["boot", "first", "only"]);
    expect(await both.list("/boot")).toEqual(["grub2", "vmlinuz", "vmlinuz-1"]);
  });
  it("a real path that leads to the other root's file is not told", async () => {
    const both = source({ "/boot/vmlinuz-1": "another kernel" });
    expect(await both.realPath("/boot/vmlinuz")).toBe("/boot/vmlinuz");
    expect(text(await both.readFile("/boot/vmlinuz", 100))).toBe("kernel");
  });
  it("a path that leaves the top may be one of the default subvolume", async () => {
    const left = source({ "/boot": { link: "../boot" } });
    expect(text(await left.readFile("/only", 100))).toBe("default");
    await expect(left.readFile("/../x", 100)).rejects.toThrow("the path leaves the volume");
  });
  it("closes all roots", async () => {
    const closed: string[] = [];
    const root = (name: string) => ({ ...memorySource(name, {}), close: async () => void closed.push(name) });
    await new SubvolumeSource([root("a"), root("b")]).close();
    expect(closed).toEqual(["a", "b"]);
  });
});
