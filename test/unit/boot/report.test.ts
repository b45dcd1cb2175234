import { describe, expect, it } from "vitest";
import { oneLine } from "../../../src/boot/report.ts";

const gives = (text: string, line: string): void => expect(oneLine(text)).toBe(line);

describe("oneLine", () => {
  it("leaves a line as it is", () => gives("chosen vda1:bls1:x", "chosen vda1:bls1:x"));
  it("a line end cannot begin another record", () => gives("a\n<0>slipway: verified", "a <0>slipway: verified"));
  it("runs of white space are one blank", () => gives("a \t\r\n\n b", "a b"));
  it("escape sequences do nothing", () => gives("\u001b[2J\u0000\u007f", "?[2J??"));
  it("as long as a record may be", () => gives("x".repeat(900), "x".repeat(900)));
  it("longer is cut and marked", () => gives("x".repeat(901), `${"x".repeat(897)}...`));
  it("is cut between characters", () => {
    const cut = oneLine("ä".repeat(1000));
    expect(cut).toBe(`${"ä".repeat(448)}...`);
    expect(Buffer.byteLength(oneLine("😀".repeat(400)))).toBeLessThanOrEqual(900);
    expect(oneLine("😀".repeat(400))).toBe(`${"😀".repeat(224)}...`);
  });
});
