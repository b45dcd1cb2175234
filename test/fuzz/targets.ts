import { authenticodeTargets } from "./authenticode-targets.ts";
import { binaryTargets } from "./binary-targets.ts";
import { certificateTargets } from "./certificate-targets.ts";
import type { FuzzTarget } from "./engine.ts";
import { finderTargets } from "./finder-targets.ts";
import { handoffTargets } from "./handoff-targets.ts";
import { manifestTargets } from "./manifest-targets.ts";
import { openpgpTargets } from "./openpgp-targets.ts";
import { packageTargets } from "./package-targets.ts";
import { programTargets } from "./program-targets.ts";
import { rollbackTargets } from "./rollback-targets.ts";
import { textTargets } from "./text-targets.ts";
import { tpmTargets } from "./tpm-targets.ts";

/** Every parser that reads what a disk, a server or an operator wrote. */
export const parserTargets: readonly FuzzTarget[] = [
  ...textTargets,
  ...binaryTargets,
  ...authenticodeTargets,
  ...certificateTargets,
  ...handoffTargets,
  ...manifestTargets,
  ...openpgpTargets,
  ...packageTargets,
  ...rollbackTargets,
  ...tpmTargets,
];

/** What runs such texts as programs, and what looks for them. */
export const searchTargets: readonly FuzzTarget[] = [...programTargets, ...finderTargets];

export const fuzzTargets: readonly FuzzTarget[] = [...parserTargets, ...searchTargets];
