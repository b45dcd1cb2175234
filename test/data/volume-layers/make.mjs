// Makes the fixtures of this directory anew: node make.mjs [SET]... (see README.md).
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { runLayerTools } from "../../vm/layer-tools.ts";

const here = dirname(fileURLToPath(import.meta.url));
const work = mkdtempSync(join(tmpdir(), "volume-layers-"));
const MiB = 1 << 20;
const blockBytes = 64 << 10;
const patternBytes = 16 * MiB;
const pageBytes = 4096;
const disk = (index) => `/dev/vd${String.fromCharCode(97 + index)}`;

/** Volume `number` holds pattern `number`: each block of 64 KiB begins with `pattern NUMBER block INDEX`. */
function patterns(file, count) {
  const fd = openSync(file, "w");
  ftruncateSync(fd, count * patternBytes);
  for (let number = 0; number < count; number++) {
    for (let block = 0; block < patternBytes / blockBytes; block++) {
      const text = Buffer.from(`pattern ${number} block ${block}\n`);
      writeSync(fd, text, 0, text.length, number * patternBytes + block * blockBytes);
    }
  }
  closeSync(fd);
}

/** The last disk of a guest holds the patterns. A volume is filled to its end. */
const fill = (volume, number, disks) =>
  `blocks=$(( $(blockdev --getsize64 ${volume}) / ${blockBytes} )); test $blocks -gt 8; dd if=${disk(disks)} of=${volume} bs=64k skip=${(number * patternBytes) / blockBytes} count=$blocks conv=fsync`;
const size = (name, volume) => `echo "SIZE ${name} $(( $(blockdev --getsize64 ${volume}) / 512 ))"`;

const uuid = (n) => `--uuid=0badcafe:00112233:44556677:8899aab${n.toString(16)}`;

/** An array of the disks from `first` on, filled with its pattern, and stopped. */
function array(name, number, first, count, options, disks) {
  const members = Array.from({ length: count }, (_, index) => disk(first + index)).join(" ");
  const node = `/dev/md/${name}`;
  return [
    `mdadm --create ${node} --run --homehost=host --name=${name} ${uuid(number)} --raid-devices=${count} --assume-clean ${options} ${members}`,
    fill(node, number, disks),
    size(name, node),
    `mdadm --detail ${node} | grep -E 'Version|Raid Level|UUID|Name|Layout|Chunk|Preferred' | sed 's/^ */DETAIL ${name}: /' || true`,
    `mdadm --stop ${node}`,
  ];
}

const mirrors = ["0.90", "1.0", "1.1", "1.2"];
const vg = (name) => `/dev/vg-boot/${name}`;
const lvFill = (name, number) => [fill(vg(name), number, 4), size(name, vg(name))];

