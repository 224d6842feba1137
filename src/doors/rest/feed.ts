/**
 * The change feed over HTTP: the read side of the Durable Streams protocol (https://github.com/durable-streams/durable-streams,
 * PROTOCOL.md), so that its clients can follow a database. An offset is a place in the feed, a versionstamp. `-1` is the oldest place
 * that is kept, `now` the present. Without `live` a request returns one page of what is there. `live=long-poll` waits for news.
 * `live=sse` continues for a minute.
 */
import { decodeFeedPage, encodeFeedRequest } from "../../codec/feed.ts";
import { keyOfNotationText } from "../../codec/json-notation/key-notation.ts";
import { quotedExcerpt } from "../../codec/json-notation/place.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { FeedPage, FeedStart } from "../../core/feed.ts";
import { FEED_LONG_POLL_MS, FEED_STREAM_MS, MAX_FEED_TYPE_CHARACTERS } from "../../core/limits.ts";
import { type Version, versionOfHex, versionstampHex } from "../../core/versionstamp.ts";
import { isKnown } from "../http/entity-tags.ts";
import type { Operation, RestCall } from "../http/call.ts";
import { eventStreamAnswer, eventText } from "./event-stream.ts";
import { type FeedForm, textOfEvents } from "./feed-events.ts";
import { notationOf, VALUES_PARAMETER } from "./parameters.ts";
import { type LinkEvent, openSessionLink, type SessionLink } from "./session-link.ts";
import { textStream } from "./text-stream.ts";

export const getFeed: Operation = {
  access: "read",
  query: ["offset", "live", "cursor", "prefix", "type", VALUES_PARAMETER],
  async answer(call) {
    const asked = askedOf(call);
    if (isFailure(asked)) return asked;
    if (call.request.method === "HEAD") return head(call, asked);
    switch (asked.live) {
      case null:
        return catchUp(call, asked);
      case "long-poll":
        return longPoll(call, asked);
      case "sse":
        return stream(call, asked);
    }
  },
};

interface Asked {
  readonly from: FeedStart;
  /** The offset as the client sent it. */
  readonly offset: string;
  readonly live: "long-poll" | "sse" | null;
  readonly prefix: Uint8Array;
  readonly form: FeedForm;
}

function askedOf(call: RestCall): Asked | Failure {
  const { query } = call;
  const [given, live, json, type] = [query.get("offset"), query.get("live"), query.get("prefix"), query.get("type")];
  if (live !== null && live !== "long-poll" && live !== "sse") {
    return failure("invalid", `live is ${quotedExcerpt(live)}; it can be long-poll or sse.`);
  }
  if (live !== null && given === null) {
    return failure("invalid", "offset is missing; with live it is the Stream-Next-Offset of the last answer, or now.");
  }
  const offset = given ?? "-1";
  const from = offset === "-1" ? "oldest" : offset === "now" ? "now" : versionOfHex(offset);
  if (from === undefined) {
    return failure(
      "invalid",
      `offset is ${quotedExcerpt(offset)}; it must be -1, now, or the Stream-Next-Offset of an answer, 20 hexadecimal digits.`,
    );
  }
  if (type !== null && (type === "" || type.length > MAX_FEED_TYPE_CHARACTERS)) {
    return failure("invalid", `type has ${type.length} characters; it must have 1 to ${MAX_FEED_TYPE_CHARACTERS}.`);
  }
  const notation = notationOf(call);
  if (isFailure(notation)) return notation;
  const isAll = json === null || json.trim() === "[]";
  const prefix = isAll ? null : keyOfNotationText(json, "prefix");
  if (prefix !== null && !prefix.ok) return prefix;
  return { from, offset, live, prefix: prefix?.bytes ?? new Uint8Array(), form: { notation, type } };
}

/** Where the feed ends at present. */
async function head(call: RestCall, asked: Asked): Promise<Response | Failure> {
  const found = await pageOf(call, { ...asked, from: "now" });
  if (isFailure(found)) return found;
  const { page } = found;
  return new Response(null, { headers: { ...headersOf(page), "cache-control": "no-store" } });
}

async function catchUp(call: RestCall, asked: Asked): Promise<Response | Failure> {
  const found = await pageOf(call, asked);
  if (isFailure(found)) return found;
  const { page, link } = found;
  if (asked.from === "now") return pageAnswer(call, found, asked, { "cache-control": "no-store" });
  // A page stays the same as long as it is kept. Only a page at the end grows.
  const etag = `"${asked.offset}:${versionstampHex(page.upTo)}${page.reset === null ? "" : "r"}${page.isLast ? "" : "+"}"`;
  const caching = { etag, "cache-control": page.isLast ? "private, no-cache" : "private, max-age=60" };
  if (isKnown(call.request.headers, etag)) {
    link?.close();
    return new Response(null, { status: 304, headers: { ...headersOf(page), ...caching } });
  }
  return pageAnswer(call, found, asked, caching);
}

async function longPoll(call: RestCall, asked: Asked): Promise<Response | Failure> {
  const found = await pageOf(call, asked);
  if (isFailure(found)) return found;
  const live = { "stream-cursor": cursorOf(call), "cache-control": "no-store" };
  if (hasNews(found.page) || !found.page.isLast) return pageAnswer(call, found, asked, live);
  const later = await nextNews(call, asked, found.page.upTo);
  if (isFailure(later)) return later;
  if (hasNews(later.page)) return pageAnswer(call, later, asked, live);
  later.link?.close();
  return new Response(null, { status: 204, headers: { ...headersOf(later.page), ...live } });
}

