/**
 * What a server has from its first start on: an organization, a token of it with every permission, a database, and a token that reads and
 * writes that database. They are made through the API, like all others, and kept in a file of the data folder.
 *
 * Each is made with an idempotency key that is in the file before the request is sent. So the next start continues after a start that was
 * killed, and nothing is made twice. The server knows a key for a day. After that, what was made is found by its name and by its time,
 * which is in the key: no client is let in before all is made, so nobody else has made anything since. What was deleted or revoked, or
 * has ended, is made anew.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import { PERMISSIONS } from "../contracts/resources.ts";
import { lineBreakIn } from "../contracts/secret-text.ts";
import { ApiClient, textAt, type RunningAt } from "./api-client.ts";
import { readKept, writeKept, type Kept } from "./kept-file.ts";
import type { Secrets } from "./secrets.ts";
import type { Preparation, Variables } from "./server.ts";

export interface Tenant {
  readonly organizationId: string;
  /** For all databases, with every permission. */
  readonly adminToken: string;
  readonly databaseId: string;
  /** Reads and writes that database. */
  readonly accessToken: string;
}

/** The server knows an idempotency key for a day from its arrival. An hour less is certain. */
const KEYS_KNOWN_MS = 23 * 60 * 60 * 1000;

/** In the order in which they are made: each needs those before it. */
const things = ["organizationId", "adminToken", "databaseId", "accessToken"] as const;
type Thing = (typeof things)[number];

/** What is wrong with the access token that a person chose. The sentence says by which `name` it was given, and shows nothing of it. */
export function flawOfAccessToken(text: string, name: "--access-token" | "CAIRN_ACCESS_TOKEN"): Failure | undefined {
  const lineBreak = lineBreakIn(text);
  if (lineBreak !== undefined) return failure("invalid", `${name} ${lineBreak}`);
  if (/^[\w.~+/=-]{8,512}$/.test(text)) return undefined;
  const form = "8 to 512 of the characters that a bearer token may have (letters, digits, - . _ ~ + / =)";
  return failure("invalid", `${name} must be ${form}.`);
}

export class TenantKeeper implements Preparation {
  readonly #file: string;
  readonly #chosen: string | undefined;
  readonly #say: (sentence: string) => void;
  #tenant: Tenant | undefined;

  /**
   * `file`: its path inside of the data folder. `chosen`: a text that a person has chosen to stand for the database's access token. `say`
   * is called with sentences about what had to be made anew.
   */
  constructor(file: string, chosen: string | undefined, say: (sentence: string) => void) {
    this.#file = file;
    this.#chosen = chosen;
    this.#say = say;
  }

