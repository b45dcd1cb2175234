/**
 * What is known of the time when signatures are judged. A firmware's clock may be wrong: without a battery it starts in
 * 1970 or at the build of the machine.
 */
export interface TrustClock {
  /** Milliseconds since 1970; null when nothing is known that may be believed. Beginnings of validity are held against it. */
  readonly now: number | null;
  /** It is at least so late, whatever the clock says; null when nothing is known. Ends of validity are held against it. */
  readonly atLeast: number | null;
}

/** A span of validity, milliseconds since 1970; null: open. */
export interface Validity {
  readonly notBefore: number | null;
  readonly notAfter: number | null;
}

/** Periods are not looked at. */
export const timelessClock: TrustClock = { now: null, atLeast: null };

/** Why something is not valid now, as a clause (`expired on 2026-11-20`); null when it is, or when nobody knows better. */
export function outsideValidity({ notBefore, notAfter }: Validity, clock: TrustClock): string | null {
  if (notAfter !== null && clock.atLeast !== null && clock.atLeast > notAfter)
    return `expired on ${timeText(notAfter)}`;
  if (notBefore !== null && clock.now !== null && clock.now < notBefore) {
    return `not valid before ${timeText(notBefore)}, and it is ${timeText(clock.now)}`;
  }
  return null;
}

/** `2026-11-20T09:30:00Z` */
export function timeText(milliseconds: number): string {
  const time = new Date(milliseconds);
  return Number.isNaN(time.getTime()) ? `${milliseconds} ms` : time.toISOString().replace(/\.000Z$/, "Z");
}
