import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { slipwayExecutable } from "./image.ts";
import {
  directory,
  expectVerdicts,
  type Files,
  message,
  noMatch,
  of,
  ownLists,
  type Row,
  type Trust,
  useScratch,
  verdictText,
  verify,
  Workshop,
  withMore,
  withoutEnd,
} from "./signing-tools.ts";

// Keys and signatures that the real tools make now, judged by the executable: what is good, and what has to be refused, each
// with its own reason. Tools that take a time get one of the past, so that nothing here depends on the day.

useScratch();

describe("minisign", () => {
  let made: Workshop;
  let release: Trust;
  beforeAll(async () => {
    made = new Workshop();
    for (const name of ["release", "stranger"]) {
      await made.run("minisign", ["-G", "-W", "-p", `${name}.pub`, "-s", `${name}.key`]);
      await made.run("minisign", ["-S", "-W", "-s", `${name}.key`, "-m", "message", "-x", `${name}.minisig`]);
    }
    await made.run("minisign", ["-S", "-l", "-W", "-s", "release.key", "-m", "message", "-x", "legacy.minisig"]);
    release = { keys: { "release.pub": made.read("release.pub") } };
  });

  it("good ones, and what is wrong with others", () => {
    const good = made.read("release.minisig");
    const text = made.text("release.minisig");
    const [, stranger] = /public key ([0-9A-F]{16})/.exec(made.text("stranger.pub")) ?? [];
    expectVerdicts(release, {
      prehashed: [{ ".minisig": good }, "by release"],
      legacy: [{ ".minisig": made.read("legacy.minisig") }, "by release"],
      "under another name": [{ ".sig": good }, "by release"],
      "wrong key": [
        { ".minisig": made.read("stranger.minisig") },
        `/file.minisig: made with key ${stranger}, which is not trusted`,
      ],
      "another file": [{ ".minisig": good }, `/file.minisig: ${noMatch}`, "another"],
      "changed comment": [
        { ".minisig": text.replace("trusted comment: timestamp", "trusted comment: Timestamp") },
        "/file.minisig: the signature's trusted comment was changed",
      ],
      truncated: [
        { ".minisig": withoutEnd(good, 60) },
        "/file.minisig: minisign signature: line 4: 88 characters of base64 expected, not 29",
      ],
      "without its last line": [
        { ".minisig": text.split("\n").slice(0, 3).join("\n") },
        "/file.minisig: minisign signature: line 4: the file ends before this line",
      ],
      "trailing data": [
        { ".minisig": withMore(good, "more\n") },
        "/file.minisig: minisign signature: line 5: end expected after line 4",
      ],
    });
  });

  it("keys that the policy limits", () => {
    const good = { ".minisig": made.read("release.minisig") };
    const by = `/file.minisig: signed by "release", `;
    const judge = (words: Record<string, unknown>, said: string): void =>
      expectVerdicts({ ...release, policy: { ...of("release.pub", words) } }, { it: [good, said] });
    judge({ notAfter: "2024-01-01" }, `${by}whose key is expired on 2024-01-01T00:00:00Z by the policy`);
    judge({ revoked: true }, `${by}whose key the policy has revoked`);
    const withPolicy = (policy: Record<string, unknown>, said: string): void =>
      expectVerdicts({ ...release, policy }, { it: [good, said] });
    withPolicy({ schemes: ["openpgp"] }, "/file.minisig: signatures of the kind minisign do not count");
    const digest = createHash("sha256").update(message).digest("hex");
    withPolicy({ revoked: [digest] }, "the policy has revoked its SHA-256");
  });

  it("a signer who is not asked for", () => {
    const keys = { "release.pub": made.read("release.pub"), "second.pub": made.read("stranger.pub") };
    expectVerdicts(
      { keys, policy: { signers: ["second"] } },
      {
        release: [
          { ".minisig": made.read("release.minisig") },
          '/file.minisig: signed by "release", whose signatures do not count',
        ],
        second: [{ ".minisig": made.read("stranger.minisig") }, "by second"],
      },
    );
  });

  it("the same signer twice is one", () => {
    const both = { ".minisig": made.read("release.minisig"), ".sig": made.read("legacy.minisig") };
    const strangers = { ".minisig": made.read("release.minisig"), ".sig": made.read("stranger.minisig") };
    const [key, other] = [made.read("release.pub"), made.read("stranger.pub")];
    const policy = { threshold: 2 };
    const one = "2 different signers expected, not 1";
    expectVerdicts({ ...release, policy }, { twice: [both, `signed by release: ${one}`] });
    const copied = { "copy.pub": key, "release.pub": key };
    expectVerdicts({ keys: copied, policy }, { "one key with two names": [both, `signed by copy: ${one}`] });
    const two = { "release.pub": key, "second.pub": other };
    expectVerdicts({ keys: two, policy }, { two: [strangers, "by release and second"] });
  });
});

