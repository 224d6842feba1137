/** Builds the Worker as one ES module, which workerd runs. */
import { join } from "node:path";
import { build } from "esbuild";
import { failure, type Failure, isFailure } from "../core/errors.ts";

/** `invalid` with esbuild's messages when the sources do not build. */
export async function bundleWorker(entry: string): Promise<string | Failure> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    platform: "neutral",
    conditions: ["workerd", "worker", "browser"],
    mainFields: ["browser", "module", "main"],
    // The same alias is in wrangler.toml.
    alias: { "hono/http-exception": join(import.meta.dirname, "../doors/management/api/without-hono.ts") },
    external: ["cloudflare:*", "node:*"],
    logLevel: "silent",
  }).catch((error: unknown) => failure("invalid", `The Worker ${entry} does not build: ${String(error)}`));
  if (isFailure(result)) return result;
  const [output] = result.outputFiles;
  return output === undefined ? failure("invalid", `The Worker ${entry} builds to nothing.`) : output.text;
}
