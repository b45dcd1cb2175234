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
      truncated: [{ ".minisig": withoutEnd(good, 60) }, "?"],
      "without its last line": [{ ".minisig": text.split("\n").slice(0, 3).join("\n") }, "?"],
      "trailing data": [{ ".minisig": withMore(good, "more\n") }, "?"],
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
    // The key's number, in the order of its bytes in the file: minisign's way to write it is the other way round.
    const number = Buffer.from(made.text("stranger.pub").split("\n")[1] ?? "", "base64").subarray(2, 10).reverse();
    expectVerdicts(release, {
      good: [{ ".sig": good }, "by release"],
      "wrong key": [
        { ".sig": made.read("stranger.sig") },
        `/file.sig: made with key ${number.toString("hex").toUpperCase()}, which is not trusted`,
      ],
      "another file": [{ ".sig": good }, `/file.sig: ${noMatch}`, "another"],
      truncated: [{ ".sig": withoutEnd(good, 10) }, "?"],
      "trailing data": [{ ".sig": withMore(good, "more\n") }, "?"],
      embedded: [{ ".sig": made.read("embedded.sig") }, "?"],
      archive: [{ ".sig": made.read("archive.sig") }, "?"],
      "the same twice": [{ ".sig": withMore(good, made.text("release.sig")) }, "?"],
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
        certificate: [{ ".sig": made.read("certificate.sig") }, "?"],
        truncated: [{ ".sig": withoutEnd(good, 30) }, "?"],
        "a line less": [{ ".sig": made.text("ed25519.sig").replace(/\n.*\n/, "\n") }, "?"],
        "trailing data": [{ ".sig": withMore(good, "more\n") }, "?"],
        "twice in a file": [{ ".sig": withMore(good, made.text("ed25519.sig")) }, "?"],
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
    expectVerdicts(line('namespaces="file"'), rows("?"));
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
        "SHA-1": [{ ".sig": made.read("sha1.sig") }, "?"],
        "RIPEMD-160": [{ ".sig": made.read("ripemd160.sig") }, "?"],
        "a text": [{ ".sig": made.read("text.sig") }, "?"],
        "expired signature": [{ ".sig": made.read("expired.sig") }, "?"],
        "expired key": [{ ".sig": made.read("expired-key.sig") }, "?"],
        "revoked key": [{ ".sig": made.read("revoked.sig") }, "?"],
        "key for encryption": [{ ".sig": made.read("encrypt-only.sig") }, "?"],
        truncated: [{ ".sig": withoutEnd(good, 20) }, "?"],
        "truncated armor": [{ ".asc": armored.slice(0, 200) }, "?"],
        "trailing data": [{ ".sig": withMore(good, "more") }, "?"],
        "trailing data behind armor": [{ ".asc": `${armored}more\n` }, "?"],
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
