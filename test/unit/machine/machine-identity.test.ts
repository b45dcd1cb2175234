import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, expect, it, test } from "vitest";
import { unknownMachine } from "../../../src/formats/hardware-ids.ts";
import { Remarks } from "../../../src/machine/kernel-files.ts";
import { readMachineIdentity, readSmbiosStrings } from "../../../src/machine/machine-identity.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function sysfs(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(path.join(tmpdir(), "slipway-identity-"));
  directories.push(directory);
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(directory, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return directory;
}

/** The ThinkPad of fwupd's docs/hwids.md, as the kernel shows it. */
const thinkpad = Object.fromEntries(
  Object.entries({
    sys_vendor: "LENOVO",
    product_family: "ThinkPad T440s",
    product_name: "20ARS19C0C",
    product_sku: "LENOVO_MT_20AR_BU_Think_FM_ThinkPad T440s",
    board_vendor: "LENOVO",
    board_name: "20ARS19C0C",
    bios_vendor: "LENOVO",
    bios_version: "GJET75WW (2.25 )",
    bios_release: "2.25",
    chassis_type: "10",
  }).map(([name, value]) => [`class/dmi/id/${name}`, `${value}\n`]),
);

it("SMBIOS gives hardware ids", () => {
  const remarks = new Remarks();
  const { compatible, hardwareIds } = readMachineIdentity(remarks, sysfs(thinkpad));
  expect(compatible).toBeNull();
  expect(hardwareIds.get(0)).toBe("147efce9-f201-5fc8-ab0c-c859751c3440");
  expect(hardwareIds.get(12)).toBe("e093d715-70f7-51f4-b6c8-b4a7e31def85");
  expect(hardwareIds.size).toBe(15);
  expect(remarks.sentences).toEqual([]);
});

it("a device tree gives the board's name", () => {
  const files = { "firmware/devicetree/base/compatible": "acme,board\0acme,soc\0" };
  expect(readMachineIdentity(new Remarks(), sysfs(files))).toEqual({
    compatible: "acme,board",
    hardwareIds: new Map(),
  });
});

test.each([
  ["255.256", 255, null],
  ["1", null, null],
  ["0.7", 0, 7],
])("release %s", (release, biosMajor, biosMinor) => {
  const strings = readSmbiosStrings(new Remarks(), sysfs({ "class/dmi/id/bios_release": `${release}\n` }));
  expect([strings.biosMajor, strings.biosMinor]).toEqual([biosMajor, biosMinor]);
});

it("nothing is known where nothing is, and what cannot be read is told", () => {
  expect(readSmbiosStrings(new Remarks(), "/nowhere")).toEqual(unknownMachine);
  const remarks = new Remarks();
  const directory = sysfs({ "class/dmi/id/sys_vendor/file": "" });
  expect(readMachineIdentity(remarks, directory).hardwareIds.size).toBe(0);
  expect(remarks.sentences).toHaveLength(1);
  expect(remarks.sentences[0]).toContain("SMBIOS sys_vendor is not known: EISDIR");
});
