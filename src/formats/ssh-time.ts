import { parseTime } from "./schema.ts";

/**
 * Milliseconds since 1970 of a time in an allowed-signers file (ssh-keygen(1), "TIME FORMATS"): `YYYYMMDD`, and then
 * `HHMM` or `HHMMSS`. A firmware has no time zone, so that all are UTC, with or without `Z`. Null: no such time.
 */
export function parseSshTime(text: string): number | null {
  const [, year, month, day, hours = "00", minutes = "00", seconds = "00"] =
    /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?Z?$/.exec(text) ?? [];
  return year === undefined ? null : parseTime(`${year}-${month}-${day}T${hours}:${minutes}:${seconds}Z`);
}
