import { describe, expect, test } from "vitest";
import { grammar } from "../../../../src/formats/ipxe/command.ts";
import { defaultIpxeLimits } from "../../../../src/formats/ipxe/limits.ts";
import { parseUnsigned } from "../../../../src/formats/ipxe/number.ts";
import { parseOptions } from "../../../../src/formats/ipxe/options.ts";
import { isIpxeScript, parseIpxeScript } from "../../../../src/formats/ipxe/script.ts";
import { settingType } from "../../../../src/formats/ipxe/setting-types.ts";
import { formatUri, parseUri, resolveUri, uriName } from "../../../../src/formats/ipxe/uri.ts";
import { formatErrorOf, tortureParser } from "../../../fakes/hostile-input.ts";

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

describe("scripts", () => {
  test.each([
    ["#!ipxe\n", true],
    ["#!gpxe\r", true],
    ["#!ipxe echo", true],
    ["#!ipxe", false],
    ["#!ipxex\n", false],
    [" #!ipxe\n", false],
    ["", false],
  ])("%j is one: %s", (text, answer) => {
    expect(isIpxeScript(bytes(text))).toBe(answer);
  });

  test("lines, labels, joined lines, NUL", () => {
    const script = parseIpxeScript(
      bytes("#!ipxe\r\n :a  echo 1\r\nb \\\r\n\tc\n:a\n:\n: d\n x\0y\n:e"),
      defaultIpxeLimits,
    );
    expect(script.lines.map(({ number, label, command }) => [number, label, command])).toEqual([
      [1, null, "#!ipxe"],
      [2, "a", " echo 1"],
      [3, null, "b \tc"],
      [5, "a", ""],
      [6, "", ""],
      [7, "", "d"],
      [8, null, "x"],
      [9, "e", ""],
    ]);
    expect([...script.labels]).toEqual([
      ["a", 1],
      ["", 4],
      ["e", 7],
    ]);
    expect(script.openLine).toBeNull();
    expect(parseIpxeScript(bytes("#!ipxe\na\nb\\\nc\\"), defaultIpxeLimits).openLine).toBe(3);
  });

  test("what is none is refused", () => {
    const error = (text: string, scriptBytesMax = 100): string | null =>
      formatErrorOf(() => parseIpxeScript(bytes(text), { scriptBytesMax }));
    expect(error("echo")).toBe('ipxe: line 1: "#!ipxe" expected');
    expect(error("#!ipxe\n", 6)).toBe("ipxe: 7 bytes, at most 6 are taken");
  });

  test("hostile ones", () => {
    const text = bytes("#!ipxe\n:a\r\necho \\\n b\0c\n: x\n\\\n");
    tortureParser({ bytes: text, parse: (each) => parseIpxeScript(each, defaultIpxeLimits), rounds: 500, seed: 7 });
  });
});

describe("numbers", () => {
  test.each<[string, 0 | 8 | 10 | 16, bigint, string]>([
    ["12", 0, 12n, ""],
    [" \t+7x", 0, 7n, "x"],
    ["-1", 0, 0xffffffffffffffffn, ""],
    ["010", 0, 8n, ""],
    ["08", 0, 0n, "8"],
    ["0", 0, 0n, ""],
    ["0x", 0, 0n, ""],
    ["0XfFg", 0, 255n, "g"],
    ["ff", 16, 255n, ""],
    ["0x1f", 16, 31n, ""],
    ["755 x", 8, 493n, " x"],
    ["", 10, 0n, ""],
    ["18446744073709551617", 10, 1n, ""],
  ])("%j in base %i", (text, base, value, rest) => {
    expect(parseUnsigned(text, base)).toEqual({ value, rest });
  });
});

describe("options", () => {
  const taken = grammar(1, 2, {
    name: ["n", "text"],
    keep: ["k", "flag"],
    fast: ["f", "flag"],
    timeout: ["t", "milliseconds"],
    key: ["x", "key"],
  });
  const row = (line: string): string => {
    const parsed = parseOptions(
      line.split(" ").filter((word) => word !== ""),
      taken,
    );
    if ("reason" in parsed) return parsed.reason;
    const { flags, texts, numbers, words } = parsed;
    return JSON.stringify([[...flags], [...texts], [...numbers], words]);
  };
  test.each([
    ["a", '[[],[],[],["a"]]'],
    ["--name b a", '[[],[["name","b"]],[],["a"]]'],
    ["--name=b -t 5 a", '[[],[["name","b"]],[["timeout",5]],["a"]]'],
    ["-nb -kf a --keep", '[["keep","fast"],[["name","b"]],[],["a","--keep"]]'],
    ["-kn b a", '[["keep"],[["name","b"]],[],["a"]]'],
    ["-- --name a", '[[],[],[],["--name","a"]]'],
    ["--key s --timeout 0x10 a", '[[],[],[["key",115],["timeout",16]],["a"]]'],
    ["--key 115 a", '[[],[],[["key",115]],["a"]]'],
    ["--nam b a", 'there is no option "--nam"'],
    ["-z a", 'there is no option "-z"'],
    ["- a", 'there is no option "-"'],
    ["--keep=1 a", 'option "keep" takes no value'],
    ["--name -k a", 'option "name" needs a value'],
    ["--name", 'option "name" needs a value'],
    ["--timeout x a", '"x" is no number'],
    ["--help a", "only its help was asked for"],
    ["", "0 words, 1 to 2 expected"],
    ["a b c", "3 words, 1 to 2 expected"],
  ])("%j", (line, expected) => {
    expect(row(line)).toBe(expected);
  });
});

