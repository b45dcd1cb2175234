import { quote } from "../format-error.ts";
import { shownText } from "./byte-text.ts";
import { grammar, many } from "./command.ts";
import { type Failure, failure, type Status } from "./failure.ts";
import type { IpxeImage } from "./images.ts";
import type { IpxeCommand, IpxeInterpreter } from "./interpreter.ts";
import type { OptionTable, ParsedOptions } from "./options.ts";

const single: OptionTable = { name: ["n", "text"], timeout: ["t", "milliseconds"], autofree: ["a", "flag"] };

/** Gives an image the name, the arguments and the marks that a command has for it. */
function describe<H>(script: IpxeInterpreter<H>, image: IpxeImage<H>, { flags, texts, words }: ParsedOptions): void {
  const name = texts.get("name");
  script.needKnown([name ?? ""], "--name: ");
  if (name !== undefined) image.name = name;
  if (words.length > 1) image.arguments = words.slice(1).join(" ");
  if (flags.has("autofree")) image.isFreedWhenRun = true;
}

const download: IpxeCommand = {
  takesUnknown: true,
  grammar: grammar(1, many, single),
  run: async (script, parsed, { name }) => {
    const image = await script.fetch(parsed.words[0] ?? "", name === "module");
    if ("reason" in image) return image;
    describe(script, image, parsed);
    return null;
  },
};

const select: IpxeCommand = {
  takesUnknown: true,
  grammar: grammar(1, many, single),
  run: async (script, parsed) => {
    const image = await script.acquire(parsed.words[0] ?? "");
    if ("reason" in image) return image;
    describe(script, image, parsed);
    script.images.select(image);
    return null;
  },
};

const execute: IpxeCommand = {
  takesUnknown: true,
  grammar: grammar(0, many, { ...single, replace: ["r", "flag"] }),
  run: async (script, parsed) => {
    const [name] = parsed.words;
    const image = name === undefined ? script.images.selected : await script.acquire(name);
    if (image === null) {
      // iPXE says so and goes on: its command does not fail.
      script.note("no image is selected, nothing is started");
      return null;
    }
    if ("reason" in image) return image;
    describe(script, image, parsed);
    return parsed.flags.has("replace") ? script.replace(image) : script.execute(image);
  },
};

/** The named images, or all. */
function named<H>(script: IpxeInterpreter<H>, words: readonly string[]): readonly IpxeImage<H>[] | Failure {
  if (words.length === 0) return [...script.images.all];
  const images: IpxeImage<H>[] = [];
  for (const word of words) {
    const image = script.images.find(word);
    if (image === null) return failure("noEntry", `there is no image ${quote(shownText(word))}`);
    images.push(image);
  }
  return images;
}

function forImages(work: <H>(script: IpxeInterpreter<H>, image: IpxeImage<H>) => void): IpxeCommand {
  return {
    grammar: grammar(0, many),
    run: (script, { words }) => {
      const images = named(script, words);
      if ("reason" in images) return images;
      for (const image of images) work(script, image);
      return null;
    },
  };
}

const digest: IpxeCommand = {
  grammar: grammar(1, many, { set: ["s", "text"] }),
  run: async (script, { texts, words }, { name }) => {
    if (texts.has("set")) script.refuse(`${name}: a file's digest is not computed`);
    for (const word of words) {
      const image = await script.acquire(word);
      if ("reason" in image) return image;
    }
    return null;
  },
};

/** What is looked up beside the kernel and stays out of the initrd. */
async function hidden<H>(script: IpxeInterpreter<H>, word: string | undefined): Promise<IpxeImage<H> | Failure | null> {
  if (word === undefined) return null;
  const image = await script.acquire(word);
  if (!("reason" in image)) image.isHidden = true;
  return image;
}

function refused(reason: string, wordsMax = many): IpxeCommand {
  return {
    grammar: grammar(0, wordsMax, refusedOptions),
    run: (script, _, { name }) => script.refuse(`${name}: ${reason}`),
  };
}

