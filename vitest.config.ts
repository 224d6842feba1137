/**
 * Projects. `unit`: functions. `workerd`: what lives in the Workers runtime, tested inside it. `directory`: the same, over databases that only
 * note what they are told. `node`: everything else, among it the tests that start whole servers (on ports the system chooses) and talk to them
 * with real clients. `denokv` is there only for the script `test:denokv`.
 */
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { configDefaults, defineConfig } from "vitest/config";
import { noteEvents } from "./test/support/noted-events.ts";
import { CAIRN_ENCRYPTION_KEYS, CAIRN_SIGNING_KEYS } from "./test/support/deployment-secrets.ts";

/** Far more than any test needs: on a machine that does eight things at a time, the longest have taken nearly a minute. */
const TIMEOUT_MS = 120_000;

/** For how long `expect.poll` waits for what must come about. A test that must see it sooner says so. */
const POLL_MS = 60_000;

/** The folders of test/ that run inside workerd (`documents` is planned); a folder not named here runs in Node. */
const insideWorkerd = ["engine", "documents", "backup", "objects", "doors", "worker"];

/** Those of them that run over the directory's objects, with databases that only note what they are told. */
const overFakeDatabases = ["test/directory/**/*.test.ts", "test/doors/management/**/*.test.ts"];

/** Needs a program that npm does not bring: `npm run test:denokv`. */
const withDenokv = {
  test: { name: "denokv", include: ["test/denokv/**/*.test.ts"], testTimeout: TIMEOUT_MS, hookTimeout: TIMEOUT_MS },
};

const functions = ["core", "codec", "contracts"].map((folder) => `test/${folder}/**/*.test.ts`);

/** `npm run test:unit` needs no other program, and leaves the long searches among malformed values to `npm test`. */
const leftOut = process.env["CAIRN_TEST_UNIT"] === undefined ? [] : ["test/codec/*-{deno,malformed}.test.ts"];

/** No server and no workerd. */
const unit = {
  test: {
    name: "unit",
    include: functions,
    exclude: [...configDefaults.exclude, ...leftOut],
    // They test functions, which keep nothing.
    isolate: false,
    testTimeout: TIMEOUT_MS,
  },
};

const inWorkerd = insideWorkerd.map((folder) => `test/${folder}/**/*.test.ts`);

export default defineConfig({
  test: {
    // Server tests measure nothing and wait for real processes: two files keep two cores busy for three quarters of the time.
    maxWorkers: 3,
    maxConcurrency: 10,
    projects: [
      unit,
      ...(process.env["CAIRN_TEST_DENOKV"] === undefined ? [] : [withDenokv]),
      {
        test: {
          name: "node",
          globalSetup: "./test/support/built-global-setup.ts",
          include: ["test/**/*.test.ts"],
          exclude: [
            ...configDefaults.exclude,
            ...functions,
            ...inWorkerd,
            ...overFakeDatabases,
            "test/lint/fixtures/**",
            "test/denokv/**",
          ],
          testTimeout: TIMEOUT_MS,
          hookTimeout: TIMEOUT_MS,
          expect: { poll: { timeout: POLL_MS } },
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              r2Buckets: ["TEST_BUCKET", "BACKUPS"],
              serviceBindings: { WEBHOOKS: noteEvents() },
              bindings: {
                CAIRN_ENCRYPTION_KEYS,
                CAIRN_SIGNING_KEYS,
                CAIRN_DESTINATIONS: "any",
              },
            },
          }),
        ],
        test: {
          name: "workerd",
          // A workerd for each file took as long to start, and to load the sources, as most files take.
          isolate: false,
          globalSetup: "./test/support/s3-global-setup.ts",
          include: inWorkerd,
          exclude: [...configDefaults.exclude, ...overFakeDatabases],
          testTimeout: TIMEOUT_MS,
          expect: { poll: { timeout: POLL_MS } },
        },
      },
      {
        plugins: [cloudflareTest({ wrangler: { configPath: "./test/support/workerd/directory.wrangler.toml" } })],
        test: {
          name: "directory",
          isolate: false,
          include: overFakeDatabases,
          testTimeout: TIMEOUT_MS,
          expect: { poll: { timeout: POLL_MS } },
        },
      },
    ],
  },
});