describe("URIs", () => {
  test.each([
    "vmlinuz",
    "/a/b?c=d#e",
    "http://user@host:80/a%20b?q",
    "file:name",
    "file:/a/b",
    "file:///a",
    "tftp://[fe80::1]/a",
    "http://host",
    "",
  ])("%j is read and written", (text) => {
    expect(formatUri(parseUri(text))).toBe(text);
  });

  test("parts", () => {
    expect(parseUri("http://u:p@h:8080/a%2fb?c#d##params=f")).toEqual({
      ...{ scheme: "http", opaque: null, user: "u", password: "p", host: "h", port: "8080" },
      ...{ path: "/a/b", query: "c", fragment: "d", params: "f" },
    });
    expect(formatUri(parseUri("http://u:p@h/"))).toBe("http://u:***@h/");
  });

  // The examples of RFC 3986, section 5.4.1, that iPXE's own tests have.
  test.each([
    ["http://a/b/c/d;p?q", "g", "http://a/b/c/g"],
    ["http://a/b/c/d;p?q", "./g", "http://a/b/c/g"],
    ["http://a/b/c/d;p?q", "g/", "http://a/b/c/g/"],
    ["http://a/b/c/d;p?q", "/g", "http://a/g"],
    ["http://a/b/c/d;p?q", "?y", "http://a/b/c/d;p?y"],
    ["http://a/b/c/d;p?q", "g?y", "http://a/b/c/g?y"],
    ["http://a/b/c/d;p?q", "#s", "http://a/b/c/d;p?q#s"],
    ["http://a/b/c/d;p?q", "../g", "http://a/b/g"],
    ["http://a/b/c/d;p?q", "../../g", "http://a/g"],
    ["http://a/b/c/d;p?q", "..g", "http://a/b/c/..g"],
    ["http://a/b/c/d;p?q", "ftp://x/y", "ftp://x/y"],
    ["file:autoexec.ipxe", "vmlinuz", "file:vmlinuz"],
    ["file:autoexec.ipxe", "/vmlinuz", "file:/vmlinuz"],
  ])("from %j, %j is %j", (base, relative, expected) => {
    expect(formatUri(resolveUri(parseUri(base), parseUri(relative)))).toBe(expected);
  });

  test.each([
    ["http://h/a/b.img?x=/y", "b.img"],
    ["a", "a"],
    ["file:a/b", "b"],
    ["/a/", ""],
    ["?a", null],
  ])("%j is called %j", (text, name) => {
    expect(uriName(parseUri(text))).toBe(name);
  });
});

describe("types that the judged iPXE does not have", () => {
  const shown = (type: string, text: string): string | null => {
    const raw = settingType("hexraw")?.parse(text);
    return raw === undefined || raw === null ? null : (settingType(type)?.format(raw) ?? null);
  };
  test.each([
    ["guid", "000102030405060708090a0b0c0d0e0f", "03020100-0504-0706-0809-0a0b0c0d0e0f"],
    ["guid", "00", null],
    ["ipv6", "20010db8000000000001000000000001", "2001:db8::1:0:0:1"],
    ["ipv6", "00000000000000000000000000000001", "::1"],
    ["ipv6", "00000000000000000000000000000000", "::"],
    ["ipv6", "fe800000000000000000000000000000", "fe80::"],
    ["ipv6", "00010002000300040005000600070008", "1:2:3:4:5:6:7:8"],
    ["ipv6", "0001", null],
    ["dnssl", "0161016200046e616d6500", "a.b name"],
    ["dnssl", "0561", null],
  ])("%s of %s", (type, raw, expected) => {
    expect(shown(type, raw)).toBe(expected);
  });

  test.each([
    ["ipv6", "2001:db8::1", "20010db8000000000000000000000001"],
    ["ipv6", "::", "00000000000000000000000000000000"],
    ["ipv6", "1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
    ["ipv6", "1::2::3", null],
    ["ipv6", "1:2", null],
    ["ipv6", "g::", null],
    ["dnssl", "a.b,name", "0161016200046e616d6500"],
  ])("%s from %j", (type, text, expected) => {
    const raw = settingType(type)?.parse(text) ?? null;
    expect(raw === null ? null : settingType("hexraw")?.format(raw)).toBe(expected);
  });
});
