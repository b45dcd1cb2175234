// Makes the files of this directory anew: node make.mjs (see README.md).
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32, deflateSync, gzipSync } from "node:zlib";

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

// Longer than a block of lz4 (64 KiB), of bzip2 -1 (100 kB), of lzop (256 KiB).
const twice = Buffer.concat([long, long]);
const thrice = Buffer.concat([twice, long]);
const sevenfold = Buffer.concat([thrice, thrice, long]);
const smallLz4 = pack("small.lz4", small, "lz4", "-c");
pack("text.lz4", none, "lz4", "-q", "-c", "-9", "--content-size", `${here}/text.original`);
pack("twice.linked.lz4", twice, "lz4", "-q", "-c", "-B4", "-BD", "-BX");
pack("twice.blocks.lz4", twice, "lz4", "-q", "-c", "-B4", "-BI", "--no-frame-crc");
pack("random.lz4", originals.random, "lz4", "-c");
pack("empty.lz4", none, "lz4", "-c");
const legacy = pack("small.legacy.lz4", small, "lz4", "-c", "-l");
// As Linux's build wraps a kernel (scripts/Makefile.lib, lz4_with_size): the size behind.
const sizeBehind = Buffer.alloc(4);
sizeBehind.writeUInt32LE(small.length);
writeFileSync(`${here}/small.size.lz4`, Buffer.concat([execFileSync("lz4", ["-q", "-l", "-9", "-", "-"], { input: small, env }), sizeBehind]));
writeFileSync(`${here}/frames.lz4`, Buffer.concat([skippable, smallLz4, skippable, legacy, readFileSync(`${here}/text.lz4`), skippable]));
writeFileSync(`${here}/zeroes.legacy.lz4.gz`, gzipSync(execFileSync("lz4", ["-c", "-l"], { input: zeroes, env }), { level: 9 }));

const smallBz2 = pack("small.bz2", small, "bzip2", "-c");
const textBz2 = pack("text.bz2", long, "bzip2", "-c");
pack("thrice.bz2", thrice, "bzip2", "-c", "-1");
pack("random.bz2", originals.random, "bzip2", "-c");
pack("empty.bz2", none, "bzip2", "-c");
pack("zeroes.bz2", zeroes, "bzip2", "-c");
writeFileSync(`${here}/streams.bz2`, Buffer.concat([smallBz2, textBz2]));

/** lzop notes the name and the time of its input. */
function lzop(name, input, ...args) {
  const folder = mkdtempSync(`${tmpdir()}/lzop-`);
  writeFileSync(`${folder}/input`, input);
  utimesSync(`${folder}/input`, 1_000_000_000, 1_000_000_000);
  const output = execFileSync("lzop", ["-c", ...args, "input"], { cwd: folder, env, maxBuffer: 1 << 30 });
  rmSync(folder, { recursive: true });
  if (name !== null) writeFileSync(`${here}/${name}`, output);
  return output;
}
const smallLzo = lzop("small.lzo", small);
const textLzo = lzop("text.lzo", long, "-9");
lzop("text.fast.lzo", long, "-1", "-F");
lzop("text.crc32.lzo", long, "--crc32");
lzop("sevenfold.lzo", sevenfold, "-9");
lzop("random.lzo", originals.random);
lzop("empty.lzo", none);
writeFileSync(`${here}/zeroes.lzo.gz`, gzipSync(lzop(null, zeroes), { level: 9 }));
writeFileSync(`${here}/members.lzo`, Buffer.concat([smallLzo, textLzo]));

/** zlib ends with the Adler-32 of what went in. */
function adler(input) {
  return deflateSync(input).subarray(-4);
}
/** A word of 32 bits, highest byte first. */
function word(value) {
  const result = Buffer.alloc(4);
  result.writeUInt32BE(value >>> 0);
  return result;
}
/** With checksums of the compressed data, and an extra field, neither of which lzop has an option for. */
function everyCheck(input) {
  const plain = lzop(null, input);
  const nameEnd = 38 + "input".length - 4;
  const fields = Buffer.from(plain.subarray(9, nameEnd));
  fields.writeUInt32BE(fields.readUInt32BE(8) | 0x343, 8);
  const extra = Buffer.concat([word(5), Buffer.from("extra")]);
  const blocks = [];
  for (let at = nameEnd + 4; plain.readUInt32BE(at) !== 0; ) {
    const [size, stored] = [plain.readUInt32BE(at), plain.readUInt32BE(at + 4)];
    const data = plain.subarray(at + 12, at + 12 + stored);
    const whole = input.subarray(0, size);
    const ofData = stored < size ? [adler(data), word(crc32(data))] : [];
    blocks.push(plain.subarray(at, at + 12), word(crc32(whole)), ...ofData, data);
    at += 12 + stored;
  }
  return Buffer.concat([plain.subarray(0, 9), fields, adler(fields), extra, adler(extra), ...blocks, word(0)]);
}
for (const name of ["text", "random"]) {
  const file = everyCheck(originals[name]);
  // What lzop says of it.
  execFileSync("lzop", ["-qt"], { input: file, env });
  writeFileSync(`${here}/${name}.checks.lzo`, file);
}
