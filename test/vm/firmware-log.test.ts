import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { hex } from "../../src/formats/bytes.ts";
import { appendEvents, parseEventLog, replayEventLog } from "../../src/formats/tpm-event-log.ts";
import { bankAlgorithmNamed } from "../../src/formats/tpm2.ts";
import { hashOfBank, planMeasurements, predictPcrs } from "../../src/trust/measure.ts";
import { smallBoot } from "../fakes/measured-boot.ts";
import { distributionKernel } from "./kernels.ts";
import { startSwtpm } from "./swtpm.ts";
import { targetInitrd } from "./target.ts";
import { startVm } from "./vm.ts";

/*
 * Logs that real firmware writes: they replay to what the kernel reads from the TPM, alone and with our events behind them.
 */

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "slipway-firmware-log-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Seen {
  readonly log: Uint8Array;
  /** Of the bank SHA-256, lower-case hexadecimal. */
  readonly pcrs: ReadonlyMap<number, string>;
}

/** What a kernel sees that this firmware started. */
async function seenByKernel(uefi: boolean): Promise<Seen> {
  const initrd = path.join(directory, "initrd");
  const commands = [
    "mount -t securityfs securityfs /sys/kernel/security",
    "for n in $(seq 0 23); do echo PCR:$n:$(cat /sys/class/tpm/tpm0/pcr-sha256/$n):END; done",
    "echo LOG:$(base64 -w 0 /sys/kernel/security/tpm0/binary_bios_measurements):END",
  ];
  await writeFile(initrd, await targetInitrd({ commands }));
  const { vmlinuz } = await distributionKernel();
  await using swtpm = await startSwtpm({ for: "qemu" });
  const { qemuArguments } = swtpm;
  await using vm = await startVm({ kernel: vmlinuz, initrd, append: "console=ttyS0", uefi, qemuArguments });
  const [, text = ""] = await vm.expect(/^LOG:(\S+):END$/m, 240_000);
  const pcrs = [...vm.log.matchAll(/^PCR:(\d+):([0-9A-F]{64}):END$/gm)].map(
    ([, pcr = "", value = ""]) => [Number(pcr), value.toLowerCase()] as const,
  );
  return { log: new Uint8Array(Buffer.from(text, "base64")), pcrs: new Map(pcrs) };
}

it.each([
  ["UEFI firmware (OVMF)", true, 7],
  ["BIOS (SeaBIOS)", false, 0],
] as const)("%s", { retry: 2 }, async (_name, uefi, fewest) => {
  const { log, pcrs } = await seenByKernel(uefi);
  expect(pcrs.size).toBe(24);
  const parsed = parseEventLog(log);
  const replayed = replayEventLog(parsed, hashOfBank).get("sha256") ?? new Map<number, Uint8Array>();
  expect(replayed.size).toBeGreaterThan(fewest);
  expect(new Map([...replayed].map(([pcr, value]) => [pcr, hex(value)]))).toEqual(
    new Map([...replayed.keys()].map((pcr) => [pcr, pcrs.get(pcr)])),
  );
  // What nothing was measured into is as it was. Linux' own integrity measurements go to PCR 10, and into another log.
  for (const [pcr, value] of pcrs) {
    if (!replayed.has(pcr) && pcr < 16 && pcr !== 10) expect([pcr, value]).toEqual([pcr, "0".repeat(64)]);
  }
  const algorithms = [bankAlgorithmNamed("sha256")].flatMap((algorithm) => algorithm ?? []);
  const measurements = planMeasurements(smallBoot(), parsed.algorithms);
  const after = replayEventLog(parseEventLog(appendEvents(log, algorithms, measurements)), hashOfBank).get("sha256");
  const start = new Map([["sha256", replayed]]);
  expect(after).toEqual(new Map([...replayed, ...(predictPcrs(measurements, algorithms, start).get("sha256") ?? [])]));
});
