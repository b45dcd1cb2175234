import { unpackZipMember } from "../../src/discovery/zip-member.ts";
import {
  osPackageFiles,
  parseOsPackageDescriptor,
  parseOsPackageManifest,
  readOsPackageArchive,
} from "../../src/formats/os-package.ts";
import { rangesOf, readExactly } from "../../src/formats/ranges.ts";
import { readZip } from "../../src/formats/zip.ts";
import type { FuzzTarget } from "./engine.ts";
import { binaryTarget, generates, grade, seedsOf, textOf } from "./target-kinds.ts";

const signatures = ["PK\x01\x02", "PK\x03\x04", "PK\x05\x06", "PK\x07\x08"];
/** Most bytes that are unpacked of one member: what there may be more is size and not form. */
const unpackedBytesMax = 1 << 16;

/** An archive whose end shows where the central directory is. */
function mendZip(bytes: Uint8Array): Uint8Array {
  const found = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = found.lastIndexOf("PK\x05\x06");
  const directory = found.indexOf("PK\x01\x02");
  if (end < 0 || directory < 0 || directory > end || end + 22 > found.length) return bytes;
  found.writeUInt32LE(end - directory, end + 12);
  found.writeUInt32LE(directory, end + 16);
  found.writeUInt16LE((found.length - end - 22) & 0xffff, end + 20);
  return bytes;
}

async function unpackedBytes(bytes: Uint8Array): Promise<number> {
  let unpacked = 0;
  for (const member of readZip(rangesOf(bytes), bytes.length).members) {
    if (member.size > unpackedBytesMax) continue;
    const packed = readExactly(rangesOf(bytes), member.data, "zip", member.name).bytes;
    for await (const piece of unpackZipMember([packed], member)) unpacked += piece.length;
  }
  return unpacked;
}

/** OS packages and what they are packed in. */
export const packageTargets: readonly FuzzTarget[] = [
  {
    ...binaryTarget("ZIP", seedsOf("os-package", /\.zip$/), signatures, (bytes) =>
      readZip(rangesOf(bytes), bytes.length)
        .members.map(({ method }) => method)
        .join(),
    ),
    mend: mendZip,
  },
  {
    ...binaryTarget("ZIP members", seedsOf("os-package", /\.zip$/), signatures, async (bytes) =>
      grade(await unpackedBytes(bytes)),
    ),
    mend: mendZip,
  },
  {
    ...binaryTarget(
      "OS package",
      seedsOf("os-package", /^(?:acme|infozip|python)[-a-z0-9.]*\.zip$/),
      [...signatures, "manifest.json"],
      (bytes) => {
        const { archive, manifest } = readOsPackageArchive(rangesOf(bytes), bytes.length);
        const { kernel, initramfs } = osPackageFiles(archive, {
          label: null,
          kernel: archive.members[0]?.name ?? "",
          initramfs: archive.members[1]?.name ?? "",
          commandLine: "",
        });
        return [grade(manifest.size), kernel.method, initramfs.method].join();
      },
    ),
    mend: mendZip,
  },
  binaryTarget(
    "OS package descriptor",
    seedsOf("os-package", /\.json$/),
    ['"version": 1', '"os_pkg_url"', '"certificates"', '"signatures"', "null", "[", "{"],
    (bytes) => parseOsPackageDescriptor(bytes).signatures.length,
  ),
  {
    ...binaryTarget(
      "OS package manifest",
      [textOf('{"version":1,"label":"Acme OS","kernel":"boot/vmlinuz","initramfs":"boot/initrd","cmdline":"quiet"}')],
      ['"version":1', '"label"', '"kernel"', '"initramfs"', '"cmdline"', "null", "\\u0000"],
      (bytes) => {
        const { label, commandLine } = parseOsPackageManifest(bytes);
        return [label === null, grade(commandLine.length)].join();
      },
    ),
    ...generates(
      {
        manifest: [
          '{"version":<number>,"kernel":<text>,"initramfs":<text>,"cmdline":<text>,"label":<text>}',
          "{<field>}",
        ],
        field: ['"version":<number>', '"kernel":<text>', "<field>,<field>"],
        number: ["1", "2", "1.0", '"1"', "null"],
        text: ['"boot/x"', '""', "null", '"\\u0007"', "[<text>]"],
      },
      "manifest",
    ),
  },
];
