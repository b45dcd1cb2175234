import { readFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { cloneRoot } from "../command.ts";
import { judgeSyslinux } from "../judge/syslinux.ts";
import { syslinuxCorpus } from "../judge/syslinux-corpus.ts";
import { bootBySlipway, compared } from "../judge/syslinux-slipway.ts";

const recorded = JSON.parse(await readFile(path.join(cloneRoot, "test/data/syslinux/judged.json"), "utf8"));

test.for(syslinuxCorpus.map((judged) => [judged.name, judged] as const))(
  "boots %s as the real program does",
  async ([, judged]) => {
    const { booted, remembered } = await judgeSyslinux(judged);
    expect(booted === null).toBe(judged.waits === true);
    expect(recorded[judged.name]).toEqual({ booted, remembered });
    expect(compared(await bootBySlipway(judged, remembered))).toEqual(compared(booted));
  },
);
