import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../../../src/formats/format-error.ts";
import { x509AnchorReader } from "../../../../src/trust/schemes/x509-anchors.ts";
import { certificateDer, cmsData, privateKeyPem } from "../../../fakes/certificates.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const pem = new TextDecoder().decode(cmsData("root.pem"));

function labels(bytes: Uint8Array): string[] {
  return x509AnchorReader.readAnchors("fleet", bytes).map((anchor) => {
    if (anchor.kind !== "x509") throw new Error("a certificate expected");
    return `${anchor.label} ${anchor.certificate.subjectText}`;
  });
}

describe("certificates", () => {
  test.each([
    ["PEM", cmsData("root.pem"), ["fleet CN=Acme Root,O=Acme"]],
    ["DER", cmsData("rsa.der"), ["fleet CN=rsa,O=Acme"]],
    ["two", cmsData("two.pem"), ["fleet CN=Acme Root,O=Acme", "fleet#2 CN=pinned"]],
    ["with openssl's text", cmsData("text.pem"), ["fleet CN=Acme Root,O=Acme"]],
    ["an older label", encode(pem.replaceAll("CERTIFICATE", "X509 CERTIFICATE")), ["fleet CN=Acme Root,O=Acme"]],
  ])("%s", (_what, bytes, wanted) => {
    expect(x509AnchorReader.recognises(bytes)).toBe(true);
    expect(labels(bytes)).toEqual(wanted);
  });

  test("the id is the SHA-256 of the DER", () => {
    const wanted = createHash("sha256").update(certificateDer("root")).digest("hex");
    expect(x509AnchorReader.readAnchors("a", cmsData("root.pem"))[0]?.id).toBe(wanted);
  });

  test.each([
    ["a key beside it", `${pem}${privateKeyPem("p256")}`, /^x509: line \d+: a private key does not belong here$/],
    [
      "OpenSSL's own form",
      pem.replaceAll("CERTIFICATE", "TRUSTED CERTIFICATE"),
      /^x509: line 1: "CERTIFICATE" expected, not "TRUSTED CERTIFICATE"$/,
    ],
    ["cut base64", pem.replace(/\n(?=-----END)/, "A\n"), /^pem: line 1: base64 in groups of 4 characters expected/],
    [
      "no certificate inside",
      pem.replace(/-\n[^-]+-/, "-\nMAMCAQE=\n-"),
      /^x509: offset 2, tbsCertificate: tag 0x30 expected, not 0x02$/,
    ],
  ])("%s is refused", (_what, text, message) => {
    const read = (): unknown => x509AnchorReader.readAnchors("a", encode(text));
    expect(x509AnchorReader.recognises(encode(text))).toBe(true);
    expect(read).toThrow(FormatError);
    expect(read).toThrow(message);
  });

  test("nothing at all is refused", () => {
    expect(() => x509AnchorReader.readAnchors("a", encode("text"))).toThrow(
      "x509: a certificate in DER or PEM expected",
    );
  });

  test("DER with trailing data is refused", () => {
    expect(() => x509AnchorReader.readAnchors("a", Uint8Array.from([...cmsData("rsa.der"), 0]))).toThrow(
      /nothing more expected$/,
    );
  });

  test.each([
    ["a signature", cmsData("rsa.p7s")],
    ["a signature in PEM", cmsData("cms.pem.p7s")],
    ["a private key", encode(privateKeyPem("p256"))],
    ["nothing", new Uint8Array()],
    ["text", encode("CERTIFICATE")],
  ])("%s is none", (_what, bytes) => {
    expect(x509AnchorReader.recognises(bytes)).toBe(false);
  });
});
