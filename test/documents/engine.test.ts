/** Documents over an engine whose clock and rows the test sees. */
import { describe, expect, test } from "vitest";
import { rangeOfPrefix } from "../../src/codec/key-prefix.ts";
import { MAX_DOCUMENT_ANSWER_CHARACTERS, MAX_LOOKED_AT_BYTES } from "../../src/core/document-limits.ts";
import { encodeV8 } from "../../src/codec/v8/codec.ts";
import { Encoding } from "../../src/core/operations.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { versionAtTime } from "../../src/core/versionstamp.ts";
import { DocumentIndex } from "../../src/documents/index/document-index.ts";
import { CountingStorage, type Rows } from "../support/counting-storage.ts";
import { MAX, MIN } from "../support/workerd/documents.ts";
import { EngineDocuments } from "../support/workerd/documents-engine.ts";
import { key, MovableClock, set, withStorage, write } from "../support/workerd/engine.ts";

const all = { ids: { id: MIN }, endIds: { id: MAX }, orderType: "asc" };

describe("a microsecondId (D11)", () => {
  test("is above all before, when the clock goes back, when the object restarts, and when documents were deleted", () =>
    withStorage(async (storage) => {
      const clock = new MovableClock();
      let documents = new EngineDocuments(storage, clock);
      const ids: number[] = [];
      const times: string[] = [];
      const make = async (count: number) => {
        const requests = Array.from({ length: count }, () => ({
          appId: "shop",
          tableId: "orders",
          action: "create",
          ids: { time: "CDB:timeId", id: "CDB:microsecondId" },
          columns: {},
        }));
        for (const { ids: made } of await documents.ask({ requests, atomic: count % 2 === 0 })) {
          ids.push(made.id);
          times.push(made.time.slice(0, 13));
        }
      };
      await make(3);
      for (const step of [1, 0, -60_000, -1, 5, 3_600_000, -7_200_000]) {
        clock.time += step;
        await make(2);
        await make(3);
        // A sleep: the mark of versions is set to the last one.
        documents.database.saveCounters();
        documents = new EngineDocuments(storage, clock);
        await make(1);
        // A crash: nothing was saved.
        documents = new EngineDocuments(storage, clock);
        await make(2);
        const { start, end } = rangeOfPrefix(key("shop", "orders"));
        documents.database.deleteWithin({ start, end }, 1_000, () => undefined);
        documents = new EngineDocuments(storage, clock);
        await make(1);
      }
      expect(ids).toEqual(ids.toSorted((a, b) => a - b));
      expect(new Set(ids).size).toBe(ids.length);
      expect(times).toEqual(times.toSorted());
      expect(ids.every((id) => /^\d{16}$/.test(String(id)))).toBe(true);
      expect(times[0]).toBe(String(clock.time + 60_000 + 1 - 5 - 3_600_000 + 7_200_000 - 1));
    }));

  test("is the number of its commit's version, or of one before it that no other commit has", () =>
    withStorage(async (storage) => {
      const clock = new MovableClock();
      const documents = new EngineDocuments(storage, clock);
      const one = () => documents.ask({ action: "create", ids: { id: "CDB:microsecondId" }, columns: {} });
      const first = (await one()).ids.id;
      expect(first).toBe(versionAtTime(asUnixMs(clock.time)));
      expect(first).toBe(documents.database.lastVersion);
      expect((await one()).ids.id).toBe(first + 1);
      expect(documents.database.lastVersion).toBe(first + 1);
    }));
});

