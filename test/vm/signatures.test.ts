import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneRoot, runCommand } from "./command.ts";
import { slipwayExecutable } from "./image.ts";

// Keys and signatures that the real tools make now, judged by the executable: what is good, and what has to be refused, each
// with its own reason. Tools that take a time get one of the past, so that nothing here depends on the day.

type Content = string | Uint8Array;
type Files = Readonly<Record<string, Content>>;

/** What is signed. */
const message = "a kernel would be here\n";

let scratch: string;
let directoriesMade = 0;
beforeAll(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), "slipway-signatures-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** A new directory with these files, by their paths. */
function directory(files: Files): string {
  const made = path.join(scratch, String(directoriesMade++));
  mkdirSync(made, { mode: 0o700 });
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(made, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content, { mode: 0o600 });
  }
  return made;
}

/** What the judged words are judged by. */
interface Trust {
  /** Key files by name. */
  readonly keys: Files;
  readonly policy?: Readonly<Record<string, unknown>>;
}

/** The lists of the machine that the test runs on are left out of it. */
const ownLists = { db: false, dbx: false };

interface Result {
  readonly problem: string | null;
  readonly trusted: boolean;
  readonly artifacts: readonly {
    readonly role: string;
    readonly trusted: boolean;
    readonly by: string | null;
    readonly reason: string | null;
  }[];
}

