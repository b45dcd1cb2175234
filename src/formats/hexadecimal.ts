/** An address or a number for a message: `0x1f`, `-0x1f`. */
export function hexadecimal(value: number | bigint): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}
