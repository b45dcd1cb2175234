import { appendEvents, eventDataText, parseEventLog, replayEventLog } from "../../src/formats/tpm-event-log.ts";
import {
  bankAlgorithm,
  readNvData,
  readNvPublic,
  readPcrBanks,
  readPcrValues,
  readTpmResponse,
  responseText,
} from "../../src/formats/tpm2.ts";
import { hashOfBank } from "../../src/trust/measure.ts";
import { tpmAnswers, tpmLog } from "../fakes/tpm-exchanges.ts";
import type { FuzzTarget } from "./engine.ts";
import { binaryTarget, grade, isFormatError } from "./target-kinds.ts";

const sha256 = bankAlgorithm(0x000b);
const answerReaders: readonly ((parameters: Uint8Array) => unknown)[] = [
  readPcrBanks,
  (parameters) => readPcrValues(parameters, sha256),
  readNvPublic,
  (parameters) => readNvData(parameters, 8),
];

/** What a reader comes to: how much, or that it refused. */
function outcomeOf(read: (parameters: Uint8Array) => unknown, parameters: Uint8Array): string {
  try {
    const found = read(parameters);
    return found instanceof Map || found instanceof Set ? `${grade(found.size)}` : "read";
  } catch (error) {
    if (isFormatError(error)) return "refused";
    throw error;
  }
}

export const tpmTargets: readonly FuzzTarget[] = [
  binaryTarget("tpm-response", tpmAnswers, [Uint8Array.of(0x80, 0x01), Uint8Array.of(0x80, 0x02)], (bytes) => {
    const { code, parameters } = readTpmResponse(bytes);
    return [responseText(code), ...answerReaders.map((read) => outcomeOf(read, parameters))];
  }),
  binaryTarget(
    "tpm-event-log",
    [tpmLog("seabios-1.2"), tpmLog("seabios"), tpmLog("ovmf")],
    ["Spec ID Event03", "StartupLocality", Uint8Array.of(4, 0), Uint8Array.of(0x0b, 0), Uint8Array.of(3, 0, 0, 0)],
    (bytes) => {
      const log = parseEventLog(bytes);
      const again = parseEventLog(appendEvents(bytes.subarray(0, log.endOffset), log.algorithms, []));
      if (log.endOffset > 0 && again.events.length !== log.events.length) throw new Error("a log loses events");
      const replayed = replayEventLog(log, hashOfBank);
      for (const event of log.events) eventDataText(event);
      return [log.form, grade(log.events.length), log.algorithms.length, replayed.size];
    },
  ),
];