/** The first page with news after a place; or, after a while, a page that only says how far the feed is. */
async function nextNews(call: RestCall, asked: Asked, after: Version): Promise<Found | Failure> {
  const { clock, timers } = call;
  const link = await linkFrom(call, asked, after);
  if (isFailure(link)) return link;
  let page: FeedPage = { commits: [], reset: null, upTo: after, isLast: true };
  const until = clock.now() + FEED_LONG_POLL_MS;
  for (;;) {
    const event = await link.next(timers, Math.max(0, until - clock.now()));
    if (event === null || event.type === "lost") return { page, link };
    if (event.type === "failure") return event.failure;
    const told = decodeFeedPage(event.body);
    if (!told.ok) {
      link.close();
      return told;
    }
    page = told;
    if (hasNews(page) || clock.now() >= until) return { page, link };
    link.acknowledge();
  }
}

async function stream(call: RestCall, asked: Asked): Promise<Response | Failure> {
  const { timers, ration } = call;
  const { from, form } = asked;
  const link = await linkFrom(call, asked, from);
  if (isFailure(link)) return link;
  const first = await firstUpdate(link, call);
  if (isFailure(first)) return first;
  const cursor = cursorOf(call);
  const textOf = (update: Uint8Array): Iterable<string> | Failure => {
    const page = decodeFeedPage(update);
    return page.ok ? textOfUpdate(page, form, cursor) : page;
  };
  return eventStreamAnswer({ link, first, timers, ration, textOf, endsAfterMs: FEED_STREAM_MS }, { ...COMMON });
}

function* textOfUpdate(page: FeedPage, form: FeedForm, cursor: string): Generator<string, void, undefined> {
  if (hasNews(page)) {
    yield "event: data\ndata: ";
    yield* textOfEvents(page, form);
    yield "\n\n";
  }
  const control = { streamNextOffset: versionstampHex(page.upTo), streamCursor: cursor };
  yield eventText("control", JSON.stringify(page.isLast ? { ...control, upToDate: true } : control));
}

/** `link`: the page came on it, and it stays open until the page is taken. Null: the page is small. */
interface Found {
  readonly page: FeedPage;
  readonly link: SessionLink | null;
}

async function pageOf(call: RestCall, asked: Asked): Promise<Found | Failure> {
  const { stub, grant } = call;
  const { prefix, from } = asked;
  const answer = await stub.feedPage(grant, encodeFeedRequest({ prefix, from }));
  if (answer instanceof Uint8Array) {
    const page = decodeFeedPage(answer);
    return page.ok ? { page, link: null } : page;
  }
  if (!answer.ok) return answer;
  const link = await linkFrom(call, asked, from);
  if (isFailure(link)) return link;
  const first = await firstUpdate(link, call);
  if (isFailure(first)) return first;
  const page = decodeFeedPage(first.body);
  if (page.ok) return { page, link };
  link.close();
  return page;
}

async function linkFrom({ stub, grant }: RestCall, { prefix }: Asked, from: FeedStart): Promise<SessionLink | Failure> {
  return openSessionLink(stub, grant, { type: "feed", id: 1, body: encodeFeedRequest({ prefix, from }) });
}

/** The link is closed where there is none. */
async function firstUpdate(
  link: SessionLink,
  { timers }: RestCall,
): Promise<Extract<LinkEvent, { type: "update" }> | Failure> {
  const first = await link.next(timers, FEED_LONG_POLL_MS);
  if (first?.type === "update") return first;
  link.close();
  if (first?.type === "failure") return first.failure;
  return failure("unavailable", "The database did not answer the feed in time. Try again.");
}

function hasNews({ commits, reset }: FeedPage): boolean {
  return commits.length > 0 || reset !== null;
}

const COMMON = { "x-content-type-options": "nosniff", vary: "Cairn-Values" } as const;

function headersOf({ upTo, isLast }: FeedPage): Record<string, string> {
  const atEnd = isLast ? { "stream-up-to-date": "true" } : {};
  return { "content-type": "application/json", "stream-next-offset": versionstampHex(upTo), ...atEnd, ...COMMON };
}

function pageAnswer(
  { ration }: RestCall,
  { page, link }: Found,
  { form }: Asked,
  headers: Readonly<Record<string, string>>,
): Response {
  const texts = textStream(textOfEvents(page, form), link, ration);
  return new Response(texts, { headers: { ...headersOf(page), ...headers } });
}

/** Twenty seconds, counted from 9 October 2024, as in the protocol. */
const CURSOR_STEP_MS = 20_000;
const CURSOR_EPOCH_MS = Date.UTC(2024, 9, 9);

/**
 * The client sends it in its next live request, so that caches on the way tell requests of different times apart. It never goes back: it
 * is greater than the one that the client sent.
 */
function cursorOf({ query, clock }: RestCall): string {
  const now = Math.max(0, Math.floor((clock.now() - CURSOR_EPOCH_MS) / CURSOR_STEP_MS));
  const given = query.get("cursor") ?? "";
  const last = /^\d{1,15}$/.test(given) ? Number(given) : -1;
  return String(Math.max(now, last + 1));
}
