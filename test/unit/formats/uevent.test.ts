import { describe, expect, it } from "vitest";
import { FormatError } from "../../../src/formats/format-error.ts";
import { parseUevent } from "../../../src/formats/uevent.ts";

const message = (...pieces: string[]): Uint8Array => new TextEncoder().encode(pieces.map((p) => `${p}\0`).join(""));

/** As Linux sends it for a virtio disk that appears (lib/kobject_uevent.c, kobject_uevent_env). */
const added = message(
  "add@/devices/pci0000:00/0000:00:04.0/virtio1/block/vda/vda1",
  "ACTION=add",
  "DEVPATH=/devices/pci0000:00/0000:00:04.0/virtio1/block/vda/vda1",
  "SUBSYSTEM=block",
  "MAJOR=254",
  "MINOR=1",
  "DEVNAME=vda1",
  "DEVTYPE=partition",
  "DISKSEQ=9",
  "PARTN=1",
  "SEQNUM=1234",
);

describe("parseUevent", () => {
  it("reads a block device's event", () => {
    expect(parseUevent(added)).toEqual({
      action: "add",
      devpath: "/devices/pci0000:00/0000:00:04.0/virtio1/block/vda/vda1",
      subsystem: "block",
      devname: "vda1",
      modalias: null,
    });
  });
  it("reads a modalias, which may hold an equals sign", () => {
    const event = parseUevent(message("add@/devices/x", "SUBSYSTEM=acpi", "MODALIAS=acpi:PNP0501:a=b"));
    expect(event.modalias).toBe("acpi:PNP0501:a=b");
  });
  it("a device path may hold an at sign", () => {
    expect(parseUevent(message("bind@/devices/i2c@1")).devpath).toBe("/devices/i2c@1");
  });
  it("passes over pieces that are no pairs", () => {
    expect(parseUevent(message("add@/x", "", "=y", "SUBSYSTEM", "DEVNAME=n"))).toMatchObject({
      subsystem: null,
      devname: "n",
    });
  });

  const refuses = (bytes: Uint8Array, text: string): void => {
    expect(() => parseUevent(bytes)).toThrow(FormatError);
    expect(() => parseUevent(bytes)).toThrow(text);
  };
  const head = 'uevent: offset 0: "ACTION@/DEVPATH" expected';
  it("refuses an empty message", () => refuses(new Uint8Array(0), head));
  it("refuses the messages of udev, which begin otherwise", () => refuses(message("libudev"), head));
  it("refuses an event without an action", () => refuses(message("@/devices"), head));
  it("refuses a path that is not absolute", () => refuses(message("add@devices"), head));
  it("refuses what no kernel sends", () =>
    refuses(new Uint8Array(16_385), "uevent: 16385 bytes, at most 16384 are taken"));

  it("throws nothing else on cut or changed messages", () => {
    let state = 1;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % below;
    };
    const tolerate = (bytes: Uint8Array): void => {
      try {
        parseUevent(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    };
    for (let length = 0; length <= added.length; length++) tolerate(added.subarray(0, length));
    for (let round = 0; round < 2000; round++) {
      const bytes = Uint8Array.from(added);
      for (let changes = 0; changes < 4; changes++) bytes[random(bytes.length)] = random(256);
      tolerate(bytes);
    }
  });
});