/** `slipway verify --json`; what its exit code and its word for all of it say has to fit. */
function verify({ keys, policy = {} }: Trust, words: readonly string[]): readonly Result[] {
  const document = directory({ "policy.json": JSON.stringify({ firmware: ownLists, ...policy }) });
  const trust = ["--keys", directory(keys), "--policy", path.join(document, "policy.json")];
  const run = spawnSync(slipwayExecutable, ["verify", "--json", ...trust, ...words], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  const { trusted, results } = JSON.parse(run.stdout);
  expect(trusted).toBe(results.every((result: Result) => result.trusted));
  expect(run.status).toBe(trusted ? 0 : 2);
  return results;
}

/** `by LABEL`, or why it is refused. */
function verdictText({ problem, artifacts }: Result, role: string): string {
  const verdict = artifacts.find((each) => each.role === role);
  if (verdict === undefined) return problem ?? `no verdict of ${role}`;
  return verdict.trusted ? `by ${verdict.by}` : (verdict.reason ?? "");
}

/** What stands beside a file, by suffix, and what is said of the file then. */
type Row = readonly [signatures: Files, said: string, content?: Content];

/** Judges a file for every row. Good ones and refused ones are given apart, so that the exit code speaks of each. */
function expectVerdicts(trust: Trust, rows: Readonly<Record<string, Row>>): void {
  const isGood = ([, said]: Row): boolean => said.startsWith("by ");
  for (const wanted of [true, false]) {
    const chosen = Object.entries(rows).filter(([, row]) => isGood(row) === wanted);
    if (chosen.length === 0) continue;
    const files = chosen.map(([, [signatures, , content = message]]) => {
      const beside = Object.entries(signatures).map(([suffix, signature]) => [`file${suffix}`, signature] as const);
      return path.join(directory({ file: content, ...Object.fromEntries(beside) }), "file");
    });
    const said = verify(trust, files).map((result) => verdictText(result, "file"));
    const named = Object.fromEntries(chosen.map(([name], index) => [name, said[index]]));
    expect(named).toEqual(Object.fromEntries(chosen.map(([name, row]) => [name, row[1]])));
  }
}

/** A policy that says something of one key. */
function of(file: string, words: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { keys: [{ file, ...words }] };
}

function withoutEnd(content: Uint8Array, bytes: number): Uint8Array {
  return content.subarray(0, content.length - bytes);
}

function withMore(content: Uint8Array, more: string): Uint8Array {
  return Buffer.concat([content, Buffer.from(more, "latin1")]);
}

/** A directory in which tools are run; it begins with the file `message`. */
class Workshop {
  readonly place: string;
  readonly #environment: Readonly<Record<string, string>>;

  constructor(files: Files = {}, environment: Readonly<Record<string, string>> = {}) {
    this.place = directory({ message, ...files });
    this.#environment = { LC_ALL: "C", TZ: "UTC", ...environment };
  }

  run(command: string, args: readonly string[], input = ""): Promise<string> {
    return runCommand(command, args, { cwd: this.place, env: this.#environment, input });
  }

  read(name: string): Uint8Array {
    return new Uint8Array(readFileSync(path.join(this.place, name)));
  }

  text(name: string): string {
    return readFileSync(path.join(this.place, name), "latin1");
  }

  write(name: string, content: Content): void {
    writeFileSync(path.join(this.place, name), content);
  }
}

function fixture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(path.join(cloneRoot, "test/data", name)));
}

const noMatch = "the signature does not match the file";

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
    withPolicy({ signers: ["somebody"] }, `${by}whose signatures do not count`);
    const digest = createHash("sha256").update(message).digest("hex");
    withPolicy({ revoked: [digest] }, "the policy has revoked its SHA-256");
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
    const number = Buffer.from(made.text("stranger.pub").split("\n")[1] ?? "", "base64").subarray(2, 10).reverse();
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
      { it: [{ ...good, ".minisig": made.read("release.sig") }, "signed by release: 2 different signers expected, not 1"] },
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
    Object.fromEntries(keys.filter(([name]) => name !== "stranger").map(([name]) => [`${name}.pub`, made.read(`${name}.pub`)]));

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
        "wrong key": [{ ".sig": made.read("stranger.sig") }, `/file.sig: made with key ${stranger}, which is not trusted`],
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
    for (const algorithm of ["rsa2048", "nistp256", "nistp384", "nistp521", "ed25519"]) {
      await key(algorithm, algorithm);
      await sign(algorithm, `${algorithm}.sig`);
    }
    await sign("rsa2048", "armored.asc", ["--armor"]);
    await sign("rsa2048", "sha512.sig", ["--digest-algo", "SHA512"]);
    await sign("rsa2048", "sha1.sig", ["--digest-algo", "SHA1"]);
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
    const edit = ["--quiet", "--no-tty", "--expert", "--command-fd", "0", "--status-fd", "2", "--pinentry-mode", "loopback"];
    const time = ["--passphrase", "", "--faked-system-time", "20240602T120000!", "--no-auto-check-trustdb"];
    await made.run(
      "gpg",
      [...edit, ...time, "--edit-key", "=encrypt-only"],
      "key 1\nchange-usage\nS\nQ\nsave\n",
    );
    for (const name of ["rsa2048", "nistp256", "nistp384", "nistp521", "ed25519", "expired", "revoked", "encrypt-only"]) {
      await made.run("gpg", ["--batch", "--yes", "--quiet", "--output", `${name}.gpg`, "--export", `=${name}`]);
    }
    made.write("stranger.id", await fingerprint("stranger"));
    made.write("expired.id", await fingerprint("expired"));
  });
  afterAll(() => made.run("gpgconf", ["--kill", "all"]));

  const trusted = (...names: readonly string[]): Files =>
    Object.fromEntries(names.map((name) => [`${name}.gpg`, made.read(`${name}.gpg`)]));

  it("good ones, and what is wrong with others", () => {
    const good = made.read("rsa2048.sig");
    const armored = made.text("armored.asc");
    const algorithms = ["rsa2048", "nistp256", "nistp384", "nistp521", "ed25519"];
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
        "RIPEMD-160": [{ ".sig": made.read("ripemd160.sig") }, "/file.sig: RIPEMD-160 is too weak"],
        "a text": [
          { ".sig": made.read("text.sig") },
          "/file.sig: a text signature, which leaves the ends of lines open: a binary one is wanted (gpg --no-textmode)",
        ],
        "expired signature": [
          { ".sig": made.read("expired.sig") },
          "/file.sig: the signature expired on 2024-07-01T12:00:00Z",
        ],
        "expired key": [
          { ".sig": made.read("expired-key.sig") },
          "/file.sig: the key expired on 2020-12-31T12:00:00Z",
        ],
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
    const request = ["req", "-new", "-config", "ca.cnf", "-key", `${key}.key`, "-subj", `/CN=${name}`, "-out", "request"];
    await made.run("openssl", request);
    const by = issuer === name ? ["-selfsign", "-keyfile", `${key}.key`] : ["-keyfile", `${issuer}.key`, "-cert", `${issuer}.pem`];
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
      "for servers": [p7s("server"), '/file.p7s: certificate "CN=server" is for server authentication, not for code signing'],
      "for nothing said": [p7s("open"), '/file.p7s: certificate "CN=open" does not say that it is for code signing'],
      "SHA-1": [p7s("digest-sha1"), "/file.p7s: the signature is made with SHA-1, which is too weak"],
      MD5: [p7s("digest-md5"), "/file.p7s: the signature is made with MD5, which is too weak"],
      "SHA-1 in the certificate": [
        p7s("sha1"),
        '/file.p7s: the signature of certificate "CN=sha1" is made with SHA-1, which is too weak',
      ],
      enclosing: [p7s("enclosing"), "/file.p7s: cms: the signature encloses a content, one that stands beside its file is expected"],
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
        "two files": [{ ".p7s": made.read("ecdsa.p7s"), ".cms": made.read("rsa.p7s") }, "by root: CN=curve and root: CN=release"],
        twice: [{ ".p7s": made.read("ecdsa.p7s"), ".cms": made.read("pem.p7s") }, `signed by root: CN=curve: ${different}`],
      },
    );
  });

  it("a key that OpenSSH and X.509 share is one signer", async () => {
    made.write("release.key.pub", await made.run("ssh-keygen", ["-y", "-f", "release.key"]));
    const words = ["-q", "-Y", "sign", "-f", "release.key", "-n", "file"];
    const signatures = { ".p7s": made.read("rsa.p7s"), ".sig": await made.run("ssh-keygen", words, message) };
    const keys = { ...root.keys, "ssh.pub": made.read("release.key.pub") };
    expectVerdicts({ keys }, { it: [signatures, "by root: CN=release and ssh"] });
    expectVerdicts(
      { keys, policy: { threshold: 2 } },
      { it: [signatures, "signed by root: CN=release and ssh: 2 different signers expected, not 1"] },
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
        ...["sign", "-certs", "chain.pem", "-key", "release.key", "-h", digest, "-time", "1700000000"],
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
      "wrong key": image("stranger.efi", `${inside}certificate "CN=stranger" is issued by itself, which is not trusted`),
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
      { it: image("release.efi", 'inside it (authenticode): certificate "CN=release" is revoked'), other: image("expired.efi", "by root: CN=expired") },
    );
    expectVerdicts(
      { ...root, policy: { threshold: 2 } },
      { twice: image("twice.efi", "signed by root: CN=release: 2 different signers expected, not 1"), two: image("two.efi", "by root: CN=release and root: CN=curve") },
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
        Buffer.concat([good.subarray(0, 3), good.subarray(13)]),
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
    expectVerdicts({ keys: { "expired.pem": made.read("expired.pem") } }, { it: file("appended-expired", "by expired") });
    const server = `${inside}certificate "CN=server" is for server authentication, not for code signing`;
    expectVerdicts({ keys: { "server.pem": made.read("server.pem") } }, { it: file("appended-server", server) });
  });
});

