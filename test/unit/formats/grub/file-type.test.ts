import { describe, expect, test } from "vitest";
import { evaluateGrubConfig } from "../../../../src/formats/grub/evaluate.ts";
import { fileTypes } from "../../../../src/formats/grub/file-type.ts";
import { memoryGrubHost } from "../../../fakes/memory-grub-host.ts";
import { randomNumbers } from "../../../fakes/random-numbers.ts";

function bytes(length: number, write: (data: DataView) => void): Uint8Array {
  const array = new Uint8Array(length);
  write(new DataView(array.buffer));
  return array;
}

function linux(version: number, loadFlags: number): Uint8Array {
  return bytes(0x400, (data) => {
    data.setUint8(0x1f1, 4);
    data.setUint16(0x1fe, 0xaa55, true);
    data.setUint32(0x202, 0x53726448, true);
    data.setUint16(0x206, version, true);
    data.setUint8(0x211, loadFlags);
  });
}

function elf(bits: number, big: boolean, machine: number, type: number, abi = 0): Uint8Array {
  return bytes(0x100, (data) => {
    data.setUint32(0, 0x7f454c46);
    data.setUint8(4, bits / 32);
    data.setUint8(5, big ? 2 : 1);
    data.setUint8(6, 1);
    data.setUint8(7, abi);
    data.setUint16(0x10, type, !big);
    data.setUint16(0x12, machine, !big);
    data.setUint32(0x14, 1, !big);
  });
}

function pe(machine: number, magic: number, subsystem: number): Uint8Array {
  return bytes(0x200, (data) => {
    data.setUint16(0, 0x4d5a);
    data.setUint32(0x3c, 0x80, true);
    data.setUint32(0x80, 0x50450000);
    data.setUint16(0x84, machine, true);
    data.setUint16(0x98, magic, true);
    data.setUint16(0x98 + 68, subsystem, true);
  });
}

function multiboot(at: number, words: readonly number[], length = 0x9000): Uint8Array {
  return bytes(length, (data) => {
    for (const [index, word] of words.entries()) data.setUint32(at + index * 4, word, true);
  });
}

const mb1 = [0x1badb002, 3, 0x100000000 - 0x1badb005];
const mb2 = [0xe85250d6, 0, 24, 0x100000000 - 0xe85250d6 - 24];

const samples: Readonly<Record<string, Uint8Array>> = {
  empty: new Uint8Array(0),
  linux200: linux(0x200, 0),
  linux203: linux(0x203, 1),
  linux203low: linux(0x203, 0),
  cut: linux(0x203, 1).subarray(0, 0x208),
  mb1: multiboot(4, mb1),
  mb1late: multiboot(8192, mb1),
  mb1odd: multiboot(6, mb1),
  mb2: multiboot(8, mb2),
  mb2four: multiboot(12, mb2),
  mb2late: multiboot(32768 - 16, mb2),
  efi64: pe(0x8664, 0x20b, 10),
  efi64driver: pe(0x8664, 0x20b, 11),
  efi32: pe(0x14c, 0x10b, 10),
  efiarm64: pe(0xaa64, 0x20b, 10),
  efiarm: pe(0x1c2, 0x10b, 10),
  efiriscv: pe(0x5064, 0x20b, 10),
  mips: elf(32, true, 8, 2),
  mipsel: elf(32, false, 8, 2),
  ia64: elf(64, false, 50, 2),
  freebsd64: elf(64, false, 62, 2, 9),
  freebsd32: elf(32, false, 3, 2, 9),
  sector: bytes(512, (data) => data.setUint16(510, 0xaa55, true)),
  hiber: new TextEncoder().encode("hibr and more"),
  arm64image: bytes(0x100, (data) => data.setUint32(0x38, 0x644d5241, true)),
  armzimage: bytes(0x100, (data) => data.setUint32(0x24, 0x016f2818, true)),
  armbranch: bytes(0x100, (data) => data.setUint32(0, 0xea000006, true)),
};

