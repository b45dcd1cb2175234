import { describe, expect, it } from "vitest";
import { describeErrno, errno, SyscallError } from "../../../src/linux/errno.ts";

/** Names and numbers of asm-generic/errno-base.h, asm-generic/errno.h and include/linux/errno.h. */
const numbers: readonly (readonly [number, string])[] = [
  [1, "EPERM"],
  [2, "ENOENT"],
  [8, "ENOEXEC"],
  [12, "ENOMEM"],
  [15, "ENOTBLK"],
  [16, "EBUSY"],
  [22, "EINVAL"],
  [26, "ETXTBSY"],
  [27, "EFBIG"],
  [38, "ENOSYS"],
  [40, "ELOOP"],
  [61, "ENODATA"],
  [65, "ENOPKG"],
  [74, "EBADMSG"],
  [80, "ELIBBAD"],
  [90, "EMSGSIZE"],
  [99, "EADDRNOTAVAIL"],
  [117, "EUCLEAN"],
  [123, "ENOMEDIUM"],
  [126, "ENOKEY"],
  [127, "EKEYEXPIRED"],
  [128, "EKEYREVOKED"],
  [129, "EKEYREJECTED"],
  [524, "ENOTSUPP"],
];

describe("describeErrno", () => {
  for (const [number, name] of numbers) it(`${number} is ${name}`, () => expect(describeErrno(number).name).toBe(name));
  it("every name has a text", () => {
    for (const [number] of numbers) expect(describeErrno(number).text).not.toBe("");
  });
  it("a number that nobody knows stands for itself", () => {
    expect(describeErrno(999)).toEqual({ name: "error 999", text: "" });
    expect(new SyscallError("x", [], 999).message).toBe("x(): error 999");
  });
});

describe("errno", () => {
  for (const [name, number] of Object.entries(errno)) {
    it(name, () => expect(describeErrno(number).name).toBe(name));
  }
});

describe("SyscallError", () => {
  it("prints as the call, with what the number means", () => {
    const error = new SyscallError("openat2", [3, "a b", null], 2);
    expect(error.message).toBe('openat2(3, "a b", null): ENOENT: no such file or directory');
    expect([error.call, error.errno, error.code]).toEqual(["openat2", 2, "ENOENT"]);
  });
  it("a hint says what it means in this place", () => {
    expect(new SyscallError("mount", ["/dev/x"], 16, "somebody has it").message).toBe(
      'mount("/dev/x"): EBUSY: somebody has it',
    );
  });
  it("hostile text is escaped", () => {
    expect(new SyscallError("x", ['"\n\u001b['], 1).message).toContain('x("\\"\\n\\u001b["): EPERM');
  });
});
