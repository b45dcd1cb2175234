import type { CommandGrammar, OptionTable } from "./options.ts";

/** What a command takes: so many words behind its options. */
export function grammar(wordsMin: number, wordsMax: number, options: OptionTable = {}): CommandGrammar {
  return { wordsMin, wordsMax, options };
}

/** As many words as there are. */
export const many: number = Number.POSITIVE_INFINITY;
