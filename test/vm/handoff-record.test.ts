import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { signPe, snakeoilSigner } from "./authenticode.ts";
import { slipwayImage } from "./image.ts";
import { distributionKernel, type Kernel } from "./kernels.ts";
import { type BootOptions, blsText, type Scenario, scenario } from "./scenario.ts";
import { signedFiles } from "./sign.ts";

/** What a system finds of the record of its boot, and by which way. */

/** Firmware whose kernel takes no other one without a signature, and that by kexec_file_load only. */
const secureBoot = [
  ...["-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"],
  ...["-drive", "if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.snakeoil.fd"],
  ...["-drive", "if=pflash,unit=1,format=raw,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd"],
];

const quiet = "console=ttyS0 quiet panic=-1";

/** Each record of setup data that is not the kernel's own, and each file behind the initrd: a line, and the record itself. */
const tell = [
  "cd /sys/kernel/boot_params/setup_data",
  "for n in *; do",
  'case "$(cat $n/type)" in 0x534c*) echo "HANDED:setup data $(cat $n/type):END" ;; esac',
  'case "$(cat $n/type)" in 0x534c5052) echo "RECORD:$(cat $n/data):END" ;; esac',
  "done",
  "for f in /.extra/slipway/*; do",
  'if [ -e "$f" ]; then echo "HANDED:$f:END"; fi',
  'case "$f" in *.json) echo "RECORD:$(cat $f):END" ;; esac',
  "done",
  "echo TOLD",
];

let on: Scenario;
let younger: Kernel;
let disk: string;
beforeAll(async () => {
  on = await scenario("cloud", { commands: tell });
  younger = await distributionKernel("cloud-6.12");
  const image = await slipwayImage({ keys: [on.keys], kernel: on.kernel });
  const files = await signedFiles(on.keys, {
    "/loader/entries/a-first.conf": blsText("The first", { sortKey: "a", options: `${quiet} name="a b"` }),
    "/loader/entries/b-younger.conf": blsText("Younger", { sortKey: "b", linux: "/younger", options: quiet }),
    "/loader/entries/c-chained.conf": blsText("Chained", { sortKey: "c", initrd: "/slipway", options: quiet }),
    "/loader/entries/d-signed.conf": blsText("Signed", { sortKey: "d", linux: "/signed", options: quiet }),
    "/signed": signPe(await readFile(younger.vmlinuz), await snakeoilSigner()),
    "/vmlinuz": on.vmlinuz,
    "/younger": await readFile(younger.vmlinuz),
    "/initrd.img": on.initrd,
    "/slipway": await readFile(image),
  });
  disk = await on.disk("record.img", [{ type: "esp", filesystem: "vfat", sizeMiB: 512, files }]);
});
afterAll(() => on[Symbol.asyncDispose]());

interface Told {
  readonly handed: readonly string[];
  readonly records: readonly unknown[];
  readonly log: string;
}

/** What the target tells that the boot with these words ends in. */
async function told(append: string, own: Partial<BootOptions> = {}): Promise<Told> {
  await using vm = await on.boot({ disks: [disk], append, ...own });
  await vm.expect(/\nTOLD/, 240_000);
  const all = (pattern: RegExp): string[] => [...vm.log.matchAll(pattern)].map((match) => match[1] ?? "");
  const records = all(/RECORD:(.*?)\r?\n?:END/g).map((text): unknown => JSON.parse(text));
  return { handed: all(/HANDED:(.*):END/g), records, log: vm.log };
}

const record = (name: string, title: string, commandLine: string): unknown =>
  expect.objectContaining({
    ...{ version: 1, slipway: expect.stringMatching(/^\d+\.\d+\.\d+/), measured: false, rollback: null, commandLine },
    entry: { id: `vda1:bls1:${name}`, title, format: "bls1", volume: "vda1" },
    trust: { mode: "enforce", by: ["test"], product: null, manifestVersion: null },
  });

describe("the record of a boot", () => {
  const firstLine = `${quiet} name="a b"`;

  it("is in the setup data of a target that is loaded by kexec_load", async () => {
    const { handed, records } = await told("");
    expect(handed).toEqual(["setup data 0x534c5052"]);
    expect(records).toEqual([record("a-first", "The first", firstLine)]);
  });

  it("and of a younger kernel", async () => {
    const { handed, records } = await told("slipway.entry=vda1:bls1:b-younger");
    expect(handed).toEqual(["setup data 0x534c5052"]);
    expect(records).toEqual([record("b-younger", "Younger", quiet)]);
  });

  it("is behind the initrd of a target that only kexec_file_load may load", async () => {
    const { handed, records, log } = await told("slipway.entry=vda1:bls1:d-signed", {
      image: await slipwayImage({ keys: [on.keys], kernel: younger }),
      vm: { kernel: younger.vmlinuz, qemuArguments: secureBoot },
    });
    expect(log).toContain("slipway: handoff by kexec_file_load");
    expect(handed).toEqual(["/.extra/slipway/record.json"]);
    expect(records).toEqual([record("d-signed", "Signed", quiet)]);
  });

  it("is not passed on by a boot loader that was booted itself: the next one is that of the next boot", async () => {
    const { handed, records, log } = await told("slipway.entry=vda1:bls1:c-chained");
    expect(log).toContain("slipway: chosen vda1:bls1:c-chained");
    expect(handed).toEqual(["setup data 0x534c5052"]);
    expect(records).toEqual([record("a-first", "The first", firstLine)]);
  });
});
