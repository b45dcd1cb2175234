import { blsFinder } from "./bls.ts";
import type { Finder } from "./finder.ts";
import { grubFinder } from "./grub.ts";

/**
 * Every kind of configuration, in the order in which a volume's menus are preferred: a volume that speaks the Boot Loader
 * Specification was set up for a loader that reads directories; its GRUB program, if any, is older or wraps it.
 */
export const finders: readonly Finder[] = [blsFinder, grubFinder];
