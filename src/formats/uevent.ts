import { FormatError } from "./format-error.ts";

/** A kernel object event (Documentation/ABI and lib/kobject_uevent.c). */
export interface Uevent {
  /** `add`, `remove`, `change`, `bind`, … */
  readonly action: string;
  /** Below /sys, with a leading slash. */
  readonly devpath: string;
  readonly subsystem: string | null;
  /** Node below /dev; null where there is none. */
  readonly devname: string | null;
  /** What the module alias table is searched for; null where the device has none. */
  readonly modalias: string | null;
}

/** lib/kobject_uevent.c: UEVENT_BUFFER_SIZE, with room for the path before it. */
const messageBytesMax = 16 << 10;

/** Parses a message of the kernel: `ACTION@DEVPATH`, NUL, then `KEY=VALUE` pieces, NUL after each. */
export function parseUevent(message: Uint8Array): Uevent {
  if (message.length > messageBytesMax) {
    throw new FormatError("uevent", `${message.length} bytes, at most ${messageBytesMax} are taken`);
  }
  const [head = "", ...pieces] = new TextDecoder().decode(message).split("\0");
  const at = head.indexOf("@");
  if (at <= 0 || head[at + 1] !== "/") throw new FormatError("uevent", `"ACTION@/DEVPATH" expected`, { offset: 0 });
  const values = new Map<string, string>();
  for (const piece of pieces) {
    const equals = piece.indexOf("=");
    if (equals > 0) values.set(piece.slice(0, equals), piece.slice(equals + 1));
  }
  return {
    action: head.slice(0, at),
    devpath: head.slice(at + 1),
    subsystem: values.get("SUBSYSTEM") ?? null,
    devname: values.get("DEVNAME") ?? null,
    modalias: values.get("MODALIAS") ?? null,
  };
}
