import { describe, expect, test } from "vitest";
import type { BootEntry, FoundMenu } from "../../../src/discovery/entry.ts";
import { type DiscoveryLimits, defaultDiscoveryLimits } from "../../../src/discovery/finder.ts";
import { OpenedImages } from "../../../src/discovery/image-volumes.ts";
import { ipxeFinder } from "../../../src/discovery/ipxe.ts";
import type { FileSource } from "../../../src/discovery/source.ts";
import { type MachineDescription, unknownMachineDescription } from "../../../src/machine/machine-description.ts";
import { machineDescription, networkPort } from "../../fakes/machine-description.ts";
import { type MemoryFiles, memorySource } from "../../fakes/memory-source.ts";

const boot: MemoryFiles = { "/vmlinuz": "kernel", "/initrd.img": "initrd", "/rescue/vmlinuz": "kernel" };

function esp(files: MemoryFiles): FileSource {
  return memorySource("vda1", { ...boot, ...files }, { fstype: "vfat", label: "ESP" });
}

async function find(
  sources: readonly FileSource[],
  limits: Partial<DiscoveryLimits> = {},
  machine: MachineDescription = machineDescription(),
): Promise<readonly FoundMenu[]> {
  const [source] = sources;
  if (source === undefined) throw new Error("no source");
  const all = { ...defaultDiscoveryLimits, ...limits };
  const images = new OpenedImages();
  return ipxeFinder.find({ source, sources, architecture: "x86_64", images, limits: all, machine: () => machine });
}

async function findScript(script: string, files: MemoryFiles = {}): Promise<FoundMenu> {
  const [menu, ...more] = await find([esp({ "/autoexec.ipxe": script, ...files })]);
  if (menu === undefined || more.length > 0) throw new Error(`one menu expected, ${more.length + 1} found`);
  return menu;
}

function row(entry: BootEntry): string {
  const initrd = entry.initrd.map(({ path, archive }) =>
    archive === undefined ? path : `${path} as ${archive.path} ${archive.mode.toString(8)} ${archive.directories}`,
  );
  return [entry.id, [...entry.submenu, entry.title].join(" > "), entry.linux.path, initrd.join(" "), entry.options]
    .map((part) => part.trim())
    .join(" | ");
}

function skippedRows({ skipped }: FoundMenu): string[] {
  return skipped.map(({ source, title, reason }) => `${source.path}:${source.line} ${title ?? "-"}: ${reason}`);
}

describe("where scripts are found", () => {
  test("beside every loader of /EFI, in the usual directories and at the root, each file once", async () => {
    const script = "#!ipxe\nkernel /vmlinuz\nboot\n";
    const menus = await find([
      esp({
        "/EFI/BOOT/autoexec.ipxe": script,
        "/EFI/ipxe/autoexec.ipxe": { link: "../BOOT/autoexec.ipxe" },
        "/EFI/other/grub.cfg": "",
        "/boot/ipxe/autoexec.ipxe": script,
        "/ipxe/autoexec.ipxe": script,
        "/boot/autoexec.ipxe": script,
        "/autoexec.ipxe": script,
        "/menu.ipxe": script,
      }),
    ]);
    expect(menus.map((menu) => menu.defaultId)).toEqual([
      "vda1:ipxe:/EFI/BOOT/autoexec.ipxe",
      "vda1:ipxe:/boot/ipxe/autoexec.ipxe",
      "vda1:ipxe:/ipxe/autoexec.ipxe",
      "vda1:ipxe:/boot/autoexec.ipxe",
      "vda1:ipxe:/autoexec.ipxe",
    ]);
  });

  test("nowhere on a volume without one", async () => {
    expect(await find([esp({})])).toEqual([]);
  });

  test("a file that is no script, or too large a one, costs itself", async () => {
    expect(skippedRows(await findScript("echo hello\n"))).toEqual([
      '/autoexec.ipxe:1 -: ipxe: line 1: "#!ipxe" expected',
    ]);
    const [menu] = await find([esp({ "/autoexec.ipxe": "#!ipxe\n" })], { configBytesMax: 3 });
    expect(menu === undefined ? [] : skippedRows(menu)).toEqual([
      '/autoexec.ipxe:1 -: read "/autoexec.ipxe" on vda1: 7 bytes, at most 3 are taken',
    ]);
  });
});

