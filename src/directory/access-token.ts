/**
 * Access tokens: `cairn_{organization}_{id}_{secret}_{check}`, in lower-case hexadecimal. The token itself says which organization's
 * object to ask; that object holds the SHA-256 of the secret. `check` is an HMAC over organization and id, so a token that nobody minted
 * is refused here, before any object is called. The keys are derived from the deployment's signing keys (HKDF, RFC 5869). When a signing
 * key is dropped, the tokens whose check was made with it end.
 */
import { toHex } from "../core/bytes.ts";
import type { Entropy } from "../core/entropy.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import type { AccessTokens, Caller, MintedToken, TokenCaller } from "../contracts/management.ts";
import { originRefusal } from "../core/origins.ts";
import type { Deployment, TokenAlias } from "./deployment.ts";
import { equalInConstantTime, sha256 } from "../core/digest.ts";
import { DerivedKeys, type Purpose } from "../contracts/derived-keys.ts";
import type { SigningKey, SigningKeys } from "../contracts/signing-keys.ts";

const SECRET_BYTES = 32;
const CHECK_BYTES = 12;

const FORM = /^cairn_([0-9a-f]{32})_([0-9a-f]{16})_([0-9a-f]{64})_([0-9a-f]{24})$/;
const encoder = new TextEncoder();

export interface ParsedToken {
  readonly organizationId: string;
  readonly tokenId: string;
  readonly secret: string;
}

export class AccessTokenKeys implements AccessTokens {
  readonly #keys: SigningKeys;
  readonly #deploymentTokens: readonly string[];
  readonly #alias: TokenAlias | null;
  readonly #entropy: Entropy;
  readonly #derived = new DerivedKeys();

  /** A deployment's token creates and lists organizations. */
  constructor(
    { keys, deploymentTokens, alias }: Pick<Deployment, "keys" | "deploymentTokens" | "alias">,
    entropy: Entropy,
  ) {
    this.#keys = keys;
    this.#deploymentTokens = deploymentTokens;
    this.#alias = alias;
    this.#entropy = entropy;
  }

  async caller(token: string, origin: string | null): Promise<Caller | Failure> {
    if (!(await isOneOf(token, this.#deploymentTokens))) return this.tokenCaller(token, origin);
    return originRefusal(null, origin) ?? { kind: "deployment" };
  }

  /** The caller who presents this access token, or an alias of it. `unauthenticated` when its form or its check is wrong. */
  async tokenCaller(token: string, origin: string | null): Promise<TokenCaller | Failure> {
    let parsed = await this.#parse(token);
    if (isFailure(parsed) && this.#alias !== null && (await isOneOf(token, [this.#alias.text]))) {
      parsed = await this.#parse(this.#alias.token);
    }
    if (isFailure(parsed)) return parsed;
    const { organizationId, tokenId, secret } = parsed;
    return { kind: "token", organizationId, tokenId, secretHash: await sha256(secret), origin };
  }

  async #parse(token: string): Promise<ParsedToken | Failure> {
    const [, organization, tokenId, secret, check] = FORM.exec(token) ?? [];
    if (organization === undefined || tokenId === undefined || secret === undefined || check === undefined)
      return madeUp();
    const organizationId = withHyphens(organization);
    const given = encoder.encode(check);
    let right = false;
    // Every key is tried, so that the time taken does not show which key made the check.
    for (const key of this.#keys) {
      const expected = await this.#check(key, organizationId, tokenId);
      if (equalInConstantTime(given, encoder.encode(expected))) right = true;
    }
    return right ? { organizationId, tokenId, secret } : madeUp();
  }

  async mint(
    organizationId: string,
    tokenId: string,
    idempotencyKey: string | null,
    signingKey: string | null,
  ): Promise<MintedToken | Failure> {
    const key = signingKey === null ? this.#keys[0] : this.#keys.find(({ kid }) => kid === signingKey);
    if (key === undefined) {
      return failure(
        "conflict",
        "The token was minted by the first request with this idempotency key, and the signing key that could show it again is no longer there.",
      );
    }
    const secret =
      idempotencyKey === null
        ? toHex(this.#entropy.bytes(SECRET_BYTES))
        : await this.#hmac(key, "access token secret", `${organizationId}\n${tokenId}\n${idempotencyKey}`);
    const check = await this.#check(key, organizationId, tokenId);
    return {
      token: `cairn_${organizationId.replaceAll("-", "")}_${tokenId}_${secret}_${check}`,
      secretHash: await sha256(secret),
      signingKey: key.kid,
    };
  }

  async #check(key: SigningKey, organizationId: string, tokenId: string): Promise<string> {
    const whole = await this.#hmac(key, "access token check", `${organizationId}\n${tokenId}`);
    return whole.slice(0, CHECK_BYTES * 2);
  }

  async #hmac(key: SigningKey, purpose: Purpose, text: string): Promise<string> {
    return toHex(await this.#derived.hmac(key, purpose, encoder.encode(text)));
  }
}

/**
 * Whether the text is one of these. Digests are compared, and with every text, so that the time taken shows neither which text is right
 * nor how much of it.
 */
async function isOneOf(given: string, texts: readonly string[]): Promise<boolean> {
  const digest = await sha256(given);
  let found = false;
  for (const text of texts) {
    if (equalInConstantTime(digest, await sha256(text))) found = true;
  }
  return found;
}

function withHyphens(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function madeUp(): Failure {
  return failure("unauthenticated", "The access token is not one that this deployment minted or still accepts.");
}
