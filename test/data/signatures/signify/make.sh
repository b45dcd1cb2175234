#!/bin/sh
# signify-openbsd. Every key here is a throwaway for tests: its secret half is public and must never be trusted.
set -eu
cd "$(dirname "$0")"
printf 'signed by a throwaway test key\n' > message.txt
[ -e plain.sec ] || signify-openbsd -G -n -c 'signify test key' -p plain.pub -s plain.sec
[ -e other.sec ] || signify-openbsd -G -n -c 'another test key' -p other.pub -s other.sec
signify-openbsd -S -s plain.sec -m message.txt -x detached.sig
signify-openbsd -S -e -s plain.sec -m message.txt -x embedded.sig
gzip -n -c message.txt > message.gz
signify-openbsd -S -z -s plain.sec -m message.gz -x archive.gz
rm message.gz
