import { randomFillSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { goodVolume, type Scenario, scenario } from "./scenario.ts";
import type { Vm } from "./vm.ts";

let on: Scenario;
let good: string;
beforeAll(async () => {
  on = await scenario();
  good = await on.disk("good.img", [{ type: "esp", filesystem: "vfat", files: await goodVolume(on) }]);
});
afterAll(() => on[Symbol.asyncDispose]());

describe("devices", () => {
  it("no disk: rescue with its reason, and the machine goes on waiting for one", async () => {
    await using vm = await on.boot({ append: "slipway.discovery.deviceTimeoutSeconds=1" });
    await vm.expect("slipway: entries 0", 120_000);
    await vm.expect("slipway: rescue: no boot entry: there is no disk");
    await vm.expect("slipway> ");
    await vm.plugDisk(good);
    await vm.expect("slipway: chosen vda1:bls1:good");
    await vm.expect("entry=good:END", 60_000);
  });

  it("a disk of random bytes beside a good one: the good one boots", async () => {
    const random = path.join(on.directory, "random.img");
    await writeFile(random, randomFillSync(Buffer.alloc(32 << 20)));
    await using vm = await on.boot({ disks: [random, good] });
    await vm.expect("slipway: chosen vdb1:bls1:good", 120_000);
    await vm.expect("entry=good:END", 60_000);
  });

  describe("before the good one", () => {
    let blank: string;
    beforeAll(async () => {
      blank = path.join(on.directory, "blank.img");
      await writeFile(blank, randomFillSync(Buffer.alloc(8 << 20)));
    });
    /** The machine's first disk is the given one, its second the good one. */
    const boots = (first: string): Promise<Vm> =>
      on.boot({
        // The BIOS would read the disks too, before any kernel.
        append: "edd=off slipway.discovery.probeTimeoutSeconds=2",
        vm: {
          disks: [],
          qemuArguments: [
            ...["-drive", `if=none,id=first,${first}`, "-device", "virtio-blk-pci,drive=first"],
            ...[
              "-drive",
              `if=none,id=good,file=${good},format=raw,snapshot=on`,
              "-device",
              "virtio-blk-pci,drive=good",
            ],
          ],
        },
      });

    it("a disk that fails every read: the good one boots", async () => {
      const errors = path.join(on.directory, "errors.conf");
      await writeFile(errors, '[inject-error]\nevent = "read_aio"\nerrno = "5"\n');
      const image = `file.image.driver=file,file.image.filename=${blank}`;
      await using vm = await boots(`driver=raw,file.driver=blkdebug,file.config=${errors},${image},read-only=on`);
      await vm.expect("slipway: verified vdb1:bls1:good by test", 120_000);
      await vm.expect("entry=good:END", 60_000);
    });

    it("a disk that never answers: the good one is loaded", async () => {
      await using vm = await boots(`file=${blank},format=raw,snapshot=on,throttling.bps-total=1`);
      await vm.expect(
        "slipway: warning: a device was not brought up within 2 s; going on with those that are there",
        120_000,
      );
      await vm.expect("slipway: verified vdb1:bls1:good by test");
      // The jump itself is the kernel's: it waits for every driver, and virtio's waits for its disk for ever.
      await vm.expect("slipway: jump");
    });
  });

  it("a disk plugged in later is found when it appears", async () => {
    await using vm = await on.boot({ append: "slipway.discovery.deviceTimeoutSeconds=60" });
    await vm.expect("slipway: entries 0", 120_000);
    await new Promise((resolve) => setTimeout(resolve, 5000));
    expect(vm.log).not.toContain("slipway: rescue");
    await vm.plugDisk(good);
    await vm.expect("slipway: verified vda1:bls1:good by test");
    await vm.expect("entry=good:END", 60_000);
  });
});
