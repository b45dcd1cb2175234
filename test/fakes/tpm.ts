import { hex } from "../../src/formats/bytes.ts";
import type { TpmTransport } from "../../src/machine/tpm.ts";

/** One answer: bytes in hexadecimal, a failure, or none at all, ever. */
export type TpmAnswer = string | Error | "never";

/** A TPM that gives these answers in order, whatever it is asked. */
export function scriptedTpm(
  answers: readonly TpmAnswer[],
): TpmTransport & { readonly asked: string[]; readonly closed: () => number } {
  const asked: string[] = [];
  let closed = 0;
  return {
    asked,
    closed: () => closed,
    transmit: async (command) => {
      const answer = answers[asked.length];
      asked.push(hex(command));
      if (answer === undefined) throw new Error(`command ${asked.length} was not expected: ${hex(command)}`);
      if (answer === "never") return new Promise(() => {});
      if (answer instanceof Error) throw answer;
      return new Uint8Array(Buffer.from(answer, "hex"));
    },
    close: async () => {
      closed++;
    },
  };
}

/** An answer without parameters. */
export function tpmAnswer(code: number, parameters = ""): string {
  const size = (10 + parameters.length / 2).toString(16).padStart(8, "0");
  return `8001${size}${code.toString(16).padStart(8, "0")}${parameters}`;
}

/** The answer that lists these banks, each with 24 PCRs or (`-sha1`) none. */
export function banksAnswer(...ids: readonly number[]): string {
  const word = (value: number, bytes: number): string => value.toString(16).padStart(bytes * 2, "0");
  const banks = ids.map((id) => `${word(Math.abs(id), 2)}03${id < 0 ? "000000" : "ffffff"}`);
  return tpmAnswer(0, `00${word(5, 4)}${word(ids.length, 4)}${banks.join("")}`);
}