/** What GRUB 2.06 said yes to, of the samples above, for every option whose files are looked into. */
const judged: Readonly<Record<string, readonly string[]>> = {
  "is-x86-multiboot": ["mb1"],
  "is-x86-multiboot2": ["mb2", "mb2late"],
  "is-arm-linux": ["armzimage", "armbranch"],
  "is-arm64-linux": ["arm64image"],
  "is-ia64-linux": ["ia64"],
  "is-mips-linux": [],
  "is-mipsel-linux": ["mipsel"],
  "is-sparc64-linux": [],
  "is-powerpc-linux": [],
  "is-x86-linux": ["linux200", "linux203", "linux203low"],
  "is-x86-linux32": ["linux203"],
  "is-x86-kfreebsd": ["freebsd64", "freebsd32"],
  "is-i386-kfreebsd": ["freebsd32"],
  "is-x86_64-kfreebsd": ["freebsd64"],
  "is-i386-efi": ["efi32"],
  "is-x86_64-efi": ["efi64"],
  "is-ia64-efi": [],
  "is-arm64-efi": ["efiarm64"],
  "is-arm-efi": ["efiarm"],
  "is-riscv32-efi": ["efiriscv"],
  "is-riscv64-efi": ["efiriscv"],
  "is-hibernated-hiberfil": ["hiber"],
  "is-x86-bios-bootsector": ["sector"],
};

async function isOf(option: string, content: Uint8Array): Promise<string> {
  const script = `file --${option} /f\nif [ $? = 0 ]; then a=yes; else a=no; fi\nmenuentry x {\nlinux /k $a\n}\n`;
  const host = memoryGrubHost({ hd0: { files: { "/f": content, "/k": "k", "/grub.cfg": script } } });
  const { menu } = await evaluateGrubConfig(host, { device: "hd0", path: "/grub.cfg" });
  const outcome = menu?.entries[0]?.outcome;
  return outcome?.kind === "boot" ? outcome.load.options : "refused";
}

describe("file", () => {
  test.each(Object.entries(judged))("--%s", async (option, expected) => {
    const found: string[] = [];
    for (const [name, content] of Object.entries(samples))
      if ((await isOf(option, content)) === "yes") found.push(name);
    expect(found).toEqual(expected);
  });

  test("every option is judged or has its reason", () => {
    const open = [...fileTypes].filter(([option, kind]) => typeof kind !== "string" && judged[option] === undefined);
    expect(open.map(([option]) => option)).toEqual([]);
  });

  test("a type that is not looked for costs the entry", async () => {
    const script = "menuentry x {\nfile --is-x86_64-xen-domu /f\nlinux /f\n}\n";
    const host = memoryGrubHost({ hd0: { files: { "/f": "x", "/grub.cfg": script } } });
    const { menu } = await evaluateGrubConfig(host, { device: "hd0", path: "/grub.cfg" });
    expect(menu?.entries[0]?.outcome).toMatchObject({
      kind: "refused",
      reason: "file --is-x86_64-xen-domu: the notes of a Xen kernel are not read",
    });
  });

  test("cut and mutated files", async () => {
    const random = randomNumbers(7);
    for (const content of Object.values(samples)) {
      for (let round = 0; round < 20; round++) {
        const changed = content.slice(0, random() % (content.length + 1));
        if (changed.length > 0) changed[random() % Math.min(changed.length, 0x100)] = random();
        const read = async (position: number, length: number): Promise<Uint8Array> =>
          changed.subarray(position, position + length);
        for (const kind of fileTypes.values()) {
          if (typeof kind !== "string") expect(typeof (await kind(read, changed.length))).toBe("boolean");
        }
      }
    }
  });
});

test("what is hashed is bounded", async () => {
  const script = "md5sum /f\nmd5sum /f\nmenuentry x {\nlinux /f\n}\n";
  const host = memoryGrubHost({ hd0: { files: { "/f": "12345", "/grub.cfg": script } } });
  const { problems } = await evaluateGrubConfig(host, { device: "hd0", path: "/grub.cfg" }, { hashedBytesMax: 8 });
  expect(problems.map(({ line, text }) => `${line}: ${text}`)).toEqual([
    '2: md5sum "/f": more than 8 bytes in all hashed files',
  ]);
});
