import { binaryTargets } from "./binary-targets.ts";
import type { FuzzTarget } from "./engine.ts";
import { finderTargets } from "./finder-targets.ts";
import { programTargets } from "./program-targets.ts";
import { textTargets } from "./text-targets.ts";

/** Every parser that reads what a disk, a server or an operator wrote. */
export const parserTargets: readonly FuzzTarget[] = [...textTargets, ...binaryTargets];

/** What runs such texts as programs, and what looks for them. */
export const searchTargets: readonly FuzzTarget[] = [...programTargets, ...finderTargets];

export const fuzzTargets: readonly FuzzTarget[] = [...parserTargets, ...searchTargets];
