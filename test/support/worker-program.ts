/** A Worker of somebody else's, in wrangler's own dev server, as `wrangler dev` runs it. */
import { onTestFinished } from "vitest";
import { unstable_startWorker } from "wrangler";

export type RunningWorker = Awaited<ReturnType<typeof unstable_startWorker>>;

/**
 * Ends with the test. `program`: a configuration of wrangler, or a file that needs none. `secrets`: what the Worker finds in `env`. Not in
 * wrangler's test harness: the requests that go out there open no WebSocket.
 */
export async function startWorker(
  program: { readonly config: string } | { readonly entrypoint: string },
  secrets: Readonly<Record<string, string>>,
): Promise<RunningWorker> {
  const worker = await unstable_startWorker({
    ...("config" in program ? program : { name: "program", compatibilityDate: "2026-11-02", config: "", ...program }),
    bindings: Object.fromEntries(
      Object.entries(secrets).map(([name, value]) => [name, { type: "secret_text" as const, value }]),
    ),
    dev: {
      logLevel: "none",
      server: { hostname: "127.0.0.1", port: 0 },
      inspector: false,
      persist: false,
      watch: false,
    },
  });
  onTestFinished(() => worker.dispose());
  await worker.ready;
  return worker;
}
