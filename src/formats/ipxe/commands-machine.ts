import { quote } from "../format-error.ts";
import { shownText } from "./byte-text.ts";
import { grammar, many } from "./command.ts";
import { failure, type Status } from "./failure.ts";
import type { FormParameters, IpxeCommand, IpxeInterpreter } from "./interpreter.ts";
import { parseInteger } from "./number.ts";
import type { OptionTable } from "./options.ts";
import { settingType } from "./setting-types.ts";

/** Commands of the network get their words as they are: the host knows them. */
function network(options: OptionTable = {}): IpxeCommand {
  return { grammar: grammar(0, many, options), run: (script, _, { name, words }) => script.network(name, words) };
}

/** What only shows something, or changes the screen. */
function shows(options: OptionTable = {}, wordsMax = many): IpxeCommand {
  return { grammar: grammar(0, wordsMax, options), run: () => null };
}

function refused(reason: string, options: OptionTable = {}): IpxeCommand {
  return { grammar: grammar(0, many, options), run: (script, _, { name }) => script.refuse(`${name}: ${reason}`) };
}

const configurator: OptionTable = { configurator: ["c", "text"], timeout: ["t", "milliseconds"] };
const configures = network(configurator);
const colours: OptionTable = { basic: ["b", "number"], rgb: ["r", "number"] };

/** The network, the screen and the machine (hci/commands/). */
export const machineCommands: Readonly<Record<string, IpxeCommand>> = {
  ifopen: network(),
  ifclose: shows(),
  ifconf: configures,
  dhcp: configures,
  iflinkwait: network({ timeout: ["t", "milliseconds"] }),
  iwstat: network(),
  iwlist: network(),
  ifstat: network(),
  vcreate: network({ tag: ["t", "number"], priority: ["p", "number"] }),
  vdestroy: network(),
  nslookup: network(),
  ping: network({
    size: ["s", "number"],
    timeout: ["t", "milliseconds"],
    quiet: ["q", "flag"],
    count: ["c", "number"],
  }),
  ntp: network(),
  autoboot: network(),
  startpxe: network(),
  stoppxe: shows(),
  fcels: network(),
  fcstat: network(),
  ibstat: network(),
  lotest: network({ mtu: ["m", "number"], broadcast: ["b", "flag"] }),
  route: shows(),
  ipstat: shows(),
  nstat: shows(),
  neighbour: shows(),
  certstat: shows({ subject: ["s", "text"] }),
  certstore: shows({ subject: ["s", "text"], keep: ["k", "flag"] }),
  certfree: shows({ subject: ["s", "text"] }),
  profstat: shows(),
  help: shows(),
  sync: shows({ timeout: ["t", "milliseconds"] }),
  console: shows({
    x: ["x", "number"],
    y: ["y", "number"],
    left: ["l", "number"],
    right: ["r", "number"],
    top: ["t", "number"],
    bottom: ["b", "number"],
    depth: ["d", "number"],
    picture: ["p", "text"],
    keep: ["k", "flag"],
  }),
  colour: shows(colours, 1),
  color: shows(colours, 1),
  cpair: shows({ foreground: ["f", "number"], background: ["b", "number"] }, 1),
  keymap: shows({}, 1),
  poweroff: refused("it boots nothing"),
  reboot: refused("it boots nothing", { warm: ["w", "flag"], setup: ["s", "flag"] }),
  gdbstub: refused("nothing is debugged"),
  cpuid: {
    grammar: grammar(1, 1, { ext: ["e", "flag"], ecx: ["c", "flag"], amd: ["a", "flag"] }),
    run: (script, { flags, words: [word = ""] }) => {
      const bit = parseInteger(word);
      if (bit === null) return failure("invalid", `${quote(shownText(word))} is no number`);
      const leaf = flags.has("ext") || flags.has("amd") ? 0x80000001 : 1;
      const register = flags.has("ecx") ? "ecx" : "edx";
      const answer = script.host.machine.cpuFeature(leaf, register, bit);
      if (answer === null)
        return script.refuse(`cpuid: whether the processor has bit ${bit} of ${register} is not known`);
      return answer ? null : failure("noEntry", "the processor does not have it");
    },
  },
  pciscan: { grammar: grammar(1, 1), run: (script, { words: [name = ""] }) => scan(script, name) },
  usbscan: {
    grammar: grammar(1, 1),
    run: () => failure("noDevice", "there is no further device"),
  },
  params: {
    grammar: grammar(0, 0, { name: ["n", "text"], delete: ["d", "flag"] }),
    run: ({ forms, limits }, { flags, texts }) => {
      const name = texts.get("name") ?? "";
      if (flags.has("delete")) forms.delete(name);
      else if (forms.size >= limits.menusMax) return failure("noEntry", `more than ${limits.menusMax} lists`);
      else forms.set(name, []);
      return null;
    },
  },
  param: {
    takesUnknown: true,
    grammar: grammar(1, many, { params: ["p", "text"], header: ["H", "flag"] }),
    run: ({ forms, limits }, { texts, words: [key = "", ...values] }) => {
      const list: FormParameters | undefined = forms.get(texts.get("params") ?? "");
      if (list === undefined) return failure("noEntry", "there is no list of parameters");
      if (list.length >= limits.menuItemsMax) return failure("noEntry", `more than ${limits.menuItemsMax} parameters`);
      list.push([key, values.join(" ")]);
      return null;
    },
  },
};

/** The next PCI device behind the one that the setting holds; at the end the setting is cleared. */
function scan<H>(script: IpxeInterpreter<H>, name: string): Status {
  const found = script.settings.parse(name, true);
  if ("reason" in found) return found;
  const type = settingType("busdevfn");
  const fetched = script.settings.fetch(found);
  if (fetched !== null) script.needKnown([script.settings.text(found) ?? ""], "pciscan: ");
  const number = settingType("uint32");
  const last = fetched === null ? -1 : Number(number?.toNumber(fetched.raw) ?? 0n);
  const next = script.host.machine.pciDevices.find((address) => address > last);
  const raw = next === undefined ? null : (number?.ofNumber(BigInt(next)) ?? null);
  const status = script.settings.store({ block: found.block, setting: { ...found.setting, type } }, raw);
  if (status !== null || next !== undefined) return status;
  return failure("noDevice", "there is no further device");
}
