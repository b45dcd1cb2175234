import { bzImageHeadBytesMax, parseBzImage } from "../formats/bzimage.ts";
import { CpioEncoder, cpioPadding } from "../formats/cpio.ts";
import { FormatError } from "../formats/format-error.ts";
import { handoffRecordBytesMax } from "../formats/handoff-record.ts";
import { type SetupDataItem, setupDataType } from "../formats/setup-data.ts";
import { eventLogBytesMax } from "../formats/tpm-event-log.ts";
import type { FileRange, System } from "../linux/system.ts";
import { handedDirectories, handedFiles } from "../machine/handoff-record.ts";
import { MemoryFile } from "../trust/memory-file.ts";
import type { KexecCall } from "./choose-call.ts";
import { joinInitrds } from "./initrds.ts";
import type { LoadRequest } from "./load-request.ts";

/*
 * How the target is handed the record of its boot (docs/handoff-record.md): as setup data where the call is ours and the target
 * is a Linux that takes some, else as files in an archive behind its initrd. Others are handed nothing.
 */

/** What a target is told of its boot. */
export interface HandedOver {
  /** As `writeHandoffRecord` makes it. */
  readonly record: Uint8Array;
  /** A TCG event log; null: nothing was measured. */
  readonly eventLog: Uint8Array | null;
}

/** What is settled when the record can be made. */
export interface SettledFacts {
  /** As the target gets it. */
  readonly commandLine: string;
  /** The unified kernel image that boots, unwrapped; null when what boots is none. */
  readonly unified: FileRange | null;
}

/** Makes the record of a boot; called once, before anything is loaded. */
export type MakeHandedOver = (facts: SettledFacts) => Promise<HandedOver>;

/** The two forms of what is handed over, of which a load takes one. */
export interface RecordCarrier {
  readonly setupData: readonly SetupDataItem[];
  /** The target's initrd with the archive behind it, or the archive alone. Made when it is first asked for. */
  initrd(): FileRange;
}

/** By which way a record reaches its target. */
export type RecordWay = "setup data" | "initrd";

/** Setup data came with protocol 2.09 (boot.rst). */
const setupDataProtocol = 0x209;

/** The way for a request; null: this target takes no record. Throws FormatError for a bzImage without a header. */
export function recordWay(
  { kernel, entryMode, elfArguments }: Pick<LoadRequest, "kernel" | "entryMode" | "elfArguments">,
  call: KexecCall,
): RecordWay | null {
  if (call === "file") return "initrd";
  switch (kernel.imageKind) {
    case "bzImage":
    case "bzImage64": {
      // The setup code of the 16-bit way writes boot parameters of its own.
      const { protocol } = parseBzImage(kernel.read(0, bzImageHeadBytesMax));
      return protocol >= setupDataProtocol && entryMode !== "16-bit" ? "setup data" : "initrd";
    }
    case "elf-x86":
    case "elf-x86_64":
      return elfArguments === "linux" ? "setup data" : null;
    default:
      return null;
  }
}

/** The records of setup data. Throws FormatError for what is larger than its reader takes. */
export function recordSetupData({ record, eventLog }: HandedOver): readonly SetupDataItem[] {
  refuseLarge("the record", record, handoffRecordBytesMax);
  if (eventLog === null) return [{ type: setupDataType.slipwayRecord, data: record }];
  refuseLarge("the event log", eventLog, eventLogBytesMax);
  return [
    { type: setupDataType.slipwayRecord, data: record },
    { type: setupDataType.slipwayEventLog, data: eventLog },
  ];
}

function refuseLarge(what: string, { length }: Uint8Array, bytesMax: number): void {
  if (length > bytesMax) {
    throw new FormatError("handover", `${what} has ${length} bytes, at most ${bytesMax} are handed over`);
  }
}

/** Permission bits of what is put into an initrd, as systemd-stub has them for its own. */
const filePermissions = 0o444;
const directoryPermissions = 0o555;

/** An archive with the same as files, for behind an initrd. */
export function recordArchive({ record, eventLog }: HandedOver): Uint8Array {
  const encoder = new CpioEncoder();
  const parts = handedDirectories.initrd.split("/");
  const directories = parts.map((_, index) => {
    const name = parts.slice(0, index + 1).join("/");
    return encoder.entry({ type: "directory", name, permissions: directoryPermissions });
  });
  const file = (name: string, bytes: Uint8Array): Uint8Array[] => {
    const node = { type: "file", permissions: filePermissions, sizeBytes: bytes.length } as const;
    const header = encoder.entry({ ...node, name: `${handedDirectories.initrd}/${name}` });
    return [header, bytes, cpioPadding(bytes.length)];
  };
  return Buffer.concat([
    ...directories,
    ...file(handedFiles.record, record),
    ...(eventLog === null ? [] : file(handedFiles.eventLog, eventLog)),
    encoder.end(),
  ]);
}

/** What is handed over with a load; it holds memory files until it is disposed. */
export class HandedOverFiles implements RecordCarrier, Disposable {
  readonly setupData: readonly SetupDataItem[];
  readonly #system: System;
  readonly #handed: HandedOver;
  readonly #own: FileRange | null;
  readonly #kept = new DisposableStack();
  #joined: FileRange | null = null;

  /**
   * @param own the target's initrd; null: it has none
   * @throws FormatError for what is larger than its reader takes
   */
  constructor(system: System, handed: HandedOver, own: FileRange | null) {
    this.setupData = recordSetupData(handed);
    this.#system = system;
    this.#handed = handed;
    this.#own = own;
  }

  initrd(): FileRange {
    this.#joined ??= this.#join();
    return this.#joined;
  }

  #join(): FileRange {
    const archive = this.#kept.use(new MemoryFile(this.#system, "initrd"));
    archive.append(recordArchive(this.#handed));
    archive.seal();
    const own = this.#own === null ? [] : [this.#own];
    const pieces = [...own, { fd: archive.fd, offset: 0, length: archive.size }];
    const joined = this.#kept.use(joinInitrds(this.#system, pieces));
    if (joined.range === null) throw new Error("an initrd expected, the archive is empty");
    return joined.range;
  }

  [Symbol.dispose](): void {
    this.#kept.dispose();
  }
}
