import { fuzzEach } from "../fuzz/long-run.ts";
import { searchTargets } from "../fuzz/targets.ts";

// Beside the parsers, on a processor of its own: one input is a whole program, or a search of a disk.
fuzzEach("every program ends, and every search", searchTargets, 1_000_000);
