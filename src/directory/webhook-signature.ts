/**
 * Signatures of webhooks as in Standard Webhooks (https://www.standardwebhooks.com, version 1): HMAC-SHA-256 with a secret that both
 * sides have, over the message's id, the time of the attempt and the body, joined by dots.
 */
import { fromBase64, toBase64 } from "../core/bytes.ts";
import type { Entropy } from "../core/entropy.ts";

const SECRET_PREFIX = "whsec_";

/** The specification asks for 24 to 64. */
const SECRET_BYTES = 32;

export function newWebhookSecret(entropy: Entropy): string {
  return SECRET_PREFIX + toBase64(entropy.bytes(SECRET_BYTES));
}

export interface SignedMessage {
  readonly id: string;
  /** The time of the attempt, in whole seconds since 1970. */
  readonly timestamp: number;
  readonly body: string;
}

/** The headers of one attempt. While a secret is being replaced, the old and the new one both sign. */
export async function signatureHeaders(
  message: SignedMessage,
  secrets: readonly string[],
): Promise<Record<string, string>> {
  const signatures = await Promise.all(secrets.map((secret) => signatureOf(message, secret)));
  return {
    "webhook-id": message.id,
    "webhook-timestamp": `${message.timestamp}`,
    "webhook-signature": signatures.join(" "),
  };
}

async function signatureOf({ id, timestamp, body }: SignedMessage, secret: string): Promise<string> {
  const raw = fromBase64(secret.slice(SECRET_PREFIX.length));
  const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signed = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(`${id}.${timestamp}.${body}`));
  return `v1,${toBase64(new Uint8Array(signed))}`;
}
