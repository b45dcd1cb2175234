import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";
import { defineConfig } from "vitest/config";

const root = path.resolve(import.meta.dirname, "..");
const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));

function base64(file: string): string {
  return readFileSync(file).toString("base64");
}

/**
 * `unit`: pure and quick. `vm`: whole machines under emulation, each test file with machines of its own. `long`: the same,
 * for what takes too long to run every time.
 */
export default defineConfig({
  root,
  cacheDir: path.join(root, "build/vitest"),
  plugins: [
    // As the bundler does: a list is its text.
    {
      name: "text",
      enforce: "pre",
      transform: (text, id) => (id.endsWith(".list") ? `export default ${JSON.stringify(text)};` : null),
    },
    // And a binary is its bytes.
    {
      name: "binary",
      enforce: "pre",
      load: (id) => (id.endsWith(".bin") ? `export default Uint8Array.fromBase64("${base64(id)}");` : null),
    },
  ],
  define: { SLIPWAY_VERSION: JSON.stringify(version) },
  test: {
    projects: [
      { extends: true, test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: 30_000 } },
      {
        extends: true,
        test: {
          name: "vm",
          include: ["test/vm/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 900_000,
          // An emulated processor keeps a real one busy.
          maxWorkers: Math.min(availableParallelism(), 4),
        },
      },
      {
        extends: true,
        test: {
          name: "long",
          include: ["test/vm/long/*.test.ts", "test/long/*.test.ts"],
          testTimeout: 3_600_000,
          hookTimeout: 900_000,
          maxWorkers: Math.min(availableParallelism(), 4),
        },
      },
    ],
  },
});
