#!/bin/sh
# Makes the keys and signatures of sequoia/ and prints what sqop says of them. All keys are test keys; each run makes new ones.
# Tools: sq 0.27.0 and sqop 0.27.3 (sequoia-openpgp 1.12.0).
set -eu
work=$(mktemp -d)
cd "$(dirname "$0")/sequoia"
for suite in cv25519 rsa3k; do
  sq --force key generate --userid "$suite" --cipher-suite $suite --creation-time 20260101T120000Z --expires-in 2y \
    --export $suite.secret.asc --rev-cert "$work/$suite.rev"
  sq --force key extract-cert --binary --output $suite.gpg $suite.secret.asc
  sq --force sign --detached --binary --time 20260601T120000Z --signer-key $suite.secret.asc --output $suite.sig ../message.txt
  sq --force sign --detached --time 20260601T120000Z --signer-key $suite.secret.asc --output $suite.asc ../message.txt
  sqop verify $suite.sig $suite.gpg < ../message.txt
done

# What sqop says of all signatures of this directory, by the keys of all, at the time of the making: 0 is good.
cd ..
cat $(ls ./*.gpg v6/v4-ed25519.gpg | grep -v -e secret -e keyring) > "$work/all.gpg"
date -u +'# judged at %Y-%m-%dT%H:%M:%SZ' > sqop.txt
for name in *.sig; do
  status=0
  sqop verify "$name" "$work/all.gpg" < message.txt > /dev/null 2>&1 || status=$?
  echo "$name $status" >> sqop.txt
done
rm -rf "$work"
