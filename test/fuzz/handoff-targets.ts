import { parseHandoffRecord, writeHandoffRecord } from "../../src/formats/handoff-record.ts";
import type { FuzzTarget } from "./engine.ts";
import { binaryTarget, textOf } from "./target-kinds.ts";

const entry = { id: "vda1:bls1:a", title: "A", format: "bls1", volume: "vda1" };
const trust = { mode: "enforce", by: ["release", "lab"], product: "acme-os", manifestVersion: 7 };
const rollback = { store: "tpm", products: [{ nvIndex: 25_165_825 }] };
const record = { version: 1, slipway: "0.1.0", entry, trust, rollback, measured: true, commandLine: "quiet" };
const bare = { ...record, trust: { ...trust, mode: "off", by: [], product: null, manifestVersion: null } };

const tokens = [
  ...['"version"', '"slipway"', '"entry"', '"trust"', '"rollback"', '"measured"', '"commandLine"', '"mode"', '"by"'],
  ...['"product"', '"manifestVersion"', '"id"', '"title"', '"format"', '"volume"', '"enforce"', '"audit"', '"off"'],
  ...["true", "false", "null", "{", "}", "[", "]", ":", ",", '"', "-1", "1e300", "\\u0000", "__proto__"],
];

export const handoffTargets: readonly FuzzTarget[] = [
  binaryTarget(
    "handoff record",
    [record, { ...bare, rollback: null, measured: false }].map((seed) => textOf(JSON.stringify(seed))),
    tokens,
    (bytes) => {
      const read = parseHandoffRecord(bytes);
      const again = parseHandoffRecord(writeHandoffRecord(read));
      // What was read is what is written, but for the escapes.
      if (JSON.stringify(again) !== JSON.stringify(read))
        throw new Error("it reads otherwise when it is written again");
      return read.trust.mode;
    },
  ),
];
