import { messageOf } from "../formats/error-text.ts";
/** An image cannot be built: action, value in quotes, and what was expected or what the system said. */
export class ImageError extends Error {
  override readonly name = "ImageError";
}

/** The same for a failure of something that is done to a file of the building machine. */
export function imageError(action: string, path: string, cause: unknown): ImageError {
  const reason = messageOf(cause);
  return new ImageError(`${action} ${JSON.stringify(path)}: ${reason}`, { cause });
}
