import { fuzzEach } from "../fuzz/long-run.ts";
import { parserTargets } from "../fuzz/targets.ts";

fuzzEach("every parser takes anything", parserTargets, 1_000_000);
