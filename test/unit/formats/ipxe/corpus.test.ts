import { describe, expect, test } from "vitest";
import { type IpxeCase, ipxeCorpus, judgedContent, judgedFiles, judgedKernels } from "../../../vm/judge/ipxe-corpus.ts";
import { runScript } from "./memory-host.ts";

/** What a case boots here, in the form of its `boots`. */
async function booted({ script, scripts = {} }: IpxeCase): Promise<readonly string[] | string> {
  const texts = [
    ...Object.entries(scripts),
    ...judgedKernels.map((name) => [name, "kernel"] as const),
    ...judgedFiles.map((name) => [name, judgedContent(name)] as const),
  ];
  const files = Object.fromEntries(texts.map(([name, text]) => [`/${name}`, text]));
  const { outcome } = await runScript(script, { files, hasNetwork: true });
  if (outcome.kind !== "boot") return `${outcome.kind}: line ${outcome.place.line}: ${outcome.reason}`;
  const initrds = outcome.initrds.map(({ file, archive }) => {
    const content = files[file] ?? "";
    return archive === null ? content : `${archive.path.replace(/^\//, "")} ${archive.mode.toString(8)} ${content}`;
  });
  return [outcome.kernel.file.slice(1), outcome.options, ...initrds];
}

describe("what the real iPXE boots", () => {
  test.each(ipxeCorpus)("$name", async (judged) => {
    expect(await booted(judged)).toEqual(judged.boots);
  });
});
