/** A part of the machine that did not answer in time. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/**
 * Waits for `work`, at most `seconds`. The bound is what a dead part may cost; work that ends earlier costs its own time
 * only. The work itself cannot be taken back.
 *
 * @param release gives back what arrives too late to be used: a descriptor is closed
 */
export async function withDeadline<T>(
  work: Promise<T>,
  seconds: number,
  action: string,
  release?: (late: T) => void,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new DeadlineError(`${action}: no answer within ${seconds} s`));
      // Nobody waits for it any more, so nobody can be told of a failure.
      if (release !== undefined) work.then(release).catch(() => {});
    }, seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
