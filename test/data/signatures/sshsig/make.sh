#!/bin/sh
# OpenSSH 9.2 and OpenSSL 3.0. Every key here is a throwaway for tests: its secret half is public and must never be trusted.
set -eu
cd "$(dirname "$0")"
printf 'signed by a throwaway test key\n' > message.txt
key() { name=$1; shift; [ -e "$name" ] || ssh-keygen -q -N '' -C "$name test key" -f "$name" "$@"; chmod 600 "$name"; }
key ed25519 -t ed25519
key other -t ed25519
key ecdsa256 -t ecdsa -b 256
key ecdsa384 -t ecdsa -b 384
key ecdsa521 -t ecdsa -b 521
key rsa2048 -t rsa -b 2048
key rsa1024 -t rsa -b 1024
[ -e dsa.pub ] || { key dsa -t dsa; rm dsa; }
[ -e locked ] || ssh-keygen -q -t ed25519 -N 'open sesame' -C 'locked test key' -f locked
# sign KEY NAMESPACE OUTPUT [OPTIONS]
sign() { key=$1; namespace=$2; output=$3; shift 3; ssh-keygen -q -Y sign -f "$key" -n "$namespace" "$@" < message.txt > "$output"; }
for name in ed25519 ecdsa256 ecdsa384 ecdsa521 rsa2048 rsa1024; do sign $name slipway $name.sig; done
sign ed25519 file file.sig
sign ed25519 git git.sig
sign ed25519 slipway sha256.sig -O hashalg=sha256
sign rsa2048 slipway rsa-sha256.sig -O hashalg=sha256
# A certificate in place of a key: ssh-keygen signs with it when it stands beside the key's public half.
[ -e certified ] || ssh-keygen -q -t ed25519 -N '' -C 'certified test key' -f certified
[ -e certified-cert.pub ] || ssh-keygen -q -s other -I test -n test -V 20200101:20991231 certified.pub
ssh-keygen -q -Y sign -f certified-cert.pub -n slipway < message.txt > certificate.sig || true
node make-token.mjs
for name in ed25519 ecdsa256 ecdsa384 ecdsa521 rsa2048 token-ed25519 token-ecdsa; do
  printf 'tester %s\n' "$(cat $name.pub)" > allowed.tmp
  ssh-keygen -Y verify -f allowed.tmp -I tester -n slipway -s $name.sig < message.txt
done
rm allowed.tmp
