import { version } from "../boot/version.ts";
import { UsageError, type Verb } from "./verb.ts";
import type { VerbLoader } from "./verbs.ts";

/** The verb that shows the help of all the others. */
export function helpVerb(verbs: readonly VerbLoader[]): Verb {
  return {
    name: "help",
    summary: "show this text, or that of a verb",
    usage: `usage: slipway help [VERB]\n`,
    async run(args) {
      const [name] = args;
      const verb = verbs.find((candidate) => candidate.name === name);
      if (name !== undefined && verb === undefined) {
        throw new UsageError(`help: ${JSON.stringify(name)} is no verb; ${verbNames(verbs)} expected`);
      }
      process.stdout.write(verb === undefined ? await overview(verbs) : (await verb.load()).usage);
      return 0;
    },
  };
}

export function verbNames(verbs: readonly VerbLoader[]): string {
  return verbs.map((verb) => verb.name).join(", ");
}

async function overview(verbs: readonly VerbLoader[]): Promise<string> {
  const loaded = await Promise.all(verbs.map((verb) => verb.load()));
  const width = Math.max(...loaded.map((verb) => verb.name.length));
  return `slipway ${version}: a bootloader that is a Linux program

usage: slipway VERB [OPTIONS]      as PID 1 it boots the machine

${loaded.map((verb) => `  ${verb.name.padEnd(width)}  ${verb.summary}`).join("\n")}

"slipway help VERB" shows a verb's options. A link named slipway-VERB runs that verb.
  --version    print the version
`;
}
