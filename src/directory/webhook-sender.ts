/**
 * One attempt to deliver an event: a signed POST through the way out that the deployment gives for webhooks. The answer's body is not
 * read, redirects are not followed, and of the endpoint's answer only the status is shown.
 */
import type { Clock } from "../core/clock.ts";
import { WEBHOOK_ANSWER_MS } from "../core/limits.ts";
import { type Timers, withDeadline } from "../core/timers.ts";
import { signatureHeaders } from "./webhook-signature.ts";
import type { Attempt } from "./webhooks.ts";

export interface SenderParts {
  readonly clock: Clock;
  readonly timers: Timers;
  /** The only way out. It decides which addresses can be reached. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
}

export interface Sendable {
  readonly eventId: string;
  readonly url: string;
  readonly body: string;
}

export async function sendEvent(
  { clock, timers, fetch }: SenderParts,
  { eventId, url, body }: Sendable,
  secrets: readonly string[],
): Promise<Attempt> {
  const timestamp = Math.floor(clock.now() / 1000);
  const headers = {
    ...(await signatureHeaders({ id: eventId, timestamp, body }, secrets)),
    "content-type": "application/json",
    "user-agent": "Cairn-Webhooks/1",
  };
  const answered = async (signal: AbortSignal): Promise<Attempt> => {
    try {
      const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
      await response.body?.cancel();
      return outcomeOf(response.status);
    } catch {
      // The message of a failed connection differs between platforms, and may name an address.
      return { status: null, error: "The endpoint could not be reached." };
    }
  };
  return withDeadline<Attempt>(timers, WEBHOOK_ANSWER_MS, answered, () => ({
    status: null,
    error: `The endpoint did not answer within ${WEBHOOK_ANSWER_MS / 1000} seconds.`,
  }));
}

function outcomeOf(status: number): Attempt {
  if (status >= 200 && status < 300) return { status, error: null };
  if (status >= 300 && status < 400) {
    return { status, error: `The endpoint answered ${status}, a redirect, which is not followed.` };
  }
  return { status, error: `The endpoint answered ${status}.` };
}
