import { describe, expect, it, test } from "vitest";
import { rangesOf } from "../../../src/formats/ranges.ts";
import { readUki } from "../../../src/formats/uki.ts";
import { chooseDevicetree, type MachineIdentity } from "../../../src/formats/uki-devicetree.ts";
import { kernelImage } from "../../fakes/kernel-image.ts";
import { ukiData } from "../../fakes/uki-data.ts";
import { ukiImage } from "../../fakes/uki-image.ts";

const board = ukiData("board");
const nobody: MachineIdentity = { compatible: null, hardwareIds: new Map() };

function choose(
  bytes: Uint8Array,
  machine: Partial<MachineIdentity>,
  profile = 0,
): [number | null, string | null, string[]] {
  const problems: string[] = [];
  const image = readUki(rangesOf(bytes), bytes.length, profile);
  const chosen = chooseDevicetree(rangesOf(bytes), image, { ...nobody, ...machine }, (problem) =>
    problems.push(problem),
  );
  return [chosen?.range.offset ?? null, chosen?.reason ?? null, problems];
}

// Offsets as objdump tells them (test/data/uki/README.md): .dtb, then .dtbauto for board one and board two.
const [any, one, two] = [0x11e00, 0x12000, 0x12200];
const forAll = "the image has it for all machines";

describe("the device tree of an image for several machines", () => {
  const thinkpad = new Map([[4, "660ccba8-1b78-5a33-80e6-9fb8354ee873"]]);
  test.each<[string, Partial<MachineIdentity>, number, string]>([
    [
      "the machine's own name",
      { compatible: "acme,board-one" },
      one,
      `its first compatible "acme,board-one" is the machine's`,
    ],
    ["another's", { compatible: "acme,board-three" }, any, forAll],
    ["its processor's", { compatible: "acme,soc" }, any, forAll],
    [
      "no tree of its own, but hardware ids",
      { hardwareIds: thinkpad },
      two,
      `the machine has hardware id 4, 660ccba8-1b78-5a33-80e6-9fb8354ee873 ("ThinkPad T440s")`,
    ],
    [
      "a tree of its own goes before hardware ids",
      { compatible: "acme,board-three", hardwareIds: thinkpad },
      any,
      forAll,
    ],
    ["a device of another type", { hardwareIds: new Map([[3, "3faec92a-3ae3-5744-be88-495e90a7d541"]]) }, any, forAll],
    ["nothing known", {}, any, forAll],
  ])("%s", (_, machine, offset, reason) => expect(choose(board, machine)).toEqual([offset, reason, []]));
});

it("none", () => {
  expect(choose(kernelImage("uki"), { compatible: "acme,board-one" })).toEqual([null, null, []]);
});

it("what is broken is told and passed over", () => {
  const tree = board.slice(one, one + 0xbd);
  const broken = ukiImage("", [
    [".dtbauto", "no tree"],
    [".dtbauto", tree],
  ]);
  const [offset, , problems] = choose(broken, { compatible: "acme,board-one" });
  expect(offset).not.toBeNull();
  expect(problems).toEqual(["fdt: offset 0, header: 40 byte(s) expected, the tree ends at 7"]);
  const ids = ukiImage("", [
    [".dtbauto", tree],
    [".hwids", "what"],
  ]);
  expect(choose(ids, {})[2]).toEqual([
    "hwids: offset 0, descriptor: a device tree (0x1000001c) or firmware (0x2000001c) expected, not 0x74616877",
  ]);
});

it("a profile's own trees come before those of the base", () => {
  const tree = board.slice(one, one + 0xbd);
  const image = ukiImage("", [
    [".dtbauto", tree],
    [".profile", "ID=a"],
    [".profile", "ID=b"],
    [".dtbauto", tree],
  ]);
  const offsets = [0, 1].map((profile) => choose(image, { compatible: "acme,board-one" }, profile)[0] ?? 0);
  expect(offsets[1]).toBeGreaterThan(offsets[0] ?? 0);
});
