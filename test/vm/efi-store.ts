import { readFile } from "node:fs/promises";

// Variables in the flash of OVMF, put there from outside, as somebody does who has run a system on the machine before
// (edk2, MdeModulePkg/Include/Guid/VariableFormat.h; little-endian throughout).

/** A variable that is to be there. */
export interface EfiVariable {
  readonly name: string;
  readonly vendor: string;
  /** UEFI 2.10, section 8.2: 7 is non-volatile, for boot services and at run time; 0x20 with authenticated writes. */
  readonly attributes: number;
  readonly data: Uint8Array;
}

/** OVMF's code and empty variables, which fit together. */
export const ovmfCode = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const ovmfVariables = "/usr/share/OVMF/OVMF_VARS_4M.fd";

const authenticatedStore = "aaf32c78-947b-439a-a180-2e144ec37792";
/** VARIABLE_STORE_HEADER: GUID, size, format, state, reserved. */
const storeHeaderBytes = 28;
const startOfVariable = 0x55aa;
const variableAdded = 0x3f;
/** AUTHENTICATED_VARIABLE_HEADER */
const variableHeaderBytes = 60;

/** The variables' half of OVMF's flash with these in it. */
export async function efiVariableStore(variables: readonly EfiVariable[]): Promise<Buffer> {
  const flash = await readFile(ovmfVariables);
  const store = flash.indexOf(guidBytes(authenticatedStore));
  if (store < 0) throw new Error(`look for variables in "${ovmfVariables}": an authenticated store expected`);
  let free = store + storeHeaderBytes;
  while (flash.readUInt16LE(free) === startOfVariable) {
    free = aligned(free + variableHeaderBytes + flash.readUInt32LE(free + 36) + flash.readUInt32LE(free + 40));
  }
  for (const variable of variables) {
    const bytes = variableBytes(variable);
    bytes.copy(flash, free);
    free = aligned(free + bytes.length);
  }
  return flash;
}

function variableBytes({ name, vendor, attributes, data }: EfiVariable): Buffer {
  const text = Buffer.from(`${name}\0`, "utf16le");
  const header = Buffer.alloc(variableHeaderBytes);
  header.writeUInt16LE(startOfVariable, 0);
  header.writeUInt8(variableAdded, 2);
  header.writeUInt32LE(attributes, 4);
  header.writeUInt32LE(text.length, 36);
  header.writeUInt32LE(data.length, 40);
  guidBytes(vendor).copy(header, 44);
  return Buffer.concat([header, text, data]);
}

/** Three numbers in little-endian order, then eight bytes (UEFI 2.10, appendix A). */
function guidBytes(text: string): Buffer {
  const digits = text.replaceAll("-", "");
  const part = (from: number, to: number): Buffer => Buffer.from(digits.slice(from, to), "hex");
  return Buffer.concat([part(0, 8).reverse(), part(8, 12).reverse(), part(12, 16).reverse(), part(16, 32)]);
}

function aligned(offset: number): number {
  return Math.ceil(offset / 4) * 4;
}