/** Name → sizes of the disks in MiB, and what is done with them. */
const sets = {
  "md-mirrors": {
    disks: Array(8).fill(8),
    commands: mirrors.flatMap((version, index) =>
      array(`mirror${index}`, index, index * 2, 2, `--level=1 --metadata=${version} --bitmap=none`, 8).map((line) =>
        version === "0.90" ? line.replace("--homehost=host --name=mirror0 ", "") : line,
      ),
    ),
  },
  // The second member fails before the content changes; the third is replaced and only half recovered.
  "md-stale": {
    disks: [8, 8, 8],
    commands: [
      ...array("stale", 0, 0, 2, "--level=1 --metadata=1.2 --bitmap=none", 3),
      `mdadm --assemble /dev/md/stale ${disk(0)} ${disk(1)}`,
      `mdadm /dev/md/stale --fail ${disk(1)}`,
      `mdadm /dev/md/stale --remove ${disk(1)}`,
      fill("/dev/md/stale", 1, 3),
      "for i in min max; do echo 1 > /proc/sys/dev/raid/speed_limit_$i; done",
      `mdadm /dev/md/stale --add ${disk(2)}`,
      "sleep 1; cat /proc/mdstat",
      "mdadm --stop /dev/md/stale",
    ],
  },
  // The zones of the second one begin at an odd chunk.
  "md-stripes": {
    disks: [16, 12, 8, 8, 6, 16, 12, 9],
    commands: [
      ...array("stripes", 0, 0, 3, "--level=0 --metadata=1.2 --chunk=64 --layout=alternate", 8),
      ...array("row", 1, 3, 2, "--level=linear --metadata=1.0", 8),
      ...array("oldstripes", 2, 5, 3, "--level=0 --metadata=1.0 --chunk=64 --layout=original", 8),
    ].map((line) => line.replace("--assume-clean --level=0", "--level=0").replace("--assume-clean --level=linear", "--level=linear")),
  },
  "md-parity": {
    disks: Array(19).fill(8),
    commands: [
      ...array("five", 0, 0, 3, "--level=5 --metadata=1.2 --chunk=64 --bitmap=none", 19),
      ...array("six", 1, 3, 4, "--level=6 --metadata=1.2 --chunk=64 --bitmap=none", 19),
      ...array("near", 2, 7, 4, "--level=10 --layout=n2 --metadata=1.2 --chunk=64 --bitmap=none", 19),
      ...array("far", 3, 11, 3, "--level=10 --layout=f2 --metadata=1.2 --chunk=64 --bitmap=none", 19),
      ...array("four", 4, 14, 3, "--level=4 --metadata=1.0 --chunk=64 --bitmap=none", 19),
      ...array("oldfive", 5, 17, 2, "--level=5 --metadata=0.90 --chunk=64", 19).map((line) =>
        line.replace("--homehost=host --name=oldfive ", ""),
      ),
    ],
  },
  lvm: {
    disks: [48, 48, 48, 48],
    commands: [
      ...[0, 1, 2].map((index) => `lvm pvcreate --metadatasize 128k ${disk(index)}`),
      `lvm pvcreate --metadatacopies 0 --bootloaderareasize 64k ${disk(3)}`,
      `lvm vgcreate -s 64k vg-boot ${disk(0)} ${disk(1)} ${disk(2)} ${disk(3)}`,
      // Lies in two pieces, the second on another disk.
      `lvm lvcreate -y -Wn -L 1m -n linear vg-boot ${disk(0)}`,
      `lvm lvcreate -y -Wn -L 128k -n between-them vg-boot ${disk(0)}`,
      `lvm lvextend -L 2m vg-boot/linear ${disk(1)}`,
      `lvm lvextend -L 3m vg-boot/linear ${disk(0)}`,
      ...lvFill("linear", 0),
      `lvm lvcreate -y -Wn -L 2m -i 2 -I 64k -n striped vg-boot ${disk(0)} ${disk(2)}`,
      ...lvFill("striped", 1),
      `lvm lvcreate -y -Wn -L 2m --type raid1 -m 1 --nosync -n raid1 vg-boot ${disk(0)} ${disk(1)}`,
      ...lvFill("raid1", 2),
      `lvm lvcreate -y -Wn -L 2m --type mirror -m 1 --mirrorlog core --nosync -n mirror vg-boot ${disk(1)} ${disk(2)}`,
      ...lvFill("mirror", 3),
      `lvm lvcreate -y -Wn -L 3m --type raid0 -i 3 -I 64k -n raid0 vg-boot ${disk(0)} ${disk(1)} ${disk(2)}`,
      ...lvFill("raid0", 4),
      `lvm lvcreate -y -Wn -L 2m --type raid5 -i 2 -I 64k --nosync -n raid5 vg-boot ${disk(0)} ${disk(1)} ${disk(2)}`,
      ...lvFill("raid5", 5),
      `lvm lvcreate -y -Wn -L 2m --type raid10 -i 2 -m 1 -I 64k --nosync -n raid10 vg-boot`,
      ...lvFill("raid10", 6),
      `lvm lvcreate -y -Wn -L 2m -n origin vg-boot ${disk(3)}`,
      ...lvFill("origin", 7),
      `lvm lvcreate -y -s -L 1m -n snap vg-boot/origin`,
      `lvm lvcreate -y -L 4m -T vg-boot/pool ${disk(3)}`,
      `lvm lvcreate -y -Wn -V 8m -T vg-boot/pool -n thin`,
      `lvm lvcreate -y -Wn -L 2m -n cached vg-boot ${disk(2)}`,
      `lvm lvcreate -y -L 8m --type cache-pool -n fast vg-boot ${disk(1)}`,
      `lvm lvconvert -y --type cache --cachemode writethrough --cachepool vg-boot/fast vg-boot/cached`,
      ...lvFill("cached", 8),
      `lvm lvcreate -y -Wn -L 2m -n dirty vg-boot ${disk(2)}`,
      `lvm lvcreate -y -L 8m --type cache-pool -n slow vg-boot ${disk(1)}`,
      `lvm lvconvert -y --type cache --cachemode writeback --cachepool vg-boot/slow vg-boot/dirty`,
      // Further versions of the metadata, until the text lies around the end of its ring.
      `for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do lvm lvchange --addtag tag$i vg-boot/linear; done`,
      `for i in 1 2 3 4 5; do for tag in a b c; do lvm lvchange --deltag tag$i --addtag $tag$i vg-boot/linear; lvm lvchange --deltag $tag$i vg-boot/linear; done; done`,
      `lvm lvs -a --noheadings --separator , --units s --nosuffix -o vg_name,vg_uuid,vg_seqno,lv_name,lv_uuid,lv_size,lv_layout vg-boot | sed 's/^ */LV /'`,
      `lvm pvs --noheadings --separator , -o pv_name,pv_uuid,pe_start --units s --nosuffix | sed 's/^ */PV /'`,
      "lvm vgchange -an vg-boot",
    ],
  },
};

