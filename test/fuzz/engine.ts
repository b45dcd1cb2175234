import { Session } from "node:inspector";
import { randomNumbers } from "../fakes/random-numbers.ts";

/** A parser that is to take anything. */
export interface FuzzTarget {
  readonly name: string;
  /** Real inputs that the changed ones are made of. */
  readonly seeds: readonly Uint8Array[];
  /** Words of the format: magics, keywords, nasty values. */
  readonly tokens: readonly (string | Uint8Array)[];
  /** Whether inputs are changed by lines and words besides bytes. */
  readonly text: boolean;
  /**
   * Parses one input. Returns, or throws what the parser may throw: the engine asks {@link isExpected}. What it returns
   * tells inputs apart: a short text that names what was found.
   */
  readonly run: (input: Uint8Array) => unknown;
  readonly isExpected: (error: unknown) => boolean;
  /** The part of a run's inputs that is tried, for what takes far longer than others; 1 where nothing is said. */
  readonly share?: number;
  /** Longest input that is tried, bytes. */
  readonly inputBytesMax?: number;
  /** Makes an input from nothing, by the format's grammar; some of the inputs are such, changed or as they are. */
  readonly generate?: (random: () => number) => Uint8Array;
  /** Puts right what a changed input would be refused for before anything else is read: checksums. */
  readonly mend?: (input: Uint8Array) => Uint8Array;
}

export interface FuzzOptions {
  readonly inputs: number;
  readonly seed: number;
  /** Longest time that one input may take, milliseconds: far over what any takes, to find what never ends. */
  readonly inputMsMax: number;
  /** Keep inputs that reach code that none reached before. */
  readonly coverage: boolean;
}

export interface FuzzFailure {
  readonly reason: string;
  /** To be put into a test. */
  readonly input: Uint8Array;
}

export interface FuzzReport {
  readonly inputs: number;
  /** Inputs that were kept to be changed further. */
  readonly kept: number;
  /** Inputs that were refused by the parser. */
  readonly refused: number;
  readonly slowestMs: number;
  readonly failures: readonly FuzzFailure[];
}

/** Inputs between two looks at the coverage. */
const batchInputs = 256;
/** Of a batch that reached new code, how many inputs are kept. */
const keptOfBatch = 6;
const poolMax = 4096;
/** Inputs that take longer are not changed further: what comes of them takes as long, and they would crowd out the others. */
const keptMsMax = 30;
const failuresMax = 5;
const defaultInputBytesMax = 1 << 16;

/**
 * Runs a parser on changed inputs. Those that behave in a new way (another refusal, another result, code that was not
 * reached before) are kept and changed further. The same seed gives the same inputs as long as coverage is off.
 */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzReport> {
  const random = randomNumbers(options.seed);
  const pool: Uint8Array[] = [...target.seeds, new Uint8Array()];
  const seen = new Set<string>();
  const failures: FuzzFailure[] = [];
  const coverage = options.coverage ? await Coverage.start() : null;
  let refused = 0;
  let slowestMs = 0;
  let batch: Uint8Array[] = [];
  const tokens = target.tokens.map((token) => (typeof token === "string" ? new TextEncoder().encode(token) : token));
  const keep = (input: Uint8Array): void => {
    if (pool.length < poolMax) pool.push(input);
    else pool[target.seeds.length + (random() % (poolMax - target.seeds.length))] = input;
  };
  let done = 0;
  for (; done < options.inputs && failures.length < failuresMax; done++) {
    const input = target.seeds[done] ?? nextInput(target, pool, tokens, random);
    const started = performance.now();
    let signature: string;
    try {
      const result = target.run(input);
      signature = `ok ${String(result instanceof Promise ? await result : result)}`;
    } catch (error) {
      refused++;
      signature = error instanceof Error ? `${error.name} ${shape(error.message)}` : String(error);
      if (!target.isExpected(error)) {
        const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
        failures.push({ reason, input: input.slice() });
      }
    }
    const tookMs = performance.now() - started;
    slowestMs = Math.max(slowestMs, tookMs);
    if (tookMs > options.inputMsMax) failures.push({ reason: `took ${tookMs.toFixed(0)} ms`, input: input.slice() });
    if (!seen.has(signature)) {
      seen.add(signature);
      if (tookMs <= keptMsMax) keep(input.slice());
    }
    if (coverage === null) continue;
    if (tookMs <= keptMsMax) batch.push(input.slice());
    if (batch.length < batchInputs) continue;
    if (await coverage.grew())
      for (let kept = 0; kept < keptOfBatch; kept++) keep(batch[random() % batch.length] ?? input);
    batch = [];
  }
  await coverage?.stop();
  return { inputs: done, kept: pool.length - target.seeds.length, refused, slowestMs, failures };
}

