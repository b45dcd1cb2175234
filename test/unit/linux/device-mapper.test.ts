import { describe, expect, it } from "vitest";
import { decodeDeviceNumber, encodeMapperRequest } from "../../../src/linux/device-mapper.ts";

// Offsets: linux/dm-ioctl.h on x86_64, as a C compiler lays them out.
describe("encodeMapperRequest", () => {
  it("a header alone", () => {
    const request = encodeMapperRequest("name", { uuid: "UUID", flags: 1, event: 0xf0000 });
    expect(request).toHaveLength(312);
    const words = [0, 4, 12, 16, 20, 28, 32].map((at) => request.readUInt32LE(at));
    expect(words).toEqual([4, 0, 312, 312, 0, 1, 0xf0000]);
    expect(request.toString("latin1", 48, 53)).toBe("name\0");
    expect(request.toString("latin1", 176, 181)).toBe("UUID\0");
  });
  it("a table", () => {
    const request = encodeMapperRequest("n", {}, [
      { start: 0, sectors: 2048, type: "linear", parameters: "254:0 2048" },
      { start: 2048, sectors: 2 ** 40, type: "striped", parameters: "2 128 254:0 0 254:16 0" },
    ]);
    // 40 bytes, the parameters and NUL, up to a multiple of 8.
    expect(request).toHaveLength(312 + 56 + 64);
    expect(request.readUInt32LE(12)).toBe(request.length);
    expect(request.readUInt32LE(20)).toBe(2);
    expect([request.readBigUInt64LE(312), request.readBigUInt64LE(320), request.readUInt32LE(332)]).toEqual([
      0n,
      2048n,
      56,
    ]);
    expect(request.toString("latin1", 336, 343)).toBe("linear\0");
    expect(request.toString("latin1", 352, 363)).toBe("254:0 2048\0");
    expect([request.readBigUInt64LE(368), request.readBigUInt64LE(376)]).toEqual([2048n, 2n ** 40n]);
  });
  it("names that do not fit", () => {
    expect(() => encodeMapperRequest("n".repeat(128))).toThrow(/the name is too long$/);
    const target = { start: 0, sectors: 1, type: "a-very-long-target", parameters: "" };
    expect(() => encodeMapperRequest("n", {}, [target])).toThrow('target "a-very-long-target" is no name of a target');
  });
});

describe("decodeDeviceNumber", () => {
  // linux/kdev_t.h, new_encode_dev: minor's low byte, major, the minor's rest.
  const row = (number: number, devno: string, name: string): void =>
    expect(decodeDeviceNumber(number)).toEqual({ devno, name });
  it("small", () => row(0xfd00, "253:0", "dm-0"));
  it("a minor of more than 8 bits", () => row(0x0010_fd2c, "253:300", "dm-300"));
  it("the largest", () => row(0xffff_ffff, "4095:1048575", "dm-1048575"));
});