/** The pages of a file that are not all zeros, each behind its number in 4 bytes, little-endian. */
function pages(file) {
  const bytes = readFileSync(file);
  const zero = Buffer.alloc(pageBytes);
  const kept = [];
  for (let offset = 0; offset < bytes.length; offset += pageBytes) {
    if (bytes.compare(zero, 0, pageBytes, offset, offset + pageBytes) === 0) continue;
    const number = Buffer.alloc(4);
    number.writeUInt32LE(offset / pageBytes);
    kept.push(number, bytes.subarray(offset, offset + pageBytes));
  }
  return Buffer.concat(kept);
}

const index = JSON.parse(readFileSync(join(here, "fixtures.json"), "utf8"));
const wanted = process.argv.slice(2);
try {
  for (const [set, { disks, commands }] of Object.entries(sets)) {
    if (wanted.length > 0 && !wanted.includes(set)) continue;
    const files = disks.map((sizeMiB, number) => {
      const file = join(work, `${set}-${number}`);
      const fd = openSync(file, "w");
      ftruncateSync(fd, sizeMiB * MiB);
      closeSync(fd);
      return file;
    });
    const pattern = join(work, `${set}-patterns`);
    patterns(pattern, 9);
    const said = await runLayerTools(work, [...files.map((path) => ({ path, keepWrites: true })), { path: pattern }], commands);
    console.log(said);
    const facts = said.split("\n").filter((line) => /^(SIZE|DETAIL|LV|PV) /.test(line));
    const others = index.filter((fixture) => fixture.set !== set);
    files.forEach((file, number) => {
      const name = `${set}-${number}`;
      writeFileSync(join(here, `${name}.gz`), gzipSync(pages(file), { level: 9 }));
      others.push({ set, name, deviceBytes: disks[number] * MiB, ...(number === 0 ? { facts } : {}) });
    });
    index.splice(0, index.length, ...others);
  }
  const lines = index.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true })).map((fixture) => JSON.stringify(fixture));
  writeFileSync(join(here, "fixtures.json"), `[\n${lines.join(",\n")}\n]\n`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