/** Half of the inputs of a target with a grammar are fresh; half of those are changed too. */
function nextInput(
  target: FuzzTarget,
  pool: readonly Uint8Array[],
  tokens: readonly Uint8Array[],
  random: Random,
): Uint8Array {
  const chosen = (random() >>> 8) % pool.length;
  const kind = target.generate === undefined ? 3 : (random() >>> 8) % 4;
  const source = (kind < 2 ? target.generate?.(random) : pool[chosen]) ?? new Uint8Array();
  const changed = kind === 0 ? source : change(source, pool, tokens, target, random);
  const cut = changed.subarray(0, target.inputBytesMax ?? defaultInputBytesMax);
  return target.mend === undefined ? cut : target.mend(cut.slice());
}

/** A message without what differs from input to input. */
function shape(message: string): string {
  return message
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/0x[0-9a-f]+|\d+/gi, "0")
    .slice(0, 200);
}

const nastyWords = [
  0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
];

type Random = () => number;

/** One input made of another: some changes, one after the other. */
function change(
  source: Uint8Array,
  pool: readonly Uint8Array[],
  tokens: readonly Uint8Array[],
  target: FuzzTarget,
  random: Random,
): Uint8Array {
  let bytes: Uint8Array = source.slice();
  const below = (limit: number): number => (limit <= 0 ? 0 : (random() >>> 4) % limit);
  const rounds = 1 << below(4);
  for (let round = 0; round < rounds; round++) {
    const at = below(bytes.length + 1);
    switch (below(target.text ? 12 : 9)) {
      case 0:
        if (bytes.length > 0) bytes[below(bytes.length)] = below(256);
        break;
      case 1:
        if (bytes.length > 0) bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ (1 << below(8));
        break;
      case 2:
        writeNumber(bytes, at, nastyWords[below(nastyWords.length)] ?? 0, [1, 2, 4, 8][below(4)] ?? 4, below(2) === 0);
        break;
      case 3:
        bytes = bytes.slice(0, at);
        break;
      case 4:
        bytes = replaceRange(bytes, at, below(Math.min(64, bytes.length - at + 1)), new Uint8Array());
        break;
      case 5:
        bytes = replaceRange(bytes, at, 0, bytes.slice(at, at + 1 + below(256)));
        break;
      case 6: {
        const token = tokens[below(tokens.length)] ?? new Uint8Array();
        bytes = replaceRange(bytes, at, below(2) * token.length, token);
        break;
      }
      case 7: {
        const other = pool[below(pool.length)] ?? bytes;
        const from = below(other.length);
        bytes = replaceRange(bytes, at, below(2) * 64, other.slice(from, from + 1 + below(512)));
        break;
      }
      case 8: {
        // Small steps find the borders of counts and lengths.
        if (bytes.length > 0) bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) + (below(2) === 0 ? 1 : -1);
        break;
      }
      default:
        bytes = changeLines(bytes, pool, tokens, below);
    }
  }
  return bytes;
}

