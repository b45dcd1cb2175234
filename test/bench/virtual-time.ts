/** QEMU's words for a clock that counts instructions (2 ns each), whatever the host does meanwhile. */
export const virtualTime: readonly string[] = ["-icount", "shift=1,sleep=off"];
