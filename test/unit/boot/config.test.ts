import { describe, expect, it } from "vitest";
import { type Config, defaultConfig, overrideConfig, parseConfig } from "../../../src/boot/config.ts";
import { parameters } from "../../../src/formats/cmdline.ts";
import { FormatError } from "../../../src/formats/format-error.ts";

describe("parseConfig", () => {
  it("an empty object is the default, which enforces", () => {
    const config = parseConfig("{}", "c.json");
    expect(config).toEqual(defaultConfig);
    expect(config.trust).toBe("enforce");
    expect(config.rescue.shell).toBe(false);
  });
  it("takes what is given", () => {
    const config = parseConfig('{"trust":"audit","discovery":{"deviceTimeoutSeconds":0}}', "c.json");
    expect(config).toEqual({
      ...defaultConfig,
      trust: "audit",
      discovery: { ...defaultConfig.discovery, deviceTimeoutSeconds: 0 },
    });
  });

  const refuses = (text: string, message: string | RegExp): void => {
    let error: unknown;
    try {
      parseConfig(text, "/etc/slipway/config.json");
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(FormatError);
    const told = error instanceof Error ? error.message : "";
    if (typeof message === "string") expect(told).toBe(message);
    else expect(told).toMatch(message);
  };
  it("no JSON", () => refuses("{", /^\/etc\/slipway\/config\.json: JSON expected: ./));
  it("an empty file", () => refuses("", /^\/etc\/slipway\/config\.json: JSON expected: ./));
  it("no object", () => refuses("[]", '/etc/slipway/config.json: "[]", an object expected'));
  it("unknown field", () =>
    refuses(
      '{"trsut":"off"}',
      '/etc/slipway/config.json: unknown field "trsut", one of trust, policy, entry, commandLineOverrides, discovery, handoff, rescue, limits expected',
    ));
  it("unknown mode of trust", () =>
    refuses(
      '{"trust":"on"}',
      '/etc/slipway/config.json: trust: "\\"on\\"", one of "enforce", "audit", "off" expected',
    ));
  it("trust that is null is no default", () =>
    refuses('{"trust":null}', '/etc/slipway/config.json: trust: "null", one of "enforce", "audit", "off" expected'));
  it("a section that is null", () =>
    refuses('{"rescue":null}', '/etc/slipway/config.json: rescue: "null", an object expected'));
  it("a bound", () =>
    refuses(
      '{"rescue":{"rebootAfterSeconds":86401}}',
      '/etc/slipway/config.json: rescue.rebootAfterSeconds: "86401", whole number of seconds, 0 to 86400 expected',
    ));
});

describe("overrideConfig", () => {
  const over = (commandLine: string, config: Config = defaultConfig): ReturnType<typeof overrideConfig> =>
    overrideConfig(config, parameters(commandLine));

  it("changes what may be changed", () => {
    const { config, refused } = over(
      'quiet slipway.entry="Debian GNU/Linux" slipway.discovery.deviceTimeoutSeconds=3 slipway.rescue.rebootAfterSeconds=0',
    );
    expect(refused).toEqual([]);
    expect(config).toEqual({
      ...defaultConfig,
      entry: "Debian GNU/Linux",
      discovery: { ...defaultConfig.discovery, deviceTimeoutSeconds: 3 },
      rescue: { ...defaultConfig.rescue, rebootAfterSeconds: 0 },
    });
    expect(defaultConfig.entry).toBeNull();
  });
  it("upper and lower case are the same, the last word wins", () => {
    expect(over("slipway.ENTRY=a slipway.entry=b").config.entry).toBe("b");
    expect(over("slipway.discovery.devicetimeoutseconds=7").config.discovery.deviceTimeoutSeconds).toBe(7);
  });
  it("words of others are theirs", () => {
    expect(over("slipwayx.entry=a slipway entry=b").config).toEqual(defaultConfig);
    expect(over("slipwayx.entry=a slipway entry=b").refused).toEqual([]);
  });

  const refuses = (commandLine: string, reason: string, config: Config = defaultConfig): void => {
    const result = over(commandLine, config);
    expect(result.refused).toEqual([reason]);
    expect(result.config).toEqual(config);
  };
  it("trust", () => refuses("slipway.trust=off", '"slipway.trust": trust cannot be overridden on the command line'));
  it("trust in capitals", () =>
    refuses("slipway.TRUST=off", '"slipway.TRUST": trust cannot be overridden on the command line'));
  it("the shell", () =>
    refuses("slipway.rescue.shell", '"slipway.rescue.shell": rescue.shell cannot be overridden on the command line'));
  it("limits", () =>
    refuses(
      "slipway.limits.kernelBytesMax=4294967295",
      '"slipway.limits.kernelBytesMax": limits.kernelBytesMax cannot be overridden on the command line',
    ));
  it("the switch for overrides itself", () =>
    refuses(
      "slipway.commandLineOverrides=true",
      '"slipway.commandLineOverrides": commandLineOverrides cannot be overridden on the command line',
    ));
  it("unknown", () => refuses("slipway.colour=red", '"slipway.colour": there is no such setting'));
  it("a section is no setting", () => refuses("slipway.rescue=1", '"slipway.rescue": there is no such setting'));
  it("names of every object are no settings", () => {
    refuses("slipway.__proto__=1", '"slipway.__proto__": there is no such setting');
    refuses("slipway.constructor=1", '"slipway.constructor": there is no such setting');
  });
  it("unreadable", () =>
    refuses(
      "slipway.discovery.deviceTimeoutSeconds=soon",
      '"slipway.discovery.deviceTimeoutSeconds": "soon", whole number of seconds, 0 to 86400 expected',
    ));
  it("without a value", () =>
    refuses(
      "slipway.discovery.probeTimeoutSeconds",
      '"slipway.discovery.probeTimeoutSeconds": "", whole number of seconds, 1 to 600 expected',
    ));
  it("out of bounds", () =>
    refuses(
      "slipway.discovery.probeTimeoutSeconds=0",
      '"slipway.discovery.probeTimeoutSeconds": "0", whole number of seconds, 1 to 600 expected',
    ));
  it("all of them, when the configuration says so", () =>
    refuses("slipway.entry=x", '"slipway.entry": commandLineOverrides is false', {
      ...defaultConfig,
      commandLineOverrides: false,
    }));
});