  /** Known after `settle` has succeeded. */
  get tenant(): Tenant {
    if (this.#tenant === undefined) throw new Error("expected the tenant to be settled before it is asked for");
    return this.#chosen === undefined ? this.#tenant : { ...this.#tenant, accessToken: this.#chosen };
  }

  variables(folder: string): Variables | Failure {
    const kept = readKept(join(folder, this.#file));
    if (isFailure(kept)) return kept;
    const { accessToken } = kept.values;
    if (this.#chosen === undefined || accessToken === undefined) return {};
    return { CAIRN_TOKEN_ALIAS: `${this.#chosen}:${accessToken}` };
  }

  async settle(runningAt: RunningAt, folder: string, secrets: Secrets): Promise<Failure | undefined> {
    const file = join(folder, this.#file);
    mkdirSync(dirname(file), { recursive: true });
    const kept = readKept(file);
    if (isFailure(kept)) return kept;
    // When there are several, the first is the current one.
    const [deploymentToken = ""] = secrets.CAIRN_DEPLOYMENT_TOKEN.split(",");
    const making = new Making(file, kept.values, new ApiClient(runningAt), deploymentToken);
    const tenant = await making.finish(this.#say);
    if (isFailure(tenant)) return tenant;
    this.#tenant = tenant;
    return undefined;
  }
}

class Making {
  readonly #file: string;
  readonly #api: ApiClient;
  readonly #deploymentToken: string;
  #kept: Kept;

  constructor(file: string, kept: Kept, api: ApiClient, deploymentToken: string) {
    this.#file = file;
    this.#kept = kept;
    this.#api = api;
    this.#deploymentToken = deploymentToken;
  }

  async finish(say: (sentence: string) => void): Promise<Tenant | Failure> {
    for (const thing of things) {
      if (this.#kept[thing] !== undefined) {
        const gone = await this.#gone(thing);
        if (gone === undefined) continue;
        if (typeof gone !== "string") return gone;
        say(`${gone} Making another.`);
        this.#forget(thing);
      }
      const flaw = await this.#make(thing);
      if (flaw !== undefined) return flaw;
    }
    return this.#tenant;
  }

  /** What is kept so far. A missing value is empty. */
  get #tenant(): Tenant {
    const { organizationId = "", adminToken = "", databaseId = "", accessToken = "" } = this.#kept;
    return { organizationId, adminToken, databaseId, accessToken };
  }

  /** A sentence when the thing does not exist any more. */
  async #gone(thing: Thing): Promise<string | Failure | undefined> {
    const { organizationId, adminToken, databaseId, accessToken } = this.#tenant;
    const organization = `/api/organizations/${organizationId}`;
    const goneIf = async (status: number, method: string, path: string, token: string, sentence: string) => {
      const answer = await this.#api.send(method, path, token);
      if (isFailure(answer)) return answer;
      return answer.status === status ? sentence : undefined;
    };
    switch (thing) {
      case "organizationId":
        return goneIf(404, "GET", organization, this.#deploymentToken, "The organization was deleted.");
      case "adminToken":
        return goneIf(401, "GET", organization, adminToken, "The admin token is no longer accepted.");
      case "databaseId":
        return goneIf(404, "GET", `/api/databases/${databaseId}`, adminToken, "The database was deleted.");
      case "accessToken": {
        const path = `/databases/${databaseId}/connect`;
        return goneIf(401, "POST", path, accessToken, "The database's access token is no longer accepted.");
      }
    }
  }

  async #make(thing: Thing): Promise<Failure | undefined> {
    const { organizationId, adminToken, databaseId } = this.#tenant;
    const organization = `/api/organizations/${organizationId}`;
    switch (thing) {
      case "organizationId":
        return this.#create(thing, "/api/organizations", this.#deploymentToken, { name: "default" }, (made) => ({
          organizationId: textAt(made, "organization", "id"),
          adminToken: textAt(made, "token"),
        }));
      case "adminToken": {
        const token = { name: "admin token", permissions: PERMISSIONS, databases: "all" };
        return this.#create(thing, `${organization}/tokens`, this.#deploymentToken, token, (made) => ({
          adminToken: textAt(made, "token"),
        }));
      }
      case "databaseId":
        return this.#create(thing, `${organization}/databases`, adminToken, { name: "default" }, (made) => ({
          databaseId: textAt(made, "id"),
        }));
      case "accessToken": {
        const token = { name: "default database", permissions: ["read", "write"], databases: [databaseId] };
        return this.#create(thing, `${organization}/tokens`, adminToken, token, (made) => ({
          accessToken: textAt(made, "token"),
        }));
      }
    }
  }

  /** `kept`: which parts of the answer are kept. */
  async #create(
    thing: Thing,
    path: string,
    token: string,
    body: { readonly name: string },
    kept: (made: object) => Kept,
  ): Promise<Failure | undefined> {
    let idempotencyKey = this.#kept[keyOf(thing)];
    if (idempotencyKey !== undefined && isForgotten(idempotencyKey)) {
      const left = await this.#leftBehind(path, token, body.name, timeOf(idempotencyKey));
      if (isFailure(left)) return left;
      const adopted = await this.#adopt(thing, path, token, left);
      if (adopted !== "nothing") return adopted;
      idempotencyKey = undefined;
    }
    idempotencyKey ??= `${new Date().toISOString()}/${randomUUID()}`;
    this.#write({ ...this.#kept, [keyOf(thing)]: idempotencyKey });
    const answer = await this.#api.send("POST", path, token, { body, idempotencyKey });
    if (isFailure(answer)) return answer;
    if (answer.status !== 201) {
      return cannotBeFinished("POST", path, answer.status);
    }
    this.#keep(thing, kept(answer.body));
    return undefined;
  }

  /** In the list at this path, the ids of things that have this name, were made since then, and were not revoked. */
  async #leftBehind(path: string, token: string, name: string, since: number): Promise<readonly string[] | Failure> {
    const ids: string[] = [];
    for (let next: string | undefined = ""; next !== undefined;) {
      const cursor: string = next === "" ? "" : `&cursor=${encodeURIComponent(next)}`;
      const answer = await this.#api.send("GET", `${path}?limit=100${cursor}`, token);
      if (isFailure(answer)) return answer;
      if (answer.status !== 200) return cannotBeFinished("GET", path, answer.status);
      // The API's answers have this shape.
      const page = answer.body as { readonly items: readonly Listed[]; readonly next?: string };
      const ours = page.items.filter((item) => item.name === name && Date.parse(item.createdAt) >= since);
      ids.push(...ours.filter(({ revokedAt = null }) => revokedAt === null).map(({ id }) => id));
      next = page.next;
    }
    return ids;
  }

  /** Takes over an organization or a database. A token is revoked and made anew, because its secret was in the lost answer. */
  async #adopt(
    thing: Thing,
    path: string,
    token: string,
    [id, ...others]: readonly string[],
  ): Promise<"nothing" | Failure | undefined> {
    if (id === undefined) return "nothing";
    if (thing === "organizationId" || thing === "databaseId") {
      this.#keep(thing, { [thing]: id });
      return undefined;
    }
    for (const tokenId of [id, ...others]) {
      const answer = await this.#api.send("DELETE", `${path}/${tokenId}`, token);
      if (isFailure(answer)) return answer;
      if (answer.status !== 200) return cannotBeFinished("DELETE", path, answer.status);
    }
    return "nothing";
  }

  /** The next thing is made by another request, with a key of its own. */
  #keep(thing: Thing, made: Kept): void {
    const { [keyOf(thing)]: _, ...others } = this.#kept;
    this.#write({ ...others, ...made });
  }

  /** Also forgets what cannot exist without it: a database ends with its organization. Nothing ends with a token. */
  #forget(thing: Thing): void {
    const kept = { ...this.#kept };
    const gone = thing === "adminToken" ? [thing] : things.slice(things.indexOf(thing));
    for (const one of gone) {
      delete kept[one];
      delete kept[keyOf(one)];
    }
    this.#write(kept);
  }

  #write(kept: Kept): void {
    this.#kept = kept;
    writeKept(this.#file, kept);
  }
}

interface Listed {
  readonly id: string;
  readonly name: string;
  /** As RFC 3339. */
  readonly createdAt: string;
  /** Only on tokens. */
  readonly revokedAt?: string | null;
}

/** When the key was first sent, or just before. NaN for a key that does not tell. */
function timeOf(idempotencyKey: string): number {
  return Date.parse(idempotencyKey.split("/")[0] ?? "");
}

function isForgotten(idempotencyKey: string): boolean {
  return timeOf(idempotencyKey) + KEYS_KNOWN_MS < Date.now();
}

function cannotBeFinished(method: string, path: string, status: number): Failure {
  return failure("internal", `The first start cannot be finished: ${method} ${path} was answered ${status}.`);
}

function keyOf(thing: Thing): string {
  return `${thing}Key`;
}
