/**
 * A way out to what a tenant entered. Where the deployment can tell why a host was not reached (`npm start`, by the binding REASONS), a
 * request that fails throws that, as `Unreachable`.
 */
import { isUnreachableReason, Unreachable } from "../core/unreachable.ts";

export type WayOut = (url: string, init: RequestInit) => Promise<Response>;

/** `outbound` undefined: the global fetch. `reasons` undefined: nobody knows more than that it failed. */
export function wayOut(outbound: Fetcher | undefined, reasons: Fetcher | undefined): WayOut {
  const send: typeof fetch = outbound === undefined ? fetch : outbound.fetch.bind(outbound);
  if (reasons === undefined) return (url, init) => send(url, init);
  return async (url, init) => {
    try {
      return await send(url, init);
    } catch (error) {
      const [, reference] = error instanceof Error ? (/reference = ([a-z0-9]+)/.exec(error.message) ?? []) : [];
      const reason = reference === undefined ? null : await ask(reasons, reference);
      throw reason === null ? error : new Unreachable(reason);
    }
  };
}

async function ask(reasons: Fetcher, reference: string) {
  const answer = await reasons.fetch(`http://reasons/${reference}`).catch(() => null);
  const text = answer?.ok === true ? await answer.text() : "";
  return isUnreachableReason(text) ? text : null;
}
