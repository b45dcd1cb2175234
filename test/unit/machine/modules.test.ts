import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { SyscallError } from "../../../src/linux/errno.ts";
import { ModuleLoader } from "../../../src/machine/modules.ts";
import { type FakeSystem, fakeSystem } from "../../fakes/system.ts";

const scratch = mkdtempSync(join(tmpdir(), "slipway-modules-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let count = 0;

function tree(files: Readonly<Record<string, string>>): string {
  const root = join(scratch, String(count++));
  mkdirSync(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const directory = tree({
  "modules.dep": `k/virtio_blk.ko.xz: k/virtio_ring.ko k/virtio.ko
k/virtio_net.ko: k/virtio_ring.ko k/virtio.ko
k/virtio_ring.ko: k/virtio.ko
k/virtio.ko:
k/bad.ko:
k/missing.ko:
k/soft.ko:
k/hash.ko:
`,
  "modules.alias": `alias virtio:d00000002v* virtio_blk
alias virtio:d00000001v* virtio_net
alias test:bad bad
alias test:soft soft
`,
  "modules.softdep": "softdep soft pre: bad\n",
  "modules.builtin": "kernel/fs/ext4/ext4.ko\n",
  "k/virtio_blk.ko.xz": "",
  "k/virtio_net.ko": "",
  "k/virtio_ring.ko": "",
  "k/virtio.ko": "",
  "k/bad.ko": "",
  "k/soft.ko": "",
  "k/hash.ko": "",
});

const loaded = (system: FakeSystem): string[] => system.log.map((line) => line.replace("loadModule ", ""));

async function loader(load: (path: string) => Promise<void> = async () => {}): Promise<[ModuleLoader, FakeSystem]> {
  const system = fakeSystem({ loadModule: (_fd, path) => load(path) });
  return [await ModuleLoader.open(system, directory, 0.05), system];
}

describe("ModuleLoader", () => {
  it("loads what a module needs first", async () => {
    const [modules, system] = await loader();
    await modules.load("virtio-blk");
    expect(loaded(system)).toEqual(["k/virtio.ko", "k/virtio_ring.ko", "k/virtio_blk.ko.xz"]);
    expect(modules.problems).toEqual([]);
  });

  it("loads each once, whoever asks, and waits for it", async () => {
    const [modules, system] = await loader(() => new Promise((done) => setTimeout(done, 5)));
    await Promise.all([
      modules.load("virtio_blk"),
      modules.loadForDevice("virtio:d00000001v00001AF4"),
      modules.load("virtio"),
    ]);
    expect(loaded(system).toSorted()).toEqual(
      ["k/virtio.ko", "k/virtio_blk.ko.xz", "k/virtio_net.ko", "k/virtio_ring.ko"].toSorted(),
    );
    expect(loaded(system).slice(0, 2)).toEqual(["k/virtio.ko", "k/virtio_ring.ko"]);
  });

  it("what is built in or unknown costs nothing", async () => {
    const [modules, system] = await loader();
    await modules.load("ext4");
    await modules.load("nosuch");
    await modules.loadForDevice("pci:v0000");
    expect(loaded(system)).toEqual([]);
    expect(modules.problems).toEqual([]);
  });

  const failing = async (load: (path: string) => Promise<void>, name: string): Promise<readonly string[]> => {
    const [modules, system] = await loader(load);
    await Promise.all([modules.load(name), modules.load("virtio_blk")]);
    expect(loaded(system)).toContain("k/virtio_blk.ko.xz");
    return modules.problems;
  };
  const fail = (errno: number) => async (path: string) => {
    if (path === "k/bad.ko") throw new SyscallError("finit_module", [path], errno);
  };
  it("one that fails costs itself", async () => {
    expect(await failing(fail(8), "bad")).toEqual(['finit_module("k/bad.ko"): ENOEXEC: exec format error']);
  });
  it("one that finds no device of its kind is no failure", async () => {
    expect(await failing(fail(19), "bad")).toEqual([]);
  });
  it("a soft dependency that fails is none either", async () => {
    expect(await failing(fail(8), "test:soft")).toEqual([]);
  });
  it("one that hangs costs its time and itself", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const hang = (path: string): Promise<void> => (path === "k/bad.ko" ? promise : Promise.resolve());
    expect(await failing(hang, "bad")).toEqual(["load module k/bad.ko: no answer within 0.05 s"]);
    resolve();
  });
  it("a file that is not there costs itself", async () => {
    const problems = await failing(async () => {}, "missing");
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^ENOENT: .*k\/missing\.ko/);
  });

  it("without tables there is nothing to load", async () => {
    const system = fakeSystem();
    const modules = await ModuleLoader.open(system, join(scratch, "nowhere"), 1);
    await modules.load("virtio_blk");
    expect(system.log).toEqual([]);
  });
});

describe("coldPlug", () => {
  it("loads the drivers of every device, and of those that their drivers bring up", async () => {
    const sysfs = tree({
      "bus/virtio/devices/virtio0/modalias": "virtio:d00000002v00001AF4\n",
      "bus/none/drivers/x": "",
    });
    const [modules, system] = await loader(async (path) => {
      if (path !== "k/virtio_blk.ko.xz") return;
      mkdirSync(join(sysfs, "bus/virtio/devices/virtio1"));
      writeFileSync(join(sysfs, "bus/virtio/devices/virtio1/modalias"), "virtio:d00000001v00001AF4\n");
    });
    await modules.coldPlug(sysfs);
    expect(loaded(system)).toEqual(["k/virtio.ko", "k/virtio_ring.ko", "k/virtio_blk.ko.xz", "k/virtio_net.ko"]);
    await modules.coldPlug(sysfs);
    expect(loaded(system)).toHaveLength(4);
  });

  it("ends although each driver brings up another device", async () => {
    const numbers = Array.from({ length: 50 }, (_, index) => index);
    const endless = tree({
      "modules.dep": numbers.map((n) => `m${n}.ko:\n`).join(""),
      "modules.alias": numbers.map((n) => `alias test:${n} m${n}\n`).join(""),
      ...Object.fromEntries(numbers.map((n) => [`m${n}.ko`, ""])),
    });
    const sysfs = tree({ "bus/x/devices/0/modalias": "test:0\n" });
    let loads = 0;
    const system = fakeSystem({
      async loadModule() {
        writeFileSync(join(sysfs, "bus/x/devices/0/modalias"), `test:${++loads}\n`);
      },
    });
    const modules = await ModuleLoader.open(system, endless, 1);
    await modules.coldPlug(sysfs);
    expect(loads).toBe(32);
    expect(modules.problems).toEqual([
      "cold plug: devices kept appearing after 32 rounds; further ones come as events",
    ]);
  });

  it("without sysfs there are no devices", async () => {
    const [modules, system] = await loader();
    await modules.coldPlug(join(scratch, "nowhere"));
    expect(system.log).toEqual([]);
  });
});
