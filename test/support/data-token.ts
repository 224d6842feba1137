/** Data tokens signed as the server does it, for databases that this test has not exchanged for. */
import { isFailure } from "../../src/core/errors.ts";
import type { Grant } from "../../src/contracts/grant.ts";
import { DataTokens } from "../../src/contracts/data-token.ts";
import { signingKeys } from "../../src/contracts/signing-keys.ts";
import { asUnixMs } from "../../src/core/clock.ts";

/** For `CAIRN_SIGNING_KEYS`. */
export const SIGNING_KEYS = `test:${Buffer.alloc(32, 7).toString("base64")}`;

/** It reads and writes that database until a time, for ten minutes if none is said. `keys`: another deployment's. */
export async function signDataToken(databaseId: string, expiresAt?: number, keys = SIGNING_KEYS): Promise<string> {
  const parsed = signingKeys(keys);
  if (isFailure(parsed)) throw new Error(parsed.message);
  const end = asUnixMs(expiresAt ?? Date.now() + 600_000);
  const grant: Grant = { tokenId: "c0ffee".padStart(16, "0"), read: true, write: true, expiresAt: end };
  return (await new DataTokens(parsed).mint(grant, databaseId, asUnixMs(Date.now()))).token;
}
