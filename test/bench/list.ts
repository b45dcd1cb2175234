import { type Guest, liveGuest } from "../vm/guest.ts";
import { distributionKernel } from "../vm/kernels.ts";
import { virtualTime } from "./virtual-time.ts";

/** One set of volumes to be searched. */
export interface ListRow {
  readonly entries: number;
  readonly volumes: number;
  /** What each kernel and each initrd has, MiB; they are never read. */
  readonly imageMiB: number;
  /** Virtual seconds of the whole program, the median of the runs. */
  readonly seconds: number;
  /** The most memory that was resident at a time, MiB. */
  readonly residentMiB: number;
}

export interface ListResult {
  readonly rows: readonly ListRow[];
  /** What an entry costs among many on many volumes, divided by what it costs among few on few. */
  readonly costRatio: number;
}

/** Entries of one volume: half of them files of the Boot Loader Specification, half a GRUB configuration. */
const entriesOfVolume = 50;
const runs = 3;

/** Makes volumes below /tmp/volumes: `makeVolumes COUNT IMAGE_MIB`. */
const makeVolumes = `#!/bin/sh
rm -rf /tmp/volumes
volume=0
while [ $volume -lt $1 ]; do
  at=/tmp/volumes/$volume
  mkdir -p $at/loader/entries $at/boot/grub
  truncate -s $2M $at/vmlinuz $at/initrd
  number=0
  : > $at/boot/grub/grub.cfg
  while [ $number -lt ${entriesOfVolume / 2} ]; do
    cat > $at/loader/entries/system-$number.conf << END
title System $number
version 6.1.$number
sort-key system
linux /vmlinuz
initrd /initrd
options root=LABEL=system-$volume ro quiet number=$number
END
    cat >> $at/boot/grub/grub.cfg << END
menuentry 'System $number of volume $volume' --class gnu-linux --id system-$number {
  insmod gzio
  if [ x\\$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
  search --no-floppy --set=root --file /vmlinuz
  echo 'Loading Linux $number ...'
  linux /vmlinuz root=LABEL=system-$volume ro quiet number=$number
  initrd /initrd
}
END
    number=$((number + 1))
  done
  volume=$((volume + 1))
done
`;

/** What `slipway list` costs in time and memory: few entries, many, and the same with large kernels and initrds. */
export async function benchList(say: (line: string) => void): Promise<ListResult> {
  const kernel = await distributionKernel("cloud");
  const files = { "/opt/make-volumes": makeVolumes };
  await using guest = await liveGuest({ kernel, files, memoryMiB: 2048, vm: { qemuArguments: virtualTime } });
  const [none, few, many, large] = [
    await measure(guest, 0, 1),
    await measure(guest, 2, 1),
    await measure(guest, 20, 1),
    await measure(guest, 20, 256),
  ];
  for (const { entries, seconds, residentMiB } of [none, few, many, large]) {
    say(`${seconds.toFixed(2)} s, ${residentMiB} MiB  slipway list, ${entries} entries`);
  }
  return { rows: [none, few, many, large], costRatio: many.seconds / many.entries / (few.seconds / few.entries) };
}

async function measure(guest: Guest, volumes: number, imageMiB: number): Promise<ListRow> {
  // Without entries there is one empty volume: what the program costs by itself.
  const made = await guest.run(
    `/opt/make-volumes ${volumes} ${imageMiB}; mkdir -p /tmp/volumes/0; ls /tmp/volumes`,
    600_000,
  );
  const names = made.stdout.trim().split(/\s+/);
  const roots = names.map((name) => `--root /tmp/volumes/${name},name=v${name},disk=d${name},part=1,table=gpt`);
  const list = `slipway list --json ${roots.join(" ")}`;
  const times: number[] = [];
  let residentMiB = 0;
  let entries = 0;
  for (let run = 0; run <= runs; run++) {
    const command = `echo bench-begin > /dev/kmsg; time -v ${list} > /tmp/list.json; echo bench-end > /dev/kmsg; grep -c '"submenu"' /tmp/list.json; dmesg | grep bench- | tail -n 2`;
    const { stdout, stderr } = await guest.run(command, 600_000);
    const [begin, end] = [...stdout.matchAll(/^\[ *(\d+\.\d+)\] bench-/gm)].map((match) => Number(match[1]));
    const resident = Number(/Maximum resident set size \(kbytes\): (\d+)/.exec(stderr)?.[1]);
    if (begin === undefined || end === undefined || !(resident > 0)) {
      throw new Error(`${list}: no figures:\n${stdout}\n${stderr}`);
    }
    entries = Number(/^\d+/.exec(stdout)?.[0]);
    // The first run brings the program and the files into memory.
    if (run > 0) times.push(end - begin);
    residentMiB = Math.max(residentMiB, Math.round(resident / 1024));
  }
  if (entries !== volumes * entriesOfVolume) throw new Error(`${list}: ${entries} entries listed`);
  const seconds = times.toSorted((a, b) => a - b)[Math.floor(runs / 2)] ?? 0;
  return { entries, volumes: Math.max(1, volumes), imageMiB, seconds, residentMiB };
}