test("generated characters come from each value of the entropy, and all may stand in a URL (D11)", () =>
  withStorage(async (storage) => {
    let next = 0;
    const bytes = (length: number) => Uint8Array.from({ length }, () => next++);
    const documents = new EngineDocuments(storage, new MovableClock(), { entropy: { bytes, uuid: () => "" } });
    const seen = new Set<string>();
    for (let i = 0; i < 13; i++) {
      const { ids } = await documents.ask({ action: "create", ids: { id: "CDB:nanoId" }, columns: {} });
      for (const character of ids.id) seen.add(character);
    }
    expect([...seen].toSorted().join("")).toBe("-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
  }));

test("rows of each action without indexes (D26)", () =>
  withStorage(async (inner) => {
    const storage = new CountingStorage(inner);
    const documents = new EngineDocuments(storage, new MovableClock());
    // The mark of versions, and the definition of another table.
    await documents.ask({ action: "create", tableId: "warm", ids: { id: "x" }, columns: {} });
    const rows = (request: object): Promise<Rows> => storage.countAsync(() => documents.ask(request));
    const large = { text: "x".repeat(2_000) };
    const one = { ids: { id: "a" } };
    expect((await rows({ action: "create", ...one, columns: {} })).written).toBe(2);
    expect((await rows({ action: "create", ids: { id: "b" }, columns: {} })).written).toBe(1);
    expect((await rows({ action: "create", ids: { id: "c" }, columns: large })).written).toBe(2);
    expect(await rows({ action: "get", ...one })).toEqual({ read: 2, written: 0 });
    expect((await rows({ action: "update", ...one, columns: { n: 1 } })).written).toBe(1);
    expect((await rows({ action: "delete", ...one })).written).toBe(1);
    expect((await rows({ action: "delete", ...one })).written).toBe(0);
    expect(
      (await rows({ action: "update", ids: { id: "b" }, columns: {}, condition: { type: "notExist" } })).written,
    ).toBe(0);
    expect(await rows({ action: "getMany", ...all })).toEqual({ read: 5, written: 0 });
  }));

describe("one call looks at (D14)", () => {
  test("5,000 entries, whatever the filter drops", () =>
    withStorage(async (storage) => {
      const documents = new EngineDocuments(storage, new MovableClock());
      const ids = Array.from({ length: 5_003 }, (_, index) => 1_000_000 + index);
      for (let from = 0; from < ids.length; from += 100) {
        const requests = ids.slice(from, from + 100).map((id) => ({
          appId: "shop",
          tableId: "orders",
          action: "create",
          ids: { id },
          columns: { n: id },
        }));
        await documents.ask({ requests, atomic: true });
      }
      const filter = [{ column: "n", symbol: ">=", value: 1_004_998 }];
      const first = await documents.ask({ action: "getMany", ...all, filter });
      expect(first.data.map(({ columns }: { columns: { n: number } }) => columns.n)).toEqual([1_004_998, 1_004_999]);
      expect(first.nextId).toEqual({ ids: { id: 1_005_000 } });
      const rest = await documents.ask({ action: "getMany", ...all, ids: first.nextId.ids, filter });
      expect(rest.data).toHaveLength(3);
      expect(rest.nextId).toBeUndefined();
      const most = await documents.ask({ action: "getMany", ...all, rowsLimit: 5_000 });
      expect(most.data).toHaveLength(5_000);
    }));

  test("4 MiB of them, in all requests of a batch together; then pages are empty and say where they begin", () =>
    withStorage(async (storage) => {
      const documents = new EngineDocuments(storage, new MovableClock());
      const text = "x".repeat(500_000);
      for (let id = 0; id < 12; id++) await documents.ask({ action: "create", ids: { id }, columns: { text } });
      const page = await documents.ask({ action: "getMany", ...all });
      expect(page.data).toHaveLength(Math.ceil(MAX_LOOKED_AT_BYTES / 500_000));
      expect(page.nextId).toEqual({ ids: { id: page.data.length } });
      const request = { appId: "shop", tableId: "orders", action: "getMany", ...all, rowsLimit: 5 };
      const [one, two, three] = await documents.ask({ requests: [request, request, request] });
      expect([one.data.length, two.data.length, three.data.length]).toEqual([5, 4, 0]);
      expect([two.nextId, three.nextId]).toEqual([{ ids: { id: 4 } }, { ids: { id: 0 } }]);
      documents.pauses = 0;
      const gets = Array.from({ length: 12 }, (_, id) => ({ ...request, action: "get", ids: { id } }));
      const answers = await documents.ask({ requests: gets });
      const shown = Math.ceil(MAX_DOCUMENT_ANSWER_CHARACTERS / (text.length + 38));
      expect(answers.filter((answer: unknown) => typeof answer === "object")).toHaveLength(shown);
      expect(answers.at(-1)).toBe(
        `limit: The answers of this batch have more than ${MAX_DOCUMENT_ANSWER_CHARACTERS} characters, which is the limit. Send fewer requests in one batch.`,
      );
      expect(documents.pauses).toBeGreaterThan(2);
    }));
});

test("a page of large documents gives others turns, and ends where one of them writes: it is one snapshot (D13)", () =>
  withStorage(async (storage) => {
    const documents = new EngineDocuments(storage, new MovableClock());
    const text = "x".repeat(400_000);
    const create = (id: number) => documents.ask({ action: "create", ids: { id }, columns: { text } });
    for (let id = 0; id < 8; id++) await create(id);
    documents.pauses = 0;
    const filter = [{ column: "id", symbol: "!=", value: 100 }];
    const whole = await documents.ask({ action: "getMany", ...all, filter });
    expect([whole.data.length, whole.nextId, documents.pauses]).toEqual([8, undefined, 2]);
    for (let id = 8; id < 11; id++) await create(id);
    let isWritten = false;
    documents.onPause = async () => {
      if (isWritten) return;
      isWritten = true;
      await documents.ask({ action: "update", ids: { id: 10 }, columns: { text: "later" } });
    };
    // Ten documents are read at once; the eleventh is the one that is written meanwhile.
    const first = await documents.ask({ action: "getMany", ...all, filter });
    expect(isWritten).toBe(true);
    expect(first.data.every(({ columns }: { columns: { text: string } }) => columns.text === text)).toBe(true);
    const rest = await documents.ask({ action: "getMany", ...all, ids: first.nextId.ids, filter });
    const seen = [...first.data, ...rest.data].map(({ ids }) => ids.id);
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  }));

test("writes that wait for the disk are bounded by the memory that they take; nothing of a refused one is stored (D23)", () =>
  withStorage(async (storage) => {
    const disk = Promise.withResolvers<void>();
    const documents = new EngineDocuments(storage, new MovableClock(), { flushed: () => disk.promise });
    await documents.ask({ action: "create", ids: { id: -1 }, columns: {} });
    // A hundred thousand small members: little text, much memory.
    const columns = { list: Array.from({ length: 100_000 }, () => [1]) };
    const creates = Array.from({ length: 10 }, (_, id) => documents.ask({ action: "create", ids: { id }, columns }));
    const refused = await Promise.race(creates);
    expect(refused).toMatch(/^unavailable: .* bytes are .*: try again\.$/);
    disk.resolve();
    const made = (await Promise.all(creates)).filter((answer) => typeof answer !== "string");
    expect(made.length).toBeGreaterThan(1);
    expect(made.length).toBeLessThan(6);
    const { data } = await documents.ask({ action: "getMany", ...all, getColumns: [] });
    expect(data).toHaveLength(made.length + 1);
  }));

test("an atomic batch beyond 8 MiB is refused whole; one write after the other is not (D12)", () =>
  withStorage(async (storage) => {
    const documents = new EngineDocuments(storage, new MovableClock());
    const requests = Array.from({ length: 10 }, (_, id) => ({
      appId: "shop",
      tableId: "orders",
      action: "create",
      ids: { id },
      columns: { text: "x".repeat(900_000) },
    }));
    const answers = await documents.ask({ requests, atomic: true });
    const said =
      "limit: The documents of the atomic batch have more than 8388608 bytes of keys and values, which is the limit.";
    expect(answers.filter((answer: unknown) => answer === said)).toHaveLength(1);
    expect(await documents.ask({ action: "getMany", ...all })).toEqual({ data: [] });
    const each = await documents.ask({ requests });
    expect(each).toEqual(requests.map(({ ids }) => ({ ids })));
    const small = requests.map(({ ids, ...one }) => ({ ...one, ids, action: "update", columns: { n: 1 } }));
    documents.pauses = 0;
    expect(await documents.ask({ requests: small })).toEqual(requests.map(({ ids }) => ({ ids })));
    // Small requests that change large documents: others get turns between them.
    expect(documents.pauses).toBeGreaterThan(3);
    const tooMuch = await documents.ask({ requests: small, atomic: true });
    const bytes = /have (\d+) bytes together; the limit is 4194304\. Send fewer requests in one batch\.$/.exec(
      tooMuch[0],
    );
    expect(Number(bytes?.[1])).toBeGreaterThan(9_000_000);
    expect(new Set(tooMuch).size).toBe(1);
    expect(await documents.ask({ requests: small.slice(0, 4), atomic: true })).toHaveLength(4);
  }));

test("searches of a batch count into the answers of the batch, too (D14)", () =>
  withStorage(async (storage) => {
    const derivedTables = new DocumentIndex({ storage, isMade: false });
    const documents = new EngineDocuments(storage, new MovableClock(), { derivedTables });
    const text = "x".repeat(700_000);
    for (let id = 0; id < 4; id++) await documents.ask({ action: "create", ids: { id }, columns: { text } });
    while (await derivedTables.step());
    const request = { appId: "shop", tableId: "orders", action: "search", querys: [{ queryType: "matchAll" }] };
    const answers = await documents.ask({ requests: [request, request, request, request] });
    expect(answers.map((answer: { data?: unknown[] }) => answer.data?.length ?? answer)).toEqual([
      4,
      4,
      ...Array.from({ length: 2 }, () => expect.stringMatching(/^limit: The answers of this batch have more than/)),
    ]);
  }));

test("a page ends when its JSON is long, however short the stored documents are (D14)", () =>
  withStorage(async (storage) => {
    const documents = new EngineDocuments(storage, new MovableClock());
    const encoded = encodeV8({ maps: Array.from({ length: 60_000 }, () => new Map()) });
    if (!encoded.ok) throw new Error(encoded.message);
    for (let id = 0; id < 5; id++) {
      const mutation = set(key("shop", "orders", id), encoded.bytes, { encoding: Encoding.v8 });
      documents.database.commit([write([mutation])]);
    }
    const page = await documents.ask({ action: "getMany", ...all });
    const length = JSON.stringify(page.data[0]).length;
    expect(length).toBeGreaterThan(8 * encoded.bytes.length);
    expect(page.data).toHaveLength(Math.ceil(MAX_DOCUMENT_ANSWER_CHARACTERS / length));
    expect(page.nextId).toEqual({ ids: { id: page.data.length } });
  }));