describe("a script without a menu", () => {
  test("is one entry, with the files that it names from its own directory", async () => {
    const [menu] = await find([
      esp({
        "/EFI/BOOT/autoexec.ipxe":
          `#!ipxe\nset root /dev/sda2\nkernel ../../vmlinuz root=\${root} arch=\${buildarch} on=\${platform}\n` +
          "initrd file:/initrd.img\ninitrd file:///initrd.img /etc/a/b mode=600 mkdir=1\nboot\n",
      }),
    ]);
    expect(menu?.entries.map(row)).toEqual([
      "vda1:ipxe:/EFI/BOOT/autoexec.ipxe | iPXE script /EFI/BOOT/autoexec.ipxe | /vmlinuz | " +
        "/initrd.img /initrd.img as /etc/a/b 600 1 | root=/dev/sda2 arch=x86_64 on=efi",
    ]);
    expect(menu?.defaultId).toBe("vda1:ipxe:/EFI/BOOT/autoexec.ipxe");
    expect(menu?.defaultReason).toBe("the script starts it (/EFI/BOOT/autoexec.ipxe)");
    expect(menu?.timeoutSeconds).toBeNull();
    const place = { volume: "vda1", path: "/EFI/BOOT/autoexec.ipxe" };
    expect(menu?.entries[0]?.source).toEqual({ ...place, line: 6 });
    expect(menu?.entries[0]?.variables).toEqual([{ name: "root", value: "/dev/sda2", place: { ...place, line: 2 } }]);
  });

  test("has every script that was run among its configurations, and no other file", async () => {
    const menu = await findScript(`#!ipxe\nchain --autofree /a/args.ipxe\nkernel vmlinuz \${args}\nboot\n`, {
      "/a/args.ipxe": `#!ipxe\nset args here=\${cwuri} in=\${cwduri}\n`,
    });
    expect(menu.entries.map(row)).toEqual([
      "vda1:ipxe:/autoexec.ipxe | iPXE script /autoexec.ipxe | /vmlinuz |  | here=file:/a/args.ipxe in=file:/a/",
    ]);
    expect(menu.entries[0]?.configs.map(({ ref }) => ref.path)).toEqual(["/autoexec.ipxe", "/a/args.ipxe"]);
  });

  // So did the real iPXE for EFI, on a FAT volume with these files.
  test.each([
    ["file:vmlinuz", "/EFI/BOOT/vmlinuz"],
    ["vmlinuz", "/EFI/BOOT/vmlinuz"],
    ["file:/vmlinuz", "/vmlinuz"],
    ["file:///vmlinuz", "/vmlinuz"],
    ["file:/vmlinuz?x", "/vmlinuz"],
    ["../../vmlinuz", "/vmlinuz"],
    ["file:\\vmlinuz", "/EFI/BOOT/vmlinuz"],
    ["file:/rescue\\vmlinuz", "/rescue/vmlinuz"],
  ])("finds %s at %s", async (name, path) => {
    const script = `#!ipxe\nkernel ${name}\nboot\n`;
    const files = { "/EFI/BOOT/autoexec.ipxe": script, "/EFI/BOOT/vmlinuz": "kernel" };
    const [menu] = await find([esp(files)]);
    expect(menu?.entries[0]?.linux.path).toBe(path);
  });

  test("takes files of a volume that it names by its label", async () => {
    const source = esp({ "/autoexec.ipxe": "#!ipxe\nkernel file://root/boot/vmlinuz\nboot\n" });
    const other = memorySource("vda2", { "/boot/vmlinuz": "kernel" }, { label: "root" });
    const [menu] = await find([source, other]);
    expect(menu?.entries[0]?.linux).toEqual({ volume: "vda2", path: "/boot/vmlinuz" });
  });

  test("gives a multiboot kernel modules", async () => {
    const xen = new Uint8Array(64);
    new DataView(xen.buffer).setUint32(0, 0x1badb002, true);
    new DataView(xen.buffer).setUint32(8, -0x1badb002, true);
    const menu = await findScript("#!ipxe\nkernel xen dom0\nmodule vmlinuz ro\nmodule initrd.img\nboot\n", {
      "/xen": xen,
    });
    const [entry] = menu.entries;
    expect(entry?.initrd).toEqual([]);
    expect(entry?.modules.map(({ file, options }) => `${file.path} ${options}`)).toEqual([
      "/vmlinuz ro",
      "/initrd.img ",
    ]);
  });

  test("takes a device tree that stays out of the initrd", async () => {
    const menu = await findScript("#!ipxe\nfdt initrd.img\nkernel vmlinuz\nboot\n");
    expect(menu.entries[0]?.devicetree?.path).toBe("/initrd.img");
    expect(menu.entries[0]?.initrd).toEqual([]);
  });
});

