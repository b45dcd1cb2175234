import path from "node:path";
import { messageOf } from "../formats/error-text.ts";
import { type HandoffRecord, handoffRecordBytesMax, parseHandoffRecord } from "../formats/handoff-record.ts";
import { setupDataItemsMax, setupDataType } from "../formats/setup-data.ts";
import { eventLogBytesMax } from "../formats/tpm-event-log.ts";
import { listKernelDirectory, readKernelBytes, readKernelText } from "./kernel-files.ts";

/*
 * What the running system was told of its own boot (docs/handoff-record.md): in the kernel's setup data, else in the files
 * that a boot loader put behind the initrd, else where the initrd kept those for the system that it started.
 */

/** Where the kernel shows `struct setup_data` (Linux, Documentation/ABI/testing/sysfs-kernel-boot_params). */
const setupDataDirectory = "sys/kernel/boot_params/setup_data";
/** Where the files are put: in the initrd, and where that may copy them. */
export const handedDirectories = { initrd: ".extra/slipway", kept: "run/slipway" } as const;
/** Names of the files there. */
export const handedFiles = { record: "record.json", eventLog: "event-log" } as const;

/**
 * The record of the running system's boot; null when it was handed none. Everybody who could write the place it is read from
 * may have written it.
 *
 * @param root where the system is seen, for another one than the running
 * @throws Error, a sentence, when there is a record that cannot be read or is none
 */
export async function readHandoffRecord(root = "/"): Promise<HandoffRecord | null> {
  const found = findHanded(root, setupDataType.slipwayRecord, handedFiles.record, handoffRecordBytesMax);
  if (found === null) return null;
  try {
    return parseHandoffRecord(found.bytes);
  } catch (error) {
    throw new Error(`read ${found.place}: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * The TCG event log that the running system was handed; null when it was handed none.
 *
 * @param root as for {@link readHandoffRecord}
 * @throws Error, a sentence, when it cannot be read
 */
export async function readHandedEventLog(root = "/"): Promise<Uint8Array | null> {
  const { slipwayEventLog } = setupDataType;
  return findHanded(root, slipwayEventLog, handedFiles.eventLog, eventLogBytesMax)?.bytes ?? null;
}

interface Found {
  readonly place: string;
  readonly bytes: Uint8Array;
}

/**
 * Where setup data has a record, that boot's files are in it too: a file beside it is of somebody else. The same for each
 * directory.
 */
function findHanded(root: string, type: number, file: string, bytesMax: number): Found | null {
  const nodes = setupDataNodes(root);
  if (nodes.has(setupDataType.slipwayRecord)) {
    const place = nodes.get(type);
    return place === undefined ? null : readFound(place, bytesMax);
  }
  for (const directory of Object.values(handedDirectories)) {
    const at = path.join(root, directory);
    if (listKernelDirectory(at).includes(handedFiles.record)) return readFound(path.join(at, file), bytesMax);
  }
  return null;
}

function readFound(place: string, bytesMax: number): Found | null {
  const bytes = readKernelBytes(place, bytesMax);
  return bytes === null ? null : { place, bytes };
}

/** The payload's file of each type of setup data; the first of several. */
function setupDataNodes(root: string): ReadonlyMap<number, string> {
  const directory = path.join(root, setupDataDirectory);
  const numbers = listKernelDirectory(directory)
    .filter((name) => /^\d{1,4}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)
    .slice(0, setupDataItemsMax);
  const nodes = new Map<number, string>();
  for (const number of numbers) {
    const node = path.join(directory, `${number}`);
    const digits = /^0x([0-9a-f]{1,8})$/.exec(readKernelText(path.join(node, "type")) ?? "")?.[1];
    const type = digits === undefined ? null : Number.parseInt(digits, 16);
    if (type !== null && !nodes.has(type)) nodes.set(type, path.join(node, "data"));
  }
  return nodes;
}
