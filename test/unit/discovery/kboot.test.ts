import { describe, expect, test } from "vitest";
import { defaultDiscoveryLimits } from "../../../src/discovery/finder.ts";
import { OpenedImages } from "../../../src/discovery/image-volumes.ts";
import { kbootFinder } from "../../../src/discovery/kboot.ts";
import type { FileSource } from "../../../src/discovery/source.ts";
import { memorySource } from "../../fakes/memory-source.ts";

function find(sources: readonly [FileSource, ...FileSource[]], entriesMax = 10) {
  const limits = { ...defaultDiscoveryLimits, entriesMax };
  const [source] = sources;
  return kbootFinder.find({ source, sources, architecture: "ppc64", images: new OpenedImages(), limits });
}

const conf = `default=b
a='/vmlinux initrd=sdb1:/initrd x'
b='UUID=ABCD:/vmlinux root=/dev/sda1'
c='LABEL=data:/vmlinux'
d='sdz9:/vmlinux'
e='PARTUUID=p:/no'
f='/etc'
g='FOO=x:/vmlinux'
a='/dev/sda1:/vmlinux'
`;

describe("kbootFinder", () => {
  test("files stand on the volumes that their devices name", async () => {
    const first = memorySource("sda1", { "/etc/kboot.conf": conf, "/vmlinux": "" });
    const second = memorySource(
      "sdb1",
      { "/initrd": "", "/vmlinux": "" },
      { uuid: "abcd", label: "data", partuuid: "p" },
    );
    const [menu, ...more] = await find([first, second]);
    expect(more).toEqual([]);
    expect(menu?.entries.map(({ id, linux, initrd, options }) => [id, linux, initrd, options])).toEqual([
      ["sda1:kboot:a", { volume: "sda1", path: "/vmlinux" }, [{ volume: "sdb1", path: "/initrd" }], "x"],
      ["sda1:kboot:b", { volume: "sdb1", path: "/vmlinux" }, [], "root=/dev/sda1"],
      ["sda1:kboot:c", { volume: "sdb1", path: "/vmlinux" }, [], ""],
      ["sda1:kboot:a#2", { volume: "sda1", path: "/vmlinux" }, [], ""],
    ]);
    expect(menu?.skipped.map(({ source, title, reason }) => `${source.line} ${title} ${reason}`)).toEqual([
      '5 d kernel: no volume is "sdz9"',
      '6 e kernel "/no" is missing on sdb1',
      '7 f kernel "/etc": a regular file expected',
      '8 g kernel: no volume is "FOO=x"',
    ]);
    expect(menu).toMatchObject({
      volume: "sda1",
      format: "kboot",
      defaultId: "sda1:kboot:b",
      defaultReason: 'default "b" in /etc/kboot.conf',
      timeoutSeconds: null,
    });
  });

  test("a label that is called as the second one would be", async () => {
    const files = { "/kboot.conf": "a#2='/vmlinux 1'\na='/vmlinux 2'\na='/vmlinux 3'\n", "/vmlinux": "" };
    const [menu] = await find([memorySource("sda1", files)]);
    expect(menu?.entries.map(({ id, options }) => `${id} ${options}`)).toEqual([
      "sda1:kboot:a#2 1",
      "sda1:kboot:a 2",
      "sda1:kboot:a#3 3",
    ]);
  });

  test("a directory of which nothing is known is the volume that is meant", async () => {
    const files = { "/kboot.conf": "a='/dev/sda1:/vmlinux'\n", "/etc/kboot.conf": "unread=/x\n", "/vmlinux": "" };
    const [menu] = await find([memorySource("dir", files, { fstype: null })]);
    expect(menu?.entries.map(({ linux }) => linux)).toEqual([{ volume: "dir", path: "/vmlinux" }]);
    expect(menu).toMatchObject({ defaultId: null, defaultReason: "no default in /kboot.conf" });
  });

  test.each([
    ["default=x\n", 'default "x" in /KBOOT.CNF is no label'],
    ["default=a\na=/no\n", 'default "a" in /KBOOT.CNF, which is not offered'],
  ])("%j has no default", async (text, defaultReason) => {
    const [menu] = await find([memorySource("sda1", { "/KBOOT.CNF": text })]);
    expect(menu).toMatchObject({ defaultId: null, defaultReason });
  });

  test("what is broken is told", async () => {
    const [menu] = await find([memorySource("sda1", { "/kboot.conf": Uint8Array.of(0xff) })]);
    expect(menu?.skipped).toEqual([
      { source: { volume: "sda1", path: "/kboot.conf", line: 1 }, title: null, reason: "text in UTF-8 expected" },
    ]);
    const [full] = await find([memorySource("sda1", { "/kboot.conf": "a=/k\nb=/k\n", "/k": "" })], 1);
    expect(full?.skipped.map(({ title, reason }) => [title, reason])).toEqual([["b", "at most 1 entries are taken"]]);
    expect(await find([memorySource("sda1", { "/k": "" })])).toEqual([]);
  });
});
