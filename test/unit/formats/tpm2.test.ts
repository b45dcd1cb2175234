import { describe, expect, it, test } from "vitest";
import { hex } from "../../../src/formats/bytes.ts";
import {
  bankAlgorithm,
  bankAlgorithmNamed,
  getPcrBanksCommand,
  isRetryable,
  type NvPublic,
  nvAttribute,
  nvDefineSpaceCommand,
  nvIncrementCommand,
  nvReadCommand,
  nvReadPublicCommand,
  nvUndefineSpaceCommand,
  nvWriteCommand,
  nvWriteLockCommand,
  pcrExtendCommand,
  pcrReadCommand,
  readNvData,
  readNvPublic,
  readPcrBanks,
  readPcrValues,
  readTpmResponse,
  responseCode,
  responseText,
  type TpmCommand,
  tpmMessageBytesMax,
} from "../../../src/formats/tpm2.ts";
import { formatErrorOf, tortureParser } from "../../fakes/hostile-input.ts";
import { exchangesOf } from "../../fakes/tpm-exchanges.ts";

const none = new Uint8Array(0);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const sha256 = bankAlgorithmNamed("sha256") ?? bankAlgorithm(0);
const sha1 = bankAlgorithmNamed("sha1") ?? bankAlgorithm(0);
const secret = { by: "index", value: text("secret") } as const;
const indexCalls = {
  define: "tpm2_nvdefine 0x1800002 -s 10 -a authread|authwrite|ownerread|write_stclear|writedefine -p secret",
};

/** A command without its authorisation: tpm2-tools prove what they know by an HMAC, Slipway says it. */
function withoutAuthorization(bytes: Uint8Array, handles: number): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = 10 + handles * 4;
  const area = 4 + view.getUint32(at);
  return hex(bytes.subarray(6, at)) + hex(bytes.subarray(at + area));
}

