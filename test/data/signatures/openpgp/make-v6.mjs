// Makes the keys and signatures of v6/ with OpenPGP.js 6.3.2: node make-v6.mjs DIRECTORY, where DIRECTORY is that of the
// package. The secret halves are test keys and stand beside them. Each run makes new ones. It prints what OpenPGP.js itself
// says of each signature, in the year 2026.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const openpgp = createRequire(import.meta.url)(path.resolve(process.argv[2] ?? "", "dist/node/openpgp.min.cjs"));
const here = path.join(import.meta.dirname, "v6");
// Verifying makes a text of a message, and a text would be signed as such: one for each use.
const newMessage = () => openpgp.createMessage({ binary: readFileSync(path.join(import.meta.dirname, "message.txt")) });
const day = (text) => new Date(`${text}T12:00:00Z`);
const config = { v6Keys: true, rejectPublicKeyAlgorithms: new Set(), minRSABits: 1024 };
const verified = [];

async function make(name, options, { signAt = "2026-06-01", revoke, changes = {} } = {}) {
  const { privateKey } = await openpgp.generateKey({
    userIDs: [{ name }],
    date: day("2026-01-01"),
    format: "object",
    config: { ...config, ...changes },
    ...options,
  });
  const sign = { message: await newMessage(), detached: true, format: "binary", signingKeys: privateKey, date: day(signAt) };
  writeFileSync(path.join(here, `${name}.sig`), await openpgp.sign({ ...sign, config: { ...config, ...changes } }));
  let publicKey = privateKey.toPublic();
  if (revoke !== undefined) {
    const revoked = { key: privateKey, reasonForRevocation: revoke, date: day("2026-05-01"), format: "object", config };
    ({ publicKey } = await openpgp.revokeKey(revoked));
  }
  writeFileSync(path.join(here, `${name}.gpg`), publicKey.write());
  writeFileSync(path.join(here, `${name}.secret.asc`), privateKey.armor());
  const signature = await openpgp.readSignature({ binarySignature: readFileSync(path.join(here, `${name}.sig`)) });
  const { signatures } = await openpgp.verify({
    message: await newMessage(), signature, verificationKeys: publicKey, date: day("2026-07-01"), config,
  });
  verified.push(`${name}: ${await signatures[0].verified.catch((error) => error.message)}`);
}

await make("ed25519", { type: "curve25519" });
await make("ed448", { type: "curve448" }, { changes: { preferredHashAlgorithm: openpgp.enums.hash.sha512 } });
await make("rsa", { type: "rsa", rsaBits: 2048 });
await make("p256", { type: "ecc", curve: "nistP256" });
await make("subkey", { type: "curve25519", subkeys: [{ sign: true }, {}] });
await make("expiring", { type: "curve25519", keyExpirationTime: 365 * 86400 });
await make("sha3", { type: "curve25519" }, { changes: { preferredHashAlgorithm: openpgp.enums.hash.sha3_256 } });
await make("revoked", { type: "curve25519" }, {
  revoke: { flag: openpgp.enums.reasonForRevocation.keyCompromised, string: "" },
});
// Version 4 with the algorithm that is new in RFC 9580.
await make("v4-ed25519", { type: "curve25519" }, { changes: { v6Keys: false } });
writeFileSync(path.join(here, "openpgpjs.txt"), `${verified.join("\n")}\n`);
