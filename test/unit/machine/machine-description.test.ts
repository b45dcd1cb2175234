import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { machineWord } from "../../../src/formats/syslinux/machine-words.ts";
import { sysappendWords } from "../../../src/formats/syslinux/parse.ts";
import { Remarks } from "../../../src/machine/kernel-files.ts";
import { readMachineDescription, unknownMachineDescription } from "../../../src/machine/machine-description.ts";
import { networkInterfacesMax } from "../../../src/machine/network-ports.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

/** A sysfs: files, and links where the content begins with `->`. */
function sysfs(files: Readonly<Record<string, string | Uint8Array>>): string {
  const directory = mkdtempSync(path.join(tmpdir(), "slipway-description-"));
  directories.push(directory);
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(directory, name);
    mkdirSync(path.dirname(file), { recursive: true });
    if (typeof content === "string" && content.startsWith("->")) symlinkSync(content.slice(2), file);
    else writeFileSync(file, content);
  }
  return directory;
}

function read(files: Readonly<Record<string, string | Uint8Array>>) {
  const remarks = new Remarks();
  return { ...readMachineDescription(remarks, sysfs(files)), remarks: remarks.sentences };
}

const hexOf = (text: string | null): string | null =>
  text === null ? null : Buffer.from(text, "latin1").toString("hex");

describe("SMBIOS", () => {
  const id = (attributes: Readonly<Record<string, string | Uint8Array>>) =>
    Object.fromEntries(Object.entries(attributes).map(([name, text]) => [`class/dmi/id/${name}`, text]));

  test("strings: empty, absent, not ASCII, with blanks", () => {
    const { smbios, remarks } = read(
      id({
        sys_vendor: "ACME\n",
        product_name: "\n",
        product_version: " 1 \n",
        board_asset_tag: Uint8Array.of(0x80, 0xe9, 0x0a),
        chassis_type: "10\n",
      }),
    );
    expect([4, 5, 6, 7, 0x0b].map((offset) => smbios.smbiosString(1, offset))).toEqual(["ACME", "", " 1 ", "", null]);
    expect(smbios.smbiosString(2, 8)).toBe("\x80\xe9");
    expect(smbios.smbiosString(17, 4)).toBeNull();
    expect(smbios.chassisType).toBe(10);
    expect(remarks).toEqual([]);
  });

  const text = "33221100-5544-7766-8899-aabbccddeeff\n";
  const ordered = "33221100554477668899aabbccddeeff";
  const raw = "00112233445566778899aabbccddeeff";
  const entry32 = (major: number, minor: number) => Uint8Array.from([...Buffer.from("_SM_"), 0, 31, major, minor]);
  const entry64 = (major: number, minor: number) => Uint8Array.from([...Buffer.from("_SM3_"), 0, 24, major, minor, 0]);
  const entryDmi = (bcd: number) => Uint8Array.from([...Buffer.from("_DMI_"), ...Array<number>(9).fill(0), bcd]);

  // What Linux shows, and so the bytes: drivers/firmware/dmi_scan.c, dmi_save_uuid.
  test.each<[string, Uint8Array, string, string]>([
    ["2.6", entry32(2, 6), raw, ordered],
    ["2.5", entry32(2, 5), ordered, ordered],
    ["3.2 of 64 bits", entry64(3, 2), raw, ordered],
    ["DMI 2.1", entryDmi(0x21), ordered, ordered],
    // Linux takes 2.31 for 2.3; who goes by the version turns the fields.
    ["2.31", entry32(2, 31), ordered, raw],
    ["2.51, which is 2.6 to both", entry32(2, 51), raw, ordered],
  ])("the UUID of version %s", (_, entry, expectedRaw, expectedOrdered) => {
    const { smbios } = read({
      ...id({ product_uuid: text }),
      "firmware/dmi/tables/smbios_entry_point": entry,
    });
    expect([hexOf(smbios.uuid.raw), hexOf(smbios.uuid.ordered)]).toEqual([expectedRaw, expectedOrdered]);
  });

  test("a UUID without a version, none, and none that is one", () => {
    const uuid = (attributes: Readonly<Record<string, string>>, entry = new Uint8Array()) => {
      const { raw: bytes, ordered: fields } = read({
        ...id({ sys_vendor: "", ...attributes }),
        "firmware/dmi/tables/smbios_entry_point": entry,
      }).smbios.uuid;
      return [hexOf(bytes), hexOf(fields)];
    };
    expect(uuid({ product_uuid: text })).toEqual([null, ordered]);
    expect(uuid({ product_uuid: text }, Uint8Array.from(Buffer.from("_XY_")))).toEqual([null, ordered]);
    for (const entry of [entry32(3, 0), entry64(3, 0), entryDmi(0x21)]) {
      const needed = entry[3] === 0x5f ? 8 : entry[3] === 0x33 ? 9 : 15;
      for (let length = 0; length < needed; length++) {
        expect(uuid({ product_uuid: text }, entry.subarray(0, length))).toEqual([null, ordered]);
      }
    }
    expect(uuid({})).toEqual(["", null]);
    expect(uuid({ product_uuid: "33221100\n" })).toEqual([null, null]);
  });

  test("what cannot be read is not known and told; without SMBIOS nothing is", () => {
    const { smbios, remarks } = read(id({ sys_vendor: "ACME\n", "product_serial/file": "" }));
    expect([smbios.smbiosString(1, 4), smbios.smbiosString(1, 7)]).toEqual(["ACME", null]);
    expect(remarks).toEqual([expect.stringContaining("SMBIOS product_serial is not known: EISDIR")]);
    expect(read({}).smbios).toBe(unknownMachineDescription.smbios);
  });
});

