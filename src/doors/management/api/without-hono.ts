/**
 * Replaces "hono/http-exception". chanfana imports that in an adapter which is not used here, and bundlers must resolve every import.
 * `wrangler.toml` and `src/local/bundle.ts` name this file instead.
 */
throw new Error("expected chanfana's adapter for hono not to be used");
