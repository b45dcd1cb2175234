import { expect, it } from "vitest";
import { liveGuest, quoteWord } from "../guest.ts";
import { distributionKernel } from "../kernels.ts";
import {
  guestKernel,
  guestWords,
  jump,
  loadOften,
  otherFiles,
  otherKernel,
  quickWords,
  type SystemFacts,
  systemFacts,
} from "../second-kernel.ts";

const times = 100;
/** By so much two measurements of one system may differ. */
const noiseKib = 2048;
/** Systems that are started in the same way differ by up to 8 MiB: averages over some twenty of them, by less. */
const hopNoiseKib = 4096;

it(`goes through ${times} kernels in a row without losing memory`, async () => {
  const [older, younger] = [await distributionKernel("cloud"), await distributionKernel("cloud-6.12")];
  const files = await otherFiles(younger);
  await using guest = await liveGuest({ kernel: older, processors: 2, uefi: true, files, append: quickWords });
  const hops: SystemFacts[] = [];
  for (let hop = 1; hop <= times; hop++) {
    const [kernel, words] = hop % 2 === 1 ? [younger, otherKernel] : [older, guestKernel];
    const commandLine = `${guestWords} hop=${hop}`;
    await jump(guest, `${words} --append=${quoteWord(commandLine)}`);
    const facts = await systemFacts(guest);
    expect(facts).toMatchObject({ version: kernel.version, commandLine, processors: 2 });
    hops.push(facts);
    console.log(`hop ${hop}: MemTotal ${facts.memTotal} KiB, MemAvailable ${facts.memAvailable} KiB`);
  }
  for (const { version } of [older, younger]) {
    // What the first one of a kernel finds was left by the firmware, and by the kernel that it has started.
    const own = hops.filter((facts) => facts.version === version).slice(1);
    const totals = own.map(({ memTotal }) => memTotal);
    expect(Math.max(...totals) - Math.min(...totals)).toBeLessThan(64);
    const [early, late] = [own.slice(0, own.length / 2), own.slice(own.length / 2)].map(meanAvailable);
    console.log(`${version}: MemAvailable ${early} KiB on average in the first half, ${late} KiB in the second`);
    expect((early ?? 0) - (late ?? 0)).toBeLessThan(hopNoiseKib);
  }
});

function meanAvailable(hops: readonly SystemFacts[]): number {
  return Math.round(hops.reduce((sum, { memAvailable }) => sum + memAvailable, 0) / hops.length);
}

it(`loads and unloads ${times} times in a row without losing memory`, async () => {
  await using guest = await liveGuest({ kernel: await distributionKernel("cloud-6.12"), append: quickWords });
  const [before, after] = await loadOften(guest, times);
  console.log(`before: ${JSON.stringify(before)}, after: ${JSON.stringify(after)} KiB`);
  expect(before.available - after.available).toBeLessThan(noiseKib);
  expect(after.slab - before.slab).toBeLessThan(noiseKib);
});
