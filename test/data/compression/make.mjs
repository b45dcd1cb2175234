// Makes the files of this directory anew: node make.mjs (see README.md).
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const env = { ...process.env, LC_ALL: "C.UTF-8", XZ_OPT: "", XZ_DEFAULTS: "" };

let state = 1;
/** A whole number below `limit`, the same in every run. */
function random(limit) {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
  return Math.floor(((state >>> 1) / 2 ** 31) * limit);
}
const pick = (values) => values[random(values.length)];
const bytes = (length) => Buffer.from({ length }, 0).map(() => random(256));

function text(length) {
  const words = "kernel initrd boot volume menu entry a the of and with its root loader memory signed page segment".split(" ");
  let result = "";
  while (result.length < length) result += random(30) === 0 ? `${random(100_000)}.\n` : `${pick(words)} `;
  return Buffer.from(result.slice(0, length));
}

/** Calls, jumps and operands that look like them, and text between. */
function x86(length) {
  const parts = [];
  for (let done = 0; done < length; ) {
    const part = random(40) === 0 ? text(random(200)) : Buffer.of(...Array.from({ length: 6 }, () => pick([0xe8, 0xe9, 0, 0, 0xff, 0xff, 1, random(256)])));
    parts.push(part);
    done += part.length;
  }
  return Buffer.concat(parts).subarray(0, length);
}

/** BL, ADRP near and far, and other words; a rest that is no word. */
function arm64(length) {
  const code = Buffer.alloc(length, "rest");
  for (let i = 0; i + 4 <= length; i += 4) {
    const any = random(2 ** 31) * 2 + random(2);
    const adrp = (0x90000000 | (any & 0x6fffffff)) >>> 0;
    const near = (0x90000000 | (any & 0x600fffff) | pick([0, 0xf00000])) >>> 0;
    code.writeUInt32LE(pick([(0x94000000 | (any & 0x03ffffff)) >>> 0, adrp, near, near, any]), i);
  }
  return code;
}

const originals = { small: text(900), text: text(40_000), x86: x86(24_001), arm64: arm64(8_003), random: bytes(3000), empty: Buffer.alloc(0) };
for (const [name, content] of Object.entries(originals)) writeFileSync(`${here}/${name}.original`, content);

/** Packs by a command that reads its input and writes its output. */
function pack(name, input, command, ...args) {
  const output = execFileSync(command, args, { input, env, maxBuffer: 1 << 30 });
  writeFileSync(`${here}/${name}`, output);
  return output;
}

const { small, text: long } = originals;
const none = Buffer.alloc(0);
const smallXz = pack("small.xz", small, "xz", "-c");
pack("small.lzma", small, "lzma", "-c");
pack("small.gz", small, "gzip", "-9nc");
const smallZst = pack("small.zst", small, "zstd", "-c", "-19", "--check");

pack("text.crc32.xz", long, "xz", "-c", "-C", "crc32");
pack("text.none.xz", long, "xz", "-c", "-C", "none");
pack("text.sha256.xz", long, "xz", "-c", "-C", "sha256");
// Headers of threaded blocks have both sizes.
pack("text.blocks.xz", long, "xz", "-c", "-T2", "--block-size=7000");
pack("text.literals.xz", long, "xz", "-c", "--lzma2=preset=9,lc=0,lp=4,pb=0");
// The dictionary is smaller than the text: the ring goes round.
pack("text.window.xz", long, "xz", "-c", "--lzma2=preset=9,dict=4KiB,lc=4,pb=4");
pack("text.lzma", long, "lzma", "-c", "-9");
pack("text.window.lzma", long, "xz", "-c", "--format=lzma", "--lzma1=preset=9,dict=4KiB,lp=2,lc=2,pb=1");
pack("text.gz", long, "gzip", "-9nc");
pack("text.zst", long, "zstd", "-c", "-19", "--check");
pack("random.zst", originals.random, "zstd", "-c", "--no-check");

pack("x86.xz", originals.x86, "xz", "-c", "--x86", "--lzma2");
pack("x86.start.xz", originals.x86, "xz", "-c", "--x86=start=4294967295", "--lzma2");
pack("arm64.xz", originals.arm64, "xz", "-c", "--arm64=start=65536", "--lzma2");
pack("filters.xz", originals.x86, "xz", "-c", "--x86", "--delta=dist=256", "--arm64", "--lzma2");
pack("delta.xz", long, "xz", "-c", "--delta=dist=3", "--lzma2");
// Nothing to be gained: LZMA2 stores it.
pack("random.xz", originals.random, "xz", "-c");
pack("empty.xz", none, "xz", "-c");
pack("empty.lzma", none, "lzma", "-c");

const zeroes = Buffer.alloc(16 << 20);
pack("zeroes.xz", zeroes, "xz", "-c", "-9");
pack("dictionary.xz", small, "xz", "-c", "--lzma2=dict=192MiB");
pack("dictionary.lzma", small, "xz", "-c", "--format=lzma", "--lzma1=dict=192MiB");
pack("arm.xz", small, "xz", "-c", "--arm", "--lzma2");

// Two streams with padding, as the format allows them (section 2.2).
writeFileSync(`${here}/streams.xz`, Buffer.concat([smallXz, Buffer.alloc(8), readFileSync(`${here}/text.crc32.xz`), Buffer.alloc(4)]));
// A skippable frame before, between and after (RFC 8878, section 3.1.2).
const skippable = Buffer.of(0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3);
writeFileSync(`${here}/frames.zst`, Buffer.concat([skippable, smallZst, skippable, readFileSync(`${here}/text.zst`), skippable]));
writeFileSync(`${here}/members.gz`, Buffer.concat([readFileSync(`${here}/small.gz`), readFileSync(`${here}/text.gz`)]));

// xz writes .lzma with the end marker and without the size. The marker stays when the size is put in.
const marked = Buffer.from(readFileSync(`${here}/small.lzma`));
marked.writeBigUInt64LE(BigInt(small.length), 5);
writeFileSync(`${here}/small.both.lzma`, marked);
// Without the marker: LZMA2 has none; a chunk of it is LZMA data behind a header of 6 bytes.
const lzma2 = execFileSync("xz", ["-c", "--format=raw", "--lzma2=dict=64KiB"], { input: small, env });
if (lzma2.readUInt16BE(3) + 1 + 7 !== lzma2.length) throw new Error("one chunk expected");
const header = Buffer.alloc(13);
header[0] = lzma2[5];
header.writeUInt32LE(65_536, 1);
header.writeBigUInt64LE(BigInt(small.length), 5);
writeFileSync(`${here}/small.size.lzma`, Buffer.concat([header, lzma2.subarray(6, -1)]));
// What xz says of both.
for (const name of ["small.both.lzma", "small.size.lzma"]) {
  if (!execFileSync("xz", ["-dc", "--format=lzma", `${here}/${name}`]).equals(small)) throw new Error(name);
}