/** What Linux 6.1 showed in QEMU 7.2, and the words that syslinux 6.04 handed over there (`sysappend 0x3fff4`, without `CPU=`). */
test("sysappend's words are those of the real program in the same machine", () => {
  const attributes: Readonly<Record<string, string>> = {
    bios_vendor: "Bios Co",
    bios_version: " b 1 ",
    board_asset_tag: "MA",
    board_name: "P",
    board_serial: "MS",
    board_vendor: "MB",
    board_version: "",
    chassis_asset_tag: "A-1",
    chassis_type: "1",
    product_family: "Fam",
    product_name: "Model A/1",
    product_serial: "S-1",
    product_sku: "",
    product_uuid: "564d0000-1111-2222-3333-444455556666",
    product_version: "v2",
    sys_vendor: "ACME  Inc",
  };
  const files = Object.entries(attributes).map(([name, text]) => [`class/dmi/id/${name}`, `${text}\n`]);
  const entry = Buffer.from("5f534d5f381f020841000000000000005f444d495f416b01205a0f000a0028", "hex");
  const { smbios } = read({ ...Object.fromEntries(files), "firmware/dmi/tables/smbios_entry_point": entry });
  expect(sysappendWords((bit) => machineWord(smbios, bit), 0x3fff4).join(" ")).toBe(
    "SYSUUID=00004d56-1111-2222-3333-444455556666 SYSVENDOR=ACME_Inc SYSPRODUCT=Model_A/1 SYSVERSION=v2 SYSSERIAL=S-1 " +
      "SYSFAMILY=Fam MBVENDOR=MB MBPRODUCT=P MBSERIAL=MS MBASSET=MA BIOSVENDOR=Bios_Co BIOSVERSION=b_1 SYSFF=1",
  );
});

