#!/bin/sh
# minisign 0.11. Every key here is a throwaway for tests: its secret half is public and must never be trusted.
set -eu
cd "$(dirname "$0")"
printf 'signed by a throwaway test key\n' > message.txt
[ -e plain.key ] || minisign -G -W -c 'plain test key' -p plain.pub -s plain.key
# Two lines on standard input: the password and the password again.
[ -e locked.key ] || printf 'open sesame\nopen sesame\n' | minisign -G -c 'locked test key' -p locked.pub -s locked.key
minisign -S -W -s plain.key -m message.txt -x plain.minisig -c 'untrusted words' -t 'trusted words'
minisign -S -l -W -s plain.key -m message.txt -x legacy.minisig -c 'untrusted words' -t 'trusted words'
printf 'open sesame\n' | minisign -S -s locked.key -m message.txt -x locked.minisig -t 'trusted words'
