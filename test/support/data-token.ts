/** Data tokens signed as the server does it, for databases that this test has not exchanged for. */
import { SignJWT } from "jose";

const secret = new Uint8Array(32).fill(7);

/** For `CAIRN_SIGNING_KEYS`. */
export const SIGNING_KEYS = `test:${Buffer.from(secret).toString("base64")}`;

/** It reads and writes that database for ten minutes. */
export function signDataToken(databaseId: string): Promise<string> {
  return new SignJWT({ sub: "configured", scope: "read write" })
    .setProtectedHeader({ alg: "HS256", typ: "JWT", kid: "test" })
    .setAudience(databaseId)
    .setExpirationTime(Math.floor(Date.now() / 1000) + 600)
    .sign(secret);
}
