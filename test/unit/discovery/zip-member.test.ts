import { crc32, deflateRawSync } from "node:zlib";
import { expect, test } from "vitest";
import { unpackZipMember } from "../../../src/discovery/zip-member.ts";
import { FormatError } from "../../../src/formats/format-error.ts";
import type { ZipMember } from "../../../src/formats/zip.ts";
import { randomNumbers } from "../../fakes/random-numbers.ts";

const random = randomNumbers(17);
/** More than the decoder gives at a time, packed and unpacked. */
const content = Buffer.concat([
  Buffer.from(Array.from({ length: 600_000 }, () => random() >>> 4)),
  Buffer.alloc(900_000, "compressible "),
]);

function memberOf(packed: Uint8Array, own: Partial<ZipMember> = {}): ZipMember {
  const data = { offset: 100, length: packed.length };
  return { name: "boot/initrd", method: "deflate", crc32: crc32(content), size: content.length, data, ...own };
}

async function unpack(packed: Uint8Array, member: ZipMember, pieceBytes: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < packed.length; at += pieceBytes) pieces.push(packed.subarray(at, at + pieceBytes));
  const unpacked: Uint8Array[] = [];
  for await (const piece of unpackZipMember(pieces, member)) unpacked.push(Buffer.from(piece));
  return Buffer.concat(unpacked);
}

async function refusal(packed: Uint8Array, member: ZipMember): Promise<string> {
  const error: unknown = await unpack(packed, member, 1 << 16).catch((thrown: unknown) => thrown);
  if (error instanceof FormatError) return error.message;
  throw error;
}

const deflated = new Uint8Array(deflateRawSync(content));

test.each([7919, 1 << 18, 1 << 24])("pieces of %i bytes", async (pieceBytes) => {
  expect((await unpack(deflated, memberOf(deflated), pieceBytes)).equals(content)).toBe(true);
  const stored = memberOf(content, { method: "stored" });
  expect((await unpack(content, stored, pieceBytes)).equals(content)).toBe(true);
});

test("an empty file", async () => {
  const empty = { size: 0, crc32: 0 };
  expect(await unpack(Uint8Array.of(3, 0), memberOf(Uint8Array.of(3, 0), empty), 1)).toHaveLength(0);
  expect(await unpack(new Uint8Array(0), memberOf(new Uint8Array(0), { ...empty, method: "stored" }), 1)).toHaveLength(
    0,
  );
});

test("what is not what the directory says", async () => {
  expect(await refusal(deflated, memberOf(deflated, { size: content.length - 1 }))).toBe(
    'zip: offset 100: "boot/initrd": more than its 1499999 bytes come out',
  );
  expect(await refusal(deflated, memberOf(deflated, { size: content.length + 1 }))).toBe(
    'zip: offset 100: "boot/initrd": 1500001 bytes expected, 1500000 came out',
  );
  expect(await refusal(deflated, memberOf(deflated, { crc32: 0 }))).toBe(
    `zip: offset 100: "boot/initrd": CRC-32 00000000 expected, not ${crc32(content).toString(16).padStart(8, "0")}`,
  );
  const cut = deflated.subarray(0, -1);
  expect(await refusal(cut, memberOf(cut))).toBe('zip: offset 100: "boot/initrd": its packed bytes end too early');
  const longer = Buffer.concat([deflated, Buffer.from("behind")]);
  expect(await refusal(longer, memberOf(longer))).toBe(
    `zip: offset 100: "boot/initrd": ${longer.length} packed bytes expected, it ends after ${deflated.length}`,
  );
  expect(await refusal(Uint8Array.of(7), memberOf(Uint8Array.of(7)))).toBe(
    'zip: offset 100: "boot/initrd": invalid block type',
  );
});

test("what reading the packed bytes throws passes", async () => {
  function* broken(): Generator<Uint8Array> {
    yield deflated.subarray(0, 1000);
    throw new Error("input/output error");
  }
  const pieces = unpackZipMember(broken(), memberOf(deflated));
  const drained = (async () => {
    for await (const piece of pieces) expect(piece.length).toBeGreaterThan(0);
  })();
  await expect(drained).rejects.toThrow("input/output error");
});
