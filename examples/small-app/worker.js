/**
 * The small app as a Worker: to-dos, a counter, sessions that end by themselves, and a live dashboard. It has `fetch` and nothing else.
 * docs/small-app.md says how to run it. `env` has CAIRN_URL, DATABASE_ID and TOKEN.
 */
const SESSION_MS = 60_000;
const PREFIX = encodeURIComponent('["app"]');

export default {
  async fetch(request, env) {
    try {
      return await answer(request, apiOf(env));
    } catch (error) {
      return Response.json({ error: error.message }, { status: 502 });
    }
  },
};

async function answer(request, api) {
  const { pathname } = new URL(request.url);
  const [, id] = /^\/todos\/([^/]+)\/done$/.exec(pathname) ?? [];
  switch (`${request.method} ${id === undefined ? pathname : "done"}`) {
    case "GET /":
      await visit(api);
      return Response.json(await stateOf(api));
    case "POST /todos":
      return Response.json({ id: await add(api, await request.text()) });
    case "POST done":
      return (await finish(api, id)) ? Response.json({ id, done: true }) : notFound();
    case "POST /sessions":
      return Response.json({ id: await enter(api, await request.text()) });
    case "GET /dashboard":
      return dashboard(api, request);
    default:
      return notFound();
  }
}

const notFound = () => Response.json({ error: "Nothing is here." }, { status: 404 });

/** Asks the database. `expected`: the statuses that are no error, besides success. */
function apiOf({ CAIRN_URL, DATABASE_ID, TOKEN }) {
  return async (path, init = {}, expected = []) => {
    const headers = { ...init.headers, authorization: `Bearer ${TOKEN}` };
    const answered = await fetch(`${CAIRN_URL}/api/databases/${DATABASE_ID}/${path}`, { ...init, headers });
    if (answered.ok || expected.includes(answered.status)) return answered;
    throw new Error(`The database answered ${answered.status}: ${await answered.text()}`);
  };
}

/** Many Workers count at the same time, and none of their visits is lost: the database adds. */
async function visit(api) {
  const one = { type: "sum", key: ["app", "counters", "visits"], value: { type: "KvU64", value: "1" } };
  await api("atomic", { method: "POST", body: JSON.stringify({ mutations: [one] }) });
}

async function add(api, text) {
  const id = crypto.randomUUID();
  const body = JSON.stringify({ text, done: false });
  await api(`entries/app/todos/${id}?values=plain`, { method: "PUT", body });
  return id;
}

/** False: there is no such to-do. */
async function finish(api, id) {
  const path = `entries/app/todos/${id}?values=plain`;
  for (;;) {
    const found = await api(path, {}, [404]);
    if (found.status === 404) return false;
    const body = JSON.stringify({ ...(await found.json()).value, done: true });
    // Only if nobody has changed it since it was read.
    const headers = { "if-match": found.headers.get("etag") };
    const written = await api(path, { method: "PUT", body, headers }, [412]);
    if (written.ok) return true;
  }
}

/** The session ends by itself after a minute. */
async function enter(api, name) {
  const id = crypto.randomUUID();
  const body = JSON.stringify({ name });
  await api(`entries/app/sessions/${id}?values=plain&expireIn=${SESSION_MS}`, { method: "PUT", body });
  return id;
}

async function stateOf(api) {
  const state = { todos: [], visits: "0", here: [] };
  let more = "";
  do {
    const page = await api(`entries?values=plain&limit=1000&prefix=${PREFIX}${more}`);
    const { entries, cursor } = await page.json();
    for (const { key, value } of entries) {
      const [, kind, id] = key.map((part) => part.value);
      if (kind === "todos") state.todos.push({ id, ...value });
      else if (kind === "sessions") state.here.push(value.name);
      else if (id === "visits") state.visits = value.value;
    }
    more = cursor === undefined ? "" : `&cursor=${cursor}`;
  } while (more !== "");
  return state;
}

/** The database's own events, passed on. The browser's `Last-Event-ID` goes along, so it misses nothing after a break. */
async function dashboard(api, request) {
  const seen = request.headers.get("last-event-id");
  const headers = seen === null ? {} : { "last-event-id": seen };
  const events = await api(`watch?values=plain&prefix=${PREFIX}`, { headers });
  return new Response(events.body, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } });
}
