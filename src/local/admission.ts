/** What the front needs to judge requests of the data path: the deployment's keys and this machine's clock. */
import { DataTokens } from "../contracts/data-token.ts";
import { placeholderAmong } from "../contracts/secret-text.ts";
import { signingKeys } from "../contracts/signing-keys.ts";
import { asUnixMs, type Clock } from "../core/clock.ts";
import { isFailure } from "../core/errors.ts";
import type { AdmissionParts } from "../doors/kv-connect/admission.ts";
import type { Secrets } from "./secrets.ts";

/**
 * Undefined: only the Worker judges requests. With the placeholder secrets of the documentation it refuses clients on other machines, and
 * says why.
 */
export function admissionBy(secrets: Secrets): AdmissionParts | undefined {
  const keys = signingKeys(secrets.CAIRN_SIGNING_KEYS);
  if (isFailure(keys) || placeholderAmong(secrets) !== undefined) return undefined;
  const tokens = new DataTokens(keys);
  const clock: Clock = { now: () => asUnixMs(Date.now()) };
  return {
    authority: { verify: (token, databaseId, at) => tokens.verify(token, databaseId, clock.now(), at) },
    clock,
  };
}
