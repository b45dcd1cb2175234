import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type ElfFacts, elfMachine, rangesOf, readElf } from "../../../src/formats/elf.ts";
import { FormatError } from "../../../src/formats/format-error.ts";

function data(name: string): Uint8Array {
  return new Uint8Array(gunzipSync(readFileSync(new URL(`../../data/elf/${name}.gz`, import.meta.url))));
}

const none = { interpreter: null, needed: [], soname: null, runpath: [], rpath: [] };

/** What test/data/elf/README.md has from `readelf -hld`. */
const golden: readonly (readonly [file: string, facts: ElfFacts])[] = [
  [
    "libone.so",
    {
      ...none,
      bits: 64,
      littleEndian: true,
      machine: elfMachine.x86_64,
      type: "shared",
      needed: ["libtwo.so.2", "libc.so.6"],
      soname: "libone.so.1",
      runpath: ["$ORIGIN/../lib", "/opt/lib"],
    },
  ],
  [
    "program",
    {
      ...none,
      bits: 64,
      littleEndian: true,
      machine: elfMachine.x86_64,
      type: "shared",
      interpreter: "/lib64/ld-linux-x86-64.so.2",
      needed: ["libone.so.1"],
      rpath: ["/opt/old"],
    },
  ],
  [
    "lib32.so",
    { ...none, bits: 32, littleEndian: true, machine: elfMachine.i386, type: "shared", soname: "lib32.so.1" },
  ],
  ["static", { ...none, bits: 64, littleEndian: true, machine: elfMachine.x86_64, type: "executable" }],
  ["object.o", { ...none, bits: 64, littleEndian: true, machine: elfMachine.x86_64, type: "relocatable" }],
];

describe("files of a compiler, as readelf sees them", () => {
  it.each(golden)("%s", (name, facts) => {
    expect(readElf(rangesOf(data(name)))).toEqual(facts);
  });
  it("programs of this machine", () => {
    for (const file of [process.execPath, "/bin/ls", "/lib64/ld-linux-x86-64.so.2"]) {
      const text = execFileSync("readelf", ["-dlW", file], { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } });
      const values = (tag: string): string[] =>
        [...text.matchAll(new RegExp(`\\(${tag}\\).*\\[(.*)\\]`, "g"))].map((m) => m[1] ?? "");
      const facts = readElf(rangesOf(readFileSync(file)));
      expect([file, facts.needed, facts.soname, facts.interpreter]).toEqual([
        file,
        values("NEEDED"),
        values("SONAME")[0] ?? null,
        /program interpreter: (.*)\]/.exec(text)?.[1] ?? null,
      ]);
    }
  });
});

/** A big-endian library of 32 bits, laid out by hand from the gABI: header, three program headers, dynamic section, strings. */
function bigEndian(edit: (view: DataView, bytes: Uint8Array) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(0x100);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 2, 1]);
  view.setUint16(16, 3); // e_type ET_DYN
  view.setUint16(18, 20); // e_machine EM_PPC
  view.setUint32(28, 52); // e_phoff
  view.setUint16(42, 32); // e_phentsize
  view.setUint16(44, 3); // e_phnum
  const segments = [
    [1, 0, 0x10000, 0, 0x100], // PT_LOAD: the whole file at 0x10000
    [2, 0x98, 0x10098, 0, 0x28], // PT_DYNAMIC: five entries
    [3, 0xd4, 0x100d4, 0, 4], // PT_INTERP
  ];
  for (const [index, fields] of segments.entries()) {
    for (const [field, value] of fields.entries()) view.setUint32(52 + index * 32 + field * 4, value);
  }
  const dynamic = [1, 1, 5, 0x100c0, 10, 0x14, 14, 8, 0, 0]; // NEEDED 1, STRTAB, STRSZ 20, SONAME 8, NULL
  for (const [index, value] of dynamic.entries()) view.setUint32(0x98 + index * 4, value);
  bytes.set(new TextEncoder().encode("\0liba.b\0libbig.so\0\0\0/ld\0"), 0xc0);
  edit(view, bytes);
  return bytes;
}