describe("a script that boots nothing is skipped with the reason", () => {
  const skips = async (script: string, reason: string, line = 2): Promise<void> => {
    const menu = await findScript(`#!ipxe\n${script}\n`);
    expect(skippedRows(menu)).toEqual([`/autoexec.ipxe:${line} -: ${reason}`]);
    expect([menu.entries.length, menu.defaultId]).toEqual([0, null]);
  };

  test("the network", async () => {
    await skips("chain http://boot/menu.ipxe?a=1", "chain: needs the network: http://boot/menu.ipxe?a=1");
    await skips("dhcp", "dhcp: needs the network: dhcp");
    await skips("kernel tftp://10.0.0.1/vmlinuz", "kernel: needs the network: tftp://10.0.0.1/vmlinuz");
    await skips("dhcp || goto none\n:none\nshell", '"shell" waits for a person (before: needs the network: dhcp)', 4);
    await skips(":again\ndhcp || goto again", "more than 200000 steps (before: needs the network: dhcp)", 3);
  });

  test("files", async () => {
    await skips("kernel nothing", 'kernel: fetch "/nothing" on vda1: there is no such file');
    await skips("kernel /rescue", 'kernel: fetch "/rescue" on vda1: it is not a file');
    await skips("kernel a/../../x", 'kernel: fetch "/a/../../x": the path leaves the volume');
    await skips("kernel file://other/x", 'kernel: fetch a file: there is no volume with the label "other"');
    await skips("kernel foo:x", 'kernel: fetch "foo:x": no such kind of place is known');
  });

  test("commands", async () => {
    await skips("exit", "it ends without starting a kernel");
    await skips("exit 3", "exit: it ends with code 3");
    await skips("foo", '"foo": there is no such command');
    await skips("sanboot --no-describe --drive 0x80", "sanboot: it starts the loader of another disk");
    await skips("imgverify vmlinuz a.sig", "imgverify: signatures in iPXE's own form are not verified");
    await skips("reboot", "reboot: it boots nothing");
    await skips("config", '"config" waits for a person');
    await skips("prompt Go?", 'the prompt "Go?" waits for a person');
    await skips("read name", '"read name" waits for a person');
    await skips("cpuid 40 --ecx", "cpuid: 2 words, 1 expected");
    await skips("cpuid --ecx 31", "cpuid: whether the processor has bit 31 of ecx is not known");
    await skips("boot", "it ends without starting a kernel");
    await skips("kernel vmlinuz a\\", "the line is continued, and the script ends");
  });

  test("options that cannot be handed on", async () => {
    await skips(`set a:hex ff\nkernel vmlinuz \${a:string}\nboot`, "options: UTF-8 expected", 4);
    const script = `#!ipxe\nkernel vmlinuz ${"a".repeat(100)}\nboot\n`;
    const [menu] = await find([esp({ "/autoexec.ipxe": script })], { optionsBytesMax: 99 });
    expect(menu === undefined ? [] : skippedRows(menu)).toEqual([
      "/autoexec.ipxe:3 -: options: 100 bytes, at most 99 are taken",
    ]);
  });
});

const twoMenus = `#!ipxe
:top
menu Main menu
item --gap -- Systems
item debian   Debian
item more Others...
item shell Shell
item local Boot from disk
choose --default debian --timeout 2500 system || goto top
goto \${system}
:more
menu Others
item rescue Rescue
item back Back
item net Over the network
choose system && goto \${system}
:back
goto top
:debian
:rescue
kernel vmlinuz system=\${system}
boot
:net
chain http://boot/x
:local
exit
:shell
shell
`;