describe("commands are those that tpm2-tools send", () => {
  const codeOf = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(6);
  const same = (command: TpmCommand, call: string, number = 0): void => {
    const sent = exchangesOf(call, codeOf(command.bytes))[number];
    expect(hex(command.bytes)).toBe(hex(sent?.command ?? none));
  };
  const sameParts = (command: TpmCommand, call: string, handles: number): void => {
    const sent = exchangesOf(call, codeOf(command.bytes))[0];
    expect(withoutAuthorization(command.bytes, handles)).toBe(withoutAuthorization(sent?.command ?? none, handles));
  };

  it("PCRs", () => {
    const digests = [
      { algorithm: sha1, digest: new Uint8Array(Buffer.from("0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33", "hex")) },
      {
        algorithm: sha256,
        digest: new Uint8Array(Buffer.from("2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "hex")),
      },
    ];
    const extended = digests.map(({ algorithm, digest }) => `${algorithm.name}=${hex(digest)}`).join(",");
    same(pcrExtendCommand(23, digests), `tpm2_pcrextend 23:${extended}`);
    const read = "tpm2_pcrread sha256:8,9,10,11,12,13,14,15,16,23";
    same(pcrReadCommand(sha256, [8, 9, 10, 11, 12, 13, 14, 15, 16, 23]), read);
    same(pcrReadCommand(sha256, [16, 23]), read, 1);
  });

  it("NV memory", () => {
    same(nvReadPublicCommand(0x01800002), "tpm2_nvreadpublic 0x1800002");
    const counter = { index: 0x01800001, attributes: 0x00060014, policy: none, size: 8 };
    sameParts(
      nvDefineSpaceCommand(counter, none, none),
      "tpm2_nvdefine 0x1800001 -s 8 -a authread|authwrite|ownerread|nt=counter",
      1,
    );
    sameParts(nvIncrementCommand(0x01800001, { by: "index", value: none }), "tpm2_nvincrement 0x1800001", 2);
    sameParts(nvReadCommand(0x01800001, { by: "index", value: none }, 0, 8), "tpm2_nvread 0x1800001", 2);
    // TPMA_NV_WRITE_STCLEAR (part 2, section 13.4), which Slipway has no use for.
    const writeStClear = 1 << 14;
    const attributes =
      nvAttribute.authRead | nvAttribute.authWrite | nvAttribute.ownerRead | writeStClear | nvAttribute.writeDefine;
    const area: NvPublic = { index: 0x01800002, attributes, policy: none, size: 10 };
    sameParts(nvDefineSpaceCommand(area, none, text("secret")), indexCalls.define, 1);
    sameParts(nvWriteCommand(0x01800002, secret, 0, text("0123456789")), "tpm2_nvwrite 0x1800002 -P secret -i data", 2);
    sameParts(nvReadCommand(0x01800002, secret, 0, 10), "tpm2_nvread 0x1800002 -P secret", 2);
    sameParts(nvWriteLockCommand(0x01800002, secret), "tpm2_nvwritelock 0x1800002 -P secret", 2);
    sameParts(nvUndefineSpaceCommand(0x01800002, none), "tpm2_nvundefine 0x1800002", 2);
  });

  it("banks, but for how many are asked for", () => {
    const sent = exchangesOf("tpm2_getcap pcrs", 0x17a)[0]?.command ?? none;
    expect(hex(getPcrBanksCommand().bytes.subarray(0, -4))).toBe(hex(sent.subarray(0, -4)));
  });
});

it("a password stands in the authorisation of its command (part 1, section 19.4)", () => {
  // tag, size, code | two handles | area: size, TPM_RS_PW, no nonce, no attributes, the value | size, offset
  expect(hex(nvReadCommand(0x01800002, secret, 2, 4).bytes)).toBe(
    "8002000000290000014e0180000201800002" + "0000000f40000009000000" + "0006736563726574" + "00040002",
  );
  expect(hex(nvReadCommand(0x01800002, { by: "owner", value: none }, 0, 4).bytes)).toBe(
    "8002000000230000014e4000000101800002" + "0000000940000009000000" + "0000" + "00040000",
  );
});

describe("answers", () => {
  const parametersOf = (call: string, code: number, number = 0): Uint8Array =>
    readTpmResponse(exchangesOf(call, code)[number]?.answer ?? none).parameters;
  const pcrs24 = Array.from({ length: 24 }, (_, pcr) => pcr);

  it("banks", () => {
    const banks = readPcrBanks(parametersOf("tpm2_getcap pcrs", 0x17a));
    expect(banks.map(({ algorithm }) => algorithm.name)).toEqual(["sha1", "sha256", "sha384", "sha512"]);
    for (const { pcrs } of banks) expect(pcrs).toEqual(pcrs24);
  });

  it("PCR values come in parts", () => {
    const call = "tpm2_pcrread sha256:8,9,10,11,12,13,14,15,16,23";
    expect([...readPcrValues(parametersOf(call, 0x17e), sha256).keys()]).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
    const rest = readPcrValues(parametersOf(call, 0x17e, 1), sha256);
    expect(hex(rest.get(16) ?? none)).toBe("00".repeat(32));
    // echo -n foo | sha256sum, hashed behind 32 zeroes
    expect(hex(rest.get(23) ?? none)).toBe("424816d020cf3d793ac021da47379bdf608080a83eb9364a7fbe0bdfa87111d7");
  });

  it("NV memory", () => {
    expect(readNvPublic(parametersOf("tpm2_nvreadpublic 0x1800002", 0x169))).toEqual({
      index: 0x01800002,
      attributes: 0x00066004,
      policy: none,
      size: 10,
    });
    const read = exchangesOf("tpm2_nvread 0x1800002 -P secret", 0x14e);
    expect(responseText(readTpmResponse(read[0]?.answer ?? none).code)).toMatch(/^TPM_RC_NV_UNINITIALIZED/);
  });

  it("of a command with a session, the parameters stand before the session", () => {
    const { code, parameters } = readTpmResponse(
      new Uint8Array(Buffer.from("800200000018000000000000000500036162630000010000", "hex")),
    );
    expect(code).toBe(0);
    expect(new TextDecoder().decode(readNvData(parameters, 3))).toBe("abc");
  });
});

describe("what is refused", () => {
  const digest = new Uint8Array(32);
  const rows: readonly (readonly [name: string, act: () => unknown, message: string])[] = [
    ["a PCR too many", () => pcrExtendCommand(24, [{ algorithm: sha256, digest }]), "tpm2: PCR 24: 0 to 23 expected"],
    ["part of a PCR", () => pcrReadCommand(sha256, [1.5]), "tpm2: PCR 1.5: 0 to 23 expected"],
    ["no digest", () => pcrExtendCommand(8, []), "tpm2: PCR 8: a digest expected"],
    [
      "a short digest",
      () => pcrExtendCommand(8, [{ algorithm: sha256, digest: new Uint8Array(20) }]),
      "tpm2: PCR 8: 32 bytes of sha256 expected, not 20",
    ],
    [
      "an unknown algorithm",
      () => pcrExtendCommand(8, [{ algorithm: bankAlgorithm(0x99), digest }]),
      "tpm2: PCR 8: a known number of bytes of 0x99 expected, not 32",
    ],
    [
      "a handle that is no index",
      () => nvReadPublicCommand(0x81000001),
      "tpm2: 0x81000001: an NV index from 0x1000000 to 0x1ffffff expected",
    ],
    [
      "no index at all",
      () => nvReadPublicCommand(Number.NaN),
      "tpm2: NaN: an NV index from 0x1000000 to 0x1ffffff expected",
    ],
    ["too much to read", () => nvReadCommand(0x01800001, secret, 0, 513), "tpm2: size: 513: 0 to 512 bytes expected"],
    ["too far", () => nvReadCommand(0x01800001, secret, 65_536, 1), "tpm2: offset: 65536: 0 to 65535 bytes expected"],
    [
      "too much to write",
      () => nvWriteCommand(0x01800001, secret, 0, new Uint8Array(513)),
      "tpm2: size: 513: 0 to 512 bytes expected",
    ],
    [
      "an index too large",
      () => nvDefineSpaceCommand({ index: 0x01800001, attributes: 0, policy: none, size: 65_536 }, none, none),
      "tpm2: size: 65536: 0 to 65535 bytes expected",
    ],
    [
      "a long password",
      () => nvIncrementCommand(0x01800001, { by: "index", value: new Uint8Array(65) }),
      "tpm2: authorisation value: 65 bytes, at most 64 expected",
    ],
    [
      "a command that does not fit",
      () =>
        nvDefineSpaceCommand({ index: 0x01800001, attributes: 0, policy: new Uint8Array(5000), size: 1 }, none, none),
      "tpm2: NV_DefineSpace: 5045 bytes, at most 4096 can be sent",
    ],
  ];
  it.each(rows)("%s", (_name, act, message) => expect(formatErrorOf(act)).toBe(message));

  const from = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, "hex"));
  const answers: readonly (readonly [name: string, act: () => unknown, message: string])[] = [
    ["nothing", () => readTpmResponse(none), "tpm2: offset 0, tag: 2 byte(s) expected, the input ends at 0"],
    [
      "cut",
      () => readTpmResponse(from("80010000000c000000000000").subarray(0, 11)),
      "tpm2: offset 2, responseSize: 12: 11 expected, as many bytes as there are",
    ],
    [
      "a tag of a TPM 1.2",
      () => readTpmResponse(from("00c40000000a00000000")),
      "tpm2: offset 0, tag: 0x8001 or 0x8002 expected, not 0xc4",
    ],
    [
      "parameters beyond the end",
      () => readTpmResponse(from("80020000000e0000000000000001")),
      "tpm2: offset 14, parameters: 1 byte(s) expected, the input ends at 14",
    ],
    [
      "too long",
      () => readTpmResponse(new Uint8Array(tpmMessageBytesMax + 1)),
      "tpm2: 4097 bytes, at most 4096 are taken",
    ],
    [
      "another capability",
      () => readPcrBanks(from("000000000600000000")),
      "tpm2: offset 1, capability: 5 expected, not 6",
    ],
    [
      "a long list",
      () => readPcrBanks(from("000000000500000401")),
      "tpm2: offset 5, count: 1025: at most 1024 are taken",
    ],
    [
      "more than the list",
      () => readPcrBanks(from("00000000050000000000")),
      "tpm2: offset 9: the end expected, 1 byte(s) are left",
    ],
    [
      "a bank that was not asked for",
      () => readPcrValues(from("0000000000000001000403ff000000000000"), sha256),
      "tpm2: offset 8, hash: 0xb expected, not 0x4",
    ],
    [
      "too many selections",
      () => readPcrValues(from("0000000000000401"), sha256),
      "tpm2: offset 4, pcrSelectionOut: 1025: at most 1024 are taken",
    ],
    [
      "fewer values than PCRs",
      () => readPcrValues(from("0000000000000001000b030100000000000000"), sha256).size,
      "tpm2: offset 14, pcrValues: 1 expected, not 0",
    ],
    [
      "a short value",
      () => readPcrValues(from("0000000000000001000b0301000000000001" + "0001aa"), sha256),
      "tpm2: offset 18, digest: 1 bytes, 32 expected for sha256",
    ],
    ["less data than asked for", () => readNvData(from("000161"), 2), "tpm2: offset 0, data: 1 bytes, 2 expected"],
    [
      "more data than it says",
      () => readNvData(from("00016162"), 1),
      "tpm2: offset 3: the end expected, 1 byte(s) are left",
    ],
  ];
  it.each(answers)("an answer: %s", (_name, act, message) => expect(formatErrorOf(act)).toBe(message));
});

