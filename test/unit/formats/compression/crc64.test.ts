import { expect, test } from "vitest";
import { hex } from "../../../../src/formats/bytes.ts";
import { Crc64 } from "../../../../src/formats/compression/crc64.ts";

function crc64(...parts: readonly Uint8Array[]): string {
  const crc = new Crc64();
  for (const part of parts) crc.update(part);
  return hex(crc.digest().toReversed());
}

const check = new TextEncoder().encode("123456789");

// Check value of the catalogue of parametrised CRC algorithms (CRC-64/XZ).
test("check value", () => {
  expect(crc64(check)).toBe("995dc9bbdf1939fa");
  expect(crc64()).toBe("0000000000000000");
});

test("in two parts as in one", () => {
  expect(crc64(check.subarray(0, 4), check.subarray(4))).toBe("995dc9bbdf1939fa");
});
