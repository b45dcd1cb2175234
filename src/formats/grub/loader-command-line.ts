/**
 * Joins the words of a `linux` command as GRUB hands them to the kernel (grub-core/lib/cmdline.c,
 * `grub_create_loader_cmdline`): single spaces between them; a word that holds a space stands in double quotes; quotes and
 * backslashes are escaped by a backslash. An empty word leaves its two spaces.
 */
export function loaderCommandLine(words: readonly string[]): string {
  return words.map(loaderWord).join(" ");
}

function loaderWord(word: string): string {
  const escaped = word.replace(/[\\'"]/g, "\\$&");
  return word.includes(" ") ? `"${escaped}"` : escaped;
}
