import type { BootEntry } from "../discovery/entry.ts";
import { measureInputOf } from "../handoff/boot-measurements.ts";
import { settledFacts } from "../handoff/load.ts";
import { nativeSystem } from "../linux/native.ts";
import type { MeasureInput } from "../trust/measure.ts";
import { judgeEntry, readEntry, readPolicy, type TrustWords } from "./judge.ts";
import type { Survey } from "./survey.ts";

/** An entry whose files were read. */
export interface OpenedBoot extends Disposable {
  readonly input: MeasureInput;
}

/**
 * Reads an entry's files as a boot would, for what is measured of it. Rejects when it would not boot: what is never booted
 * is never measured.
 */
export async function openBoot(result: Survey, entry: BootEntry, words: TrustWords): Promise<OpenedBoot> {
  const { config } = result;
  const policy = await readPolicy(words, config);
  using keeper = new DisposableStack();
  const artifacts = keeper.use(await readEntry(result, entry, policy));
  const verdict = await judgeEntry(result, artifacts, policy);
  if (!verdict.ok) throw new Error(`${entry.id} would not boot: ${verdict.reason}`);
  const { kernelBytesMax, initrdBytesMax } = config.limits;
  const options = { bootImage: config.handoff.bootImage, kernelBytesMax, initrdBytesMax };
  const facts = await settledFacts(nativeSystem(), keeper, verdict.boot, options);
  const input = measureInputOf(verdict.boot, facts, policy.text);
  const kept = keeper.move();
  return { input, [Symbol.dispose]: () => kept.dispose() };
}
