import { rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";

// A network block device that a test answers for: the other end of QEMU's NBD driver (the NBD project's
// doc/proto.md: "Fixed newstyle negotiation", "Transmission"; big-endian throughout).

/** A read that was answered, bytes. */
export interface ServedRead {
  readonly offset: number;
  readonly length: number;
}

const handshakeMagic = Buffer.from("NBDMAGICIHAVEOPT");
const optionMagicBytes = 8;
const optionReplyMagic = 0x3_e889_0455_65a9n;
const requestMagic = 0x2560_9513;
const replyMagic = 0x6744_6698;
/** NBD_FLAG_FIXED_NEWSTYLE, NBD_FLAG_NO_ZEROES */
const handshakeFlags = 0b11;
/** NBD_FLAG_HAS_FLAGS, NBD_FLAG_READ_ONLY */
const exportFlags = 0b11;
const options = { abort: 2, go: 7 } as const;
const optionReplies = { ack: 1, info: 3, unsupported: 0x8000_0001 } as const;
const commands = { read: 0, disconnect: 2 } as const;
const notSupported = 95;
const clientFlagBytes = 4;
const optionHeaderBytes = 16;
const requestBytes = 28;

/** Serves a read-only disk on a Unix socket; each read is answered with what `answer` gives. */
export class NbdServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #socketPath: string;
  readonly #sizeBytes: number;
  readonly #answer: (read: ServedRead) => Uint8Array;
  readonly #clients = new Set<Socket>();

  private constructor(socketPath: string, sizeBytes: number, answer: (read: ServedRead) => Uint8Array) {
    this.#socketPath = socketPath;
    this.#sizeBytes = sizeBytes;
    this.#answer = answer;
    this.#server = createServer((socket) => {
      this.#clients.add(socket);
      this.#talk(socket);
    });
  }

  static async listen(
    socketPath: string,
    sizeBytes: number,
    answer: (read: ServedRead) => Uint8Array,
  ): Promise<NbdServer> {
    const server = new NbdServer(socketPath, sizeBytes, answer);
    await new Promise<void>((resolve, reject) => {
      server.#server.once("error", reject);
      server.#server.listen(socketPath, resolve);
    });
    return server;
  }

  /** QEMU's words for a virtio disk that is this one. */
  get diskWords(): string[] {
    const server = `file.driver=nbd,file.server.type=unix,file.server.path=${this.#socketPath}`;
    return ["-drive", `if=none,id=nbd,driver=raw,read-only=on,${server}`, "-device", "virtio-blk-pci,drive=nbd"];
  }

  #talk(socket: Socket): void {
    let pending = Buffer.alloc(0);
    let state: "flags" | "options" | "requests" = "flags";
    socket.on("error", () => undefined);
    socket.write(Buffer.concat([handshakeMagic, u16(handshakeFlags)]));
    /** The bytes that the next message took; 0 when it is not all there. */
    const step = (): number => {
      if (state === "flags") {
        if (pending.length < clientFlagBytes) return 0;
        state = "options";
        return clientFlagBytes;
      }
      if (state === "options") {
        if (pending.length < optionHeaderBytes) return 0;
        const length = optionHeaderBytes + pending.readUInt32BE(optionMagicBytes + 4);
        if (pending.length < length) return 0;
        if (this.#takeOption(socket, pending.readUInt32BE(optionMagicBytes))) state = "requests";
        return length;
      }
      if (pending.length < requestBytes) return 0;
      this.#takeRequest(socket, pending);
      return requestBytes;
    };
    socket.on("data", (bytes: Buffer) => {
      pending = Buffer.concat([pending, bytes]);
      for (let taken = step(); taken > 0; taken = step()) pending = pending.subarray(taken);
    });
  }

  /** Whether the negotiation is over. */
  #takeOption(socket: Socket, option: number): boolean {
    const reply = (type: number, data: Uint8Array = new Uint8Array()): void => {
      socket.write(Buffer.concat([u64(optionReplyMagic), u32(option), u32(type), u32(data.length), data]));
    };
    if (option === options.go) {
      reply(optionReplies.info, Buffer.concat([u16(0), u64(BigInt(this.#sizeBytes)), u16(exportFlags)]));
      reply(optionReplies.ack);
      return true;
    }
    if (option === options.abort) {
      reply(optionReplies.ack);
      socket.end();
    } else reply(optionReplies.unsupported);
    return false;
  }

  #takeRequest(socket: Socket, request: Buffer): void {
    if (request.readUInt32BE(0) !== requestMagic) throw new Error("serve a disk: a request expected");
    const command = request.readUInt16BE(6);
    const cookie = request.subarray(8, 16);
    const head = (error: number): Buffer => Buffer.concat([u32(replyMagic), u32(error), cookie]);
    if (command === commands.disconnect) socket.end();
    else if (command !== commands.read) socket.write(head(notSupported));
    else {
      const read = { offset: Number(request.readBigUInt64BE(16)), length: request.readUInt32BE(24) };
      socket.write(Buffer.concat([head(0), this.#answer(read)]));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.#socketPath, { force: true });
  }
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}
