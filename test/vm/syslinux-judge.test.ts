import { expect, test } from "vitest";
import { judgeSyslinux } from "./judge/syslinux.ts";
import { syslinuxCorpus } from "./judge/syslinux-corpus.ts";
import { bootBySlipway, compared } from "./judge/syslinux-slipway.ts";

/** A few of test/vm/long/syslinux-judge.test.ts. */
const few = syslinuxCorpus.filter(({ short }) => short === true);

test.for(few.map((judged) => [judged.name, judged] as const))(
  "boots %s as the real program does",
  async ([, judged]) => {
    const { booted, remembered } = await judgeSyslinux(judged);
    expect(compared(await bootBySlipway(judged, remembered))).toEqual(compared(booted));
  },
);
