/**
 * Counts the views of pages in a Cairn database. `POST /views/{page}` counts one and answers with the number, `GET /views/{page}` only
 * answers. A Worker's requests cannot share a socket, because each may use only what it has opened itself: so a Durable Object holds the
 * session, and the requests of all Workers that ask it travel in its frames.
 */
import { DurableObject } from "cloudflare:workers";
import { CairnSession, SessionError, type Answer } from "./session.ts";

interface Env {
  readonly SESSIONS: DurableObjectNamespace<ViewSession>;
  /** As `npm start` prints them, or of a deployment. */
  readonly CONNECT_URL: string;
  readonly ACCESS_TOKEN: string;
}

interface Views {
  readonly status: number;
  readonly body: { readonly views: number } | { readonly error: string };
}

export class ViewSession extends DurableObject<Env> {
  readonly #session = new CairnSession(this.env.CONNECT_URL, this.env.ACCESS_TOKEN);

  async views(page: string, counts: boolean): Promise<Views> {
    const key = ["views", page];
    const read = { read: [{ key }] };
    const count = { write: { mutations: [{ type: "sum", key, value: 1 }] } };
    try {
      // In one frame, so that the read sees the write.
      const answers = await this.#session.send(...(counts ? [count, read] : [read]));
      return { status: 200, body: { views: viewsOf(answers.at(-1)) } };
    } catch (error) {
      if (!(error instanceof SessionError)) throw error;
      console.error(`${error.code}: ${error.message}`);
      return FAILURES[error.code] ?? UNAVAILABLE;
    }
  }
}

const UNAVAILABLE: Views = { status: 503, body: { error: "The database is not available." } };
const FAILURES: Readonly<Record<string, Views>> = {
  limit: { status: 400, body: { error: "The page's name is too long." } },
  unknown: { status: 503, body: { error: "The connection broke: the view may have been counted or not." } },
};

function viewsOf(answer: Answer | undefined): number {
  const value = answer?.read?.[0]?.[0]?.value;
  return typeof value === "number" ? value : 0;
}

export default {
  async fetch(request, env): Promise<Response> {
    const page = pageOf(new URL(request.url).pathname);
    if (page === undefined) return new Response("Not found.\n", { status: 404 });
    const counts = request.method === "POST";
    if (!counts && request.method !== "GET") {
      const headers = { allow: "GET, POST" };
      return new Response("Views are counted with POST and asked for with GET.\n", { status: 405, headers });
    }
    // One object holds one session. A site with much more traffic spreads its pages over several objects.
    const { status, body } = await env.SESSIONS.getByName("views").views(page, counts);
    const headers = { "content-type": "application/json" };
    return new Response(`${JSON.stringify(body)}\n`, { status, headers });
  },
} satisfies ExportedHandler<Env>;

/** Of /views/{page}. */
function pageOf(path: string): string | undefined {
  const name = /^\/views\/([^/]+)$/.exec(path)?.[1];
  try {
    return name === undefined ? undefined : decodeURIComponent(name);
  } catch {
    return undefined;
  }
}
