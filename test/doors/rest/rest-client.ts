/** The REST door through the Worker as it is deployed, to real objects: a database of an organization of its own, and who asks it. */
import { env } from "cloudflare:workers";
import type { Env } from "../../../src/objects/env.ts";
import worker from "../../../src/worker.ts";
import { CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS } from "../../support/deployment-secrets.ts";

// The plugin's environment is the deployment's, without its secrets.
export const configured: Env = { ...(env as unknown as Env), CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS };

export const SERVER = "https://cairn.test";

export interface Sending {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: BodyInit;
  /** null: none is shown. */
  readonly token?: string | null;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Of a JSON body; undefined for any other. */
  // oxlint-disable-next-line typescript/no-explicit-any -- what a test reads of it, it compares
  readonly json: any;
}

export async function send(
  method: string,
  path: string,
  { headers = {}, body, token = null }: Sending = {},
): Promise<Answered> {
  const bearer = token === null ? {} : { authorization: `Bearer ${token}` };
  const request = new Request(SERVER + path, {
    method,
    headers: { ...bearer, ...headers },
    ...(body === undefined ? {} : { body }),
  });
  const answer = await worker.fetch(request, configured);
  const text = await textOf(answer);
  const isJson = /[/+]json/.test(answer.headers.get("content-type") ?? "") && text !== "";
  return { status: answer.status, headers: answer.headers, text, json: isJson ? JSON.parse(text) : undefined };
}

/** Whatever it says of itself; none of a stream without end. */
async function textOf(answer: Response): Promise<string> {
  if (answer.headers.get("content-type")?.startsWith("text/event-stream") === true) {
    await answer.body?.cancel();
    return "";
  }
  return new TextDecoder().decode(await answer.arrayBuffer());
}

export class RestDatabase {
  readonly id: string;
  /** The access token of its organization, which may do everything. */
  readonly token: string;
  readonly organizationId: string;

  private constructor(id: string, token: string, organizationId: string) {
    this.id = id;
    this.token = token;
    this.organizationId = organizationId;
  }

  static async make(): Promise<RestDatabase> {
    const body = JSON.stringify({ name: "o" });
    const made = await send("POST", "/api/organizations", { token: CAIRN_DEPLOYMENT_TOKEN, body });
    const { token, organization } = made.json;
    const database = await send("POST", `/api/organizations/${organization.id}/databases`, { token, body: "{}" });
    return new RestDatabase(database.json.id, token, organization.id);
  }

  /** Another one of the same organization. */
  async another(): Promise<RestDatabase> {
    const made = await send("POST", `/api/organizations/${this.organizationId}/databases`, {
      token: this.token,
      body: "{}",
    });
    return new RestDatabase(made.json.id, this.token, this.organizationId);
  }

  /** `path`: what follows the database's id. With its token, unless another is named. */
  ask(method: string, path: string, sending: Sending = {}): Promise<Answered> {
    return send(method, `/api/databases/${this.id}/${path}`, { token: this.token, ...sending });
  }

  /** The answer as it is. */
  raw(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    const url = `${SERVER}/api/databases/${this.id}/${path}`;
    return worker.fetch(
      new Request(url, { headers: { authorization: `Bearer ${this.token}`, ...headers } }),
      configured,
    );
  }

  put(path: string, value: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
    return this.ask("PUT", `entries/${path}?values=plain`, { body: JSON.stringify(value), headers });
  }

  /** Turns its backup on, and waits until the backup goes on by itself. */
  async keepBackup(): Promise<void> {
    const body = JSON.stringify({ destination: { kind: "r2", prefix: "" }, intervalMs: 500 });
    const path = `/api/databases/${this.id}/backup`;
    const enabled = await send("POST", path, { token: this.token, body });
    if (enabled.status >= 300) throw new Error(enabled.text);
    for (let tries = 0; tries < 300; tries++) {
      if ((await send("GET", path, { token: this.token })).json.status.code === "active") return;
      await scheduler.wait(50);
    }
    throw new Error("the backup does not become active");
  }

  async stats(): Promise<{ readonly watchers: number }> {
    const { status, text, json } = await send("GET", `/api/databases/${this.id}/stats`, { token: this.token });
    if (status !== 200) throw new Error(text);
    return json;
  }

  async newToken(scopes: Readonly<Record<string, unknown>>): Promise<{ readonly id: string; readonly token: string }> {
    const body = JSON.stringify({ name: "token", permissions: ["read", "write"], databases: "all", ...scopes });
    const path = `/api/organizations/${this.organizationId}/tokens`;
    const { status, text, json } = await send("POST", path, { token: this.token, body });
    if (status !== 201) throw new Error(text);
    return json;
  }

  /** Answers when no database takes it any more. */
  async revoke({ id }: { readonly id: string }): Promise<void> {
    const path = `/api/organizations/${this.organizationId}/tokens/${id}`;
    const { status, text } = await send("DELETE", path, { token: this.token });
    if (status !== 200) throw new Error(text);
  }

  async dataToken(accessToken = this.token, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const body = JSON.stringify({ supportedVersions: [3] });
    const { json, text } = await send("POST", `/databases/${this.id}/connect`, { token: accessToken, body, headers });
    if (json === undefined) throw new Error(text);
    return json.token;
  }
}

/** A key as answers have it. */
export function keyJson(...parts: readonly (string | number | boolean)[]): unknown {
  return parts.map((value) => ({ type: typeof value, value }));
}
