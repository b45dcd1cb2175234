import { FormatError, quote } from "../formats/format-error.ts";
import { fromByteText, shownText, toByteText } from "../formats/ipxe/byte-text.ts";
import type { IpxeFetched, IpxeHost, IpxeMachine, IpxeMenu, IpxeNetworkAnswer } from "../formats/ipxe/host.ts";
import { isIpxeScript, scriptHeadBytes } from "../formats/ipxe/script.ts";
import { formatUri, type IpxeUri, noUri } from "../formats/ipxe/uri.ts";
import { recognizeWrapping, wrappingHeadBytes } from "../formats/kernel-kind.ts";
import { findMultiboot, multibootHeadBytesMax } from "../formats/multiboot.ts";
import type { FileRef } from "./entry.ts";
import type { FinderContext } from "./finder.ts";
import type { FileSource } from "./source.ts";

/** Kinds of URIs that iPXE knows and that need a network. */
const networkSchemes = ["http", "https", "ftp", "tftp", "tftm", "slam", "nfs", "iscsi", "aoe", "fcp", "ib_srp", "srp"];

/** The volumes of a machine without a network, as a script sees them. */
export class IpxeDiskHost {
  /** The script to start with. */
  readonly first: FileRef;
  readonly firstUri: string;
  readonly #context: FinderContext;
  readonly #machine: IpxeMachine;
  readonly #directory: string;
  /** What was found, by volume and path: every file is looked at once. */
  readonly #files = new Map<string, Promise<IpxeFetched<FileRef>>>();

  constructor(context: FinderContext, path: string, machine: IpxeMachine) {
    this.#context = context;
    this.#machine = machine;
    this.#directory = path.slice(0, path.lastIndexOf("/") + 1);
    this.first = { volume: context.source.volume.name, path };
    this.firstUri = formatUri({ ...fileUri, path: toByteText(path) });
  }

  /** The host for one run. */
  answering(choose: (menu: IpxeMenu) => number | null): IpxeHost<FileRef> {
    return {
      machine: this.#machine,
      newestInterface: () => null,
      missingFor: (uri) => this.#missingFor(uri),
      fetch: (uri) => this.#fetch(uri),
      isMultiboot: (file) => this.#isMultiboot(file),
      network: async (command): Promise<IpxeNetworkAnswer> => ({
        problem: `needs the network: ${command}`,
        settings: [],
      }),
      choose: async (menu) => choose(menu),
      prompt: async () => null,
      read: async () => null,
      sleep: async () => undefined,
    };
  }

  #missingFor(uri: IpxeUri): string | null {
    const scheme = (uri.scheme ?? "").toLowerCase();
    return networkSchemes.includes(scheme) ? `needs the network: ${shownText(formatUri(uri))}` : null;
  }

  async #fetch(uri: IpxeUri): Promise<IpxeFetched<FileRef>> {
    const scheme = (uri.scheme ?? "").toLowerCase();
    if (scheme !== "file") throw new Error(`fetch ${quote(shownText(formatUri(uri)))}: no such kind of place is known`);
    const source = this.#volume(uri);
    const path = this.#path(uri);
    const key = `${source.volume.name}:${path}`;
    const known = this.#files.get(key) ?? this.#look(source, path);
    this.#files.set(key, known);
    return known;
  }

  /** The volume that a URI's host names by its label; without one, the script's own. */
  #volume({ host }: IpxeUri): FileSource {
    if (host === null || host === "") return this.#context.source;
    const label = shownText(host);
    const found = this.#context.sources.find(({ volume }) => volume.label === label);
    if (found === undefined) throw new Error(`fetch a file: there is no volume with the label ${quote(label)}`);
    return found;
  }

  /** Paths are those of UEFI: `\` separates too, and `..` takes back the part before it. */
  #path(uri: IpxeUri): string {
    const text = fromByteText(uri.path ?? uri.opaque ?? "");
    if (text === null) throw new Error(`fetch ${quote(shownText(uri.path ?? ""))}: UTF-8 expected`);
    const whole = text.startsWith("/") ? text : `${this.#directory}${text}`;
    const parts: string[] = [];
    for (const part of whole.split(/[/\\]/)) {
      if (part === "" || part === ".") continue;
      if (part !== "..") parts.push(part);
      else if (parts.pop() === undefined) throw new Error(`fetch ${quote(text)}: the path leaves the volume`);
    }
    return `/${parts.join("/")}`;
  }

  async #look(source: FileSource, path: string): Promise<IpxeFetched<FileRef>> {
    const place = `${quote(path)} on ${source.volume.name}`;
    const stat = await source.stat(path);
    if (stat === null) throw new Error(`fetch ${place}: there is no such file`);
    if (stat.type !== "file") throw new Error(`fetch ${place}: it is not a file`);
    const head = await readHead(source, path, scriptHeadBytes);
    const script = isIpxeScript(head) ? await source.readFile(path, this.#context.limits.configBytesMax) : null;
    return { file: { volume: source.volume.name, path }, size: stat.size, script };
  }

  /** A file that cannot be read now is judged when the entry is. */
  async #isMultiboot({ volume, path }: FileRef): Promise<boolean | "packed"> {
    const source = this.#context.sources.find((each) => each.volume.name === volume);
    if (source === undefined) return false;
    try {
      const head = await readHead(source, path, multibootHeadBytesMax);
      if (recognizeWrapping(head.subarray(0, wrappingHeadBytes)) !== null) return "packed";
      return findMultiboot(head) !== null;
    } catch (error) {
      // So is a header that contradicts itself, which is one.
      return error instanceof FormatError;
    }
  }
}

const fileUri: IpxeUri = { ...noUri, scheme: "file" };

/** The first bytes of a file, fewer where it has no more. */
async function readHead(source: FileSource, path: string, bytes: number): Promise<Uint8Array> {
  await using file = await source.open(path);
  const head = new Uint8Array(Math.min(bytes, file.size));
  let filled = 0;
  while (filled < head.length) {
    const read = await file.read(head.subarray(filled), filled);
    if (read === 0) break;
    filled += read;
  }
  return head.subarray(0, filled);
}
