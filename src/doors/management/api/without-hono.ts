/**
 * In place of "hono/http-exception": chanfana names it in an adapter that is not used here, and bundlers want every name to lead
 * somewhere. `wrangler.toml` and `src/local/bundle.ts` put this there.
 */
throw new Error("expected chanfana's adapter for hono not to be used");
