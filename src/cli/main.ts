import { version } from "../boot/version.ts";
import { errorCode, messageOf } from "../formats/error-text.ts";
import { verbNames } from "./help.ts";
import { UsageError } from "./verb.ts";
import { type Choice, chooseVerb, verbs } from "./verbs.ts";

/** A read of a hung disk holds a thread of the pool; there must be enough for the others. Takes effect before the pool starts. */
const poolThreads = 32;

/** Does what the program was called for; sets the exit code. As PID 1 it never returns. */
export async function main(): Promise<void> {
  process.env["UV_THREADPOOL_SIZE"] = String(poolThreads);
  const choice = chooseVerb(process.pid, process.argv0, process.argv.slice(2));
  if (choice.kind === "init") {
    const { runInit } = await import("../boot/init.ts");
    return runInit();
  }
  // A reader that went away (`slipway list | head`) is no failure of ours; a full disk is one.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  const code = await runChoice(choice);
  // What was said goes out first; but a read of a dead disk that never returns must not keep the program.
  process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
}

async function runChoice(choice: Exclude<Choice, { kind: "init" }>): Promise<number> {
  if (choice.kind === "version") {
    process.stdout.write(`slipway ${version}\n`);
    return 0;
  }
  if (choice.kind === "unknown") {
    process.stderr.write(`slipway: ${JSON.stringify(choice.word)} is no verb; ${verbNames(verbs)} expected\n`);
    return 1;
  }
  try {
    const verb = await choice.verb.load();
    return await verb.run(choice.args);
  } catch (error) {
    process.stderr.write(`slipway: ${messageOf(error)}\n`);
    if (isUsageMistake(error)) process.stderr.write(`"slipway help ${choice.verb.name}" shows its options\n`);
    return 1;
  }
}

/** A mistake in the words of the command line, found by us or by Node's own parser of options. */
function isUsageMistake(error: unknown): boolean {
  if (error instanceof UsageError) return true;
  return errorCode(error)?.startsWith("ERR_PARSE_ARGS") ?? false;
}
