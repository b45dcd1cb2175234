import { parseRollbackMinimums, writeRollbackMinimums } from "../../src/formats/rollback-minimums.ts";
import { parsePolicySource, policySourceText } from "../../src/trust/policy-sources.ts";
import type { FuzzTarget } from "./engine.ts";
import { binaryTarget, grade, textOf, textTarget } from "./target-kinds.ts";

/** What an EFI variable or a file on a disk says of minimum versions, and where a policy may stand. */
export const rollbackTargets: readonly FuzzTarget[] = [
  binaryTarget(
    "rollback-minimums",
    [
      '{"slipwayRollback":1,"products":[]}',
      '{"slipwayRollback":1,"products":[{"name":"acme-os","minimum":7},{"name":"other","minimum":0}]}',
    ].map(textOf),
    [
      '"slipwayRollback"',
      '"products"',
      '"name"',
      '"minimum"',
      "9007199254740991",
      "-1",
      "1e3",
      "null",
      "{",
      "}",
      "[",
      "]",
    ],
    (bytes) => {
      const minimums = parseRollbackMinimums(bytes);
      // What was read can be written, and reads the same.
      if (parseRollbackMinimums(writeRollbackMinimums(minimums)).size !== minimums.size)
        throw new Error("written otherwise");
      return grade(minimums.size);
    },
  ),
  textTarget(
    "policy-source",
    ["efi:SlipwayPolicy-48bc4257-1044-435a-9991-c5ef002459a9", "vpd:ro/slipway_policy", "vpd:rw/p"].map(textOf),
    ["efi:", "vpd:", "ro/", "rw/", "-48bc4257-1044-435a-9991-c5ef002459a9", "..", "/"],
    (text) => {
      const source = parsePolicySource(text);
      if (parsePolicySource(policySourceText(source)).kind !== source.kind) throw new Error("read otherwise");
      return source.kind;
    },
  ),
];
