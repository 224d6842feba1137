/** docs/limits.md, held against src/core/*-limits.ts and against the errors that the code gives. */
import { expect, test } from "vitest";
import { decodeAtomicWrite, decodeSnapshotRead, decodeWatch } from "../../src/codec/datapath.ts";
import { fromHex, toHex } from "../../src/core/bytes.ts";
import { encodeKey } from "../../src/codec/key-codec.ts";
import { decodeV8 } from "../../src/codec/v8/codec.ts";
import { encodeAtomicWrite, encodeSnapshotRead, encodeWatch } from "../../src/codec/datapath-requests.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { type Failure, isFailure } from "../../src/core/errors.ts";
import { entryOfLine } from "../../src/codec/json-notation/entry-line.ts";
import { keyOfPath } from "../../src/codec/json-notation/key-path.ts";
import { storedOfJson } from "../../src/codec/json-notation/stored-value.ts";
import * as archiveFormatLimits from "../../src/core/archive-format-limits.ts";
import * as documentLimits from "../../src/core/document-limits.ts";
import * as archiveLimits from "../../src/core/archive-limits.ts";
import * as searchLimits from "../../src/core/search-limits.ts";
import * as coreLimits from "../../src/core/limits.ts";
import type { Scopes } from "../../src/contracts/resources.ts";
import { canonicalOrigin } from "../../src/core/origins.ts";
import type { AtomicWrite, Enqueue, ReadRange, SetMutation } from "../../src/core/operations.ts";
import { checkScopes, EVERY_SCOPE } from "../../src/directory/scopes.ts";
import { FakeTimers } from "../support/fake-timers.ts";
import { readBody } from "../../src/doors/http/request-body.ts";
import { idempotencyOf, readBody as readManagementBody } from "../../src/doors/management/context.ts";
import { descriptionOf } from "../../src/doors/management/v1/input.ts";
import { readPage, tableRows } from "./markdown.ts";

const limits = { ...coreLimits, ...archiveFormatLimits, ...archiveLimits, ...documentLimits, ...searchLimits };
const page = readPage("docs/limits.md");
/** By the constant, which is each row's last cell. */
const rows = new Map(tableRows(page).map((cells) => [(cells.at(-1) ?? "").replaceAll("`", ""), cells]));

test.each(Object.entries(limits))("%s is on the page with its number", (name, value) => {
  const number = rows.get(name)?.[1] ?? "";
  expect(number.split(" ")[0]).toBe(value.toLocaleString("en-US"));
});

test("the page names each limit once, and none that is gone", () => {
  const named = tableRows(page)
    .map((cells) => (cells.at(-1) ?? "").replaceAll("`", ""))
    .filter((name) => /^[A-Z_]+$/.test(name));
  expect(named.toSorted()).toEqual(Object.keys(limits).toSorted());
});

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);
/** An encoded key of one string, this many bytes in all. */
const keyOf = (bytes: number): Uint8Array => Uint8Array.of(2, ...times(bytes - 2, 0x61), 0);
const key = keyOf(3);
const mutation: SetMutation = {
  type: "set",
  key,
  value: new Uint8Array(1),
  encoding: 3,
  expiresAt: null,
  versionstampedKey: false,
};
const enqueue: Enqueue = {
  payload: new Uint8Array(1),
  deliverAt: asUnixMs(1),
  keysIfUndelivered: [],
  backoffSchedule: [],
};
const range: ReadRange = { start: key, end: Uint8Array.of(3), limit: 1, reverse: false };

const write = (part: Partial<AtomicWrite>) =>
  decodeAtomicWrite(encodeAtomicWrite({ checks: [], mutations: [], enqueues: [], ...part }));
const set = (part: Partial<SetMutation>) => write({ mutations: [{ ...mutation, ...part }] });
const send = (part: Partial<Enqueue>) => write({ enqueues: [{ ...enqueue, ...part }] });
const read = (...ranges: ReadRange[]) => decodeSnapshotRead(encodeSnapshotRead(ranges));
const timers = new FakeTimers();
const time = { clock: timers, timers };
/** A request that says how long its body is, as clients do. */
const announced = (bytes: number): Request => post({ "content-length": String(bytes) }, "x".repeat(bytes));
const body = (bytes: number, limit: number) => readBody(announced(bytes), limit, time);

