import { expect, test } from "vitest";
import { blake2b256 } from "../../../src/formats/blake2b.ts";
import { hex } from "../../../src/formats/bytes.ts";

// Python's hashlib.blake2b(b"abc" * n, digest_size=32): none, in one block, a block's end, over it.
test.each([
  [0, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"],
  [1, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"],
  [42, "626a30fa2eec9825e22597b875374cad6af0500757f86496772c26bd1388a51d"],
  [43, "984d83d7b8922259b3a9336bbb286b9d3819fe81e755770a10882e076cbdf3a7"],
  [128, "2ff6c93337be5de8f1d050d307989bf6b09eb298b6e1b629cae42a46bfec1f01"],
  [300, "0ff172376796f2850164c12d170264ca556a953f8093f2fde78d8ba16ae3cb02"],
])("%i times abc", (count, digest) => {
  expect(hex(blake2b256(new TextEncoder().encode("abc".repeat(count))))).toBe(digest);
});
