import { describe, expect, it } from "vitest";
import { openRoot, parseRoots } from "../../../src/cli/roots.ts";
import { UsageError } from "../../../src/cli/verb.ts";

const nothing = {
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

describe("parseRoots", () => {
  const gives = (spec: string, directory: string, facts: object): void =>
    expect(parseRoots([spec])).toEqual([{ directory, volume: { name: "root1", ...nothing, ...facts } }]);

  it("a directory alone", () => gives("/mnt", "/mnt", {}));
  it("everything", () =>
    gives(
      "/mnt,name=vda1,uuid=AB-cd,label=My label,partuuid=ABCD,partlabel=EFI system,fstype=vfat,parttype=C12A,disk=vda,part=1,table=gpt",
      "/mnt",
      {
        name: "vda1",
        uuid: "AB-cd",
        label: "My label",
        partuuid: "abcd",
        partlabel: "EFI system",
        fstype: "vfat",
        parttype: "c12a",
        disk: "vda",
        part: 1,
        table: "gpt",
      },
    ));
  it("a logical volume", () => {
    const names = { kind: "lvm", vg: "vg-boot", lv: "root" };
    gives("/mnt,lvm=vg-boot/root", "/mnt", { layer: { ...names, vgUuid: null, lvUuid: null } });
    const [vgUuid, lvUuid] = ["Ka6pXo-edfo-xSWo-CswT-VQCU-IHG2-2jvGRU", "c0oA8T-3gYW-1XQk-yeMA-vsKQ-V1eK-aKzH4J"];
    gives(`/mnt,lvm=vg-boot/root,lvmid=${vgUuid}/${lvUuid.replaceAll("-", "")}`, "/mnt", {
      layer: { ...names, vgUuid, lvUuid },
    });
  });
  it("an array", () => {
    const uuid = "0badcafe00112233445566778899aab0";
    gives("/mnt,md=host:boot", "/mnt", { layer: { kind: "md", uuid: null, name: "host:boot" } });
    gives("/mnt,mduuid=0BADCAFE:00112233:44556677:8899aab0,part=1,table=gpt", "/mnt", {
      part: 1,
      table: "gpt",
      layer: { kind: "md", uuid, name: null },
    });
  });
  it("a value may hold an equals sign or be empty", () =>
    gives("/mnt,label=a=b,uuid=", "/mnt", { label: "a=b", uuid: "" }));
  it("a directory may hold commas and equals signs", () => {
    gives("/a,b", "/a,b", {});
    gives("/a,b=c,label=l", "/a,b=c", { label: "l" });
  });
  it("names count from 1", () => {
    expect(parseRoots(["/a", "/b,name=x", "/c"]).map((root) => root.volume.name)).toEqual(["root1", "x", "root3"]);
  });

  const refuses = (specs: readonly string[], message: string): void => {
    expect(() => parseRoots(specs)).toThrow(UsageError);
    expect(() => parseRoots(specs)).toThrow(message);
  };
  it("no directory", () => refuses([",name=x"], '--root ",name=x": a directory expected before the first comma'));
  it("nothing", () => refuses([""], '--root "": a directory expected before the first comma'));
  it("twice the same", () => refuses(["/a,label=x,label=y"], '--root "/a,label=x,label=y": label= stands twice'));
  it("two volumes of one name", () =>
    refuses(["/a,name=x", "/b,name=x"], '--root: two volumes have the name "x", different names expected'));
  it("a given name that a later one has by default", () =>
    refuses(["/a,name=root2", "/b"], '--root: two volumes have the name "root2", different names expected'));
  it("a name that would break ids", () =>
    refuses(["/a,name=x:y"], '--root "/a,name=x:y": name "x:y", letters, digits and _ ! . + - expected'));
  it("part 0", () => refuses(["/a,part=0"], '--root "/a,part=0": part "0", a partition number from 1 expected'));
  it("part one", () => refuses(["/a,part=one"], 'part "one", a partition number from 1 expected'));
  it("a logical volume without its group", () => refuses(["/a,lvm=root"], 'lvm "root", VG/LV expected'));
  it("identifiers that are none", () => refuses(["/a,lvm=vg/lv,lvmid=x/y"], 'lvmid "x/y", VGUUID/LVUUID expected'));
  it("a UUID that is none", () => refuses(["/a,mduuid=xyz"], 'mduuid "xyz", 32 hexadecimal digits expected'));
  it("both", () => refuses(["/a,lvm=vg/lv,md=0"], '--root "/a,lvm=vg/lv,md=0": lvm= or md=, not both, expected'));
  it("table mbr", () => refuses(["/a,table=mbr"], '--root "/a,table=mbr": table "mbr", gpt or msdos expected'));
});

describe("openRoot", () => {
  const opening = (directory: string) => () => {
    const [root] = parseRoots([directory]);
    if (root !== undefined) openRoot(root, 1);
  };
  it("no such directory", () =>
    expect(opening("/no/such,dir")).toThrow(/^--root "\/no\/such,dir": ENOENT: no such file or directory/));
  it("a file", () => expect(opening("/etc/passwd")).toThrow(/^--root "\/etc\/passwd": ENOTDIR/));
});