/** Those of the commands that are refused whatever they are told. */
const refusedOptions: OptionTable = {
  signer: ["s", "text"],
  keep: ["k", "flag"],
  timeout: ["t", "milliseconds"],
  name: ["n", "text"],
  privkey: ["p", "text"],
  envelope: ["e", "text"],
  drive: ["d", "text"],
  "no-describe": ["n", "flag"],
  filename: ["f", "text"],
  extra: ["x", "text"],
  label: ["l", "text"],
  uuid: ["u", "text"],
  autofree: ["a", "flag"],
};

/** Images (hci/commands/image_cmd.c and its neighbours). */
export const imageCommands: Readonly<Record<string, IpxeCommand>> = {
  imgfetch: download,
  module: download,
  initrd: download,
  imgselect: select,
  imgload: select,
  kernel: select,
  imgexec: execute,
  boot: execute,
  chain: execute,
  imgargs: {
    takesUnknown: true,
    grammar: grammar(1, many, single),
    run: async (script, parsed) => {
      const image = await script.acquire(parsed.words[0] ?? "");
      if ("reason" in image) return image;
      image.arguments = null;
      describe(script, image, parsed);
      return null;
    },
  },
  imgstat: forImages(() => undefined),
  imgfree: forImages((script, image) => script.images.unregister(image)),
  imgextract: {
    grammar: grammar(1, 1, { name: ["n", "text"], timeout: ["t", "milliseconds"], keep: ["k", "flag"] }),
    run: (script, parsed) => extract(script, parsed),
  },
  imgtrust: {
    grammar: grammar(0, 0, { allow: ["a", "flag"], permanent: ["p", "flag"] }),
    run: (script, { flags }) => {
      const isRequired = !flags.has("allow");
      if (!script.trust.isPermanent) script.trust = { isRequired, isPermanent: flags.has("permanent") };
      return script.trust.isRequired === isRequired ? null : failure("notPermitted", "it was made permanent");
    },
  },
  imgverify: refused("signatures in iPXE's own form are not verified"),
  imgdecrypt: refused("an encrypted file is not decrypted"),
  imgmem: refused("a place in memory is no file"),
  md5sum: digest,
  sha1sum: digest,
  sha224sum: digest,
  sha256sum: digest,
  sha384sum: digest,
  sha512sum: digest,
  fdt: {
    grammar: grammar(0, 1, { timeout: ["t", "milliseconds"] }),
    run: async (script, { words }) => {
      const image = await hidden(script, words[0]);
      if (image !== null && "reason" in image) return image;
      script.devicetree = image;
      return null;
    },
  },
  shim: {
    grammar: grammar(0, 1, {
      timeout: ["t", "milliseconds"],
      "require-loader": ["l", "flag"],
      "allow-pxe": ["p", "flag"],
      "allow-sbat": ["s", "flag"],
    }),
    run: async (script, { words }): Promise<Status> => {
      const image = await hidden(script, words[0]);
      return image !== null && "reason" in image ? image : null;
    },
  },
  sanboot: refused("it starts the loader of another disk"),
  sanhook: refused("disks of a storage network are not attached"),
  sanunhook: { grammar: grammar(0, 0, { drive: ["d", "text"] }), run: () => null },
};

/** What is unpacked here is unpacked where it is used: the new image is the packed one by another name. */
async function extract<H>(script: IpxeInterpreter<H>, { flags, texts, words }: ParsedOptions): Promise<Status> {
  const image = await script.acquire(words[0] ?? "");
  if ("reason" in image) return image;
  const dot = image.name.lastIndexOf(".");
  const name = texts.get("name") ?? (dot > 0 ? image.name.slice(0, dot) : image.name);
  script.images.register({ ...image, name, arguments: null, replacement: null });
  if (!flags.has("keep")) script.images.unregister(image);
  return null;
}