describe("signify", () => {
  let made: Workshop;
  let release: Trust;
  beforeAll(async () => {
    made = new Workshop();
    for (const name of ["release", "stranger"]) {
      await made.run("signify-openbsd", ["-G", "-n", "-p", `${name}.pub`, "-s", `${name}.sec`]);
      await made.run("signify-openbsd", ["-S", "-s", `${name}.sec`, "-m", "message", "-x", `${name}.sig`]);
    }
    await made.run("signify-openbsd", ["-S", "-e", "-s", "release.sec", "-m", "message", "-x", "embedded.sig"]);
    await made.run("gzip", ["-n", "-k", "message"]);
    await made.run("signify-openbsd", ["-S", "-z", "-s", "release.sec", "-m", "message.gz", "-x", "archive.sig"]);
    release = { keys: { "release.pub": made.read("release.pub") } };
  });

  it("good ones, and what is wrong with others", () => {
    const good = made.read("release.sig");
    const more =
      '/file.sig: signify signature: line 3: a message behind its signature ("signify -e") or another signature, a detached ' +
      "signature expected";
    // The key's number, in the order of its bytes in the file: minisign's way to write it is the other way round.
    const number = Buffer.from(made.text("stranger.pub").split("\n")[1] ?? "", "base64")
      .subarray(2, 10)
      .reverse();
    expectVerdicts(release, {
      good: [{ ".sig": good }, "by release"],
      "wrong key": [
        { ".sig": made.read("stranger.sig") },
        `/file.sig: made with key ${number.toString("hex").toUpperCase()}, which is not trusted`,
      ],
      "another file": [{ ".sig": good }, `/file.sig: ${noMatch}`, "another"],
      truncated: [
        { ".sig": withoutEnd(good, 10) },
        "/file.sig: signify signature: line 2: 100 characters of base64 expected, not 91",
      ],
      "trailing data": [{ ".sig": withMore(good, "more\n") }, more],
      "the same twice": [{ ".sig": withMore(good, made.text("release.sig")) }, more],
      "the message in it": [{ ".sig": made.read("embedded.sig") }, more],
      archive: [
        { ".sig": made.read("archive.sig") },
        '/file.sig: signify signature: an archive with its signature inside ("signify -z"), a detached signature expected',
      ],
    });
  });

  it("keys that the policy limits", () => {
    const good = { ".sig": made.read("release.sig") };
    const by = `/file.sig: signed by "release", whose key`;
    const policy = (words: Record<string, unknown>): Trust => ({ ...release, policy: of("release.pub", words) });
    expectVerdicts(policy({ notBefore: "2024-01-01", notAfter: "2024-02-01T12:00:00Z" }), {
      it: [good, `${by} is expired on 2024-02-01T12:00:00Z by the policy`],
    });
    expectVerdicts(policy({ revoked: true }), { it: [good, `${by} the policy has revoked`] });
    expectVerdicts(
      { ...release, policy: { threshold: 2 } },
      {
        it: [
          { ...good, ".minisig": made.read("release.sig") },
          "signed by release: 2 different signers expected, not 1",
        ],
      },
    );
  });
});

