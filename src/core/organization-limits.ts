/** Limits of organizations: databases, tokens, webhooks, and requests to the management API. */

const KIB = 1024;

/** Databases or tokens in one page. This is `/v1`'s own limit. */
export const MAX_PAGE_ITEMS = 100;

/** Names of organizations, databases and tokens: as much as a line of a list shows. */
export const MAX_NAME_LENGTH = 100;

/** Descriptions of databases. This is `/v1`'s own limit. */
export const MAX_DESCRIPTION_LENGTH = 1000;

/** Databases for which an organization's metrics have series of their own. More would make every scrape long. */
export const MAX_DATABASES_IN_METRICS = 1_000;

/** Webhooks of one organization: each gets every event that it asks for. */
export const MAX_WEBHOOKS = 10;

/** The URL of a webhook. Some services put a token of hundreds of characters into it. */
export const MAX_WEBHOOK_URL_CHARACTERS = 2_000;

/** Databases that one event names, in some 40 KB: many receivers take no more than 64. The other databases go into further events. */
export const MAX_DATABASES_IN_EVENT = 50;

/** Events that wait for one webhook, in the organization's object. When there are more, the oldest are of no use to anybody. */
export const MAX_PENDING_DELIVERIES = 1_000;

/** Deliveries of one webhook that stay visible after they ended. */
export const MAX_ENDED_DELIVERIES = 100;

/** Requests to webhooks that one organization makes at a time: the platform's object has six connections for everything. */
export const MAX_DELIVERIES_AT_ONCE = 4;

/** How long a webhook's endpoint has to answer: Standard Webhooks recommends 15 to 30 seconds. */
export const WEBHOOK_ANSWER_MS = 15_000;

/** A data token: longer than any that is minted. It bounds the cost of a made-up token. */
export const MAX_DATA_TOKEN_LENGTH = 1200;

/**
 * How long the REST door remembers what an access token allows; then it asks the organization again. A revocation does not wait for that,
 * because the database's object knows of the revocation.
 */
export const REMEMBERED_GRANT_MS = 60_000;

/** Tokens whose grants the REST door remembers at a time, at some 300 bytes each. */
export const MAX_REMEMBERED_GRANTS = 10_000;

/** Databases that one token lists. They are compared one by one at every use of the token. */
export const MAX_DATABASES_OF_TOKEN = 100;

/** Origins that one token names. They are compared one by one at each use of the token by a page. */
export const MAX_ORIGINS_OF_TOKEN = 20;

/**
 * An origin: the longest host name (253 characters), with https:// and a port. One origin travels in a data token, and so in a header of
 * every request.
 */
export const MAX_ORIGIN_CHARACTERS = 267;

/** A token's key prefix. It travels in every data token, and so in a header of every request. */
export const MAX_KEY_PREFIX_BYTES = 512;

/** Databases of one organization, deleted ones included: the organization's object keeps a row of each for good. */
export const MAX_DATABASES = 100_000;

/**
 * Tokens of one organization that are neither revoked nor expired, except those of the next limit. The organization's object keeps them
 * all.
 */
export const MAX_TOKENS = 10_000;

/**
 * Valid tokens that were minted with one token that lists its databases, or with tokens that it minted: its holder takes nobody else's
 * room.
 */
export const MAX_DELEGATED_TOKENS = 1_000;

/** Revoked and expired tokens that stay in a list, for each of these two limits. */
export const MAX_ENDED_TOKENS = 1_000;

/** The body of a request to the management API: the longest description, with room. */
export const MAX_MANAGEMENT_BODY_BYTES = 64 * KIB;

/** An idempotency key: a UUID or a digest, with room. */
export const MAX_IDEMPOTENCY_KEY_LENGTH = 255;
