import { quote } from "../format-error.ts";
import { shownText, toByteText } from "./byte-text.ts";
import { grammar, many } from "./command.ts";
import { failure, type Status } from "./failure.ts";
import type { IpxeCommand, IpxeInterpreter } from "./interpreter.ts";
import { parseInteger } from "./number.ts";
import { settingType } from "./setting-types.ts";

/** Commands of the language and of settings (core/exec.c, image/script.c, hci/commands/nvo_cmd.c). */
export const settingCommands: Readonly<Record<string, IpxeCommand>> = {
  echo: {
    takesUnknown: true,
    grammar: grammar(0, many, { n: ["n", "flag"] }),
    run: (script, { flags, words }) => {
      script.print(`${words.join(" ")}${flags.has("n") ? "" : "\n"}`);
      return null;
    },
  },
  exit: {
    grammar: grammar(0, 1),
    run: (script, { words: [code] }) => {
      const status = code === undefined ? 0 : parseInteger(code);
      if (status === null) return failure("invalid", `${quote(shownText(code ?? ""))} is no number`);
      script.stop("script");
      return status === 0 ? null : { status, reason: `it ends with code ${status}` };
    },
  },
  isset: {
    grammar: grammar(1, 1),
    run: (_, { words: [value] }) => (value === "" ? failure("noEntry", "the value is empty") : null),
  },
  iseq: {
    grammar: grammar(2, 2),
    run: (_, { words: [first, second] }) =>
      first === second
        ? null
        : failure("range", `${quote(shownText(first ?? ""))} is not ${quote(shownText(second ?? ""))}`),
  },
  goto: { grammar: grammar(1, 1), run: (script, { words: [label = ""] }) => script.goto(label) },
  sleep: {
    grammar: grammar(1, 1),
    run: async (script, { words: [text = ""] }) => {
      const seconds = parseInteger(text);
      if (seconds === null) return failure("invalid", `${quote(shownText(text))} is no number`);
      await script.host.sleep(seconds);
      return null;
    },
  },
  time: { takesUnknown: true, grammar: grammar(1, many), run: (script, { words }) => script.runCommand(words) },
  set: {
    takesUnknown: true,
    grammar: grammar(1, many),
    run: (script, { words: [name = "", ...values] }) => {
      script.needKnown([name], "set: ");
      return store(script, name, values.join(" "));
    },
  },
  clear: { grammar: grammar(1, 1), run: (script, { words: [name = ""] }) => store(script, name, "") },
  read: {
    grammar: grammar(1, 1),
    run: async (script, { words: [name = ""] }) => {
      const current = shownText(script.settings.expanded(name));
      const line = await script.host.read(shownText(name), current);
      if (line === null) return script.wait(`"read ${shownText(name)}" waits for a person`);
      return store(script, name, toByteText(line));
    },
  },
  show: {
    grammar: grammar(1, 1),
    run: (script, { words: [name = ""] }) => {
      const found = script.settings.parse(name, false);
      if ("reason" in found) return found;
      const fetched = script.settings.fetch(found);
      const text = fetched === null ? null : script.settings.text(found);
      if (fetched === null || text === null) return failure("noEntry", `there is no ${quote(shownText(name))}`);
      script.print(`${script.settings.fullName(fetched).slice(0, shownNameBytesMax)} = ${text}\n`);
      return null;
    },
  },
  inc: { grammar: grammar(1, 2), run: (script, { words: [name = "", by] }) => increment(script, name, by) },
};

/** What `show` has room for (`name_buf` in hci/commands/nvo_cmd.c), without the final NUL. */
const shownNameBytesMax = 31;

function store<H>(script: IpxeInterpreter<H>, name: string, text: string): Status {
  const found = script.settings.parse(name, true);
  return "reason" in found ? found : script.store(found, text);
}

/** A setting without a value counts as 0 of 32 bits; one whose type has no numbers cannot be counted up. */
function increment<H>(script: IpxeInterpreter<H>, name: string, by: string | undefined): Status {
  const found = script.settings.parse(name, false);
  if ("reason" in found) return found;
  const step = by === undefined ? 1 : parseInteger(by);
  if (step === null) return failure("invalid", `${quote(shownText(by ?? ""))} is no number`);
  const fetched = script.settings.fetch(found);
  if (fetched !== null) script.needKnown([script.settings.text(found) ?? ""], "inc: ");
  const type = fetched?.setting.type ?? found.setting.type ?? settingType("int32");
  const value = fetched === null ? 0n : (fetched.setting.type.toNumber(fetched.raw) ?? 0n);
  const raw = type?.ofNumber(value + BigInt(step)) ?? null;
  if (type === null || raw === null) {
    return failure("notSupported", `${quote(shownText(name))} is a ${type?.name}, which has no numbers`);
  }
  const target = { block: found.block, setting: { ...found.setting, type } };
  const status = script.settings.store(target, raw);
  if (status === null) script.remember(target);
  return status;
}
