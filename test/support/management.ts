/** The management API as tests use it from outside, and tenants of their own for them. */
import { exchange, RawConnect, type Metadata } from "./raw-connect.ts";
import { startTestServer, type TestServer } from "./server.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** As JSON when it is JSON, otherwise as text. */
  // What an answer holds is what the tests are about.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

export interface ManagedServer extends TestServer {
  readonly deploymentToken: string;
  /** `body`: a text is sent as it is. */
  send(
    method: string,
    path: string,
    token: string | null,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer>;
}

/** As `startTestServer`, with a deployment token that the test knows. */
export async function startManagedServer(
  environment: Readonly<Record<string, string>> = {},
  before: Parameters<typeof startTestServer>[1] = {},
): Promise<ManagedServer> {
  const deploymentToken = "deployment-token-of-the-tests";
  const server = await startTestServer({ ...environment, CAIRN_DEPLOYMENT_TOKEN: deploymentToken }, before);
  return {
    ...server,
    deploymentToken,
    async send(method, path, token, body, headers) {
      const all = new Headers(headers);
      if (token !== null) all.set("authorization", `Bearer ${token}`);
      const sent = body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) };
      const answer = await fetch(`${server.url}${path}`, { method, headers: all, ...sent });
      const text = await answer.text();
      const isJson = answer.headers.get("content-type")?.includes("json") === true;
      return { status: answer.status, headers: answer.headers, body: isJson ? JSON.parse(text) : text };
    },
  };
}

export interface MintedToken {
  readonly id: string;
  readonly token: string;
}

/** An organization with a token that has every permission. */
export class Tenant {
  readonly organizationId: string;
  readonly token: string;
  readonly #server: ManagedServer;

  private constructor(server: ManagedServer, organizationId: string, token: string) {
    this.#server = server;
    this.organizationId = organizationId;
    this.token = token;
  }

  static async make(server: ManagedServer, name = "tenant"): Promise<Tenant> {
    const { status, body } = await server.send("POST", "/api/organizations", server.deploymentToken, { name });
    if (status !== 201) throw new Error(JSON.stringify(body));
    return new Tenant(server, body.organization.id, body.token);
  }

  /** Its id. */
  async newDatabase(name = "database"): Promise<string> {
    return (await this.#make("databases", { name })).body.id;
  }

  async newToken(scopes: Readonly<Record<string, unknown>>): Promise<MintedToken> {
    const body = { name: "token", permissions: ["read", "write"], databases: "all", ...scopes };
    const { id, token } = (await this.#make("tokens", body)).body;
    return { id, token };
  }

  /** Answers when no database takes it any more. */
  async revoke({ id }: MintedToken): Promise<void> {
    const path = `/api/organizations/${this.organizationId}/tokens/${id}`;
    const { status, body } = await this.#server.send("DELETE", path, this.token);
    if (status !== 200) throw new Error(JSON.stringify(body));
  }

  /** What a client is given. */
  opening(databaseId: string, accessToken = this.token) {
    const { url } = this.#server;
    return { url, connectUrl: `${url}/databases/${databaseId}/connect`, accessToken };
  }

  connect(databaseId: string, accessToken = this.token): Promise<RawConnect> {
    return RawConnect.open(this.opening(databaseId, accessToken));
  }

  async #make(what: "databases" | "tokens", body: unknown): Promise<Answer> {
    const path = `/api/organizations/${this.organizationId}/${what}`;
    const answer = await this.#server.send("POST", path, this.token, body);
    if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
    return answer;
  }
}

/** The data token that an exchange gives, or the status and the sentence with which it is refused. */
export async function tryExchange(
  opening: Pick<TestServer, "connectUrl" | "accessToken">,
): Promise<Metadata | { readonly status: number; readonly sentence: string }> {
  const answer = await exchange(opening, '{"supportedVersions":[1,2,3]}');
  // The exchange has tests of its own.
  if (answer.status === 200) return (await answer.json()) as Metadata;
  return { status: answer.status, sentence: await answer.text() };
}
