/** A part of the machine that did not answer in time. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/**
 * Waits for `work`, at most `seconds`. The bound is what a dead part may cost; work that ends earlier costs its own time
 * only. The work itself cannot be taken back: whoever calls must not use its result later.
 */
export async function withDeadline<T>(work: Promise<T>, seconds: number, action: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(`${action}: no answer within ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
