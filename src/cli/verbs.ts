import type { Verb } from "./verb.ts";

/** How each verb's module is reached: loaded when it is called for, so that a boot pays for none of them. */
export interface VerbLoader {
  readonly name: string;
  /** It reads `-h` and `--help` itself: what looks like that may be an option's argument. */
  readonly ownsHelp?: true;
  load(): Promise<Verb>;
}

/** Every verb, in the order in which the help lists them. */
export const verbs: readonly VerbLoader[] = [
  { name: "list", load: async () => (await import("./list.ts")).listVerb },
  { name: "explain", load: async () => (await import("./explain.ts")).explainVerb },
  { name: "verify", load: async () => (await import("./verify.ts")).verifyVerb },
  { name: "keygen", load: async () => (await import("./keygen.ts")).keygenVerb },
  { name: "sign", load: async () => (await import("./sign.ts")).signVerb },
  {
    name: "measure",
    load: async () => {
      const [{ measureVerb }, { openBoot }] = await Promise.all([
        import("./measure.ts"),
        import("./measured-entry.ts"),
      ]);
      return measureVerb(openBoot);
    },
  },
  { name: "confirm", load: async () => (await import("./confirm.ts")).confirmVerb },
  { name: "rollback", load: async () => (await import("./rollback.ts")).rollbackVerb },
  { name: "reboot", load: async () => (await import("./reboot.ts")).rebootVerb },
  { name: "kexec", ownsHelp: true, load: async () => (await import("./kexec.ts")).kexecVerb },
  { name: "image", load: async () => (await import("./image.ts")).imageVerb },
  { name: "help", load: async () => (await import("./help.ts")).helpVerb(verbs) },
];

export type Choice =
  | { readonly kind: "init" }
  | { readonly kind: "version" }
  | { readonly kind: "verb"; readonly verb: VerbLoader; readonly args: readonly string[] }
  | { readonly kind: "unknown"; readonly word: string };

/**
 * Picks what to do: PID 1 is init; else the name by which the program was called (`list`, `slipway-list`); else the first
 * word. With neither, the help.
 *
 * @param args the words after the program's name
 */
export function chooseVerb(pid: number, argv0: string, args: readonly string[]): Choice {
  if (pid === 1) return { kind: "init" };
  const called = argv0.slice(argv0.lastIndexOf("/") + 1).replace(/^slipway-/, "");
  const byName = verbs.find((verb) => verb.name === called);
  if (byName !== undefined) return helpOrVerb(byName, args);
  const [word = "help", ...rest] = args;
  if (word === "--version" || word === "-V") return { kind: "version" };
  const name = word === "--help" || word === "-h" ? "help" : word;
  const verb = verbs.find((candidate) => candidate.name === name);
  if (verb === undefined) return { kind: "unknown", word };
  return helpOrVerb(verb, rest);
}

/** `slipway VERB --help` is `slipway help VERB`. */
function helpOrVerb(verb: VerbLoader, args: readonly string[]): Choice {
  const help = verbs.find((candidate) => candidate.name === "help");
  if (verb.ownsHelp !== true && help !== undefined && args.some((arg) => arg === "--help" || arg === "-h")) {
    return { kind: "verb", verb: help, args: [verb.name] };
  }
  return { kind: "verb", verb, args };
}
