/**
 * What every destination must do, whatever is behind it. Names carry a run of their own, so that the suite can be pointed at a
 * bucket that holds other things; it deletes what it wrote.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Destination, DestinationFailure } from "../../../src/backup/destinations/destination.ts";

const MIB = 1024 * 1024;

/** `open` is called once; the destination's prefix may be anything. */
export function describeDestination(title: string, open: () => Promise<Destination> | Destination): void {
  describe(`destination: ${title}`, () => {
    const run = `contract-${crypto.randomUUID()}`;
    let destination: Destination;

    beforeAll(async () => {
      destination = await open();
    });

    afterAll(async () => {
      for (;;) {
        const page = await destination.list(`${run}/`);
        if (!page.ok || page.objects.length === 0) break;
        for (const object of page.objects) await destination.delete(object.name);
      }
    });

    it("returns the bytes that were put, whatever they are", async () => {
      const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 31) % 256);
      done(await destination.put(`${run}/bytes`, bytes));
      const got = done(await destination.get(`${run}/bytes`));
      expect(got.size).toBe(70_000);
      expect(firstDifference(got.bytes, bytes)).toBe(-1);
    });

    it("does not read an object that has more bytes than it was said to have", async () => {
      done(await destination.put(`${run}/longer`, new Uint8Array(1001)));
      expect(await destination.get(`${run}/longer`, undefined, 1000)).toMatchObject({ ok: false, class: "bad" });
      expect(done(await destination.get(`${run}/longer`, undefined, 1001)).size).toBe(1001);
    });

    it("stores an object without bytes", async () => {
      done(await destination.put(`${run}/empty`, new Uint8Array()));
      const got = done(await destination.get(`${run}/empty`));
      expect(got.bytes.length).toBe(0);
      expect(done(await destination.head(`${run}/empty`)).size).toBe(0);
    });

    it("stores a view into a larger buffer as the view", async () => {
      const buffer = Uint8Array.from({ length: 100 }, (_, i) => i);
      done(await destination.put(`${run}/view`, buffer.subarray(10, 20)));
      expect(firstDifference(done(await destination.get(`${run}/view`)).bytes, buffer.slice(10, 20))).toBe(-1);
    });

    it("replaces an object", async () => {
      done(await destination.put(`${run}/replaced`, text("first")));
      done(await destination.put(`${run}/replaced`, text("second")));
      expect(firstDifference(done(await destination.get(`${run}/replaced`)).bytes, text("second"))).toBe(-1);
    });

    it("reads a range, and a range that ends behind the object's end", async () => {
      done(await destination.put(`${run}/range`, text("0123456789")));
      const middle = done(await destination.get(`${run}/range`, { offset: 3, length: 4 }));
      expect(firstDifference(middle.bytes, text("3456"))).toBe(-1);
      expect(middle.size).toBe(10);
      const end = done(await destination.get(`${run}/range`, { offset: 8, length: 100 }));
      expect(firstDifference(end.bytes, text("89"))).toBe(-1);
      expect(end.size).toBe(10);
      const whole = done(await destination.get(`${run}/range`, { offset: 0, length: 10 }));
      expect(firstDifference(whole.bytes, text("0123456789"))).toBe(-1);
    });

    it("refuses a range that begins behind the object's end", async () => {
      done(await destination.put(`${run}/range`, text("0123456789")));
      expect(failed(await destination.get(`${run}/range`, { offset: 11, length: 1 })).class).toBe("bad");
    });

    it("says that an object is not there", async () => {
      expect(failed(await destination.get(`${run}/nothing`)).class).toBe("not-found");
      expect(failed(await destination.get(`${run}/nothing`, { offset: 0, length: 5 })).class).toBe("not-found");
      expect(failed(await destination.head(`${run}/nothing`)).class).toBe("not-found");
    });

    it("tells size and time of an object", async () => {
      done(await destination.put(`${run}/head`, text("12345")));
      const head = done(await destination.head(`${run}/head`));
      expect(head.size).toBe(5);
      expect(Math.abs((head.modified ?? 0) - Date.now())).toBeLessThan(3_600_000);
    });

    it("deletes an object, and one that is not there", async () => {
      done(await destination.put(`${run}/deleted`, text("x")));
      done(await destination.delete(`${run}/deleted`));
      expect(failed(await destination.get(`${run}/deleted`)).class).toBe("not-found");
      done(await destination.delete(`${run}/deleted`));
    });

    it("puts an object once if it is absent, and knows its own bytes again", async () => {
      const name = `${run}/once`;
      expect(done(await destination.putIfAbsent(name, text("ours"))).alreadyThere).toBe(false);
      expect(done(await destination.putIfAbsent(name, text("ours"))).alreadyThere).toBe(true);
      expect(failed(await destination.putIfAbsent(name, text("their"))).class).toBe("conflict");
      expect(failed(await destination.putIfAbsent(name, text("longer than ours"))).class).toBe("conflict");
      expect(firstDifference(done(await destination.get(name)).bytes, text("ours"))).toBe(-1);
    });

    it("replaces an object only if it is the one that was read, and knows its own bytes again", async () => {
      const name = `${run}/unchanged`;
      done(await destination.put(name, text("first")));
      const { etag } = done(await destination.get(name));
      expect(etag).toMatch(/^"/);
      done(await destination.putIfUnchanged(name, text("second"), etag));
      done(await destination.putIfUnchanged(name, text("second"), etag));
      expect(failed(await destination.putIfUnchanged(name, text("third"), etag)).class).toBe("conflict");
      expect(firstDifference(done(await destination.get(name)).bytes, text("second"))).toBe(-1);
      done(await destination.delete(name));
      expect(failed(await destination.putIfUnchanged(name, text("third"), etag)).class).toBe("retry");
      expect(failed(await destination.get(name)).class).toBe("not-found");
    });

    it("lets one of many who replace the same object win", async () => {
      const name = `${run}/replacers`;
      done(await destination.put(name, text("first")));
      const { etag } = done(await destination.get(name));
      const outcomes = await Promise.all(
        Array.from({ length: 5 }, (_, i) => destination.putIfUnchanged(name, text(`writer ${i}`), etag)),
      );
      const told = outcomes.map((outcome) => (outcome.ok ? "stored" : outcome.class));
      expect(told.toSorted()).toEqual(["conflict", "conflict", "conflict", "conflict", "stored"]);
    });

    it("lets one of many who put if absent win", async () => {
      const name = `${run}/race`;
      const outcomes = await Promise.all(
        Array.from({ length: 5 }, (_, i) => destination.putIfAbsent(name, text(`writer ${i}`))),
      );
      const told = outcomes.map((outcome) => (outcome.ok ? "stored" : outcome.class));
      expect(told.toSorted()).toEqual(["conflict", "conflict", "conflict", "conflict", "stored"]);
    });

    it("lists names in order, a page at a time, below a prefix", async () => {
      const names = ["b/2", "a/1", "b/10", "b/1", "b-/1", "b/.1", "b/1.x"].map((name) => `${run}/list/${name}`);
      for (const name of names) done(await destination.put(name, text(name)));
      const sorted = names.toSorted();
      const all = done(await destination.list(`${run}/list/`));
      expect(all.objects.map((object) => object.name)).toEqual(sorted);
      expect(all.objects.map((object) => object.size)).toEqual(sorted.map((name) => name.length));
      for (const { modified } of all.objects) expect(Math.abs((modified ?? 0) - Date.now())).toBeLessThan(3_600_000);
      expect(all.next).toBeNull();

      const paged: string[] = [];
      let after: string | null = null;
      do {
        const options: { limit: number; after?: string } = after === null ? { limit: 3 } : { limit: 3, after };
        const page = done(await destination.list(`${run}/list/`, options));
        expect(page.objects.length).toBeLessThanOrEqual(3);
        for (const object of page.objects) paged.push(object.name);
        after = page.next;
      } while (after !== null);
      expect(paged).toEqual(sorted);

      const below = done(await destination.list(`${run}/list/b/1`, { after: `${run}/list/b/1` }));
      expect(below.objects.map((object) => object.name)).toEqual([`${run}/list/b/1.x`, `${run}/list/b/10`]);
    });

    it("lists nothing where there is nothing", async () => {
      const page = done(await destination.list(`${run}/no-such/`));
      expect(page.objects).toEqual([]);
      expect(page.next).toBeNull();
    });

    it("begins a listing after a name that does not exist", async () => {
      for (const name of ["1", "3"]) done(await destination.put(`${run}/after/${name}`, text(name)));
      const page = done(await destination.list(`${run}/after/`, { after: `${run}/after/2` }));
      expect(page.objects.map((object) => object.name)).toEqual([`${run}/after/3`]);
    });

    it("assembles an upload of parts, one of them put twice", async () => {
      const name = `${run}/upload`;
      const first = new Uint8Array(5 * MIB).fill(1);
      const last = text("the end");
      const { uploadId } = done(await destination.startUpload(name));
      done(await destination.putPart(name, uploadId, 1, new Uint8Array(5 * MIB).fill(9)));
      const one = done(await destination.putPart(name, uploadId, 1, first));
      const two = done(await destination.putPart(name, uploadId, 2, last));
      expect(failed(await destination.head(name)).class).toBe("not-found");
      done(await destination.completeUpload(name, uploadId, [one.part, two.part]));
      expect(done(await destination.head(name)).size).toBe(first.length + last.length);
      const seam = done(await destination.get(name, { offset: first.length - 1, length: 20 }));
      expect(firstDifference(seam.bytes, Uint8Array.of(1, ...last))).toBe(-1);

      // Its answer may have been lost: completing again is well done.
      done(await destination.completeUpload(name, uploadId, [one.part, two.part]));
    });

    it("leaves nothing of an upload that was aborted, and may be told twice", async () => {
      const name = `${run}/aborted`;
      const { uploadId } = done(await destination.startUpload(name));
      const { part } = done(await destination.putPart(name, uploadId, 1, text("x")));
      done(await destination.abortUpload(name, uploadId));
      done(await destination.abortUpload(name, uploadId));
      expect(failed(await destination.completeUpload(name, uploadId, [part])).class).toBe("not-found");
      expect(failed(await destination.head(name)).class).toBe("not-found");
    });

    it("aborts every upload of a name whose id was lost, where it can list uploads, and none of another name", async () => {
      const [name, longer] = [`${run}/lost`, `${run}/lost-not`];
      const lost = done(await destination.startUpload(name));
      const other = done(await destination.startUpload(longer));
      const { aborted } = done((await destination.abortUploads?.(name)) ?? { ok: true, aborted: null });
      const put = await destination.putPart(name, lost.uploadId, 1, text("part"));
      // A server without such a list has left it.
      expect({ aborted, isThere: put.ok }).toEqual(
        aborted === null ? { aborted: null, isThere: true } : { aborted: 1, isThere: false },
      );
      done(await destination.abortUpload(name, lost.uploadId));
      const again = done((await destination.abortUploads?.(name)) ?? { ok: true, aborted: null });
      expect(again.aborted ?? 0).toBe(0);
      done(await destination.putPart(longer, other.uploadId, 1, text("part")));
      done(await destination.abortUpload(longer, other.uploadId));
    });

    it("refuses names that are not ours to make", async () => {
      for (const name of ["", "/a", "a/", "a//b", "a/../b", "./a", "a b", "a%2eb", "ä"]) {
        const refused = (async () => destination.put(name, text("x")))();
        await expect(refused).rejects.toThrow("expected an object's name");
      }
    });
  });
}

export function done<T extends { readonly ok: true }>(outcome: T | DestinationFailure): T {
  if (!outcome.ok) throw new Error(`${outcome.class}: ${outcome.message}`);
  return outcome;
}

export function failed(outcome: { readonly ok: true } | DestinationFailure): DestinationFailure {
  if (outcome.ok) throw new Error("expected a failure");
  return outcome;
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

/** The index at which two byte strings differ; -1 when they do not. A failing comparison prints this and not megabytes. */
function firstDifference(actual: Uint8Array, expected: Uint8Array): number {
  const longer = actual.length > expected.length ? actual : expected;
  return longer.findIndex((_, i) => actual[i] !== expected[i]);
}
