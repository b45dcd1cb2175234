import { efiVariableBytesMax, parseEfiVariableFileName } from "../formats/efi-variable.ts";
import { messageOf } from "../formats/error-text.ts";
import { FormatError, quote } from "../formats/format-error.ts";
import { hexadecimal } from "../formats/hexadecimal.ts";
import { readEfiVariable } from "../machine/efi-variable-file.ts";
import { efiVariablesDirectory } from "../machine/efi-variables.ts";
import { isVpdName, readVpd, type VpdRegion, vpdDirectory } from "../machine/vpd.ts";

/** Largest policy document that is taken from the firmware's memory, bytes: the largest EFI variable that is taken. */
export const policyDocumentBytesMax = efiVariableBytesMax - 4;

/** Where a policy document may stand beside the boot image. */
export type PolicySource =
  | { readonly kind: "efi"; readonly name: string; readonly vendor: string }
  | { readonly kind: "vpd"; readonly region: VpdRegion; readonly name: string };

/** Bits of a variable's attributes (UEFI 2.10, section 8.2, GetVariable()). */
const nonVolatile = 0x01;
const authenticatedWriteAccess = 0x10;
const timeBasedAuthenticatedWriteAccess = 0x20;
const enhancedAuthenticatedAccess = 0x80;

const format = "policy source";

/**
 * `efi:NAME-GUID`, `vpd:ro/NAME` or `vpd:rw/NAME`.
 *
 * @throws FormatError for anything else
 */
export function parsePolicySource(text: string): PolicySource {
  const [, kind, place = ""] = /^(efi|vpd):(.*)$/s.exec(text) ?? [];
  if (kind === "efi") {
    const variable = parseEfiVariableFileName(place);
    if (variable !== null && /^[A-Za-z0-9_.-]+$/.test(variable.name)) return { kind, ...variable };
    throw new FormatError(format, `${quote(text)}, "efi:NAME-GUID" expected, the name of letters, digits and "_.-"`);
  }
  if (kind === "vpd") {
    const [, region, name = ""] = /^(ro|rw)\/(.*)$/s.exec(place) ?? [];
    if ((region === "ro" || region === "rw") && isVpdName(name)) return { kind, region, name };
    throw new FormatError(
      format,
      `${quote(text)}, "vpd:ro/NAME" or "vpd:rw/NAME" expected, the name of letters, digits and "_"`,
    );
  }
  throw new FormatError(format, `${quote(text)}, "efi:NAME-GUID", "vpd:ro/NAME" or "vpd:rw/NAME" expected`);
}

/** As {@link parsePolicySource} takes it. */
export function policySourceText(source: PolicySource): string {
  return source.kind === "efi" ? `efi:${source.name}-${source.vendor}` : `vpd:${source.region}/${source.name}`;
}

export interface PolicyDocument {
  /** The signed document as it stands there, not yet believed; null when there is none or it is refused. */
  readonly untrustedBytes: Uint8Array | null;
  /** Why what stands there is refused, as a sentence without a full stop; null when nothing is there or it is taken. */
  readonly reason: string | null;
}

/** Where the running kernel shows what the firmware keeps. */
export interface PolicyPlaces {
  readonly efiVariables: string;
  readonly vpd: string;
}

export const policyPlaces: PolicyPlaces = { efiVariables: efiVariablesDirectory, vpd: vpdDirectory };

/**
 * Reads a policy document. Never throws. The bytes are as good as any stranger's until a signature by a key for policies
 * was checked: an EFI variable of that kind cannot be changed without the key of whoever made it, but anybody who runs as
 * root may be the first to make one.
 */
export function readPolicyDocument(source: PolicySource, places: PolicyPlaces = policyPlaces): PolicyDocument {
  const what = policySourceText(source);
  try {
    const bytes = source.kind === "efi" ? readFromVariable(source, places) : readFromVpd(source, places);
    if (bytes === null) return { untrustedBytes: null, reason: null };
    if (bytes.length === 0) return { untrustedBytes: null, reason: `policy ${what}: it is empty` };
    return { untrustedBytes: bytes, reason: null };
  } catch (error) {
    return { untrustedBytes: null, reason: `policy ${what}: ${messageOf(error)}` };
  }
}

function readFromVariable(
  { name, vendor }: Extract<PolicySource, { kind: "efi" }>,
  places: PolicyPlaces,
): Uint8Array | null {
  const variable = readEfiVariable(name, vendor, places.efiVariables);
  if (variable === null) return null;
  const { attributes } = variable;
  if ((attributes & timeBasedAuthenticatedWriteAccess) === 0) {
    const kind =
      (attributes & enhancedAuthenticatedAccess) !== 0
        ? "ENHANCED_AUTHENTICATED_ACCESS, which is not taken"
        : (attributes & authenticatedWriteAccess) !== 0
          ? "AUTHENTICATED_WRITE_ACCESS, which is withdrawn"
          : "no authentication, so that whoever runs as root may change it";
    throw new Error(
      `attributes ${hexadecimal(attributes)} with ${kind}; TIME_BASED_AUTHENTICATED_WRITE_ACCESS (0x20) expected`,
    );
  }
  if ((attributes & nonVolatile) === 0) {
    throw new Error(`attributes ${hexadecimal(attributes)} of a volatile variable; NON_VOLATILE (0x1) expected`);
  }
  return variable.data;
}

function readFromVpd(
  { region, name }: Extract<PolicySource, { kind: "vpd" }>,
  places: PolicyPlaces,
): Uint8Array | null {
  return readVpd(region, name, policyDocumentBytesMax, places.vpd);
}
