import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DiskFiles } from "./disk.ts";
import { blsText, flipBit, flipSignatureBit, goodVolume, marks, type Scenario, scenario } from "./scenario.ts";
import { signedFiles } from "./sign.ts";

let on: Scenario;
beforeAll(async () => {
  on = await scenario();
});
afterAll(() => on[Symbol.asyncDispose]());

/** An entry with files of its own below /NAME, everything signed, to be damaged. */
async function entry(name: string, keys = on.keys): Promise<DiskFiles> {
  const conf = blsText(name, { sortKey: name, linux: `/${name}/vmlinuz`, initrd: `/${name}/initrd.img` });
  return signedFiles(keys, {
    [`/loader/entries/${name}.conf`]: conf,
    [`/${name}/vmlinuz`]: on.vmlinuz,
    [`/${name}/initrd.img`]: on.initrd,
  });
}

function bytesOf(files: DiskFiles, path: string): Uint8Array {
  const content = files[path];
  if (content instanceof Uint8Array) return content;
  if (typeof content === "string") return Buffer.from(content);
  throw new Error(`"${path}" has no bytes`);
}

/** Bad entries, each with what is done to its files and what its refusal says. */
const damages: readonly {
  readonly name: string;
  readonly damage: (files: DiskFiles) => void;
  readonly reason: RegExp;
}[] = [
  {
    name: "a-kernel-bit",
    damage: (files) => {
      files["/a-kernel-bit/vmlinuz"] = flipBit(bytesOf(files, "/a-kernel-bit/vmlinuz"), 5_000_000, 3);
    },
    reason: /linux "\/a-kernel-bit\/vmlinuz" on vda1 refused: .*the signature does not match the file/,
  },
  {
    name: "b-initrd-bit",
    damage: (files) => {
      files["/b-initrd-bit/initrd.img"] = flipBit(bytesOf(files, "/b-initrd-bit/initrd.img"), 1_000_000, 7);
    },
    reason: /initrd "\/b-initrd-bit\/initrd.img" on vda1 refused: .*the signature does not match the file/,
  },
  {
    name: "c-options-bit",
    damage: (files) => {
      const path = "/loader/entries/c-options-bit.conf";
      const text = Buffer.from(bytesOf(files, path));
      files[path] = flipBit(text, text.indexOf("panic=-1") + 7);
    },
    reason: /options refused: .*; config "\/loader\/entries\/c-options-bit.conf" on vda1 refused: .*does not match/,
  },
  {
    name: "d-signature-bit",
    damage: (files) => {
      const path = "/d-signature-bit/vmlinuz.minisig";
      files[path] = flipSignatureBit(bytesOf(files, path));
    },
    reason: /linux "\/d-signature-bit\/vmlinuz" on vda1 refused: .*the signature does not match the file/,
  },
  {
    name: "e-kernel-unsigned",
    damage: (files) => {
      delete files["/e-kernel-unsigned/vmlinuz.minisig"];
    },
    reason: /linux "\/e-kernel-unsigned\/vmlinuz" on vda1 refused: no signature/,
  },
  {
    name: "f-initrd-unsigned",
    damage: (files) => {
      delete files["/f-initrd-unsigned/initrd.img.minisig"];
    },
    reason: /initrd "\/f-initrd-unsigned\/initrd.img" on vda1 refused: no signature/,
  },
  {
    name: "g-config-unsigned",
    damage: (files) => {
      delete files["/loader/entries/g-config-unsigned.conf.minisig"];
    },
    reason: /options refused: .*; config "\/loader\/entries\/g-config-unsigned.conf" on vda1 refused: no signature/,
  },
];

describe("trust", () => {
  let disk: string;
  beforeAll(async () => {
    const files: DiskFiles = { ...(await goodVolume(on, "z-good", { sortKey: "z" })) };
    for (const { name, damage } of damages) {
      const own = await entry(name);
      damage(own);
      Object.assign(files, own);
    }
    Object.assign(files, await entry("h-stranger", on.strangerKeys));
    disk = await on.disk("trust.img", [{ type: "esp", filesystem: "vfat", sizeMiB: 192, files }]);
  });

  it("enforce: every damage is refused by name, and the next good entry boots", async () => {
    await using vm = await on.boot({ disks: [disk] });
    for (const { name, reason } of damages) {
      await vm.expect(`slipway: chosen vda1:bls1:${name}`, 120_000);
      const [line] = await vm.expect(/slipway: refused (.*)\n/);
      expect(line).toContain(`vda1:bls1:${name}: `);
      expect(line).toMatch(reason);
    }
    const publicKey = await readFile(on.strangerKeys.publicKey, "utf8");
    const keyId = Buffer.from(publicKey.split("\n")[1] ?? "", "base64")
      .subarray(2, 10)
      .reverse();
    await vm.expect(
      `refused vda1:bls1:h-stranger: options refused: they come from "/loader/entries/h-stranger.conf" on vda1, which is not authenticated`,
    );
    await vm.expect(`made with key ${keyId.toString("hex").toUpperCase()}, which is not trusted`);
    await vm.expect("slipway: verified vda1:bls1:z-good by test");
    await vm.expect("TARGET-CMDLINE:console=ttyS0 panic=-1 entry=z-good:END", 60_000);
    await vm.waitForExit();
    const refusals = marks(vm.log).filter((mark) => mark.startsWith("refused "));
    expect(refusals).toHaveLength(damages.length + 1);
  });

  it("audit: the first entry boots, and the log says what would have been refused", async () => {
    await using vm = await on.boot({ disks: [disk], config: { trust: "audit", entry: "*:e-kernel-unsigned" } });
    await vm.expect("slipway: chosen vda1:bls1:e-kernel-unsigned", 120_000);
    await vm.expect('slipway: unverified vda1:bls1:e-kernel-unsigned: audit: linux "/e-kernel-unsigned/vmlinuz"');
    await vm.expect("slipway: jump");
    await vm.expect("entry=e-kernel-unsigned:END", 60_000);
    expect(vm.log).not.toContain("slipway: verified");
  });

  it("off: boots without looking at signatures, and says so", async () => {
    await using vm = await on.boot({ disks: [disk], config: { trust: "off", entry: "*:h-stranger" } });
    await vm.expect("slipway: unverified vda1:bls1:h-stranger: trust is off", 120_000);
    await vm.expect("entry=h-stranger:END", 60_000);
  });
});
