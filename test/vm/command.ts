import { spawn } from "node:child_process";
import path from "node:path";

/** The clone's top directory. */
export const cloneRoot: string = path.resolve(import.meta.dirname, "../..");

/** PATH with the administration tools that a plain user's PATH lacks. */
export const toolPath: string = `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`;

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Written to the program's standard input. */
  readonly input?: string;
}

/** Runs a program to its end and resolves with its standard output. A failure tells the call and all that it said. */
export function runCommand(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...process.env, ...options.env, PATH: toolPath },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const output: Buffer[] = [];
    const errors: Buffer[] = [];
    child.stdout.on("data", (bytes: Buffer) => output.push(bytes));
    child.stderr.on("data", (bytes: Buffer) => errors.push(bytes));
    // A program that ends without reading its input is judged by its exit code.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
    child.on("error", (error) => reject(new Error(`start "${command}": ${error.message}`, { cause: error })));
    child.on("close", (code, signal) => {
      const text = Buffer.concat(output).toString();
      if (code === 0) resolve(text);
      else {
        const said = `${text}${Buffer.concat(errors).toString()}`.trimEnd();
        reject(new Error(`${[command, ...args].join(" ")}: exit code ${code ?? signal}\n${said}`));
      }
    });
  });
}

/** As {@link runCommand}, as root: directly, or through sudo without a prompt. */
export function runAsRoot(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  if (process.getuid?.() === 0) return runCommand(command, args, options);
  const words = ["-n", "env", `PATH=${toolPath}`, command, ...args];
  return runCommand("sudo", words, options).catch((error: unknown) => {
    throw new Error(`${command} needs root, or sudo without a password`, { cause: error });
  });
}