describe("menus", () => {
  test("every item is an entry or skipped, in menu order; the time-out chooses", async () => {
    const menu = await findScript(twoMenus);
    expect(menu.entries.map(row)).toEqual([
      "vda1:ipxe:/autoexec.ipxe:debian | Main menu > Debian | /vmlinuz |  | system=debian",
      "vda1:ipxe:/autoexec.ipxe:more>rescue | Main menu > Others > Rescue | /vmlinuz |  | system=rescue",
    ]);
    expect(skippedRows(menu)).toEqual([
      "/autoexec.ipxe:24 Over the network: chain: needs the network: http://boot/x",
      '/autoexec.ipxe:28 Shell: "shell" waits for a person',
      "/autoexec.ipxe:26 Boot from disk: it ends without starting a kernel",
    ]);
    expect(menu.defaultId).toBe("vda1:ipxe:/autoexec.ipxe:debian");
    expect(menu.defaultReason).toBe('the menu "Main menu" takes "debian" after 2.5 s (/autoexec.ipxe)');
    expect(menu.timeoutSeconds).toBe(3);
    expect(menu.entries.map(({ aliases }) => aliases)).toEqual([["debian"], ["more>rescue", "rescue"]]);
  });

  test("one without a time-out has no default", async () => {
    const menu = await findScript(twoMenus.replace("--timeout 2500", ""));
    expect(menu.entries.map(({ id }) => id)).toEqual([
      "vda1:ipxe:/autoexec.ipxe:debian",
      "vda1:ipxe:/autoexec.ipxe:more>rescue",
    ]);
    expect([menu.defaultId, menu.timeoutSeconds]).toEqual([null, null]);
    expect(menu.defaultReason).toBe('the menu "Main menu" waits for a person (/autoexec.ipxe)');
    expect(skippedRows(menu)).toHaveLength(3);
  });

  test("a default that boots nothing is none", async () => {
    const menu = await findScript(twoMenus.replace("--default debian", "--default local"));
    expect(menu.defaultId).toBeNull();
    expect(menu.defaultReason).toBe("it ends without starting a kernel (/autoexec.ipxe)");
    expect(menu.entries).toHaveLength(2);
  });

  test("so many items are tried and no more", async () => {
    const items = Array.from({ length: 40 }, (_, index) => `item i${index} Item ${index}\n`).join("");
    const menu = await findScript(
      `#!ipxe\nmenu Many\n${items}choose --timeout 1000 i\nkernel vmlinuz item=\${i}\nboot\n`,
    );
    expect(menu.entries).toHaveLength(32);
    expect(menu.defaultId).toBe("vda1:ipxe:/autoexec.ipxe:i0");
    expect(skippedRows(menu)).toEqual(["/autoexec.ipxe:1 -: 8 more items of menus: a script is run 32 times at most"]);
  });
});

test("colours of a menu are no part of its titles", async () => {
  const script = `#!ipxe\nset e:hex 1b\nmenu \${e:string}[1mMain\nitem a \${e:string}[32mOne\${e:string}[0m\nchoose --timeout 9 a\nboot vmlinuz\n`;
  const menu = await findScript(script);
  expect(menu.entries.map(row)).toEqual(["vda1:ipxe:/autoexec.ipxe:a | Main > One | /vmlinuz |  | "]);
});

test("all scripts of a volume have one measure of work", async () => {
  const names = ["a", "b", "c", "d", "e", "f"];
  const files = names.map((name) => [`/EFI/${name}/autoexec.ipxe`, "#!ipxe\n:a\ngoto a\n"]);
  const menus = await find([esp(Object.fromEntries(files))]);
  expect(menus.flatMap(skippedRows).map((text) => text.replace(/^.*-: /, ""))).toEqual([
    ...Array<string>(4).fill("more than 200000 steps"),
    expect.stringMatching(/^more than 19\d{4} steps$/),
    "not run: the scripts of a volume take 1000000 steps at most",
  ]);
});

