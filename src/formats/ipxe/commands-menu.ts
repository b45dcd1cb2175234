import { shownText, toByteText } from "./byte-text.ts";
import { grammar, many } from "./command.ts";
import { failure } from "./failure.ts";
import type { IpxeCommand } from "./interpreter.ts";
import { stringType } from "./setting-types.ts";
import { withUnknownNamed } from "./unknown-value.ts";

const menu: IpxeCommand = {
  takesUnknown: true,
  grammar: grammar(0, many, { name: ["n", "text"], delete: ["d", "flag"] }),
  run: (script, { flags, texts, words }) => {
    const name = texts.get("name") ?? null;
    const status = script.menus.create(name, withUnknownNamed(words.join(" ")));
    if (flags.has("delete")) script.menus.delete(name);
    return status;
  },
};

/** Menus, forms and questions (hci/commands/dynui_cmd.c, image/script.c, hci/commands/login_cmd.c). */
export const menuCommands: Readonly<Record<string, IpxeCommand>> = {
  menu,
  form: menu,
  item: {
    takesUnknown: true,
    grammar: grammar(0, many, {
      menu: ["m", "text"],
      form: ["f", "text"],
      key: ["k", "key"],
      default: ["d", "flag"],
      secret: ["s", "flag"],
      gap: ["g", "flag"],
    }),
    run: (script, { flags, texts, words }) => {
      const label = flags.has("gap") ? null : (words[0] ?? null);
      const text = withUnknownNamed(words.slice(flags.has("gap") ? 0 : 1).join(" "));
      const name = texts.get("form") ?? texts.get("menu") ?? null;
      script.needKnown([label ?? ""], "item: ");
      return script.menus.add(name, { label, text, isDefault: flags.has("default") });
    },
  },
  choose: {
    grammar: grammar(1, 1, {
      menu: ["m", "text"],
      default: ["d", "text"],
      timeout: ["t", "milliseconds"],
      retimeout: ["r", "milliseconds"],
      keep: ["k", "flag"],
    }),
    run: async (script, { flags, texts, numbers, words: [setting = ""] }) => {
      const found = script.settings.parse(setting, true);
      if ("reason" in found) return found;
      const name = texts.get("menu") ?? null;
      const known = script.menus.has(name);
      if (known !== null) return known;
      const shown = script.menus.show(name, texts.get("default") ?? null, numbers.get("timeout") ?? 0);
      const chosen = "reason" in shown ? shown : await script.choose(shown);
      if (!flags.has("keep")) script.menus.delete(name);
      if (typeof chosen !== "number") return chosen;
      const label = "reason" in shown ? null : (shown.items[chosen]?.label ?? null);
      if (label === null) return failure("noEntry", "there is no such item");
      const type = found.setting.type ?? stringType;
      return script.store({ block: found.block, setting: { ...found.setting, type } }, label);
    },
  },
  present: {
    grammar: grammar(0, 0, { form: ["f", "text"], keep: ["k", "flag"] }),
    run: (script, { texts }) => {
      const status = script.menus.has(texts.get("form") ?? null);
      return status ?? script.wait("a form waits for a person");
    },
  },
  prompt: {
    takesUnknown: true,
    grammar: grammar(0, many, { key: ["k", "key"], timeout: ["t", "milliseconds"], set: ["s", "text"] }),
    run: async (script, { texts, numbers, words }) => {
      const target = texts.get("set");
      script.needKnown([target ?? ""], "prompt: ");
      const found = target === undefined ? null : script.settings.parse(target, true);
      if (found !== null && "reason" in found) return found;
      const timeoutMs = numbers.get("timeout") ?? 0;
      const text = shownText(words.join(" "));
      const key = await script.host.prompt(text, timeoutMs);
      if (key === null) {
        if (timeoutMs === 0) return script.wait(`the prompt "${text}" waits for a person`);
        return failure("timedOut", "nobody pressed a key");
      }
      const wanted = numbers.get("key") ?? 0;
      if (wanted !== 0 && key !== wanted) return failure("cancelled", "another key was pressed");
      return found === null ? null : script.store(found, String(key));
    },
  },
  login: {
    grammar: grammar(0, 0),
    run: async (script) => {
      for (const name of ["username", "password"]) {
        const line = await script.host.read(name, shownText(script.settings.expanded(name)));
        if (line === null) return script.wait('"login" waits for a person');
        const found = script.settings.parse(name, true);
        const status = "reason" in found ? found : script.store(found, toByteText(line));
        if (status !== null) return status;
      }
      return null;
    },
  },
  config: { grammar: grammar(0, 1), run: (script) => script.wait('"config" waits for a person') },
  shell: { grammar: grammar(0, 0), run: (script) => script.wait('"shell" waits for a person') },
};