describe("big-endian, 32 bits", () => {
  it("is read", () => {
    expect(readElf(rangesOf(bigEndian()))).toEqual({
      bits: 32,
      littleEndian: false,
      machine: 20,
      type: "shared",
      interpreter: "/ld",
      needed: ["liba.b"],
      soname: "libbig.so",
      runpath: [],
      rpath: [],
    });
  });
});

describe("broken files", () => {
  const expectError = (bytes: Uint8Array, text: string): void => {
    let thrown: unknown = null;
    try {
      readElf(rangesOf(bytes));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(FormatError);
    expect(thrown).toHaveProperty("message", text);
  };
  const at = (offset: number, value: number): Uint8Array => bigEndian((view) => view.setUint32(offset, value));

  it("say what is wrong where", () => {
    expectError(new Uint8Array(), "elf: offset 0, e_ident: an ELF file expected");
    expectError(new TextEncoder().encode("#!/bin/sh\n"), "elf: offset 0, e_ident: an ELF file expected");
    expectError(
      bigEndian((_, bytes) => bytes.set([3], 4)),
      "elf: offset 4, EI_CLASS: 3: 1 or 2 expected",
    );
    expectError(
      bigEndian((_, bytes) => bytes.set([0], 5)),
      "elf: offset 5, EI_DATA: 0: 1 or 2 expected",
    );
    expectError(bigEndian().subarray(0, 40), "elf: offset 0, header: 52 byte(s) expected, 40 found");
    expectError(
      bigEndian((view) => view.setUint16(44, 257)),
      "elf: offset 44, e_phnum: 257: at most 256 are taken",
    );
    expectError(
      bigEndian((view) => view.setUint16(42, 56)),
      "elf: offset 42, e_phentsize: 56: 32 expected",
    );
    expectError(at(28, 0xf0), "elf: offset 240, program headers: 96 byte(s) expected, 16 found");
    expectError(at(52 + 32 + 16, 0x10_0000), "elf: PT_DYNAMIC: 131072 entries, at most 4096 are taken");
    expectError(at(52 + 64 + 16, 0x10_0000), "elf: PT_INTERP: 1048576: at most 16384 bytes are taken");
    expectError(at(52 + 64 + 16, 3), `elf: offset 212, PT_INTERP: "/ld": a string that ends with NUL expected`);
    expectError(at(0x98 + 8, 99), "elf: DT_STRTAB: a string table expected");
    expectError(at(0x98 + 16, 99), "elf: DT_STRSZ: the string table's length expected");
    expectError(at(0x98 + 12, 0x20000), "elf: DT_STRTAB: address 0x20000 is in no loaded segment");
    expectError(at(0x98 + 4, 20), "elf: string offset: 20: less than 20 expected");
    expectError(at(0x98 + 4, 0), "elf: DT_NEEDED: a name expected");
    expectError(at(0x98 + 20, 4), `elf: offset 193, string: "lib": a string that ends with NUL expected`);
    expectError(at(0x98 + 20, 8), "elf: string offset: 8: less than 8 expected");
  });
  it("throw only FormatError cut at every length", () => {
    for (const bytes of [bigEndian(), data("libone.so").slice(0, 0x1000)]) {
      for (let length = 0; length < bytes.length; length++) expectOnlyFormatError(bytes.subarray(0, length));
    }
  });
  it("throw only FormatError when mutated", () => {
    let state = 5;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 8;
    };
    const library = data("libone.so");
    const dynamic = library.length;
    for (let round = 0; round < 3000; round++) {
      const bytes = (round % 2 === 0 ? bigEndian() : library).slice();
      for (let i = 0; i < 3; i++) bytes[random() % Math.min(bytes.length, i === 0 ? 0x240 : dynamic)] = random();
      expectOnlyFormatError(bytes);
    }
  });
});

function expectOnlyFormatError(bytes: Uint8Array): void {
  try {
    readElf(rangesOf(bytes));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
}
