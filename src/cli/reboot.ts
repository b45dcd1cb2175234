import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { loadOptions } from "../boot/load-options.ts";
import { handedOver } from "../boot/record.ts";
import type { BootEntry } from "../discovery/entry.ts";
import { messageOf } from "../formats/error-text.ts";
import { printable } from "../formats/printable.ts";
import { leave } from "../handoff/leave.ts";
import { type LoadOptions, load } from "../handoff/load.ts";
import { nativeSystem } from "../linux/native.ts";
import type { Policy } from "../trust/policy.ts";
import { explainEntry } from "./explain.ts";
import { configUsage, findEntries, judgeEntry, keysUsage, readEntry, readPolicy, type TrustWords } from "./judge.ts";
import { exitNoEntries } from "./list.ts";
import { rootUsage } from "./roots.ts";
import { readConfigFile, type Survey, survey } from "./survey.ts";
import { UsageError, type Verb } from "./verb.ts";

/** Exit code of the public contract when the policy refuses. */
const exitRefused = 2;

export const rebootVerb: Verb = {
  name: "reboot",
  summary: "reboot straight into an entry of this machine's disks, without its firmware",
  usage: `usage: slipway reboot [--dry-run] [--force] [--config FILE] [--policy FILE] [--keys DIR] [--root SPEC]... [ENTRY]

Finds the boot entries of this machine, takes ENTRY (an id, a title, or a pattern) or else the first
that boots, as the firmware would: its files are read once, verified by the policy, and loaded. Then
the running system is shut down by "systemctl kexec", which stops its services first.
Exit code: 2 when the policy refuses, 3 without entries, 1 on another failure; on success the
machine goes down.

  --dry-run        tell what would be loaded and why, and load nothing
  --force          jump at once: sync, network interfaces down, no service is stopped
${configUsage}
${keysUsage}
${rootUsage}
`,
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        "dry-run": { type: "boolean" },
        force: { type: "boolean" },
        config: { type: "string" },
        policy: { type: "string" },
        keys: { type: "string" },
        root: { type: "string", multiple: true },
      },
    });
    const [word, more] = positionals;
    if (more !== undefined) throw new UsageError(`reboot: one entry expected, also got ${JSON.stringify(more)}`);
    const isForced = values.force === true;
    const isDry = values["dry-run"] === true;
    if (!isDry && !isForced) refuseWithoutSystemd();
    const words = { policy: values.policy, keys: values.keys };
    const code = await loadFrom(await readConfigFile(values.config), values.root ?? [], word, words, isDry);
    if (code !== 0 || isDry) return code;
    if (isForced) return leave(nativeSystem(), { sync: true, interfacesDown: true });
    return runSystemctl();
  },
};

/** Finds, verifies and loads; the disks are closed when it resolves. */
async function loadFrom(
  config: Survey["config"],
  roots: readonly string[],
  word: string | undefined,
  words: TrustWords,
  isDry: boolean,
): Promise<number> {
  await using result = await survey(config, roots);
  const candidates = word === undefined ? result.ranking.order.map(({ entry }) => entry) : findEntries(result, word);
  if (candidates.length === 0) {
    const what = word === undefined ? "no boot entry was found" : `${JSON.stringify(word)}: no such entry`;
    process.stderr.write(`slipway reboot: ${what}; "slipway explain" tells what was searched\n`);
    return exitNoEntries;
  }
  if (word !== undefined && candidates.length > 1) {
    const ids = candidates.map((entry) => entry.id).join(", ");
    throw new UsageError(`reboot: ${JSON.stringify(word)} means ${candidates.length} entries, one expected: ${ids}`);
  }
  const policy = await readPolicy(words, config);
  if (policy.document.mode === "enforce" && policy.anchors.length === 0) {
    process.stderr.write(
      'slipway reboot: trust is "enforce" and there is no key (--keys), so that nothing can be verified\n',
    );
  }
  let code = 1;
  for (const entry of candidates) {
    const outcome = isDry ? await rehearse(result, entry, words) : await loadEntry(result, entry, policy);
    if (outcome === 0) return 0;
    code = outcome;
  }
  return code;
}

/** Tells what a boot of the entry would do. */
async function rehearse(result: Survey, entry: BootEntry, words: TrustWords): Promise<number> {
  const { text, boots } = await explainEntry(result, entry, words, liveOptions(result));
  process.stdout.write(text);
  return boots ? 0 : exitRefused;
}

/** The jump comes when the services have stopped, which may take minutes. */
function liveOptions({ config }: Survey): LoadOptions {
  const options = loadOptions(config);
  return options.digest === "auto" ? { ...options, digest: "later" } : options;
}

async function loadEntry(result: Survey, entry: BootEntry, policy: Policy): Promise<number> {
  const say = (line: string): void => void process.stderr.write(`slipway reboot: ${printable(line)}\n`);
  try {
    using artifacts = await readEntry(result, entry, policy);
    const verdict = await judgeEntry(result, artifacts, policy);
    if (!verdict.ok) {
      say(`${entry.id} refused: ${verdict.reason}`);
      return exitRefused;
    }
    const { mode, concerns } = verdict.boot;
    for (const concern of concerns) say(`${entry.id}${mode === "audit" ? " is not verified" : ""}: ${concern}`);
    await load(nativeSystem(), verdict.boot, liveOptions(result), {
      decided: (handoff) => say(`${entry.id} ${JSON.stringify(entry.title)}, by ${handoff}`),
      handOver: async (facts) => handedOver(verdict.boot, facts, policy, null),
    });
    return 0;
  } catch (error) {
    say(`${entry.id}: ${messageOf(error)}`);
    return 1;
  }
}

/** Where sd_booted(3) looks. */
const systemdRuns = "/run/systemd/system";
/** What systemd before 261 runs at the very end of a shutdown into a loaded kernel. */
const kexecPrograms = ["/sbin/kexec", "/usr/sbin/kexec"];

function refuseWithoutSystemd(): void {
  if (!existsSync(systemdRuns)) {
    throw new Error("systemd does not run this machine: stop its services yourself and use --force");
  }
  if (!kexecPrograms.some((path) => existsSync(path))) {
    throw new Error(`systemctl kexec needs /sbin/kexec: link it to ${process.execPath}, or use --force`);
  }
}

function runSystemctl(): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn("systemctl", ["kexec"], { stdio: "inherit" });
    child.on("error", (error) => reject(new Error(`start systemctl: ${error.message}`, { cause: error })));
    child.on("close", (code, signal) => {
      if (code !== 0) process.stderr.write(`slipway reboot: systemctl kexec: exit code ${code ?? signal}\n`);
      resolve(code ?? 1);
    });
  });
}
