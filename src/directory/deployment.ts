/**
 * Reads the deployment's secrets. A deployment without them, or with malformed ones, is refused as a whole. The sentence names the
 * variable and shows nothing of its value.
 */
import { failure, type Failure, isFailure } from "../core/errors.ts";

import { publicAddressFrom, type PublicAddress, type PublicAddressTexts } from "../core/public-address.ts";
import { placeholderAmong, type SecretTexts } from "../contracts/secret-text.ts";
import { signingKeys, type SigningKeys } from "../contracts/signing-keys.ts";

/** Short enough for a person to choose, and long enough that nobody guesses it over the network. */
export const MIN_DEPLOYMENT_TOKEN_LENGTH = 16;

/** A text of the operator's own in place of an access token: a request with the text counts as a request with the token. */
export interface TokenAlias {
  readonly text: string;
  readonly token: string;
}

/** As in the Worker's environment. Several deployment tokens are all accepted, so that one can be replaced without an interruption. */
export interface DeploymentSecrets extends SecretTexts, PublicAddressTexts {
  /** `text:token`; `npm start` sets it for `--access-token`. */
  readonly CAIRN_TOKEN_ALIAS?: string | null;
}

export interface Deployment {
  readonly deploymentTokens: readonly string[];
  readonly keys: SigningKeys;
  readonly alias: TokenAlias | null;
  /** Why the deployment answers only requests to a loopback name. null: it answers all requests. */
  readonly loopbackOnly: Failure | null;
  readonly publicAddress: PublicAddress;
}

export function deploymentOf(secrets: DeploymentSecrets): Deployment | Failure {
  const tokens = secrets.CAIRN_DEPLOYMENT_TOKEN;
  if (!tokens) return notSet("CAIRN_DEPLOYMENT_TOKEN");
  const deploymentTokens = tokens.split(",").map((token) => token.trim());
  for (const [index, token] of deploymentTokens.entries()) {
    if (token.length < MIN_DEPLOYMENT_TOKEN_LENGTH || !/^[!-~]+$/.test(token)) {
      return failure(
        "invalid",
        `CAIRN_DEPLOYMENT_TOKEN, entry ${index + 1}: expected at least ${MIN_DEPLOYMENT_TOKEN_LENGTH} visible ASCII characters.`,
      );
    }
  }
  if (!secrets.CAIRN_SIGNING_KEYS) return notSet("CAIRN_SIGNING_KEYS");
  const keys = signingKeys(secrets.CAIRN_SIGNING_KEYS);
  if (isFailure(keys)) return failure(keys.code, `CAIRN_SIGNING_KEYS, ${keys.message}`);
  const alias = secrets.CAIRN_TOKEN_ALIAS ? aliasOf(secrets.CAIRN_TOKEN_ALIAS) : null;
  if (isFailure(alias)) return alias;
  const publicAddress = publicAddressFrom(secrets);
  if (isFailure(publicAddress)) return publicAddress;
  return { deploymentTokens, keys, alias, loopbackOnly: placeholderAmong(secrets) ?? null, publicAddress };
}

function notSet(name: string): Failure {
  return failure("invalid", `${name} is not set. Make one: npm run --silent secrets.`);
}

function aliasOf(value: string): TokenAlias | Failure {
  const [text, token, ...more] = value.split(":");
  if (!text || !token || more.length > 0) return failure("invalid", "CAIRN_TOKEN_ALIAS must be text:token.");
  return { text, token };
}
