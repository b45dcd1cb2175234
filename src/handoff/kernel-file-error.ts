/** A file that holds no kernel that this program can start. */
export class KernelFileError extends Error {
  override readonly name = "KernelFileError";
}
