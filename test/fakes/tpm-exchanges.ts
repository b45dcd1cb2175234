import { readFileSync } from "node:fs";

/** A command and its answer. */
export interface TpmExchange {
  readonly command: Uint8Array;
  readonly answer: Uint8Array;
}

/** What tpm2-tools and swtpm said to each other (test/data/tpm): the tool's call, then its exchanges; some called twice. */
const calls: readonly (readonly [call: string, exchanges: readonly TpmExchange[]])[] = readFileSync(
  new URL("../data/tpm/exchanges.txt", import.meta.url),
  "utf8",
)
  .split(/^# /m)
  .slice(1)
  .map((part) => {
    const [call = "", ...lines] = part.trimEnd().split("\n");
    const messages = lines.map((line) => new Uint8Array(Buffer.from(line, "hex")));
    const count = messages.length / 2;
    const exchanges = Array.from({ length: count }, (_, i) => ({
      command: messages[2 * i] ?? new Uint8Array(),
      answer: messages[2 * i + 1] ?? new Uint8Array(),
    }));
    return [call, exchanges];
  });

/** All answers that succeeded and carry something. */
export const tpmAnswers: readonly Uint8Array[] = calls
  .flatMap(([, exchanges]) => exchanges.map(({ answer }) => answer))
  .filter((answer) => answer.length > 10);

/** The exchanges of a call whose command has this code, in order. */
export function exchangesOf(call: string, commandCode: number): readonly TpmExchange[] {
  const found = calls.filter(([known]) => known === call).flatMap(([, exchanges]) => exchanges);
  if (found.length === 0) throw new Error(`there is no call "${call}" in exchanges.txt`);
  return found.filter(({ command }) => new DataView(command.buffer, command.byteOffset).getUint32(6) === commandCode);
}

/** A log of test/data/tpm. */
export function tpmLog(name: "ovmf" | "seabios" | "seabios-1.2"): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../data/tpm/${name}.bin`, import.meta.url)));
}

/** What the kernel read from the PCRs beside a log: bank to PCR to lower-case hexadecimal. */
export const tpmLogPcrs: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>> =
  JSON.parse(readFileSync(new URL("../data/tpm/pcrs.json", import.meta.url), "utf8"));
