import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it, test } from "vitest";
import { volumeFacts } from "../../../src/discovery/source.ts";
import {
  isVolume,
  mountedFiles,
  type SystemPlaces,
  sourceFiles,
  systemPlaces,
} from "../../../src/trust/rollback-files.ts";
import { memorySource } from "../../fakes/memory-source.ts";

const facts = {
  name: "vda1",
  uuid: "1234-ABCD",
  label: "ESP",
  partuuid: "aabbccdd-01",
  partlabel: "EFI System",
  disk: "vda",
};
const textsOf = (found: readonly Uint8Array[]): string[] => found.map((bytes) => new TextDecoder().decode(bytes));

describe("isVolume", () => {
  test.each<[string, boolean]>([
    ["uuid=1234-ABCD", true],
    ["uuid=1234-abcd", true],
    ["uuid=1234", false],
    ["partuuid=AABBCCDD-01", true],
    ["label=ESP", true],
    ["label=esp", false],
    ["label=*", false],
    ["partlabel=EFI System", true],
  ])("%s: %s", (named, fits) => expect(isVolume(volumeFacts(facts), named)).toBe(fits));

  it("what a volume does not have fits nothing", () => {
    expect(isVolume(volumeFacts({ name: "vda1" }), "label=null")).toBe(false);
  });
  test.each(["disk=vda", "name=vda1", "ESP", ""])("%j names no volume", (named) => {
    expect(() => isVolume(volumeFacts(facts), named)).toThrow(
      `volume "${named}": uuid=…, partuuid=…, label=… or partlabel=… expected`,
    );
  });
});

describe("the boot loader's volumes", () => {
  const esp = memorySource("vda1", { "/slipway/minimums": "one" }, facts);
  const copy = memorySource("sda1", { "/slipway/minimums": "two" }, { ...facts, name: "sda1" });
  const empty = memorySource("sdb1", {}, { ...facts, name: "sdb1" });
  const root = memorySource("vda2", { "/slipway/minimums": "root" }, { uuid: "other" });
  const files = sourceFiles([esp, root, empty, copy]);

  it("reads from each that fits", async () => {
    expect(textsOf(await files.read("uuid=1234-ABCD", "/slipway/minimums", 3))).toEqual(["one", "two"]);
    expect(await files.read("uuid=1234-ABCD", "/other", 3)).toEqual([]);
  });
  it("one that is not there, a file that is too large", async () => {
    await expect(files.read("uuid=0000-0000", "/x", 3)).rejects.toThrow('no volume with "uuid=0000-0000" is there');
    await expect(files.read("uuid=1234-ABCD", "/slipway/minimums", 2)).rejects.toThrow(/at most 2/);
  });
  it("writes nothing", async () => {
    await expect(files.write("label=ESP", "/x", new Uint8Array(0))).rejects.toThrow(
      'write "/x" on "label=ESP": the boot loader only reads volumes',
    );
  });
});

describe("a running system's volumes", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "slipway-mounted-"));
  afterAll(() => rmSync(directory, { recursive: true }));
  const at = (...names: string[]): string => path.join(directory, ...names);
  for (const name of ["by-uuid", "by-label"]) mkdirSync(at("disk", name), { recursive: true });
  mkdirSync(at("two words"));
  mkdirSync(at("other"));
  for (const name of ["vda1", "vda2", "vda3"]) writeFileSync(at(name), "");
  symlinkSync("../../vda1", at("disk/by-uuid/1234-ABCD"));
  symlinkSync("../../vda1", at("disk/by-label/EFI\\x20System\\x2fü"));
  symlinkSync("../../vda2", at("disk/by-label/unmounted"));
  symlinkSync("../../vda3", at("disk/by-label/strange"));
  writeFileSync(
    at("mountinfo"),
    [
      `30 1 254:2 /sub ${at("other")} rw - ext4 /dev/vda2 rw`,
      `36 35 254:1 / ${at("two\\040words")} rw,noatime - vfat /dev/vda1 rw`,
    ].join("\n"),
  );
  const numbers: Readonly<Record<string, string>> = { [at("vda1")]: "254:1", [at("vda2")]: "254:2" };
  const places: SystemPlaces = {
    disks: at("disk"),
    mounts: at("mountinfo"),
    deviceNumber: async (node) => numbers[node] ?? null,
  };
  const files = mountedFiles(places);
  const written = at("two words/minimums");

  it("writes and reads where the volume is mounted", async () => {
    expect(await files.read("uuid=1234-abcd", "/minimums", 100)).toEqual([]);
    await files.write("uuid=1234-abcd", "/minimums", Buffer.from("one"));
    expect(readFileSync(written, "utf8")).toBe("one");
    expect(textsOf(await files.read("label=EFI System/ü", "/minimums", 3))).toEqual(["one"]);
    await files.write("label=EFI System/ü", "/minimums", Buffer.from("two"));
    expect(readFileSync(written, "utf8")).toBe("two");
    expect(readdirSync(at("two words"))).toEqual(["minimums"]);
  });

  it("does not leave the volume by its path", async () => {
    writeFileSync(at("outside"), "outside");
    expect(await files.read("uuid=1234-ABCD", "/../outside", 100)).toEqual([]);
  });

  test.each<[string, string, string]>([
    ["uuid=0000-0000", "/minimums", `no volume with "uuid=0000-0000" is there (${at("disk/by-uuid/0000-0000")})`],
    ["partuuid=x", "/minimums", `no volume with "partuuid=x" is there (${at("disk/by-partuuid/x")})`],
    ["label=unmounted", "/minimums", `volume "label=unmounted": ${at("vda2")} is not mounted with its root directory`],
    ["label=strange", "/minimums", `volume "label=strange": "${at("vda3")}" is no block device`],
    ["uuid=1234-ABCD", "/minimums", `read "${written}": 3 bytes, at most 2 are taken`],
    ["uuid=1234-ABCD", "/", `read "${at("two words")}/": a regular file expected`],
  ])("%s %s: refused", async (volume, file, reason) => {
    await expect(files.read(volume, file, 2)).rejects.toThrow(reason);
  });
});

describe("deviceNumber", () => {
  const disks = readdirSync("/sys/class/block").filter((name) => readdirSync("/dev").includes(name));
  test.each(disks)("%s: as sysfs has it", async (name) => {
    const expected = readFileSync(`/sys/class/block/${name}/dev`, "utf8").trim();
    expect(await systemPlaces.deviceNumber(`/dev/${name}`)).toBe(expected);
  });
  it("is only of block devices", async () => expect(await systemPlaces.deviceNumber("/dev/null")).toBeNull());
});
