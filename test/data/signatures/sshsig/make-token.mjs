// What ssh-keygen makes with a security token (OpenSSH, PROTOCOL.u2f), without one: make.sh has ssh-keygen verify it.
// Also a signature by RSA with SHA-1, as nobody makes any more.
import { createHash, createPrivateKey, generateKeyPairSync, sign } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const field = (data) => {
  const bytes = Buffer.from(data);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};
const mpint = (bytes) => {
  const start = bytes.findIndex((byte) => byte !== 0);
  const short = bytes.subarray(start);
  return field(short[0] >= 0x80 ? Buffer.concat([Buffer.of(0), short]) : short);
};
const sha256 = (data) => createHash("sha256").update(data).digest();
const message = readFileSync("message.txt");
const about = [field("slipway"), field(""), field("sha512")];
const signed = Buffer.concat([Buffer.from("SSHSIG"), ...about, field(createHash("sha512").update(message).digest())]);
const write = (name, blob, signature) => {
  const body = Buffer.concat([Buffer.from("SSHSIG\0\0\0\x01"), field(blob), ...about, field(signature)]);
  const lines = body.toString("base64").match(/.{1,70}/g);
  writeFileSync(name, `-----BEGIN SSH SIGNATURE-----\n${lines.join("\n")}\n-----END SSH SIGNATURE-----\n`);
};

const application = "ssh:slipway-test";
function token(name, type, makePair, publicFields, signatureField) {
  if (!existsSync(`${name}.pem`)) writeFileSync(`${name}.pem`, makePair().export({ type: "pkcs8", format: "pem" }));
  const key = createPrivateKey(readFileSync(`${name}.pem`));
  const blob = Buffer.concat([field(type), ...publicFields(key.export({ format: "jwk" })), field(application)]);
  writeFileSync(`${name}.pub`, `${type} ${blob.toString("base64")} ${name} test key\n`);
  for (const [output, flags] of [[`${name}.sig`, 1], [`${name}-untouched.sig`, 0]]) {
    const tail = Buffer.of(flags, 0, 0, 0, 7);
    const data = Buffer.concat([sha256(application), tail, sha256(signed)]);
    write(output, blob, Buffer.concat([field(type), field(signatureField(data, key)), tail]));
  }
}
const bytes = (text) => Buffer.from(text, "base64url");
token(
  "token-ed25519",
  "sk-ssh-ed25519@openssh.com",
  () => generateKeyPairSync("ed25519").privateKey,
  (jwk) => [field(bytes(jwk.x))],
  (data, key) => sign(null, data, key),
);
token(
  "token-ecdsa",
  "sk-ecdsa-sha2-nistp256@openssh.com",
  () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
  (jwk) => [field("nistp256"), field(Buffer.concat([Buffer.of(4), bytes(jwk.x), bytes(jwk.y)]))],
  (data, key) => {
    const both = sign("sha256", data, { key, dsaEncoding: "ieee-p1363" });
    return Buffer.concat([mpint(both.subarray(0, 32)), mpint(both.subarray(32))]);
  },
);

if (!existsSync("sha1.pem")) {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  writeFileSync("sha1.pem", privateKey.export({ type: "pkcs8", format: "pem" }));
}
const rsa = createPrivateKey(readFileSync("sha1.pem"));
const jwk = rsa.export({ format: "jwk" });
const blob = Buffer.concat([field("ssh-rsa"), mpint(bytes(jwk.e)), mpint(bytes(jwk.n))]);
writeFileSync("sha1.pub", `ssh-rsa ${blob.toString("base64")} sha1 test key\n`);
write("sha1.sig", blob, Buffer.concat([field("ssh-rsa"), field(sign("sha1", signed, rsa))]));
