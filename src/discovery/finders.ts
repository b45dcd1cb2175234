import { blsFinder } from "./bls.ts";
import type { Finder } from "./finder.ts";
import { grubFinder } from "./grub.ts";
import { ipxeFinder } from "./ipxe.ts";
import { kbootFinder } from "./kboot.ts";
import { loopbackFinder } from "./loopback.ts";
import { osPackageFinder } from "./os-package.ts";
import { syslinuxFinder } from "./syslinux.ts";

/**
 * Every kind of configuration, in the order in which a volume's menus are preferred: a volume that speaks the Boot Loader
 * Specification was set up for a loader that reads directories; its GRUB program, if any, is older or wraps it. What lies
 * inside an image is there for somebody to choose, after all that is the volume's own.
 */
export const finders: readonly Finder[] = [
  blsFinder,
  grubFinder,
  syslinuxFinder,
  kbootFinder,
  osPackageFinder,
  ipxeFinder,
  loopbackFinder,
];