const line = (text: string) => entryOfLine(text, { plain: false });
const scopes = (part: Partial<Scopes>): Outcome =>
  checked(checkScopes({ ...EVERY_SCOPE, permissions: ["read"], ...part }, asUnixMs(0)));
const post = (headers: Record<string, string>, text: string): Request =>
  new Request("https://cairn.example", { method: "POST", headers, body: text });
/** A failure, or that there is none. */
const checked = (answer: unknown): Outcome => (isFailure(answer) ? answer : { ok: true });

type Outcome = { readonly ok: true } | Failure | Uint8Array;

/** A V8 value of version 15, in hexadecimal digits without its header. */
const decoded = (hex: string) => checked(decodeV8(fromHex(`ff0f${hex}`)));

/** Just past each limit, by its constant. */
const past: Readonly<Record<string, () => Outcome | Promise<Outcome>>> = {
  MAX_KEY_BYTES: () => set({ key: keyOf(limits.MAX_KEY_BYTES + 1) }),
  MAX_KEY_BIGINT_BYTES: () => encodeKey([1n << (8n * BigInt(limits.MAX_KEY_BIGINT_BYTES))]),
  MAX_VALUE_BYTES: () => set({ value: new Uint8Array(limits.MAX_VALUE_BYTES + 1) }),
  MAX_ATOMIC_WRITE_BYTES: () => {
    const eighth = { ...mutation, value: new Uint8Array(limits.MAX_ATOMIC_WRITE_BYTES / 8 - key.length) };
    // The key of `false` is one byte.
    return write({ mutations: [...times(8, eighth), { type: "delete", key: Uint8Array.of(0x26) }] });
  },
  MAX_WRITE_BODY_BYTES: () => body(limits.MAX_WRITE_BODY_BYTES + 1, limits.MAX_WRITE_BODY_BYTES),
  MAX_READ_BODY_BYTES: () => body(limits.MAX_READ_BODY_BYTES + 1, limits.MAX_READ_BODY_BYTES),
  MAX_CHECKS: () => write({ checks: times(limits.MAX_CHECKS + 1, { key, version: null }) }),
  MAX_MUTATIONS: () => write({ mutations: times(limits.MAX_MUTATIONS + 1, mutation) }),
  MAX_TIME_MS: () => set({ expiresAt: asUnixMs(limits.MAX_TIME_MS + 1) }),
  MAX_READ_RANGES: () => read(...times(limits.MAX_READ_RANGES + 1, range)),
  MAX_READ_ENTRIES: () => read({ ...range, limit: limits.MAX_READ_ENTRIES }, range),
  MAX_RANGE_BOUND_BYTES: () => read({ ...range, end: new Uint8Array(limits.MAX_RANGE_BOUND_BYTES + 1).fill(3) }),
  MAX_WATCHED_KEYS: () => decodeWatch(encodeWatch(times(limits.MAX_WATCHED_KEYS + 1, key))),
  MAX_EXCHANGE_BODY_BYTES: () => body(limits.MAX_EXCHANGE_BODY_BYTES + 1, limits.MAX_EXCHANGE_BODY_BYTES),
  MAX_BACKOFF_DELAYS: () => send({ backoffSchedule: times(limits.MAX_BACKOFF_DELAYS + 1, 1) }),
  MAX_BACKOFF_DELAY_MS: () => send({ backoffSchedule: [limits.MAX_BACKOFF_DELAY_MS + 1] }),
  MAX_DATABASES_OF_TOKEN: () =>
    scopes({ databases: times(limits.MAX_DATABASES_OF_TOKEN + 1, "").map((_, i) => `${i}`) }),
  MAX_ORIGINS_OF_TOKEN: () =>
    scopes({ allowedOrigins: times(limits.MAX_ORIGINS_OF_TOKEN + 1, "").map((_, i) => `${i}`) }),
  MAX_ORIGIN_CHARACTERS: () => checked(canonicalOrigin(`app://${"h".repeat(limits.MAX_ORIGIN_CHARACTERS - 5)}`)),
  MAX_KEY_PREFIX_BYTES: () => scopes({ keyPrefix: toHex(keyOf(limits.MAX_KEY_PREFIX_BYTES + 1)) }),
  MAX_DESCRIPTION_LENGTH: () => checked(descriptionOf({ description: "x".repeat(limits.MAX_DESCRIPTION_LENGTH + 1) })),
  MAX_MANAGEMENT_BODY_BYTES: async () =>
    checked(await readManagementBody(announced(limits.MAX_MANAGEMENT_BODY_BYTES + 1), time)),
  MAX_IDEMPOTENCY_KEY_LENGTH: async () => {
    const tooLong = "x".repeat(limits.MAX_IDEMPOTENCY_KEY_LENGTH + 1);
    return checked(await idempotencyOf(post({ "idempotency-key": tooLong }, ""), ""));
  },
  MAX_ENTRY_LINE_CHARACTERS: () => line(" ".repeat(limits.MAX_ENTRY_LINE_CHARACTERS + 1)),
  MAX_JSON_CONTAINERS: () => line(`[${"[],".repeat(limits.MAX_JSON_CONTAINERS)}1]`),
  MAX_KEY_PATH_CHARACTERS: () => keyOfPath("x".repeat(limits.MAX_KEY_PATH_CHARACTERS + 1)),
  MAX_NOTATION_BIGINT_DIGITS: () => {
    const value = "9".repeat(limits.MAX_NOTATION_BIGINT_DIGITS + 1);
    return storedOfJson({ type: "bigint", value }, "value", { plain: false });
  },
  MAX_VALUE_DEPTH: () => {
    let value: unknown = 1;
    for (let depth = 0; depth <= limits.MAX_VALUE_DEPTH; depth++) value = [value];
    return storedOfJson(value, "value", { plain: true });
  },
  MAX_VALUE_ERRORS: () => decoded(`41914e${"722e".repeat(limits.MAX_VALUE_ERRORS + 1)}2400914e`),
  MAX_VALUE_RESIZABLE_BUFFERS: () => decoded(`4165${"7e0001".repeat(limits.MAX_VALUE_RESIZABLE_BUFFERS + 1)}240065`),
  MAX_KEYS_IF_UNDELIVERED: () => send({ keysIfUndelivered: times(limits.MAX_KEYS_IF_UNDELIVERED + 1, key) }),
};

