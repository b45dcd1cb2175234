import { expect, test } from "vitest";
import { crc32, crc32c } from "../../../src/formats/crc32.ts";

const check = new TextEncoder().encode("123456789");

// Check values of the catalogue of parametrised CRC algorithms (CRC-32/ISO-HDLC, CRC-32/ISCSI).
test("check values", () => {
  expect(crc32(check)).toBe(0xcbf43926);
  expect(crc32c(check)).toBe(0xe3069283);
  expect(crc32(new Uint8Array())).toBe(0);
});

// RFC 3720, appendix B.4.
test("CRC-32C of 32 bytes", () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
});

test("in two parts as in one", () => {
  expect(crc32(check.subarray(4), crc32(check.subarray(0, 4)))).toBe(0xcbf43926);
});