describe("settings of the machine", () => {
  const one = async (script: string, machine?: MachineDescription): Promise<FoundMenu> => {
    const [menu] = await find([esp({ "/autoexec.ipxe": `#!ipxe\n${script}` })], {}, machine);
    if (menu === undefined) throw new Error("a menu expected");
    return menu;
  };

  test.each([
    [`\${mac} \${net1/mac:hexhyp} \${net0/hwaddr}`, "52:54:00:12:34:56 52-54-00-12-34-57 52:54:00:12:34:56"],
    [`\${net0/bustype} \${net0/busloc} \${net0/busid}`, "PCI 0000:00:03.0 01:1a:f4:10:00"],
    [`\${net0/ifname} \${net1/linktype} [\${net2/mac}]`, "net0 Ethernet []"],
    [`\${serial} \${product:uristring} [\${asset}] \${smbios/1.4.0}`, "S-1 Model%20A []  ACME"],
    [`\${uuid} \${uuid:hexraw}`, "564d0000-1111-2222-3333-444455556666 00004d56111122223333444455556666"],
  ])("%s", async (words, options) => {
    const { entries } = await one(`kernel vmlinuz ${words}\nboot\n`);
    expect(entries[0]?.options).toBe(options.replace("  ", " "));
  });

  test.each([
    [`kernel vmlinuz serial=\${serial}\nboot\n`, 3, '"serial" of the machine is not known'],
    [`set host h-\${uuid}\nkernel vmlinuz\nimgargs vmlinuz \${host}\nboot\n`, 5, '"uuid" of the machine is not known'],
    [`kernel vmlinuz\ninitrd \${net0/mac:hexhyp}.img\nboot\n`, 3, '"net0/mac" of the machine is not known'],
    [`isset \${net1/mac} || goto no\n:no\nboot vmlinuz\n`, 2, 'isset: "net1/mac" of the machine is not known'],
    [`kernel vmlinuz \${memsize}\nboot\n`, 3, '"memsize" of the machine is not known'],
  ])("of directories: %s", async (script, line, reason) => {
    const menu = await one(script, unknownMachineDescription);
    expect(menu.entries).toEqual([]);
    expect(skippedRows(menu)).toEqual([`/autoexec.ipxe:${line} -: ${reason}`]);
  });

  test("one that is not known costs what uses it alone", async () => {
    const script = `echo \${serial}
menu Machine \${serial}
item a With \${serial}
item b Without
choose --default b --timeout 9 kind
goto \${kind}
:a
kernel vmlinuz \${serial}
boot
:b
chain http://server/\${uuid} || kernel vmlinuz quiet
boot
`;
    const menu = await one(script, unknownMachineDescription);
    expect(menu.entries.map(row)).toEqual([
      `vda1:ipxe:/autoexec.ipxe:b | Machine \${serial} > Without | /vmlinuz |  | quiet`,
    ]);
    expect(skippedRows(menu)).toEqual([`/autoexec.ipxe:10 With \${serial}: "serial" of the machine is not known`]);
  });

  test("a port that is not known keeps its number", async () => {
    const network = { ports: [networkPort({ mac: null, pci: null, bus: null }), networkPort()], hasAllPorts: false };
    const machine = machineDescription({ network });
    const reasons = async (word: string): Promise<string[]> => {
      const menu = await one(`kernel vmlinuz ${word}\nboot\n`, machine);
      return [...menu.entries.map(({ options }) => options), ...menu.skipped.map(({ reason }) => reason)];
    };
    expect(await reasons(`\${net1/mac}`)).toEqual(["52:54:00:12:34:56"]);
    expect(await reasons(`\${mac}`)).toEqual(['"mac" of the machine is not known']);
    expect(await reasons(`\${net0/busloc}`)).toEqual(['"net0/busloc" of the machine is not known']);
    expect(await reasons(`\${net2/mac}`)).toEqual(['"net2/mac" of the machine is not known']);
    expect(await reasons(`\${netX/mac}`)).toEqual(['"netX/mac" of the machine is not known']);
    expect(await reasons(`\${net1/chip}`)).toEqual(['"net1/chip" of the machine is not known']);
  });
});