function changed(content: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(content);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

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

  it("good ones, and what is wrong with others", () => {
    expect(judge(descriptor("alice"))).toBe("by root: CN=alice");
    expect(judge(descriptor("alice", "bob"), { threshold: 2 })).toBe("by root: CN=alice and root: CN=bob");
    const good = descriptor("alice");
    const twice = descriptor("alice", "alice");
    const said = {
      "wrong key": judge(descriptor("mallory")),
      expired: judge(descriptor("expired-signer")),
      "wrong usage": judge(descriptor("agreeing")),
      twice: judge(twice, { threshold: 2 }),
      "another archive": judge(good, {}, fixture("os-package/infozip.zip")),
      "the signature of another": judge(good.replace(/"signatures":\["[^"]*/, `"signatures":["${Buffer.from(made.read("bob.signature")).toString("base64")}`)),
      "truncated signature": judge(good.replace(/"signatures":\["..../, '"signatures":["')),
      "trailing data behind the archive": judge(good, {}, withMore(archive, "more")),
      revoked: judge(good, of("root.pem", { revoked: true })),
    };
    expect(said).toEqual({});
  });
});

describe("a kernel of an entry", () => {
  it("a key that may sign initrds only", async () => {
    const made = new Workshop();
    for (const name of ["release", "initrds"]) {
      await made.run("minisign", ["-G", "-W", "-p", `${name}.pub`, "-s", `${name}.key`]);
      await made.run("minisign", ["-S", "-W", "-s", `${name}.key`, "-m", "message", "-x", `${name}.minisig`]);
    }
    const entry = "title Acme OS\nlinux /vmlinuz\ninitrd /initrd\n";
    const volume = directory({
      "loader/entries/acme.conf": entry,
      vmlinuz: message,
      "vmlinuz.minisig": made.read("initrds.minisig"),
      initrd: message,
      "initrd.minisig": made.read("initrds.minisig"),
    });
    const policy = { cover: ["linux", "initrd"], keys: [{ file: "initrds.pub", purposes: ["initrd"] }] };
    const [result] = verify({ keys: { "initrds.pub": made.read("initrds.pub") }, policy }, ["--root", volume, "acme"]);
    if (result === undefined) throw new Error("a result expected");
    expect(verdictText(result, "linux")).toBe('/vmlinuz.minisig: signed by "initrds", who may not sign a linux');
    expect(verdictText(result, "initrd")).toBe("by initrds");
  });
});
