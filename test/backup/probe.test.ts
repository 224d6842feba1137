/** The trial of a destination: what fails in it is named, and nothing is left behind that can be removed. */
import { describe, expect, it } from "vitest";
import { destinationFailure, type DestinationFailureClass } from "../../src/backup/destinations/destination.ts";
import { probe } from "../../src/backup/probe.ts";
import { MemoryDestination } from "../support/memory-destination.ts";

const mark = Uint8Array.of(1, 2, 3);
type Method = Parameters<MemoryDestination["fault"]>[0];

/** What is said, and what is left, where these requests fail. */
async function tried(failing: Partial<Record<Method, DestinationFailureClass>>, stored = true) {
  const destination = new MemoryDestination();
  destination.fault = (method, name) => {
    const failureClass = failing[method];
    if (failureClass === undefined) return undefined;
    // A request whose answer is lost is carried out.
    if (method === "put" && stored) destination.objects.set(name, mark);
    return destinationFailure(failureClass, "It was refused.");
  };
  return { failure: await probe(destination, "db", mark), left: destination.names };
}

describe("a trial", () => {
  it("that goes well leaves nothing (B1)", async () => {
    expect(await tried({})).toEqual({ failure: null, left: [] });
  });

  it.each(["get", "head", "list"] as const)(
    "whose %s fails says which request failed, and leaves nothing (B1)",
    async (method) => {
      const { failure, left } = await tried({ [method]: "credentials" });
      expect(failure).toEqual({
        ok: false,
        class: "credentials",
        message: `The trial's ${method} request failed. It was refused.`,
      });
      expect(left).toEqual([]);
    },
  );

  it("that stores nothing has nothing to remove, though nothing may be deleted", async () => {
    const { failure } = await tried({ put: "credentials", delete: "credentials" }, false);
    expect(failure?.message).toBe("The trial's put request failed. It was refused.");
  });

  it("whose first answer is lost removes what may have arrived", async () => {
    const { failure, left } = await tried({ put: "retry" });
    expect(failure?.message).toBe("The trial's put request failed. It was refused.");
    expect(left).toEqual([]);
  });

  it.each([
    ["delete", { delete: "credentials" }],
    ["list", { list: "bad", delete: "credentials" }],
    ["put", { put: "retry", delete: "retry" }],
  ] as const)("that cannot clean up after %s says what it leaves (B1)", async (method, failing) => {
    const { failure, left } = await tried(failing);
    expect(failure?.message).toBe(
      `The trial's ${method} request failed. It was refused. It may have left the object db/probe behind.`,
    );
    expect(left).toEqual(["db/probe"]);
  });

  it("is not satisfied with other bytes, nor with a listing that lacks its object", async () => {
    const other = new MemoryDestination();
    other.put = async (name) => {
      other.objects.set(name, Uint8Array.of(9, 9, 9));
      return { ok: true };
    };
    expect((await probe(other, "db", mark))?.message).toContain("get request failed. The destination gave other bytes");
    expect(other.names).toEqual([]);
    const unlisted = new MemoryDestination();
    unlisted.list = async () => ({ ok: true, objects: [], next: null });
    expect((await probe(unlisted, "db", mark))?.message).toContain(
      "list request failed. The destination does not list",
    );
    expect(unlisted.names).toEqual([]);
  });
});