describe("OpenSSH", () => {
  let made: Workshop;
  const keys = [
    ["ed25519", ["-t", "ed25519"]],
    ["nistp256", ["-t", "ecdsa", "-b", "256"]],
    ["nistp384", ["-t", "ecdsa", "-b", "384"]],
    ["nistp521", ["-t", "ecdsa", "-b", "521"]],
    ["rsa", ["-t", "rsa", "-b", "2048"]],
    ["stranger", ["-t", "ed25519"]],
  ] as const;
  const trusted = (): Files =>
    Object.fromEntries(
      keys.filter(([name]) => name !== "stranger").map(([name]) => [`${name}.pub`, made.read(`${name}.pub`)]),
    );

  beforeAll(async () => {
    made = new Workshop();
    const sign = async (key: string, namespace: string, output: string, options: readonly string[] = []) =>
      made.write(
        output,
        await made.run("ssh-keygen", ["-q", "-Y", "sign", "-f", key, "-n", namespace, ...options], message),
      );
    for (const [name, options] of keys) {
      await made.run("ssh-keygen", ["-q", "-N", "", "-C", name, "-f", name, ...options]);
      await sign(name, "slipway", `${name}.sig`);
    }
    await sign("ed25519", "file", "file.sig");
    await sign("ed25519", "git", "git.sig");
    await sign("rsa", "slipway", "rsa-sha256.sig", ["-O", "hashalg=sha256"]);
    await made.run("ssh-keygen", ["-q", "-s", "stranger", "-I", "somebody", "-n", "root", "ed25519.pub"]);
    await sign("ed25519-cert.pub", "slipway", "certificate.sig");
  });

  it("good ones, and what is wrong with others", async () => {
    const good = made.read("ed25519.sig");
    const [, stranger] = (await made.run("ssh-keygen", ["-l", "-f", "stranger.pub"])).split(" ");
    const more = "/file.sig: ssh signature: line 7: something behind the end line";
    expectVerdicts(
      { keys: trusted() },
      {
        ...Object.fromEntries(
          Object.keys(trusted()).map((file): [string, Row] => {
            const name = file.replace(".pub", "");
            return [name, [{ ".sig": made.read(`${name}.sig`) }, `by ${name}`]];
          }),
        ),
        "namespace file": [{ ".sig": made.read("file.sig") }, "by ed25519"],
        "message hashed by SHA-256": [{ ".sig": made.read("rsa-sha256.sig") }, "by rsa"],
        "wrong namespace": [
          { ".sig": made.read("git.sig") },
          '/file.sig: made for the namespace "git", "slipway" or "file" expected',
        ],
        "wrong key": [
          { ".sig": made.read("stranger.sig") },
          `/file.sig: made with key ${stranger}, which is not trusted`,
        ],
        "another file": [{ ".sig": good }, `/file.sig: ${noMatch}`, "another"],
        certificate: [
          { ".sig": made.read("certificate.sig") },
          '/file.sig: ssh public key: certificate "ssh-ed25519-cert-v01@openssh.com", a plain public key expected',
        ],
        truncated: [
          { ".sig": withoutEnd(good, 30) },
          '/file.sig: ssh signature: line 5: the file ends before "-----END SSH SIGNATURE-----"',
        ],
        "a line less": [
          { ".sig": made.text("ed25519.sig").replace(/\n.*\n/, "\n") },
          "/file.sig: ssh signature: line 2: base64 in groups of 4 characters expected, not 166 characters",
        ],
        "trailing data": [{ ".sig": withMore(good, "more\n") }, more],
        "twice in a file": [{ ".sig": withMore(good, made.text("ed25519.sig")) }, more],
      },
    );
  });

  it("allowed signers, and keys that the policy limits", async () => {
    const rows = (said: string): Record<string, Row> => ({ it: [{ ".sig": made.read("ed25519.sig") }, said] });
    const [, print] = (await made.run("ssh-keygen", ["-l", "-f", "ed25519.pub"])).split(" ");
    const line = (options: string): Trust => ({
      keys: { "team.pub": `release@example.org ${options} ${made.text("ed25519.pub")}` },
    });
    expectVerdicts(line('namespaces="slipway,git"'), rows("by team"));
    expectVerdicts(
      line('namespaces="file"'),
      rows(`/file.sig: made for the namespace "slipway", and key ${print} is only for "file"`),
    );
    expectVerdicts(line('valid-before="20240101Z"'), rows(`/file.sig: key ${print} expired on 2024-01-01T00:00:00Z`));
    const only = { keys: { "ed25519.pub": made.read("ed25519.pub") } };
    expectVerdicts(
      { ...only, policy: of("ed25519.pub", { revoked: true }) },
      rows('/file.sig: signed by "ed25519", whose key the policy has revoked'),
    );
    expectVerdicts(
      { ...only, policy: { threshold: 2 } },
      {
        it: [
          { ".sig": made.read("ed25519.sig"), ".asc": made.read("file.sig") },
          "signed by ed25519: 2 different signers expected, not 1",
        ],
      },
    );
  });
});

