/** The way out to webhooks for tests inside workerd: notes what is sent there, and shows it to whoever asks. */
import { type Request, Response } from "miniflare";

/** Asked through the same way out, it answers with what was sent to the URL that follows `?`. */
export const NOTED_EVENTS_URL = "https://noted-events.test/?";

interface NotedEvent {
  readonly url: string;
  readonly id: string | null;
  readonly body: string;
}

export function noteEvents(): (request: Request) => Promise<Response> {
  const noted: NotedEvent[] = [];
  return async (request) => {
    const { url, headers } = request;
    if (url.startsWith(NOTED_EVENTS_URL)) {
      const about = decodeURIComponent(url.slice(NOTED_EVENTS_URL.length));
      return Response.json(noted.filter((event) => event.url === about));
    }
    noted.push({ url, id: headers.get("webhook-id"), body: await request.text() });
    return new Response(null, { status: 204 });
  };
}
