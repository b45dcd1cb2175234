import { readFile } from "node:fs/promises";
import { messageOf } from "../formats/error-text.ts";

/** Longest password, UTF-8 bytes; minisign's own limit. */
export const passwordBytesMax = 1024;

/** A terminal to ask at: the process's own streams, or a test's. */
export interface PasswordTerminal {
  readonly input: AsyncIterable<Uint8Array> & {
    readonly isTTY?: boolean | undefined;
    /** Only a terminal has it. */
    setRawMode?(isRaw: boolean): unknown;
    pause(): unknown;
  };
  readonly output: { write(text: string): unknown };
}

/** The first line of a file. Rejects with a sentence. */
export async function readPasswordFile(path: string): Promise<string> {
  const fail = (reason: string, cause?: unknown): never => {
    throw new Error(`--password-file ${JSON.stringify(path)}: ${reason}`, { cause });
  };
  const text = await readFile(path, "utf8").catch((error: unknown) => fail(messageOf(error), error));
  const password = text.split(/\r?\n/, 1)[0] ?? "";
  if (password === "") fail("a password in its first line expected");
  if (Buffer.byteLength(password) > passwordBytesMax) fail(`longer than ${passwordBytesMax} bytes`);
  return password;
}

/** Asks for a password that is not shown. Rejects with a sentence when there is no terminal, or when ^C or ^D is pressed. */
export async function askPassword(prompt: string, { input, output }: PasswordTerminal): Promise<string> {
  if (input.isTTY !== true || input.setRawMode === undefined) {
    throw new Error(`${prompt}: there is no terminal to ask at; --password-file FILE reads it from a file`);
  }
  output.write(`${prompt}: `);
  input.setRawMode(true);
  try {
    return await readHidden(input);
  } finally {
    input.setRawMode(false);
    input.pause();
    output.write("\n");
  }
}

/** Asks twice, for a password that is new. */
export async function askNewPassword(terminal: PasswordTerminal): Promise<string> {
  const password = await askPassword("new password for the secret key", terminal);
  if (password === "") throw new Error("an empty password; --no-password makes a key without one");
  if ((await askPassword("the same again", terminal)) !== password) throw new Error("the two passwords differ");
  return password;
}

const backspace = 0x7f;
const controlC = 0x03;
const controlD = 0x04;
const controlH = 0x08;
const controlU = 0x15;

async function readHidden(input: PasswordTerminal["input"]): Promise<string> {
  let typed: number[] = [];
  const iterator = input[Symbol.asyncIterator]();
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) throw new Error("the terminal was closed");
    for (const byte of next.value) {
      if (byte === 0x0d || byte === 0x0a) return Buffer.from(typed).toString("utf8");
      if (byte === controlC || byte === controlD) throw new Error("no password was given");
      if (byte === backspace || byte === controlH) typed = withoutLastCharacter(typed);
      else if (byte === controlU) typed = [];
      else typed.push(byte);
      if (typed.length > passwordBytesMax) throw new Error(`a password longer than ${passwordBytesMax} bytes`);
    }
  }
}

/** A character of UTF-8 is a first byte and those that continue it. */
function withoutLastCharacter(bytes: readonly number[]): number[] {
  let end = bytes.length - 1;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.slice(0, Math.max(0, end));
}
