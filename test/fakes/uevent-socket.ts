import type { UeventSocket } from "../../src/linux/system.ts";

export interface FakeUeventSocket extends UeventSocket {
  /** A message from the kernel; null: messages were lost. */
  send(message: Uint8Array | null): void;
}

/** An event of a block device that appeared. */
export function blockEvent(name: string): Uint8Array {
  return new TextEncoder().encode(`add@/devices/virtual/block/${name}\0SUBSYSTEM=block\0DEVNAME=${name}\0`);
}

/** Device events that a test sends. */
export function fakeUeventSocket(): FakeUeventSocket {
  const queue: (Uint8Array | null)[] = [];
  let wake = Promise.withResolvers<void>();
  return {
    send(message) {
      queue.push(message);
      wake.resolve();
    },
    async receive() {
      while (queue.length === 0) {
        wake = Promise.withResolvers();
        await wake.promise;
      }
      return queue.shift() ?? null;
    },
  };
}
