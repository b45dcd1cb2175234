/**
 * A grammar: a symbol's productions, in which `<name>` stands for a symbol. Where an input gets too deep or too long, the
 * first production of each symbol is taken, so following those alone has to come to an end.
 */
export type Grammar = Readonly<Record<string, readonly string[]>>;

/** Symbols inside one another before the first productions are taken. */
const depthMax = 24;
/** Symbols of one input before the first productions are taken. */
const symbolsMax = 400;

/** A text of the grammar, by chance: one of those that `start` stands for. */
export function generateText(grammar: Grammar, start: string, random: () => number): string {
  const parts: string[] = [];
  let symbols = 0;
  const expand = (symbol: string, depth: number): void => {
    const productions = grammar[symbol];
    if (productions === undefined || productions.length === 0) throw new Error(`no symbol <${symbol}> in the grammar`);
    const ends = depth > depthMax || ++symbols > symbolsMax;
    const production = productions[ends ? 0 : (random() >>> 8) % productions.length] ?? "";
    for (const [index, part] of production.split(/<([a-z-]+)>/).entries()) {
      if (index % 2 === 0) parts.push(part);
      else expand(part, depth + 1);
    }
  };
  expand(start, 0);
  return parts.join("");
}
