import { readFileSync } from "node:fs";
import path from "node:path";
import { parsePem } from "../../src/formats/pem.ts";
import { type Certificate, parseCertificate } from "../../src/formats/x509.ts";
import type { CertificateAnchor } from "../../src/trust/schemes/scheme.ts";
import { anchorOf } from "../../src/trust/schemes/x509-anchors.ts";

const directory = path.resolve(import.meta.dirname, "../data/signatures/cms");

/** A file of test/data/signatures/cms. */
export function cmsData(name: string): Uint8Array {
  return new Uint8Array(readFileSync(path.join(directory, name)));
}

/** Where it lies, for other programs. */
export function cmsPath(name: string): string {
  return path.join(directory, name);
}

/** The DER of `NAME.pem`. */
export function certificateDer(name: string): Uint8Array {
  return parsePem(cmsData(`${name}.pem`)).blocks[0]?.bytes ?? new Uint8Array();
}

export function certificateOf(name: string): Certificate {
  return parseCertificate(certificateDer(name));
}

export function certificateAnchor(name: string): CertificateAnchor {
  return anchorOf(name, certificateDer(name));
}

/** A private key of test/data/signatures/cms/keys, PEM. */
export function privateKeyPem(name: string): string {
  return readFileSync(path.join(directory, "keys", `${name}.key`), "utf8");
}

/** 2026-06-01, when the certificates are valid. */
export const fixtureTime = Date.UTC(2026, 5, 1);
