import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Progress } from "../../../../src/cli/kexec/progress.ts";
import type { KexecSide } from "../../../../src/cli/kexec/side.ts";
import { KexecBench } from "../../../fakes/kexec-side.ts";

type Watched = Pick<KexecSide, "err" | "isTerminal" | "now">;

/** What is written when work reaches `[milliseconds, bytes]` of 1000 bytes. */
function written(isTerminal: boolean, steps: readonly (readonly [number, number])[], total = 1000): string {
  const texts: string[] = [];
  let time = 100;
  const side: Watched = { err: (text) => void texts.push(text), isTerminal, now: () => time };
  {
    using progress = new Progress(side, "unpacking K");
    for (const [at, done] of steps) {
      time = 100 + at;
      progress.update(done, total);
    }
  }
  return texts.join("");
}

describe("progress", () => {
  it("is silent for three seconds", () => expect(written(true, [[2999, 999]])).toBe(""));
  it("then is one line, five times a second at most", () => {
    const steps = [
      [3000, 500],
      [3100, 510],
      [3199, 520],
      [3200, 530],
      [9000, 1000],
    ] as const;
    expect(written(true, steps)).toBe("\runpacking K: 50 %\runpacking K: 53 %\runpacking K: 100 %\n");
  });
  it("of an unknown total", () => expect(written(true, [[3000, 5 << 20]], 0)).toBe("\runpacking K: 5 MiB\n"));
  it("is for terminals", () => expect(written(false, [[9000, 500]])).toBe(""));
});

describe("a sync that takes long", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const rows: readonly (readonly [isTerminal: boolean, seconds: number, said: string])[] = [
    [true, 4, ""],
    [true, 6, "kexec: waiting until the disks have everything (sync); -y does not wait\n"],
    [false, 6, ""],
  ];
  for (const [isTerminal, seconds, said] of rows) {
    it(`${seconds} s, ${isTerminal ? "a" : "no"} terminal`, async () => {
      const sync = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      using bench = new KexecBench({
        files: { "sys/kernel/kexec_loaded": "1\n" },
        system: { sync },
        side: { isTerminal },
      });
      const running = bench.run("-e", "-x");
      await vi.advanceTimersByTimeAsync(60_000);
      const { stderr } = await running;
      expect(stderr).toBe(`${said}kexec failed: Invalid argument: no kernel is loaded\n`);
    });
  }
});
