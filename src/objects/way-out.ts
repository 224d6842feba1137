/**
 * A way out to an address that a tenant entered: the deployment's separate network, or the proxy of its environment. Where the deployment
 * can tell why a host was not reached (`npm start`), a failed request throws that, as `Unreachable`.
 */
import { goesThroughProxy, type ProxiedRequests } from "../core/outbound-proxy.ts";
import { isUnreachableReason, Unreachable, UNREACHABLE_HEADER } from "../core/unreachable.ts";
import type { Env } from "./env.ts";

export type WayOut = (url: string, init: RequestInit) => Promise<Response>;

/** `network` undefined: the global fetch is used. */
export function wayOut(network: Fetcher | undefined, env: Pick<Env, "REASONS" | "PROXY" | "CAIRN_PROXIED">): WayOut {
  const direct = directly(network, env.REASONS);
  const { PROXY: proxy, CAIRN_PROXIED: proxied } = env;
  if (proxy === undefined || proxied === undefined || proxied === null) return direct;
  // `src/local/` wrote it, from a value of this type.
  const which = JSON.parse(proxied) as ProxiedRequests;
  return (url, init) => (goesThroughProxy(new URL(url), which) ? throughProxy(proxy, url, init) : direct(url, init));
}

function directly(network: Fetcher | undefined, reasons: Fetcher | undefined): WayOut {
  const send: typeof fetch = network === undefined ? fetch : network.fetch.bind(network);
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

async function throughProxy(proxy: Fetcher, url: string, init: RequestInit): Promise<Response> {
  const response = await proxy.fetch(url, init);
  const reason = response.headers.get(UNREACHABLE_HEADER);
  if (reason === null) return response;
  await response.body?.cancel();
  throw isUnreachableReason(reason) ? new Unreachable(reason) : new Error("the host could not be reached");
}

async function ask(reasons: Fetcher, reference: string) {
  const answer = await reasons.fetch(`http://reasons/${reference}`).catch(() => null);
  const text = answer?.ok === true ? await answer.text() : "";
  return isUnreachableReason(text) ? text : null;
}
