import { blsText, scenario } from "../vm/scenario.ts";
import { signedFiles } from "../vm/sign.ts";
import { virtualTime } from "./virtual-time.ts";

/** A step of a boot: virtual seconds since "Run /init". */
export interface BootStep {
  readonly name: string;
  readonly seconds: number;
}

export interface BootRow {
  readonly what: string;
  readonly steps: readonly BootStep[];
}

/** The kernel's own words at the begin and the end of what is measured. */
const begin = /^\[ *(\d+\.\d+)\] Run \/init as init process$/m;
const end = /^\[ *(\d+\.\d+)\] kexec_core: Starting new kernel$/m;
const step = /^\[ *(\d+\.\d+)\] slipway: (init|devices|entries|chosen|verified|loaded|jump)\b/gm;

/** The last one: with kexec handover switched on the running kernel takes kernels by kexec_file_load only. */
const configurations: readonly (readonly [what: string, config: Readonly<Record<string, unknown>>, append: string])[] =
  [
    ["kexec_load, no second digest (the default)", {}, ""],
    ["kexec_load, `handoff.digest`: `always`", { handoff: { digest: "always" } }, ""],
    ["kexec_file_load (`kho=on`)", {}, "kho=on"],
  ];

/** The whole chain, from the start of process 1 to the jump, on one virtio disk with one signed entry. */
export async function benchBoot(say: (line: string) => void): Promise<readonly BootRow[]> {
  await using on = await scenario();
  const entry = blsText("bench");
  const files = { "/loader/entries/bench.conf": entry, "/vmlinuz": on.vmlinuz, "/initrd.img": on.initrd };
  const disk = await on.disk("bench.img", [{ filesystem: "ext4", files: await signedFiles(on.keys, files) }]);
  const rows: BootRow[] = [];
  for (const [what, config, append] of configurations) {
    await using vm = await on.boot({ disks: [disk], config, append, vm: { qemuArguments: virtualTime } });
    await vm.expect(end, 600_000);
    const start = Number(begin.exec(vm.log)?.[1] ?? Number.NaN);
    const marks = [...vm.log.matchAll(step)].map(([, seconds, name = ""]) => ({
      name,
      seconds: Number(seconds) - start,
    }));
    const jump = { name: "Starting new kernel", seconds: Number(end.exec(vm.log)?.[1] ?? Number.NaN) - start };
    rows.push({ what, steps: [...marks, jump] });
    say(`${jump.seconds.toFixed(2)} s  boot, ${what}`);
  }
  return rows;
}
