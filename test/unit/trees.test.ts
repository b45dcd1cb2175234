import { describe, expect, test } from "vitest";
import { listJson } from "../../src/cli/list.ts";
import { discover } from "../../src/discovery/discover.ts";
import { defaultDiscoveryLimits } from "../../src/discovery/finder.ts";
import { rank } from "../../src/handoff/rank.ts";
import { expectedOf, openTree, treeNames } from "../fakes/tree.ts";

/** A file as `VOLUME:/path`, with `:LINE` where it is a place in it. */
function place(ref: { volume: string; path: string; line?: number }): string {
  return `${ref.volume}:${ref.path}${ref.line === undefined ? "" : `:${ref.line}`}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isRef(value: unknown): value is { volume: string; path: string; line?: number } {
  return isObject(value) && typeof value["volume"] === "string" && typeof value["path"] === "string";
}

/** The list as the verb prints it, with places as one text and without what is null or empty. */
function compact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(compact);
  if (!isObject(value)) return value;
  if (isRef(value)) {
    const { volume, path, line, ...rest } = value;
    const text = place({ volume, path, ...(line === undefined ? {} : { line }) });
    return Object.keys(rest).length === 0 ? text : { file: text, ...rest };
  }
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null && inner !== "" && !(Array.isArray(inner) && inner.length === 0))
      .map(([key, inner]) => [key, compact(inner)]),
  );
}

async function listed(tree: string): Promise<unknown> {
  await using made = openTree(tree);
  const found = await discover(made.sources, made.architecture, defaultDiscoveryLimits);
  return compact(listJson({ found, ranking: rank(found.menus, null) }));
}

describe("trees in the style of distributions are listed as the loaders they were made for would show them", () => {
  for (const tree of treeNames) {
    test(tree, async () => expect(await listed(tree)).toEqual(expectedOf(tree)));
  }
});
