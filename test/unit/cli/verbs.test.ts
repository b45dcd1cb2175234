import { describe, expect, it } from "vitest";
import { chooseVerb, verbs } from "../../../src/cli/verbs.ts";

describe("chooseVerb", () => {
  /** `list(a b)`: the verb with its words. */
  const chosen = (pid: number, argv0: string, words: string): string => {
    const choice = chooseVerb(pid, argv0, words.split(" ").filter(Boolean));
    if (choice.kind === "verb") return `${choice.verb.name}(${choice.args.join(" ")})`;
    return choice.kind === "unknown" ? `unknown ${choice.word}` : choice.kind;
  };
  const rows: readonly (readonly [pid: number, argv0: string, words: string, answer: string])[] = [
    [1, "/init", "", "init"],
    // What the kernel does not know of its command line becomes words of PID 1.
    [1, "slipway", "list --json", "init"],
    [1, "/usr/bin/slipway-list", "", "init"],
    [2, "slipway", "list --json", "list(--json)"],
    [2, "/usr/bin/slipway", "explain x y", "explain(x y)"],
    [2, "slipway", "", "help()"],
    [2, "slipway", "help list", "help(list)"],
    [2, "slipway", "--help", "help()"],
    [2, "slipway", "-h", "help()"],
    [2, "slipway", "--version", "version"],
    [2, "slipway", "-V", "version"],
    [2, "slipway", "boot", "unknown boot"],
    [2, "slipway", "--json", "unknown --json"],
    [2, "slipway", "list --help", "help(list)"],
    [2, "slipway", "verify -h x", "help(verify)"],
    [2, "slipway", "help --help", "help(help)"],
    [2, "slipway-list", "--json", "list(--json)"],
    [2, "/usr/local/bin/slipway-verify", "list", "verify(list)"],
    [2, "slipway-list", "--help", "help(list)"],
    [2, "list", "x", "list(x)"],
    [2, "/init", "list", "list()"],
    // kexec(8) reads all of its words itself.
    [2, "slipway", "kexec -l K", "kexec(-l K)"],
    [2, "/sbin/kexec", "-e", "kexec(-e)"],
    [2, "kexec", "--help", "kexec(--help)"],
    [2, "slipway-kexec", "--append -h", "kexec(--append -h)"],
    [2, "slipway", "help kexec", "help(kexec)"],
    [2, "slipway-boot", "", "help()"],
    [2, "", "list", "list()"],
  ];
  for (const [pid, argv0, words, answer] of rows) {
    it(`${pid} ${argv0} ${words}: ${answer}`, () => expect(chosen(pid, argv0, words)).toBe(answer));
  }
});

describe("every verb", () => {
  for (const loader of verbs) {
    it(`${loader.name} is what it is called, and says how it is used`, async () => {
      const verb = await loader.load();
      expect(verb.name).toBe(loader.name);
      expect(verb.usage).toMatch(new RegExp(`^usage: slipway ${loader.name}\\b`));
      expect(verb.summary).not.toBe("");
    });
  }
  it("no name stands twice", () => expect(new Set(verbs.map((v) => v.name)).size).toBe(verbs.length));
});