describe("OpenPGP", () => {
  let made: Workshop;
  const algorithms = ["rsa2048", "nistp256", "nistp384", "nistp521", "ed25519"] as const;
  beforeAll(async () => {
    const home = directory({});
    made = new Workshop({}, { GNUPGHOME: home });
    const options = ["--batch", "--yes", "--quiet", "--no-tty", "--no-auto-check-trustdb", "--trust-model", "always"];
    const at = (day: string, words: readonly string[], input = ""): Promise<string> => {
      const secret = ["--pinentry-mode", "loopback", "--passphrase", "", "--faked-system-time", `${day}T120000!`];
      return made.run("gpg", [...options, ...secret, ...words], input);
    };
    const fingerprint = async (name: string): Promise<string> => {
      const listed = await made.run("gpg", ["--batch", "--with-colons", "--list-keys", `=${name}`]);
      return /^fpr:+([0-9A-F]+):/m.exec(listed)?.[1] ?? "";
    };
    const key = (name: string, algorithm: string, expire = "never", day = "20240101"): Promise<string> =>
      at(day, ["--quick-generate-key", name, algorithm, "cert,sign", expire]);
    const sign = (name: string, output: string, words: readonly string[] = [], day = "20240601"): Promise<string> =>
      at(day, ["--local-user", `=${name}`, ...words, "--output", output, "--detach-sign", "message"]);
    for (const algorithm of algorithms) {
      await key(algorithm, algorithm);
      await sign(algorithm, `${algorithm}.sig`);
    }
    await sign("rsa2048", "armored.asc", ["--armor"]);
    await sign("rsa2048", "sha512.sig", ["--digest-algo", "SHA512"]);
    await sign("rsa2048", "sha1.sig", ["--digest-algo", "SHA1"]);
    await sign("rsa2048", "md5.sig", ["--digest-algo", "MD5"]);
    await sign("rsa2048", "ripemd160.sig", ["--digest-algo", "RIPEMD160"]);
    await sign("rsa2048", "text.sig", ["--textmode"]);
    await sign("rsa2048", "expired.sig", ["--default-sig-expire", "30d"]);
    await key("stranger", "ed25519");
    await sign("stranger", "stranger.sig");
    await key("expired", "ed25519", "1y", "20200101");
    await sign("expired", "expired-key.sig", [], "20200601");
    await key("revoked", "ed25519");
    await sign("revoked", "revoked.sig");
    // gpg makes a revocation beforehand, and a colon keeps anybody from importing it by mistake.
    const revocation = path.join(home, "openpgp-revocs.d", `${await fingerprint("revoked")}.rev`);
    await at("20240701", ["--import"], readFileSync(revocation, "utf8").replace(":-----BEGIN", "-----BEGIN"));
    // A sub-key that signs, whose use is then changed to encryption.
    await at("20240101", ["--quick-generate-key", "encrypt-only", "ed25519", "cert", "never"]);
    await at("20240101", ["--quick-add-key", await fingerprint("encrypt-only"), "rsa2048", "sign,encrypt", "never"]);
    await sign("encrypt-only", "encrypt-only.sig");
    const edit =
      "--quiet --no-tty --no-auto-check-trustdb --expert --command-fd 0 --status-fd 2 --pinentry-mode loopback";
    const words = [...edit.split(" "), "--passphrase", "", "--faked-system-time", "20240602T120000!"];
    await made.run("gpg", [...words, "--edit-key", "=encrypt-only"], "key 1\nchange-usage\nS\nQ\nsave\n");
    for (const name of [...algorithms, "expired", "revoked", "encrypt-only"]) {
      await made.run("gpg", ["--batch", "--yes", "--quiet", "--output", `${name}.gpg`, "--export", `=${name}`]);
    }
    made.write("stranger.id", await fingerprint("stranger"));
  });
  afterAll(() => made.run("gpgconf", ["--kill", "all"]));

  const trusted = (...names: readonly string[]): Files =>
    Object.fromEntries(names.map((name) => [`${name}.gpg`, made.read(`${name}.gpg`)]));

  it("good ones, and what is wrong with others", () => {
    const good = made.read("rsa2048.sig");
    const armored = made.text("armored.asc");
    expectVerdicts(
      { keys: trusted(...algorithms, "expired", "revoked", "encrypt-only") },
      {
        ...Object.fromEntries(
          algorithms.map((name): [string, Row] => [name, [{ ".sig": made.read(`${name}.sig`) }, `by ${name}`]]),
        ),
        armored: [{ ".asc": armored }, "by rsa2048"],
        "SHA-512": [{ ".gpg": made.read("sha512.sig") }, "by rsa2048"],
        "wrong key": [
          { ".sig": made.read("stranger.sig") },
          `/file.sig: made with key ${made.text("stranger.id")}, which is not trusted`,
        ],
        "another file": [{ ".sig": good }, `/file.sig: ${noMatch}`, "another"],
        "SHA-1": [{ ".sig": made.read("sha1.sig") }, "/file.sig: SHA-1 is too weak"],
        MD5: [{ ".sig": made.read("md5.sig") }, "/file.sig: MD5 is too weak"],
        "RIPEMD-160": [{ ".sig": made.read("ripemd160.sig") }, "/file.sig: RIPEMD-160 is too weak"],
        "a text": [
          { ".sig": made.read("text.sig") },
          "/file.sig: a text signature, which leaves the ends of lines open: a binary one is wanted (gpg --no-textmode)",
        ],
        "expired signature": [
          { ".sig": made.read("expired.sig") },
          "/file.sig: the signature expired on 2024-07-01T12:00:00Z",
        ],
        "expired key": [{ ".sig": made.read("expired-key.sig") }, "/file.sig: the key expired on 2020-12-31T12:00:00Z"],
        "revoked key": [
          { ".sig": made.read("revoked.sig") },
          "/file.sig: the key was revoked on 2024-01-01T12:00:00Z (no reason given)",
        ],
        "key for encryption": [
          { ".sig": made.read("encrypt-only.sig") },
          "/file.sig: the subkey may not sign: it is for other uses only",
        ],
        truncated: [
          { ".sig": withoutEnd(good, 20) },
          `/file.sig: OpenPGP signature: offset 3, body of a signature packet: ${good.length - 3} byte(s) expected, the input ends at ${good.length - 20}`,
        ],
        "truncated armor": [
          { ".asc": armored.slice(0, 200) },
          "/file.asc: OpenPGP signature: line 6: the armored text ends before its last line",
        ],
        "trailing data": [
          { ".sig": withMore(good, "more") },
          `/file.sig: OpenPGP signature: offset ${good.length}: a packet header expected, not byte 109`,
        ],
        "trailing data behind armor": [
          { ".asc": `${armored}more\n` },
          '/file.asc: OpenPGP signature: line 12: "-----BEGIN PGP …-----" expected, not "more"',
        ],
      },
    );
  });

  it("keys that the policy limits, and one signer twice", () => {
    const good = { ".sig": made.read("ed25519.sig") };
    const keys = trusted("ed25519", "nistp256");
    const revoked = { keys, policy: of("ed25519.gpg", { revoked: true }) };
    expectVerdicts(revoked, { it: [good, '/file.sig: signed by "ed25519", whose key the policy has revoked'] });
    const twice = Buffer.concat([made.read("ed25519.sig"), made.read("ed25519.sig")]);
    const two = Buffer.concat([made.read("ed25519.sig"), made.read("nistp256.sig")]);
    expectVerdicts(
      { keys, policy: { threshold: 2 } },
      {
        twice: [{ ".sig": twice }, "signed by ed25519: 2 different signers expected, not 1"],
        two: [{ ".sig": two }, "by ed25519 and nistp256"],
      },
    );
  });

  it("a key of the past, while the policy knows no better", () => {
    const keys = trusted("expired");
    const rows = (said: string): Record<string, Row> => ({ it: [{ ".sig": made.read("expired-key.sig") }, said] });
    expectVerdicts({ keys, policy: { clock: { source: "none" } } }, rows("by expired"));
  });
});