test.each(Object.entries(past))("passing %s is the error that the page shows", async (name, attempt) => {
  const outcome = await attempt();
  expect(outcome).toMatchObject({ ok: false });
  expect(rows.get(name)?.[3]).toBe(`\`${"message" in outcome ? outcome.message : ""}\``);
});

test("every error on the page is a whole sentence, or breaks off", () => {
  const errors = [...rows.values()].flatMap(
    (cells) => (cells.length === 5 ? (cells[3] ?? "").match(/`[^`]+`/g) : []) ?? [],
  );
  const sentences = errors.filter((error) => error.includes(" "));
  expect(sentences.length).toBeGreaterThan(50);
  for (const sentence of sentences) expect(sentence).toMatch(/[.…]`$/);
});

test("the largest read and the largest watch that are valid fit into their bodies", () => {
  const bound = (first: number) => keyOf(limits.MAX_RANGE_BOUND_BYTES).fill(first, 1, 2);
  const wide = {
    start: bound(0x61),
    end: bound(0x62),
    limit: limits.MAX_READ_ENTRIES / limits.MAX_READ_RANGES,
    reverse: true,
  };
  const largestRead = encodeSnapshotRead(times(limits.MAX_READ_RANGES, wide));
  expect(decodeSnapshotRead(largestRead)).toMatchObject({ ok: true });
  const largestWatch = encodeWatch(times(limits.MAX_WATCHED_KEYS, keyOf(limits.MAX_KEY_BYTES)));
  expect(decodeWatch(largestWatch)).toMatchObject({ ok: true });
  expect(Math.max(largestRead.length, largestWatch.length)).toBeLessThanOrEqual(limits.MAX_READ_BODY_BYTES);
});

test("a key that gets a versionstamp has 22 bytes less (K13)", () => {
  const longest = limits.MAX_KEY_BYTES - 22;
  expect(set({ key: keyOf(longest), versionstampedKey: true })).toMatchObject({ ok: true });
  const outcome = set({ key: keyOf(longest + 2), versionstampedKey: true });
  expect(page).toContain(`\`${"message" in outcome ? outcome.message : ""}\``);
});
