import { appendFile, copyFile, stat, truncate } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { slipwayImage } from "./image.ts";
import { busyboxPath } from "./packages.ts";
import { flipBit, goodVolume, type Scenario, scenario } from "./scenario.ts";
import { cpioArchive } from "./target.ts";

let on: Scenario;
beforeAll(async () => {
  on = await scenario();
});
afterAll(() => on[Symbol.asyncDispose]());

const atOnce = "slipway.discovery.deviceTimeoutSeconds=0";

describe("rescue", () => {
  it("takes commands on the serial console, and boots no refused entry at a person's word", async () => {
    const files = await goodVolume(on, "bad");
    const kernel = files["/vmlinuz"];
    if (kernel instanceof Uint8Array) files["/vmlinuz"] = flipBit(kernel, 3_000_000);
    const disk = await on.disk("bad.img", [{ filesystem: "ext4", files }]);
    await using vm = await on.boot({ disks: [disk], append: atOnce });
    await vm.expect('slipway: rescue: the only entry was refused; the last: linux "/vmlinuz" on vda1 refused', 120_000);
    await vm.expect("It reboots when nobody has typed anything here for 300 s.");
    await vm.expect("slipway> ");
    vm.send("list\n");
    await vm.expect("1. bad  [vda1:bls1:bad]");
    await vm.expect("slipway> ");
    vm.send("boot 1\n");
    await vm.expect("slipway: refused vda1:bls1:bad");
    await vm.expect('not booted: linux "/vmlinuz" on vda1 refused');
    vm.send("boot 7\n");
    await vm.expect('no entry "7"');
    vm.send("shell\n");
    await vm.expect("no shell: rescue.shell is false, or the image holds no /bin/sh");
    vm.send("dance\n");
    await vm.expect('"dance" is no command.');
    vm.send("retry\n");
    await vm.expect("slipway: refused vda1:bls1:bad");
    await vm.expect("slipway> ");
    vm.send("poweroff\n");
    expect((await vm.waitForExit()).code).toBe(0);
    expect(vm.log).not.toContain("Kernel panic");
  });

  it("reboots by itself when nobody types anything", async () => {
    await using vm = await on.boot({ append: `${atOnce} slipway.rescue.rebootAfterSeconds=2` });
    await vm.expect("slipway: rescue: no boot entry: there is no disk", 120_000);
    await vm.expect("reboot: Restarting system", 30_000);
    await vm.waitForExit();
  });

  it("offers a shell where the configuration allows it, and collects the orphans that it leaves", async () => {
    const busybox = await busyboxPath();
    await using vm = await on.boot({
      append: atOnce,
      config: { rescue: { shell: true } },
      words: ["--include", `${busybox}:/bin/busybox`, "--include", `${busybox}:/bin/sh`],
    });
    await vm.expect("slipway> ", 120_000);
    vm.send("shell\n");
    await vm.expect("# ");
    vm.send("echo six-times-seven-is-$((6*7))\n");
    await vm.expect("six-times-seven-is-42\n");
    vm.send(
      "busybox sh -c 'for i in 1 2 3; do busybox sleep 1 & done'; busybox sleep 3; busybox ps | busybox grep -c '\\[sle[e]p\\]'\n",
    );
    await vm.expect(/\n0\n/, 30_000);
    vm.send("exit\n");
    await vm.expect("slipway> ");
    vm.send("reboot\n");
    await vm.waitForExit();
    expect(vm.log).not.toContain("Kernel panic");
  });

  it("a configuration that is not valid stops the boot with its reason", async () => {
    const disk = await on.disk("good.img", [{ filesystem: "ext4", files: await goodVolume(on) }]);
    const image = path.join(on.directory, "broken-config.cpio.zst");
    await copyFile(await slipwayImage({ keys: [on.keys], kernel: on.kernel }), image);
    await truncate(image, Math.ceil((await stat(image)).size / 4) * 4);
    // The kernel unpacks archives one after the other; the later file replaces the earlier.
    const config = Buffer.from('{"trust": "enforce", "tirst": "off"}');
    await appendFile(image, cpioArchive([{ name: "/etc/slipway/config.json", mode: 0o100644, content: config }]));
    await using vm = await on.boot({ disks: [disk], image, append: atOnce });
    await vm.expect('slipway: rescue: start: /etc/slipway/config.json: unknown field "tirst"', 120_000);
    await vm.expect("slipway> ");
    vm.send("list\n");
    await vm.expect("the search has not started");
    vm.send("poweroff\n");
    await vm.waitForExit();
    expect(vm.log).not.toContain("Kernel panic");
  });
});