describe("an entry", () => {
  let made: Workshop;
  let volume: string;
  beforeAll(async () => {
    made = new Workshop();
    await made.run("minisign", ["-G", "-W", "-p", "release.pub", "-s", "release.key"]);
    await made.run("minisign", ["-S", "-W", "-s", "release.key", "-m", "message", "-x", "signature"]);
    volume = directory({
      "loader/entries/acme.conf": "title Acme OS\nlinux /vmlinuz\ninitrd /initrd\n",
      vmlinuz: message,
      "vmlinuz.minisig": made.read("signature"),
      initrd: message,
      "initrd.minisig": made.read("signature"),
    });
  });

  it("a key that may sign initrds only", () => {
    const policy = { cover: ["linux", "initrd"], keys: [{ file: "release.pub", purposes: ["initrd"] }] };
    const [result] = verify({ keys: { "release.pub": made.read("release.pub") }, policy }, ["--root", volume, "acme"]);
    if (result === undefined) throw new Error("a result expected");
    expect(verdictText(result, "linux")).toBe('/vmlinuz.minisig: signed by "release", who may not sign a linux');
    expect(verdictText(result, "initrd")).toBe("by release");
  });

  it("what an operator reads", () => {
    const policy = path.join(directory({ "policy.json": JSON.stringify({ firmware: ownLists }) }), "policy.json");
    const keys = directory({ "release.pub": made.read("release.pub") });
    const trust = ["--keys", keys, "--policy", policy];
    const read = (...words: readonly string[]): string => {
      const { status, stdout } = spawnSync(slipwayExecutable, ["verify", ...trust, ...words], { encoding: "utf8" });
      return `${stdout}exit ${status}`;
    };
    const kernel = path.join(volume, "vmlinuz");
    expect(read(kernel)).toBe(`${kernel}: trusted\n  file: trusted, signed by release\nexit 0`);
    expect(read("--root", volume, "acme")).toBe(
      [
        "root1:bls1:acme: REFUSED",
        '  options: refused: they come from "/loader/entries/acme.conf" on root1, which is not authenticated',
        "  config root1:/loader/entries/acme.conf: refused: no signature",
        "  linux root1:/vmlinuz: refused: /vmlinuz.minisig: not checked, another file of the entry is refused",
        "  initrd root1:/initrd: refused: /initrd.minisig: not checked, another file of the entry is refused",
        "exit 2",
      ].join("\n"),
    );
  });
});

