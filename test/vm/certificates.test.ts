import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { globSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { slipwayExecutable } from "./image.ts";
import {
  changed,
  directory,
  expectVerdicts,
  type Files,
  fixture,
  message,
  noMatch,
  of,
  type Row,
  type Trust,
  useScratch,
  verdictText,
  verify,
  Workshop,
  withMore,
  withoutEnd,
} from "./signing-tools.ts";

// Certificates and what is signed with them, as the real tools make now, judged by the executable: what is good, and what has to be refused, each
// with its own reason. Tools that take a time get one of the past, so that nothing here depends on the day.

useScratch();

/** Certificates as openssl makes them, with periods of the past and the future, and keys of several kinds. */
class Authority {
  readonly made = new Workshop({
    "ca.cnf": [
      "[ca]",
      "default_ca = d",
      "[d]",
      "database = index",
      "new_certs_dir = .",
      "serial = serial",
      "unique_subject = no",
      "policy = p",
      "[p]",
      "commonName = supplied",
      "[req]",
      "distinguished_name = n",
      "[n]",
      "",
    ].join("\n"),
    index: "",
    serial: "1000\n",
  });

  async key(name: string, ...words: readonly string[]): Promise<void> {
    await this.made.run("openssl", ["genpkey", "-quiet", ...words, "-out", `${name}.key`]);
  }

  /** NAME.pem and NAME.der, for the key NAME.key or another one. */
  async certificate(
    name: string,
    issuer: string,
    extensions: readonly string[],
    { key = name, start = "20240101000000Z", end = "20990101000000Z", digest = "sha256" } = {},
  ): Promise<void> {
    const { made } = this;
    made.write("extensions", ["[e]", ...extensions, ""].join("\n"));
    const request = [
      "req",
      "-new",
      "-config",
      "ca.cnf",
      "-key",
      `${key}.key`,
      "-subj",
      `/CN=${name}`,
      "-out",
      "request",
    ];
    await made.run("openssl", request);
    const by =
      issuer === name
        ? ["-selfsign", "-keyfile", `${key}.key`]
        : ["-keyfile", `${issuer}.key`, "-cert", `${issuer}.pem`];
    await made.run("openssl", [
      ...["ca", "-batch", "-notext", "-config", "ca.cnf", "-in", "request", "-out", `${name}.pem`, ...by],
      ...["-md", digest, "-startdate", start, "-enddate", end, "-extfile", "extensions", "-extensions", "e"],
    ]);
    await made.run("openssl", ["x509", "-in", `${name}.pem`, "-outform", "DER", "-out", `${name}.der`]);
  }
}

const forCertificates = [
  "basicConstraints = critical, CA:true",
  "keyUsage = critical, keyCertSign, cRLSign",
  "subjectKeyIdentifier = hash",
];
const forCode = ["keyUsage = critical, digitalSignature", "extendedKeyUsage = codeSigning"];
const forServers = ["keyUsage = critical, digitalSignature", "extendedKeyUsage = serverAuth"];
const rsa2048 = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

/** A root, an authority below it, and whoever signs below that. */
async function authority(): Promise<Authority> {
  const by = new Authority();
  await by.key("root", ...rsa2048);
  await by.key("middle", ...p256);
  await by.key("release", ...rsa2048);
  await by.key("curve", ...p256);
  await by.key("stranger", ...p256);
  await by.certificate("root", "root", forCertificates);
  await by.certificate("middle", "root", forCertificates);
  await by.certificate("release", "middle", forCode);
  await by.certificate("curve", "middle", forCode);
  await by.certificate("server", "middle", forServers, { key: "curve" });
  await by.certificate("stranger", "stranger", forCode);
  const past = { key: "curve", start: "20200101000000Z", end: "20210101000000Z" };
  await by.certificate("expired", "middle", forCode, past);
  return by;
}

let shared: Promise<Authority> | null = null;
/** Made once, when the first asks. */
function sharedAuthority(): Promise<Authority> {
  shared ??= authority();
  return shared;
}

describe("CMS", () => {
  let made: Workshop;
  let root: Trust;
  beforeAll(async () => {
    const by = await sharedAuthority();
    made = by.made;
    root = { keys: { "root.pem": made.read("root.pem") } };
    await by.key("pss", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048");
    await by.certificate("pss", "middle", forCode);
    await by.certificate("open", "middle", [], { key: "curve" });
    await by.certificate("future", "middle", forCode, { key: "curve", start: "20900101000000Z" });
    await by.certificate("sha1", "middle", forCode, { key: "curve", digest: "sha1" });
    const sign = (output: string, signer: string, words: readonly string[] = [], key = signer): Promise<string> =>
      made.run("openssl", [
        ...["cms", "-sign", "-binary", "-in", "message", "-signer", `${signer}.pem`, "-inkey", `${key}.key`],
        ...["-certfile", "middle.pem", "-outform", "DER", "-out", output, ...words],
      ]);
    await sign("rsa.p7s", "release");
    await sign("plain.p7s", "release", ["-noattr"]);
    await sign("pss.p7s", "release", ["-keyopt", "rsa_padding_mode:pss"]);
    await sign("pss-key.p7s", "pss", ["-keyopt", "rsa_padding_mode:pss"]);
    await sign("ecdsa.p7s", "curve", ["-md", "sha512"]);
    await sign("pem.p7s", "curve", ["-outform", "PEM"]);
    await sign("stranger.p7s", "stranger");
    for (const name of ["server", "open", "expired", "future", "sha1"]) await sign(`${name}.p7s`, name, [], "curve");
    await sign("digest-sha1.p7s", "release", ["-md", "sha1"]);
    await sign("digest-md5.p7s", "release", ["-md", "md5"]);
    await sign("enclosing.p7s", "curve", ["-nodetach"]);
    await sign("two.p7s", "curve", ["-signer", "release.pem", "-inkey", "release.key"]);
  });

  it("good ones, and what is wrong with others", () => {
    const good = made.read("rsa.p7s");
    const pem = made.text("pem.p7s");
    const p7s = (name: string): Files => ({ ".p7s": made.read(`${name}.p7s`) });
    expectVerdicts(root, {
      RSA: [p7s("rsa"), "by root: CN=release"],
      "without attributes": [p7s("plain"), "by root: CN=release"],
      "RSA-PSS": [p7s("pss"), "by root: CN=release"],
      "RSA-PSS by such a key": [p7s("pss-key"), "by root: CN=pss"],
      ECDSA: [p7s("ecdsa"), "by root: CN=curve"],
      PEM: [{ ".cms": pem }, "by root: CN=curve"],
      "wrong key": [p7s("stranger"), '/file.p7s: certificate "CN=stranger" is issued by itself, which is not trusted'],
      "another file": [p7s("rsa"), `/file.p7s: ${noMatch}`, "another"],
      expired: [p7s("expired"), '/file.p7s: certificate "CN=expired" expired on 2021-01-01T00:00:00Z'],
      "for servers": [
        p7s("server"),
        '/file.p7s: certificate "CN=server" is for server authentication, not for code signing',
      ],
      "for nothing said": [p7s("open"), '/file.p7s: certificate "CN=open" does not say that it is for code signing'],
      "SHA-1": [p7s("digest-sha1"), "/file.p7s: the signature is made with SHA-1, which is too weak"],
      MD5: [p7s("digest-md5"), "/file.p7s: the signature is made with MD5, which is too weak"],
      "SHA-1 in the certificate": [
        p7s("sha1"),
        '/file.p7s: the signature of certificate "CN=sha1" is made with SHA-1, which is too weak',
      ],
      enclosing: [
        p7s("enclosing"),
        "/file.p7s: cms: the signature encloses a content, one that stands beside its file is expected",
      ],
      truncated: [
        { ".p7s": withoutEnd(good, 20) },
        `/file.p7s: cms: offset 0, ContentInfo: ${good.length} byte(s) expected, the input ends at ${good.length - 20}`,
      ],
      "trailing data": [
        { ".p7s": withMore(good, "more") },
        `/file.p7s: cms: offset ${good.length}, ContentInfo: nothing more expected`,
      ],
      "trailing data behind PEM": [
        { ".cms": `${pem}more\n` },
        `/file.cms: cms: line ${pem.split("\n").length}: nothing but signatures expected`,
      ],
    });
  });

  it("not valid yet, by a clock that is set and by one that is not", () => {
    const at = (said: string): Record<string, Row> => ({ it: [{ ".p7s": made.read("future.p7s") }, said] });
    const beginning = '/file.p7s: certificate "CN=future" is not valid before 2090-01-01T00:00:00Z, and it is ';
    const results = verify(root, [
      path.join(directory({ file: message, "file.p7s": made.read("future.p7s") }), "file"),
    ]);
    const [said] = results.map((result) => verdictText(result, "file"));
    expect(said?.slice(0, beginning.length)).toBe(beginning);
    // Of a clock that is behind what is known for certain, beginnings are not held against anything.
    expectVerdicts({ ...root, policy: { clock: { atLeast: "2089-01-01" } } }, at("by root: CN=future"));
  });

  it("what is trusted: the root, one between, the signer itself; one signer and two", () => {
    const signed: Files = { ".p7s": made.read("ecdsa.p7s") };
    const trust = (name: string): Trust => ({ keys: { [`${name}.crt`]: made.read(`${name}.der`) } });
    expectVerdicts(trust("middle"), { it: [signed, "by middle: CN=curve"] });
    expectVerdicts(trust("curve"), { it: [signed, "by curve"] });
    expectVerdicts(trust("stranger"), {
      it: [signed, '/file.p7s: certificate "CN=middle" is issued by "CN=root", which is not trusted'],
    });
    expectVerdicts(
      { ...root, policy: of("root.pem", { revoked: true }) },
      { it: [signed, '/file.p7s: signed by "root: CN=curve", whose key the policy has revoked'] },
    );
    const different = "2 different signers expected, not 1";
    expectVerdicts(
      { ...root, policy: { threshold: 2 } },
      {
        two: [{ ".p7s": made.read("two.p7s") }, "by root: CN=curve and root: CN=release"],
        "two files": [
          { ".p7s": made.read("ecdsa.p7s"), ".cms": made.read("rsa.p7s") },
          "by root: CN=curve and root: CN=release",
        ],
        twice: [
          { ".p7s": made.read("ecdsa.p7s"), ".cms": made.read("pem.p7s") },
          `signed by root: CN=curve: ${different}`,
        ],
      },
    );
  });

  it("a key that OpenSSH and X.509 share is one signer", async () => {
    made.write("release.key.pub", await made.run("ssh-keygen", ["-y", "-f", "release.key"]));
    const words = ["-q", "-Y", "sign", "-f", "release.key", "-n", "file"];
    const signatures = { ".p7s": made.read("rsa.p7s"), ".sig": await made.run("ssh-keygen", words, message) };
    const keys = { ...root.keys, "ssh.pub": made.read("release.key.pub") };
    expectVerdicts({ keys }, { it: [signatures, "by ssh and root: CN=release"] });
    expectVerdicts(
      { keys, policy: { threshold: 2 } },
      { it: [signatures, "signed by ssh and root: CN=release: 2 different signers expected, not 1"] },
    );
  });
});

describe("Authenticode", () => {
  let made: Workshop;
  let root: Trust;
  beforeAll(async () => {
    ({ made } = await sharedAuthority());
    root = { keys: { "root.pem": made.read("root.pem") } };
    made.write("plain.efi", fixture("signatures/authenticode/plain.efi"));
    const sbsign = (signer: string, input: string, output: string, key = signer): Promise<string> =>
      made.run("sbsign", [
        ...["--key", `${key}.key`, "--cert", `${signer}.pem`, "--addcert", "middle.pem", "--output", output, input],
      ]);
    await sbsign("release", "plain.efi", "release.efi");
    await sbsign("release", "release.efi", "twice.efi");
    await sbsign("stranger", "plain.efi", "stranger.efi");
    await sbsign("curve", "release.efi", "two.efi");
    await sbsign("expired", "plain.efi", "expired.efi", "curve");
    made.write("chain.pem", `${made.text("release.pem")}${made.text("middle.pem")}`);
    for (const digest of ["sha1", "md5", "sha256", "sha384"]) {
      await made.run("osslsigncode", [
        ...["sign", "-certs", "chain.pem", "-key", "release.key", "-h", digest],
        ...["-in", "plain.efi", "-out", `${digest}.efi`],
      ]);
    }
    const owner = ["--owner", "3d0f95c1-3a8b-4b6b-9f3e-0a5f0b1c2d3e"];
    await made.run("sbsiglist", [...owner, "--type", "x509", "--output", "release.dbx", "release.der"]);
    await made.run("sbsiglist", [...owner, "--type", "x509", "--output", "root.esl", "root.der"]);
  });

  const image = (name: string, said: string): Row => [{}, said, made.read(name)];

  it("good ones, and what is wrong with others", () => {
    const inside = "inside it (authenticode): ";
    const good = made.read("release.efi");
    const end = good.length;
    expectVerdicts(root, {
      sbsign: image("release.efi", "by root: CN=release"),
      osslsigncode: image("sha256.efi", "by root: CN=release"),
      "SHA-384": image("sha384.efi", "by root: CN=release"),
      "an expired certificate, as firmware sees it": image("expired.efi", "by root: CN=expired"),
      "two signatures": image("two.efi", "by root: CN=release and root: CN=curve"),
      unsigned: image("plain.efi", "no signature"),
      "wrong key": image(
        "stranger.efi",
        `${inside}certificate "CN=stranger" is issued by itself, which is not trusted`,
      ),
      "SHA-1": image("sha1.efi", `${inside}the signature is made with SHA-1, which is too weak`),
      MD5: image("md5.efi", `${inside}the signature is made with MD5, which is too weak`),
      "a changed byte": [{}, `${inside}the signature does not match the image`, changed(good, 0x400)],
      truncated: [
        {},
        `${inside}pe: offset 232, Certificate Table: bytes 2048 to ${end} leave what is behind the headers, 1024 to ${end - 8}`,
        withoutEnd(good, 8),
      ],
      "trailing data": [
        {},
        `${inside}authenticode: offset 232, Certificate Table: the table ends at ${end}, the file's end at ${end + 8} expected`,
        withMore(good, "12345678"),
      ],
    });
  });

  it("what is trusted, what is taken back, one signer twice", () => {
    expectVerdicts({ keys: { "db.esl": made.read("root.esl") } }, { it: image("release.efi", "by db: CN=release") });
    expectVerdicts(
      { keys: { ...root.keys, "lost.dbx": made.read("release.dbx") } },
      {
        it: image("release.efi", 'inside it (authenticode): certificate "CN=release" is revoked'),
        other: image("expired.efi", "by root: CN=expired"),
      },
    );
    expectVerdicts(
      { ...root, policy: { threshold: 2 } },
      {
        twice: image("twice.efi", "signed by root: CN=release: 2 different signers expected, not 1"),
        two: image("two.efi", "by root: CN=release and root: CN=curve"),
      },
    );
    expectVerdicts({ ...root, policy: { evidence: ["detached"] } }, { it: image("release.efi", "no signature") });
  });
});

/** The kernel's own program, of whatever version the machine has. */
const [signFile] = [
  ...globSync("/usr/lib/linux-kbuild-*/scripts/sign-file"),
  ...globSync("/usr/src/linux-headers-*/scripts/sign-file"),
];

describe.skipIf(signFile === undefined)("sign-file", () => {
  let made: Workshop;
  let release: Trust;
  beforeAll(async () => {
    ({ made } = await sharedAuthority());
    release = { keys: { "release.pem": made.read("release.pem") } };
    const sign = (signer: string, digest: string, output: string, key = signer): Promise<string> =>
      made.run(signFile ?? "", [digest, `${key}.key`, `${signer}.pem`, "message", output]);
    await sign("release", "sha256", "appended");
    await sign("release", "sha512", "appended-sha512");
    await sign("release", "sha1", "appended-sha1");
    await sign("release", "md5", "appended-md5");
    await sign("stranger", "sha256", "appended-stranger");
    await sign("server", "sha256", "appended-server", "curve");
    await sign("expired", "sha256", "appended-expired", "curve");
  });

  const file = (name: string, said: string): Row => [{}, said, made.read(name)];

  it("good ones, and what is wrong with others", async () => {
    const good = made.read("appended");
    const inside = "inside it (appended): ";
    const shown = await made.run("openssl", ["x509", "-in", "stranger.pem", "-noout", "-serial"]);
    const stranger = shown.trim().replace("serial=", "").toLowerCase();
    expectVerdicts(release, {
      "SHA-256": file("appended", "by release"),
      "SHA-512": file("appended-sha512", "by release"),
      "wrong key": file(
        "appended-stranger",
        `${inside}the signer's certificate (serial number ${stranger}) is neither enclosed nor trusted`,
      ),
      "SHA-1": file("appended-sha1", `${inside}the signature is made with SHA-1, which is too weak`),
      MD5: file("appended-md5", `${inside}the signature is made with MD5, which is too weak`),
      "a changed byte": [{}, `${inside}${noMatch}`, changed(good, 3)],
      "cut in the middle": [
        {},
        `${inside}cms: offset 0, ContentInfo: tag 0x30 expected, not 0x65`,
        Buffer.concat([good.subarray(0, 40), good.subarray(60)]),
      ],
      // Without its last byte it is a file like any other.
      truncated: [{}, "no signature", withoutEnd(good, 1)],
      "trailing data": [
        {},
        `${inside}appended signature: offset ${good.length}: 1 byte(s) behind the signature, which has to be the file's end`,
        withMore(good, "\n"),
      ],
    });
    const policy = of("release.pem", { revoked: true });
    const revoked = `${inside}signed by "release", whose key the policy has revoked`;
    expectVerdicts({ ...release, policy }, { it: file("appended", revoked) });
    expectVerdicts(
      { ...release, policy: { threshold: 2 } },
      { it: file("appended", "signed by release: 2 different signers expected, not 1") },
    );
    expectVerdicts(
      { keys: { "expired.pem": made.read("expired.pem") } },
      { it: file("appended-expired", "by expired") },
    );
    const server = `${inside}certificate "CN=server" is for server authentication, not for code signing`;
    expectVerdicts({ keys: { "server.pem": made.read("server.pem") } }, { it: file("appended-server", server) });
  });
});

describe("OS packages", () => {
  let made: Workshop;
  const archive = fixture("os-package/acme-1.2.zip");
  const signers = ["alice", "bob", "expired-signer", "agreeing", "mallory"] as const;
  beforeAll(async () => {
    const by = await sharedAuthority();
    made = by.made;
    for (const name of ["roots", "foreign", ...signers]) await by.key(name, "-algorithm", "ED25519");
    await by.certificate("roots", "roots", forCertificates);
    await by.certificate("foreign", "foreign", forCertificates);
    const forSignatures = ["keyUsage = critical, digitalSignature"];
    await by.certificate("alice", "roots", forSignatures);
    await by.certificate("bob", "roots", forSignatures);
    const past = { start: "20200101000000Z", end: "20210101000000Z" };
    await by.certificate("expired-signer", "roots", forSignatures, past);
    await by.certificate("agreeing", "roots", ["keyUsage = critical, keyAgreement"]);
    await by.certificate("mallory", "foreign", forSignatures);
    made.write("digest", createHash("sha256").update(archive).digest());
    for (const name of signers) {
      const words = ["-sign", "-inkey", `${name}.key`, "-rawin", "-in", "digest", "-out", `${name}.signature`];
      await made.run("openssl", ["pkeyutl", ...words]);
    }
  });

  /** As stmgr writes it. */
  function descriptor(...names: readonly string[]): string {
    return JSON.stringify({
      version: 1,
      os_pkg_url: "",
      certificates: names.map((name) => Buffer.from(made.read(`${name}.pem`)).toString("base64")),
      signatures: names.map((name) => Buffer.from(made.read(`${name}.signature`)).toString("base64")),
    });
  }

  function judge(text: string, policy: Record<string, unknown> = {}, content: Uint8Array = archive): string {
    const trust = { keys: { "root.pem": made.read("roots.pem") }, policy };
    const volume = directory({ "ospkg/acme.json": text, "ospkg/acme.zip": content });
    const [result] = verify(trust, ["--root", volume, "acme"]);
    if (result === undefined) throw new Error("a result expected");
    return verdictText(result, "linux");
  }

  /** Why a package is no entry. */
  function skipped(text: string, content: Uint8Array = archive): string {
    const volume = directory({ "ospkg/acme.json": text, "ospkg/acme.zip": content });
    const { status, stdout } = spawnSync(slipwayExecutable, ["explain", "--root", volume], { encoding: "utf8" });
    // Of the public contract: nothing to boot.
    expect(status).toBe(3);
    return /Skipped:\n.*\n *(.*)\n/.exec(stdout)?.[1] ?? stdout;
  }

  it("what is no package", () => {
    const good = descriptor("alice");
    // What JSON.parse says is the runtime's; it has quotes and may be cut.
    const json = "OS package descriptor: JSON expected: ";
    expect(skipped(good.slice(0, -1)).slice(0, json.length)).toBe(json);
    expect(skipped(`${good}more`).slice(0, json.length)).toBe(json);
    const end = "zip: the end of a central directory expected at the end of the file";
    expect(skipped(good, withoutEnd(archive, 5))).toBe(`the archive "/ospkg/acme.zip": ${end}`);
    expect(skipped(good, withMore(archive, "more"))).toBe(`the archive "/ospkg/acme.zip": ${end}`);
  });

  it("good ones, and what is wrong with others", () => {
    const good = descriptor("alice");
    const expectSaid = (said: string, text: string, policy: Record<string, unknown> = {}, content = archive): void =>
      expect(judge(text, policy, content)).toBe(said);
    const two = { threshold: 2 };
    const where = "/ospkg/acme.json: ";
    expectSaid("by root: CN=alice", good);
    expectSaid("by root: CN=alice and root: CN=bob", descriptor("alice", "bob"), two);
    expectSaid("signed by root: CN=alice: 2 different signers expected, not 1", descriptor("alice", "alice"), two);
    const foreign = 'certificate "CN=mallory" is issued by "CN=foreign", which is not trusted';
    expectSaid(`${where}${foreign}`, descriptor("mallory"));
    const expired = 'certificate "CN=expired-signer" expired on 2021-01-01T00:00:00Z';
    expectSaid(`${where}${expired}`, descriptor("expired-signer"));
    const agreeing = "its certificate is not for signatures: its key usage lacks digitalSignature";
    expectSaid(`${where}${agreeing}`, descriptor("agreeing"));
    const revoked = of("root.pem", { revoked: true });
    expectSaid(`${where}signed by "root: CN=alice", whose key the policy has revoked`, good, revoked);
    expectSaid(`${where}it does not match the archive`, good, {}, fixture("os-package/infozip.zip"));
    const short = good.replace(/"signatures":\["..../, '"signatures":["');
    expectSaid(`${where}64 bytes of Ed25519 signature expected, found 61`, short);
  });
});
