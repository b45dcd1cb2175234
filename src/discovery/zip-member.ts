import { Readable } from "node:stream";
import { crc32, createInflateRaw } from "node:zlib";
import { errorCode, messageOf } from "../formats/error-text.ts";
import { FormatError, quote } from "../formats/format-error.ts";
import type { ZipMember } from "../formats/zip.ts";

/** Bytes that the decoder gives at a time. */
const chunkBytes = 1 << 18;

/**
 * The unpacked bytes of an archive's member, piece by piece; never more than its directory tells of, and at the end held
 * against that size and the CRC-32.
 *
 * @param packed the member's bytes in the archive, in pieces that stay as they are
 * @throws FormatError where they are not what the directory says. What reading them throws passes as it is.
 */
export async function* unpackZipMember(
  packed: Iterable<Uint8Array>,
  member: ZipMember,
): AsyncGenerator<Uint8Array, void, undefined> {
  let size = 0;
  let crc = 0;
  for await (const bytes of member.method === "stored" ? packed : inflate(packed, member)) {
    size += bytes.length;
    if (size > member.size) fail(member, `more than its ${member.size} bytes come out`);
    crc = crc32(bytes, crc);
    yield bytes;
  }
  if (size !== member.size) fail(member, `${member.size} bytes expected, ${size} came out`);
  if (crc !== member.crc32) fail(member, `CRC-32 ${word(member.crc32)} expected, not ${word(crc)}`);
}

async function* inflate(packed: Iterable<Uint8Array>, member: ZipMember): AsyncGenerator<Uint8Array, void, undefined> {
  const decoder = createInflateRaw({ chunkSize: chunkBytes });
  const source = Readable.from(packed, { objectMode: false, highWaterMark: chunkBytes });
  // A decoder that comes to its end leaves the rest unread, which stream.pipeline() would take for a failure.
  source.on("error", (error) => decoder.destroy(error));
  source.pipe(decoder);
  try {
    for await (const bytes of decoder) yield bytes;
  } catch (error) {
    if (!errorCode(error)?.startsWith("Z_")) throw error;
    fail(member, errorCode(error) === "Z_BUF_ERROR" ? "its packed bytes end too early" : messageOf(error));
  } finally {
    source.destroy();
    decoder.destroy();
  }
  if (decoder.bytesWritten !== member.data.length) {
    fail(member, `${member.data.length} packed bytes expected, it ends after ${decoder.bytesWritten}`);
  }
}

function fail({ name, data }: ZipMember, detail: string): never {
  throw new FormatError("zip", `${quote(name)}: ${detail}`, { offset: data.offset });
}

function word(value: number): string {
  return value.toString(16).padStart(8, "0");
}
