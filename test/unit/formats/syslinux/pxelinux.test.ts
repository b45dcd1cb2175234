import { describe, expect, test } from "vitest";
import { type PxelinuxClient, pxelinuxConfigNames, pxelinuxPrefix } from "../../../../src/formats/syslinux/pxelinux.ts";
import { formatErrorOf } from "../../../fakes/hostile-input.ts";

// The example of syslinux's own documentation (pxelinux.txt, "HOW TO CONFIGURE PXELINUX").
const client: PxelinuxClient = {
  configFile: null,
  pathPrefix: null,
  bootFile: "/mybootdir/pxelinux.0",
  uuid: "b8945908-d6a6-41a9-611d-74a6ab80b83d",
  hardwareType: 1,
  mac: "88:99:AA:BB:CC:DD",
  ipv4: "192.0.2.91",
};

describe("pxelinuxConfigNames", () => {
  test("the documentation's example", () => {
    expect(pxelinuxPrefix(client)).toBe("/mybootdir/");
    expect(pxelinuxConfigNames(client)).toEqual(
      [
        "b8945908-d6a6-41a9-611d-74a6ab80b83d",
        "01-88-99-aa-bb-cc-dd",
        ...["C000025B", "C000025", "C00002", "C0000", "C000", "C00", "C0", "C"],
        "default",
      ].map((name) => `pxelinux.cfg/${name}`),
    );
  });

  // As recorded of the real pxelinux 6.04 in QEMU, started with `-uuid b8945908-d6a6-41a9-611d-74a6ab80b83d`.
  test("what the real pxelinux asked for", () => {
    const bootFile = "boot/pxelinux.0";
    const uuid = "085994b8-a6d6-a941-611d-74a6ab80b83d";
    const asked = pxelinuxConfigNames({ ...client, bootFile, uuid, ipv4: "10.0.2.15" });
    expect(asked.map((name) => pxelinuxPrefix({ ...client, bootFile }) + name)).toEqual(
      [
        "085994b8-a6d6-a941-611d-74a6ab80b83d",
        "01-88-99-aa-bb-cc-dd",
        ...["0A00020F", "0A00020", "0A0002", "0A000", "0A00", "0A0", "0A", "0"],
        "default",
      ].map((name) => `boot/pxelinux.cfg/${name}`),
    );
  });

  test.each<[Partial<PxelinuxClient>, readonly string[]]>([
    [{ configFile: "my.cfg" }, ["my.cfg", "pxelinux.cfg/01-88-99-aa-bb-cc-dd", "pxelinux.cfg/default"]],
    [{ configFile: "" }, ["pxelinux.cfg/01-88-99-aa-bb-cc-dd", "pxelinux.cfg/default"]],
    [{ hardwareType: 32, mac: "0A-0b-0c-0d-0e-0f" }, ["pxelinux.cfg/20-0a-0b-0c-0d-0e-0f", "pxelinux.cfg/default"]],
    // A version of 0 or 15 is none: such a UUID is passed over.
    [{ uuid: "00000000-0000-0000-0000-000000000000" }, ["pxelinux.cfg/01-88-99-aa-bb-cc-dd", "pxelinux.cfg/default"]],
    [
      { uuid: "FFFFFFFF-FFFF-4FFF-FFFF-FFFFFFFFFFFF" },
      [
        "pxelinux.cfg/ffffffff-ffff-4fff-ffff-ffffffffffff",
        "pxelinux.cfg/01-88-99-aa-bb-cc-dd",
        "pxelinux.cfg/default",
      ],
    ],
  ])("%j", (changes, names) => {
    expect(pxelinuxConfigNames({ ...client, uuid: null, ipv4: null, ...changes })).toEqual(names);
  });

  test.each<[Partial<PxelinuxClient>, string]>([
    [{ mac: "88:99" }, 'pxelinux: hardware address "88:99": six pairs of hexadecimal digits expected'],
    [{ hardwareType: 256 }, "pxelinux: hardware type 256: 0 to 255 expected"],
    [{ uuid: "x" }, 'pxelinux: UUID "x": 32 hexadecimal digits with dashes expected'],
    [{ ipv4: "1.2.3.400" }, 'pxelinux: address "1.2.3.400": IPv4 in dotted decimal expected'],
    [{ ipv4: "::1" }, 'pxelinux: address "::1": IPv4 in dotted decimal expected'],
  ])("%j is refused", (changes, message) => {
    expect(formatErrorOf(() => pxelinuxConfigNames({ ...client, ...changes }))).toBe(message);
  });
});

test("option 210 is the prefix as it is", () => {
  expect(pxelinuxPrefix({ ...client, pathPrefix: "http://host/a" })).toBe("http://host/a");
  expect(pxelinuxPrefix({ ...client, bootFile: "pxelinux.0" })).toBe("");
});
