/** Where this program boots something else than GRUB does, and why. */
export interface GrubDifference {
  readonly case: string;
  /** GRUB's numbers of the entries, or `default`. */
  readonly entries: readonly string[];
  /** Stands so in docs/boot-formats.md, but for line ends. */
  readonly reason: string;
}

export const grubDifferences: readonly GrubDifference[] = [
  {
    case: "linux-twice",
    entries: ["default", "0", "1"],
    reason: "A second `linux` in an entry takes the place of the first; GRUB 2.06 then loses the options of both",
  },
  {
    case: "missing-initrd",
    entries: ["0"],
    reason: "An entry with an initrd that is missing is not offered; GRUB boots its kernel without one",
  },
  {
    case: "unknown-command",
    entries: ["1", "2", "3"],
    reason: "An unknown command costs its entry; GRUB prints an error and goes on",
  },
  {
    case: "probe-label",
    entries: ["default", "0"],
    reason: "`probe` does not tell such a label",
  },
];