function writeNumber(bytes: Uint8Array, at: number, value: number, width: number, littleEndian: boolean): void {
  if (bytes.length < width) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const offset = Math.min(at, bytes.length - width);
  if (width === 1) view.setUint8(offset, value & 0xff);
  else if (width === 2) view.setUint16(offset, value & 0xffff, littleEndian);
  else if (width === 4) view.setUint32(offset, value >>> 0, littleEndian);
  else view.setBigUint64(offset, BigInt(value), littleEndian);
}

function replaceRange(bytes: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array {
  const rest = bytes.subarray(Math.min(bytes.length, at + removed));
  const result = new Uint8Array(at + added.length + rest.length);
  result.set(bytes.subarray(0, at));
  result.set(added, at);
  result.set(rest, at + added.length);
  return result;
}

/** Moves, doubles, drops or joins lines, or puts a word of the format where a word stands. */
function changeLines(
  bytes: Uint8Array,
  pool: readonly Uint8Array[],
  tokens: readonly Uint8Array[],
  below: (limit: number) => number,
): Uint8Array {
  const lines = Buffer.from(bytes).toString("latin1").split("\n");
  const at = below(lines.length);
  switch (below(5)) {
    case 0:
      lines.splice(at, 1 + below(4));
      break;
    case 1:
      lines.splice(below(lines.length + 1), 0, ...lines.slice(at, at + 1 + below(4)));
      break;
    case 2: {
      const other = Buffer.from(pool[below(pool.length)] ?? new Uint8Array())
        .toString("latin1")
        .split("\n");
      const from = below(other.length);
      lines.splice(at, 0, ...other.slice(from, from + 1 + below(6)));
      break;
    }
    case 3: {
      const words = (lines[at] ?? "").split(" ");
      words[below(words.length)] = Buffer.from(tokens[below(tokens.length)] ?? new Uint8Array()).toString("latin1");
      lines[at] = words.join(" ");
      break;
    }
    default:
      lines.splice(at, 2, `${lines[at] ?? ""}${lines[at + 1] ?? ""}`);
  }
  // A slice of a Buffer would be the same memory, which later changes would reach.
  return new Uint8Array(Buffer.from(lines.join("\n"), "latin1"));
}

/** Which code ran, as the engine's profiler counts it: by blocks. */
class Coverage {
  readonly #session: Session;
  readonly #reached = new Set<string>();

  private constructor(session: Session) {
    this.#session = session;
  }

  static async start(): Promise<Coverage> {
    const session = new Session();
    session.connect();
    const coverage = new Coverage(session);
    await coverage.#post("Profiler.enable");
    await coverage.#post("Profiler.startPreciseCoverage", { callCount: false, detailed: true });
    return coverage;
  }

  /** Whether code was reached since the last look that never was before. */
  async grew(): Promise<boolean> {
    const { result } = await this.#post("Profiler.takePreciseCoverage");
    const before = this.#reached.size;
    for (const script of result ?? []) {
      if (!script.url.includes("/src/formats/") && !script.url.includes("/src/discovery/")) continue;
      for (const { ranges } of script.functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          if (count > 0) this.#reached.add(`${script.scriptId}:${startOffset}:${endOffset}`);
        }
      }
    }
    return this.#reached.size > before;
  }

  async stop(): Promise<void> {
    await this.#post("Profiler.stopPreciseCoverage");
    this.#session.disconnect();
  }

  #post(method: string, parameters: object = {}): Promise<CoverageAnswer> {
    return new Promise((resolve, reject) => {
      this.#session.post(method, parameters, (error, answer) => {
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(answer ?? {});
      });
    });
  }
}

interface CoverageAnswer {
  readonly result?: readonly {
    readonly scriptId: string;
    readonly url: string;
    readonly functions: readonly {
      readonly ranges: readonly { readonly startOffset: number; readonly endOffset: number; readonly count: number }[];
    }[];
  }[];
}
