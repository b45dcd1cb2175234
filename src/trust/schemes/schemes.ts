import { minisignScheme } from "./minisign.ts";
import type { SignatureScheme } from "./scheme.ts";

/** Every kind of signature, in the order in which they are looked for. */
export const signatureSchemes: readonly SignatureScheme[] = [minisignScheme];
