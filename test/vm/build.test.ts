import { cp, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileDigest } from "./cache.ts";
import { cloneRoot, runCommand } from "./command.ts";
import { slipwayExecutable } from "./image.ts";

/** What a clone has, but for the tests and the documents. */
const sources = ["build.mjs", "initramfs", "native", "package.json", "package-lock.json", "src", "tsconfig.json"];

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), "slipway-build-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function makeClone(name: string): Promise<string> {
  const clone = path.join(scratch, name);
  await mkdir(clone);
  for (const source of sources) await cp(path.join(cloneRoot, source), path.join(clone, source), { recursive: true });
  await symlink(path.join(cloneRoot, "node_modules"), path.join(clone, "node_modules"));
  return clone;
}

function build(clone: string, ...words: string[]): Promise<string> {
  return runCommand(process.execPath, [path.join(clone, "build.mjs"), ...words]);
}

test("two clones make the same bytes, two builds at once do not disturb each other", async () => {
  const clone = await makeClone("another place");
  const [first, second] = await Promise.all([build(clone, "build"), build(clone, "build")]);
  const output = path.join(clone, "dist/slipway");
  expect(await fileDigest(output)).toBe(await fileDigest(slipwayExecutable));
  expect(await readFile(`${output}.sha256`, "utf8")).toBe(`${await fileDigest(output)}  slipway\n`);
  const purgatory = "build/native/purgatory-x86_64.bin";
  expect(await fileDigest(path.join(clone, purgatory))).toBe(await fileDigest(path.join(cloneRoot, purgatory)));
  // One of them waited for the other and found everything done.
  expect([first, second].filter((said) => /package … up to date/.test(said))).toHaveLength(1);
});

test("the executable does not name the place where it was built", async () => {
  const program = await readFile(slipwayExecutable);
  for (const name of ["src", "build", "dist", "node_modules", "initramfs"]) {
    expect(program.includes(`${path.join(cloneRoot, name)}/`)).toBe(false);
  }
});

test("a change in the sources builds anew, and a build that fails leaves the last result", async () => {
  const clone = await makeClone("changed");
  await build(clone, "build");
  const output = path.join(clone, "dist/slipway");
  const before = await fileDigest(output);
  await runCommand("sh", ["-c", 'echo "console.log(1);" >> "$1"', "sh", path.join(clone, "src/main.ts")]);
  await build(clone, "build");
  const after = await fileDigest(output);
  expect(after).not.toBe(before);
  await runCommand("sh", ["-c", 'echo "import \\"./nothing.ts\\";" >> "$1"', "sh", path.join(clone, "src/main.ts")]);
  await expect(build(clone, "build")).rejects.toThrow('Could not resolve "./nothing.ts"');
  expect(await fileDigest(output)).toBe(after);
});

test.each([
  [["launch"], 'build.mjs: "launch": one of setup, build, image, demo, test, bench, lint, help expected'],
  [["build", "fast"], 'build.mjs: build takes no arguments, got "fast"'],
])("%j is refused", async (words, message) => {
  await expect(build(cloneRoot, ...words)).rejects.toThrow(message);
});
