import { UsageError, type Verb } from "./verb.ts";
import { verbs } from "./verbs.ts";
import { version } from "./version.ts";

export const helpVerb: Verb = {
  name: "help",
  summary: "show this text, or that of a verb",
  usage: `usage: slipway help [VERB]\n`,
  async run(args) {
    const [name] = args;
    if (name === undefined) {
      process.stdout.write(await overview());
      return 0;
    }
    const verb = verbs.find((candidate) => candidate.name === name);
    if (verb === undefined) throw new UsageError(`help: ${JSON.stringify(name)} is no verb; ${verbNames()} expected`);
    const { usage } = await verb.load();
    process.stdout.write(usage);
    return 0;
  },
};

export function verbNames(): string {
  return verbs.map((verb) => verb.name).join(", ");
}

async function overview(): Promise<string> {
  const loaded = await Promise.all(verbs.map((verb) => verb.load()));
  const width = Math.max(...loaded.map((verb) => verb.name.length));
  return `slipway ${version}: a bootloader that is a Linux program

usage: slipway VERB [OPTIONS]      as PID 1 it boots the machine

${loaded.map((verb) => `  ${verb.name.padEnd(width)}  ${verb.summary}`).join("\n")}

"slipway help VERB" shows a verb's options. A link named slipway-VERB runs that verb.
  --version    print the version
`;
}
