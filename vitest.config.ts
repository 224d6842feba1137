/**
 * Two projects. `workerd`: what lives in the Workers runtime, tested inside it. `node`: everything else, among it the tests that
 * start whole servers (on ports the system chooses) and talk to them with real clients.
 */
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { configDefaults, defineConfig } from "vitest/config";

/** The folders of test/ that run inside workerd; a folder not named here runs in Node. */
const insideWorkerd = ["engine", "documents", "backup", "directory", "objects", "doors", "worker"];

const inWorkerd = insideWorkerd.map((folder) => `test/${folder}/**/*.test.ts`);

export default defineConfig({
  test: {
    // Server tests measure nothing and wait for real processes, so what they need is time, not many neighbours.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "node",
          include: ["test/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...inWorkerd, "test/lint/fixtures/**"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect: { poll: { timeout: 10_000 } },
        },
      },
      {
        plugins: [cloudflareTest({ wrangler: { configPath: "./wrangler.toml" } })],
        test: {
          name: "workerd",
          include: inWorkerd,
          testTimeout: 30_000,
        },
      },
    ],
  },
});
