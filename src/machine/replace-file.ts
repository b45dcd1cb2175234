import { open, rename, unlink } from "node:fs/promises";
import path from "node:path";

/**
 * Writes a small file that appears whole or not at all: a file beside it is filled, flushed to the disk and renamed.
 *
 * @param mode of the new file, `0o644`
 */
export async function replaceFile(file: string, bytes: Uint8Array, mode: number): Promise<void> {
  const directory = path.dirname(file);
  const temporary = path.join(directory, `.${path.basename(file)}.${process.pid}.tmp`);
  try {
    // What an earlier program of the same number left behind is in nobody's use.
    await unlink(temporary).catch(() => {});
    {
      await using handle = await open(temporary, "wx", mode);
      await handle.writeFile(bytes);
      await handle.sync();
    }
    await rename(temporary, file);
    await using parent = await open(directory, "r");
    await parent.sync();
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
}