describe("response codes", () => {
  // TPM 2.0 library, part 2, tables 16 to 18.
  const rows: readonly (readonly [code: number, text: string])[] = [
    [0x100, "TPM_RC_INITIALIZE: the TPM was not started, or was started already"],
    [0x101, "TPM_RC_FAILURE: the TPM failed its self-test and does nothing until it is reset"],
    [0x143, "TPM_RC_COMMAND_CODE: the TPM does not have the command"],
    // The kernel's resource manager marks what it says itself.
    [0xb0143, "TPM_RC_COMMAND_CODE: the TPM does not have the command"],
    [0x146, "TPM_RC_NV_RANGE: the bytes leave the index"],
    [0x148, "TPM_RC_NV_LOCKED: the index is locked"],
    [0x14a, "TPM_RC_NV_UNINITIALIZED: the index was not written yet"],
    [0x14b, "TPM_RC_NV_SPACE: there is no room for the index"],
    [0x14c, "TPM_RC_NV_DEFINED: the index is there already"],
    [0x18b, "TPM_RC_HANDLE (handle 1): there is nothing with this handle"],
    [0x28b, "TPM_RC_HANDLE (handle 2): there is nothing with this handle"],
    [0x98e, "TPM_RC_AUTH_FAIL (session 1): the authorisation value is wrong"],
    [0x9a2, "TPM_RC_BAD_AUTH (session 1): the authorisation value is wrong"],
    [0x2d5, "TPM_RC_SIZE (parameter 2): the size is wrong"],
    [0x095, "TPM_RC_SIZE: the size is wrong"],
    [0x908, "TPM_RC_YIELDED: the TPM had something else to do"],
    [0x90a, "TPM_RC_TESTING: the TPM is testing itself"],
    [0x921, "TPM_RC_LOCKOUT: too many wrong authorisation values were given: the TPM is locked out"],
    [0x922, "TPM_RC_RETRY: the TPM could not start the command"],
    [0x123, "response code 0x123"],
    // Of a vendor: bit 10.
    [0x548, "response code 0x548"],
  ];
  it.each(rows)("0x%s", (code, sentence) => expect(responseText(code)).toBe(sentence));

  test("which are sent again", () => {
    const again = [0x922, 0x90a, 0x908, 0x920];
    expect(again.every(isRetryable)).toBe(true);
    expect([0, 0x921, 0x923, 0x148, 0x98e, 0x101].some(isRetryable)).toBe(false);
  });

  test("the number itself stays", () => expect(responseCode(0xb0143).code).toBe(0xb0143));
});

test("algorithms", () => {
  expect(bankAlgorithm(0x12)).toEqual({ id: 0x12, name: "sm3_256", digestBytes: 32 });
  expect(bankAlgorithm(0x1234)).toEqual({ id: 0x1234, name: "0x1234", digestBytes: null });
  expect(bankAlgorithmNamed("md5")).toBeNull();
});

test("hostile answers", () => {
  const bytes = exchangesOf("tpm2_pcrread sha256:8,9,10,11,12,13,14,15,16,23", 0x17e)[0]?.answer ?? none;
  const parse = (input: Uint8Array): unknown => {
    const { parameters } = readTpmResponse(input);
    for (const read of [readPcrBanks, readNvPublic]) formatErrorOf(() => read(parameters));
    return readPcrValues(parameters, sha256);
  };
  tortureParser({ bytes, parse, rounds: 3000, seed: 5 });
  const area = exchangesOf("tpm2_nvreadpublic 0x1800002", 0x169)[0]?.answer ?? none;
  tortureParser({
    bytes: area,
    parse: (input) => readNvPublic(readTpmResponse(input).parameters),
    rounds: 3000,
    seed: 6,
  });
});
