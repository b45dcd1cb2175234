import { describe, expect, it } from "vitest";
import { activeLogicalVolume, layerName, logicalVolumeUuid, markedName } from "../../../src/machine/layer-name.ts";

const uuids = {
  vgUuid: "Ka6pXo-edfo-xSWo-CswT-VQCU-IHG2-2jvGRU",
  lvUuid: "c0oA8T-3gYW-1XQk-yeMA-vsKQ-V1eK-aKzH4J",
};

describe("layerName", () => {
  const lvm = (vg: string, lv: string, name: string): void =>
    expect(layerName({ kind: "lvm", vg, lv, ...uuids })).toBe(name);
  const md = (own: string | null, name: string): void =>
    expect(layerName({ kind: "md", uuid: "0badcafe00112233445566778899aab0", name: own })).toBe(name);
  it("a logical volume: the device mapper's name", () => {
    lvm("vg", "root", "vg-root");
    lvm("vg-boot", "my-root", "vg--boot-my--root");
  });
  it("an array: its name without its host", () => {
    md("host:boot", "md-boot");
    md("0", "md-0");
    md("a/b c", "md-a_b_c");
  });
  it("an array without a name: a piece of its UUID", () => md(null, "md-0badcafe"));
  it("no name is longer than 64", () => {
    lvm("v".repeat(61), "lv1", `${"v".repeat(55)}-c0oA8T3g`);
    expect(layerName({ kind: "lvm", vg: "v".repeat(127), lv: "l".repeat(127), ...uuids })).toHaveLength(64);
  });
  it("a name that is taken", () => {
    expect(markedName("md-boot", { kind: "md", uuid: "0badcafe00112233445566778899aab0", name: "x:boot" })).toBe(
      "md-boot-0badcafe",
    );
  });
});

describe("activeLogicalVolume", () => {
  const uuid = "LVM-Ka6pXoedfoxSWoCswTVQCUIHG22jvGRUc0oA8T3gYW1XQkyeMAvsKQV1eKaKzH4J";
  it("as lvm(8) names it", () => {
    expect(logicalVolumeUuid(uuids.vgUuid, uuids.lvUuid)).toBe(uuid);
    expect(activeLogicalVolume("vg--boot-my--root", uuid)).toEqual({
      kind: "lvm",
      vg: "vg-boot",
      lv: "my-root",
      ...uuids,
    });
  });
  it("parts of volumes, and what is not LVM's", () => {
    expect(activeLogicalVolume("vg-root-real", `${uuid}-real`)).toBeNull();
    expect(activeLogicalVolume("luks", "CRYPT-LUKS2-00")).toBeNull();
    expect(activeLogicalVolume("odd", uuid)).toBeNull();
  });
});
