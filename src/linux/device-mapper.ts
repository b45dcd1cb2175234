import { closeSync, constants, openSync } from "node:fs";
import { SyscallError } from "./errno.ts";
import type { Libc } from "./libc.ts";
import type { MappedDevice, MappingRequest, MappingTarget } from "./system.ts";

// linux/dm-ioctl.h: struct dm_ioctl, struct dm_target_spec, and the numbers _IOWR(0xfd, N, struct dm_ioctl).
const headerBytes = 312;
const targetBytes = 40;
const nameBytes = 128;
const uuidBytes = 129;
const typeBytes = 16;
const dataSizeAt = 12;
const dataStartAt = 16;
const targetCountAt = 20;
const flagsAt = 28;
const eventAt = 32;
const deviceAt = 40;
const nameAt = 48;
const uuidAt = 176;
const DM_DEV_CREATE = 0xc138fd03;
const DM_DEV_REMOVE = 0xc138fd04;
const DM_DEV_SUSPEND = 0xc138fd06;
const DM_TABLE_LOAD = 0xc138fd09;
const DM_READONLY_FLAG = 1;
const DM_DEFERRED_REMOVE = 1 << 17;
/** In the upper half of the event number: udev leaves the device alone (libdevmapper.h, DM_UDEV_DISABLE_*). */
const leftAloneByUdev = 0xf << 16;

export const mapperControl = "/dev/mapper/control";

/** The bytes of a request: its header, and for a table the targets behind it. Numbers in the machine's order, which is little-endian. */
export function encodeMapperRequest(
  name: string,
  options: { readonly uuid?: string; readonly flags?: number; readonly event?: number } = {},
  targets: readonly MappingTarget[] = [],
): Buffer {
  if (Buffer.byteLength(name) >= nameBytes) throw new Error(`map a device as "${name}": the name is too long`);
  const specs = targets.map(encodeTarget);
  const request = Buffer.concat([Buffer.alloc(headerBytes), ...specs]);
  // The interface's version; the kernel answers with its own.
  request.writeUInt32LE(4, 0);
  request.writeUInt32LE(request.length, dataSizeAt);
  request.writeUInt32LE(headerBytes, dataStartAt);
  request.writeUInt32LE(targets.length, targetCountAt);
  request.writeUInt32LE(options.flags ?? 0, flagsAt);
  request.writeUInt32LE(options.event ?? 0, eventAt);
  request.write(name, nameAt);
  request.write((options.uuid ?? "").slice(0, uuidBytes - 1), uuidAt);
  return request;
}

/** Start, length, status, distance to the next one, type; then the parameters, NUL, and up to a multiple of 8. */
function encodeTarget({ start, sectors, type, parameters }: MappingTarget): Buffer {
  if (Buffer.byteLength(type) >= typeBytes) throw new Error(`map a device: target "${type}" is no name of a target`);
  const length = (targetBytes + Buffer.byteLength(parameters) + 1 + 7) & ~7;
  const spec = Buffer.alloc(length);
  spec.writeBigUInt64LE(BigInt(start), 0);
  spec.writeBigUInt64LE(BigInt(sectors), 8);
  spec.writeUInt32LE(length, 20);
  spec.write(type, 24);
  spec.write(parameters, targetBytes);
  return spec;
}

/** A device number as the kernel hands it out (linux/kdev_t.h, new_encode_dev). */
export function decodeDeviceNumber(device: number): MappedDevice {
  const major = (device >>> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
  return { devno: `${major}:${minor}`, name: `dm-${minor}` };
}

export async function createMapping(libc: Libc, request: MappingRequest): Promise<MappedDevice> {
  return withControl(async (control) => {
    const { name, uuid, targets } = request;
    const created = encodeMapperRequest(name, { uuid });
    await ask(libc, control, DM_DEV_CREATE, created, [name, "DM_DEV_CREATE"]);
    try {
      const table = encodeMapperRequest(name, { flags: DM_READONLY_FLAG }, targets);
      await ask(libc, control, DM_TABLE_LOAD, table, [name, "DM_TABLE_LOAD", describe(targets)]);
      const resume = encodeMapperRequest(name, { flags: DM_READONLY_FLAG, event: leftAloneByUdev });
      await ask(libc, control, DM_DEV_SUSPEND, resume, [name, "DM_DEV_SUSPEND"]);
      return decodeDeviceNumber(created.readUInt32LE(deviceAt));
    } catch (error) {
      await remove(libc, control, name).catch(() => {});
      throw error;
    }
  });
}

export async function removeMapping(libc: Libc, name: string): Promise<void> {
  await withControl((control) => remove(libc, control, name));
}

async function remove(libc: Libc, control: number, name: string): Promise<void> {
  const request = encodeMapperRequest(name, { flags: DM_DEFERRED_REMOVE, event: leftAloneByUdev });
  try {
    await ask(libc, control, DM_DEV_REMOVE, request, [name, "DM_DEV_REMOVE"]);
  } catch (error) {
    if (!(error instanceof SyscallError && error.code === "ENXIO")) throw error;
  }
}

async function withControl<T>(work: (control: number) => Promise<T>): Promise<T> {
  const control = openSync(mapperControl, constants.O_RDWR);
  try {
    return await work(control);
  } finally {
    closeSync(control);
  }
}

/** On a thread: a table waits for the devices that it is made of. */
async function ask(
  libc: Libc,
  control: number,
  command: number,
  request: Buffer,
  shown: readonly string[],
): Promise<void> {
  await libc.callAsync("ioctl", [control, command, request], shown);
}

/** Enough of a table to know it by. */
function describe(targets: readonly MappingTarget[]): string {
  const [first] = targets;
  const more = targets.length > 1 ? ` and ${targets.length - 1} more` : "";
  return first === undefined ? "nothing" : `${first.type} ${first.parameters}${more}`;
}
