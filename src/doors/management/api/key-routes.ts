/** The routes of /api about the API keys of a database. */
import * as keys from "./key-schemas.ts";
import { route, type ApiRoute } from "./route.ts";
import * as schemas from "./schemas.ts";

const KEYS = "/api/databases/:databaseId/keys";
const KEY = `${KEYS}/:keyId`;

export const KEY_ROUTES: readonly ApiRoute[] = [
  route({
    method: "post",
    path: KEYS,
    summary: "Make an API key, with which programs open POST /cdb",
    params: schemas.databaseParams,
    body: keys.newKey,
    idempotent: true,
    success: { status: 201, description: "The key, with its secret", schema: keys.keyWithSecret },
    answer: ({ ask, params, body, idempotency }) =>
      ask("keys.create", { ...params, ...keys.newKeyOf(body), idempotency }),
    show: keys.keyWithSecretJson,
    location: ({ key }, { databaseId }) => `/api/databases/${databaseId}/keys/${key.id}`,
  }),
  route({
    method: "get",
    path: KEYS,
    summary: "List a database's API keys",
    params: schemas.databaseParams,
    success: { status: 200, description: "All of them, oldest first", schema: schemas.pageOf(keys.key) },
    answer: ({ ask, params }) => ask("keys.list", params),
    show: schemas.pageJson(keys.keyJson),
  }),
  route({
    method: "get",
    path: KEY,
    summary: "Get an API key, without its secret",
    params: keys.keyParams,
    success: { status: 200, description: "The key", schema: keys.key },
    answer: ({ ask, params }) => ask("keys.get", params),
    show: keys.keyJson,
  }),
  route({
    method: "delete",
    path: KEY,
    summary: "Delete an API key, which opens nothing any more",
    params: keys.keyParams,
    success: { status: 204, description: "It is deleted", schema: null },
    answer: ({ ask, params }) => ask("keys.delete", params),
  }),
];
