import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { KernelFileError, readKernelFile } from "../../../src/handoff/kernel-file.ts";
import { type OsPackageContents, openOsPackage, osPackageHandover } from "../../../src/handoff/os-package-contents.ts";
import { PreflightError } from "../../../src/handoff/preflight.ts";
import type { FileRange } from "../../../src/linux/system.ts";
import { MemoryFile } from "../../../src/trust/memory-file.ts";
import { bzImageFile } from "../../fakes/bzimage-head.ts";
import { kernelImage } from "../../fakes/kernel-image.ts";
import { fakeSystem } from "../../fakes/system.ts";
import { testData } from "../../fakes/tree-data.ts";

const system = fakeSystem();
let open = new DisposableStack();
afterEach(() => {
  open.dispose();
  open = new DisposableStack();
});

const data = (name: string): Uint8Array => testData(`os-package/${name}.zip`);
const limits = { kernelBytesMax: 2576, initrdBytesMax: 1080 };

/** The archive in the middle of a sealed file: nothing may be read relative to the file's start. */
function sealed(bytes: Uint8Array): FileRange {
  const memory = open.use(new MemoryFile(system, "test"));
  memory.append(Buffer.from("before"));
  memory.append(bytes);
  memory.append(Buffer.from("behind"));
  memory.seal();
  return { fd: memory.fd, offset: 6, length: bytes.length };
}

function unpack(bytes: Uint8Array, own: Partial<typeof limits> = {}): Promise<OsPackageContents> {
  return openOsPackage(system, open, sealed(bytes), "/ospkg/a.zip", { ...limits, ...own });
}

async function refusal(bytes: Uint8Array, own: Partial<typeof limits> = {}): Promise<string> {
  const error: unknown = await unpack(bytes, own).catch((thrown: unknown) => thrown);
  if (error instanceof KernelFileError) return error.message;
  throw error;
}

const bytesAt = ({ fd, offset, length }: FileRange): Uint8Array =>
  new Uint8Array(readFileSync(`/proc/self/fd/${fd}`).subarray(offset, offset + length));

const kernel = bzImageFile();
const initramfs = Buffer.from("an initramfs would be here\n".repeat(40));

test.each([
  ["acme-1.2", "boot/vmlinuz-6.1.0"],
  ["infozip", "boot/vmlinuz"],
  ["infozip-stream", "boot/vmlinuz"],
  ["python", "boot/vmlinuz"],
])("what is in %s.zip", async (name, member) => {
  const contents = await unpack(data(name));
  expect(contents.kernelName).toBe(`/ospkg/a.zip (${member})`);
  expect(contents.commandLine).toBe("console=ttyS0,115200n8 ro  quiet");
  expect(Buffer.compare(bytesAt(contents.kernel), kernel)).toBe(0);
  expect(Buffer.compare(bytesAt(contents.initramfs), initramfs)).toBe(0);
});

test("what is stored is used where it is", async () => {
  const archive = sealed(data("infozip-stream"));
  const contents = await openOsPackage(system, open, archive, "a.zip", limits);
  expect(contents.kernel).toEqual({ fd: archive.fd, offset: 6 + 133, length: 2576 });
});

test("the kernel is one, and handed over with the package's initramfs and options", async () => {
  const contents = await unpack(data("acme-1.2"));
  const options = { bytesMax: 1 << 20, architecture: "x86_64" };
  const file = open.use(await readKernelFile(system, contents.kernel, contents.kernelName, options));
  expect(file.kind).toBe("bzImage64");
  const entry = { options: "console=ttyS0,115200n8 ro  quiet" };
  expect(osPackageHandover(entry, file, contents)).toEqual({ initrds: [contents.initramfs], options: entry.options });
});

test("options that are not those that were listed, and a kernel that brings its own", async () => {
  const contents = await unpack(data("acme-1.2"));
  const plain = { kind: "bzImage64", name: "/ospkg/a.zip (k)", enclosed: null } as const;
  expect(() => osPackageHandover({ options: "quiet" }, plain, contents)).toThrow(
    new PreflightError(
      '/ospkg/a.zip (k) changed since it was listed: its options are "console=ttyS0,115200n8 ro  quiet"',
    ),
  );
  const memory = open.use(new MemoryFile(system, "uki"));
  memory.append(kernelImage("uki-profiles"));
  memory.seal();
  const range = { fd: memory.fd, offset: 0, length: memory.size };
  const enclosed = { initrds: [range], commandLine: "", devicetree: null };
  expect(() => osPackageHandover({ options: "" }, { ...plain, kind: "uki", enclosed }, contents)).toThrow(
    new PreflightError("/ospkg/a.zip (k): a kernel alone expected in the OS package, found uki"),
  );
});

describe("what is refused", () => {
  test("files over the limits", async () => {
    expect(await refusal(data("acme-1.2"), { kernelBytesMax: 2575 })).toBe(
      '/ospkg/a.zip: zip: offset 83: "boot/vmlinuz-6.1.0" has 2576 bytes, at most 2575 are taken',
    );
    expect(await refusal(data("infozip-stream"), { initrdBytesMax: 1079 })).toBe(
      '/ospkg/a.zip: zip: offset 2798: "boot/initrd.img" has 1080 bytes, at most 1079 are taken',
    );
  });

  test("no package", async () => {
    expect(await refusal(data("python-empty"))).toBe(
      '/ospkg/a.zip: OS package: "manifest.json" expected in the archive',
    );
    expect(await refusal(new Uint8Array(0))).toBe(
      "/ospkg/a.zip: zip: the end of a central directory expected at the end of the file",
    );
  });

  test.each([
    ["a stored file", "infozip-stream", 2798 + 500, '"boot/initrd.img": CRC-32 5a263f80 expected, not '],
    ["a stored kernel", "infozip-stream", 133 + 2000, '"boot/vmlinuz": CRC-32 58f133bc expected, not '],
    ["a block's type", "acme-1.2", 83, '"boot/vmlinuz-6.1.0": invalid block type'],
  ])("%s with changed bytes", async (_, name, place, reason) => {
    const bytes = data(name);
    bytes[place] = 0xff;
    expect(await refusal(bytes)).toContain(reason);
  });

  test("packed bytes that go on behind the end, or end too early", async () => {
    // An empty stored block that is the last, then the rest of the data: the file ends at once.
    const early = data("python");
    early.set([1, 0, 0, 0xff, 0xff], 190);
    expect(await refusal(early)).toBe(
      '/ospkg/a.zip: zip: offset 190: "boot/vmlinuz": 49 packed bytes expected, it ends after 5',
    );
    // A stored block that is longer than what is there.
    const late = data("python");
    late.set([1, 0xff, 0x7f, 0, 0x80], 190);
    expect(await refusal(late)).toBe('/ospkg/a.zip: zip: offset 190: "boot/vmlinuz": its packed bytes end too early');
  });

  test("a file that unfolds to more than the directory says", async () => {
    const bytes = Buffer.from(data("python"));
    const central = bytes.indexOf("PK\x01\x02", bytes.indexOf("PK\x01\x02") + 4);
    const local = bytes.indexOf("PK\x03\x04", 4);
    for (const place of [local + 22, central + 24]) {
      expect(bytes.readUInt32LE(place)).toBe(2576);
      bytes.writeUInt32LE(2000, place);
    }
    expect(await refusal(bytes)).toBe(
      '/ospkg/a.zip: zip: offset 190: "boot/vmlinuz": more than its 2000 bytes come out',
    );
  });
});