describe("network ports", () => {
  type Files = Readonly<Record<string, string>>;

  /** An interface in sysfs, at a place below `devices/`. */
  function port(name: string, place: string, attributes: Files = {}): Files {
    const directory = `devices/${place}/net/${name}`;
    const all: Files = { type: "1\n", address: "52:54:00:00:00:01\n", addr_assign_type: "0\n", ...attributes };
    return {
      [`class/net/${name}`]: `->../../${directory}`,
      ...Object.fromEntries(Object.entries(all).map(([attribute, text]) => [`${directory}/${attribute}`, text])),
    };
  }

  function controller(address: string, kind = "0x020000", more: Files = {}): Files {
    const all: Files = { class: `${kind}\n`, vendor: "0x8086\n", device: "0x100e\n", ...more };
    return Object.fromEntries(Object.entries(all).map(([name, text]) => [`bus/pci/devices/${address}/${name}`, text]));
  }

  function rows(files: Files): string[] {
    const { network, remarks } = read(files);
    const found = network.ports.map(({ name, mac, bus, pci }) => {
      const place = pci === null ? "-" : `${pci.segment}.${pci.bus}.${pci.device}.${pci.function}`;
      return `${name} ${mac?.slice(-2) ?? "?"} ${bus ?? "-"} ${place} ${pci?.vendorId ?? "-"}`;
    });
    return [...found, ...(network.hasAllPorts ? [] : ["..."]), ...remarks.map((remark) => remark.replace(/:.*/s, ""))];
  }

  test.each<[string, Files, readonly string[]]>([
    ["none", {}, []],
    [
      "by the place on PCI, not by the name; USB and others behind",
      {
        ...port("eth0", "pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0"),
        ...port("eth1", "pci0000:00/0000:00:1c.0/0000:02:00.0"),
        ...port("eth2", "pci0000:00/0000:00:03.0/virtio2"),
        ...port("eth3", "platform/acme.ethernet"),
        ...port("eth4", "pci10000:00/10000:01:00.1"),
        ...controller("0000:00:03.0", "0x020000", { vendor: "0x1af4\n" }),
      },
      [
        "eth2 01 PCI 0.0.3.0 6900",
        "eth1 01 PCI 0.2.0.0 -",
        "eth4 01 PCI 65536.1.0.1 -",
        "eth0 01 USB - -",
        "eth3 01 - - -",
      ],
    ],
    [
      "several of one device by their numbers",
      {
        ...port("a", "pci0000:00/0000:00:03.0", { dev_port: "1\n" }),
        ...port("b", "pci0000:00/0000:00:03.0", { dev_port: "0\n" }),
      },
      ["b 01 PCI 0.0.3.0 -", "a 01 PCI 0.0.3.0 -"],
    ],
    [
      "no loopback, bridge, wireless port, other kind, virtual function",
      {
        ...port("lo", "virtual", { type: "772\n" }),
        ...port("br0", "virtual"),
        ...port("wlan0", "pci0000:00/0000:00:04.0", { "phy80211/name": "" }),
        ...port("ib0", "pci0000:00/0000:00:05.0", { type: "32\n" }),
        ...port("vf0", "pci0000:00/0000:00:06.0", { "device/physfn/class": "" }),
        ...controller("0000:00:06.0", "0x020000", { "physfn/class": "" }),
        ...controller("0000:00:04.0", "0x028000"),
      },
      [],
    ],
    [
      "an address that was set is not its own, in a bond that shows",
      {
        ...port("a", "pci0000:00/0000:00:01.0", { addr_assign_type: "3\n" }),
        ...port("b", "pci0000:00/0000:00:02.0", {
          addr_assign_type: "3\n",
          "bonding_slave/perm_hwaddr": "52:54:00:00:00:09\n",
        }),
        ...port("c", "pci0000:00/0000:00:03.0", { address: "00:00\n" }),
      },
      ["a ? PCI 0.0.1.0 -", "b 09 PCI 0.0.2.0 -", "c ? PCI 0.0.3.0 -"],
    ],
    [
      "a card without a driver ends the list",
      {
        ...port("a", "pci0000:00/0000:00:01.0"),
        ...port("b", "pci0000:00/0000:00:03.0"),
        ...port("c", "pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0"),
        ...controller("0000:00:05.0"),
        ...controller("0000:00:02.0"),
        ...controller("0000:00:00.0", "0x060000"),
      },
      ["a 01 PCI 0.0.1.0 -", "..."],
    ],
    [
      "one that cannot be read keeps its place",
      {
        ...Object.fromEntries(
          Object.entries(port("a", "pci0000:00/0000:00:01.0")).filter(([name]) => !name.endsWith("/address")),
        ),
        "devices/pci0000:00/0000:00:01.0/net/a/address/x": "",
        ...port("b", "pci0000:00/0000:00:02.0"),
      },
      ["a ? PCI 0.0.1.0 -", "b 01 PCI 0.0.2.0 -", "network port a"],
    ],
  ])("%s", (_, files, expected) => {
    expect(rows(files)).toEqual(expected);
  });

  test("at most so many interfaces are looked at", () => {
    const names = Array.from({ length: networkInterfacesMax + 1 }, (_, index) => [`class/net/v${index}`, "->none"]);
    const { network, remarks } = read(Object.fromEntries(names));
    expect(network).toEqual(unknownMachineDescription.network);
    expect(remarks).toEqual(["the network ports are not known: 4097 interfaces, at most 4096 are looked at"]);
  });

  test("one that is gone costs itself", () => {
    expect(rows({ "class/net/gone": "->none", ...port("a", "pci0000:00/0000:00:01.0") })).toEqual([
      "a 01 PCI 0.0.1.0 -",
      "network port gone",
    ]);
  });
});

test("the device tree's names", () => {
  expect(read({ "firmware/devicetree/base/compatible": "acme,board\0acme,soc\0" }).compatible).toEqual([
    "acme,board",
    "acme,soc",
  ]);
});
