/** White space, quotes and what ends a command or begins a variable; the kernel too takes some of them for the end of a word. */
const special = /[\s\p{Cc}"'\\$;|&<>{}]/u;
/** White space to the kernel's Latin-1 table (lib/ctype.c), which looks at single bytes. */
const noBreakSpace = 0xa0;

/**
 * Whether a text that stands on a disk outside of every file (a file's name, a label) can become one word's content and no
 * more. Nobody signs such text: anything else could add words of its own to the options that a signed script puts it into.
 */
export function isHarmlessText(text: string): boolean {
  return !special.test(text) && !new TextEncoder().encode(text).includes(noBreakSpace);
}