describe("a manifest that five tools have signed", () => {
  let made: Workshop;
  let keys: Files;
  beforeAll(async () => {
    made = new Workshop(
      { "root/loader/entries/acme.conf": "title Acme OS\nlinux /vmlinuz\noptions quiet\n", "root/vmlinuz": message },
      { GNUPGHOME: directory({}) },
    );
    await made.run("minisign", ["-G", "-W", "-p", "minisign.pub", "-s", "minisign.key"]);
    await made.run("signify-openbsd", ["-G", "-n", "-p", "signify.pub", "-s", "signify.sec"]);
    await made.run("ssh-keygen", ["-q", "-N", "", "-t", "ecdsa", "-f", "openssh"]);
    const quiet = ["--batch", "--quiet", "--no-auto-check-trustdb"];
    const time = ["--faked-system-time", "20240601T120000!"];
    const words = ["--passphrase", "", "--quick-generate-key", "release", "ed25519", "cert,sign", "never"];
    await made.run("gpg", [...quiet, ...time, ...words]);
    await made.run("gpg", [...quiet, "--output", "openpgp.gpg", "--export", "=release"]);
    const certificate =
      "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout cms.key -subj /CN=release -out cms.pem";
    await made.run("openssl", [
      "req",
      ...certificate.split(" "),
      "-addext",
      "extendedKeyUsage=codeSigning",
      "-days",
      "9",
    ]);
    await made.run(slipwayExecutable, [
      ...["sign", "--root", "root", "--version", "1", "--key", "minisign.key"],
      ...["--command", "signify-openbsd -S -s signify.sec -m - -x -"],
      ...["--command", "ssh-keygen -Y sign -n slipway -f openssh"],
      ...["--command", `gpg ${[...quiet, ...time].join(" ")} --detach-sign --armor`],
      ...["--command", "openssl cms -sign -binary -signer cms.pem -inkey cms.key -outform PEM"],
    ]);
    const files = ["minisign.pub", "signify.pub", "openssh.pub", "openpgp.gpg", "cms.pem"];
    keys = Object.fromEntries(files.map((file) => [file, made.read(file)]));
  });
  afterAll(() => made.run("gpgconf", ["--kill", "all"]));

  function judge(threshold: number): string {
    const [result] = verify({ keys, policy: { threshold } }, ["--root", path.join(made.place, "root"), "acme"]);
    if (result === undefined) throw new Error("a result expected");
    return verdictText(result, "linux");
  }

  it("good, and each of them refused when a word changes", () => {
    const all = "minisign and signify and openssh and openpgp and cms";
    expect(judge(5)).toBe(`by ${all}`);
    expect(judge(6)).toBe(`signed by ${all}: 6 different signers expected, not 5`);
    const manifest = made.text("root/slipway/boot.manifest");
    made.write("root/slipway/boot.manifest", manifest.replace('"quiet"', '"QUIET"'));
    expect(judge(1)).toBe(new Array<string>(5).fill(`/slipway/boot.manifest: ${noMatch}`).join(", "));
  });
});
