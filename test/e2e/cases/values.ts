/** Writing and reading back one value of every kind, by the same client or by another. */
import assert from "node:assert/strict";
import type { Kv, KvKey } from "@deno/kv";
import type { Case, Subject } from "./case.ts";
import { type Kind, kinds } from "./kinds.ts";

type ByClass = Pick<Subject, "KvU64">;

export async function writeKinds(kv: Kv, prefix: KvKey, client: ByClass, names: readonly string[]): Promise<void> {
  for (const name of names) await kv.set([...prefix, name], kindOf(name).make(client));
}

/** Throws for the first kind that does not come back as it would have been made here. */
export async function assertKinds(kv: Kv, prefix: KvKey, client: ByClass, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const expected = kindOf(name).make(client);
    const { value, versionstamp } = await kv.get([...prefix, name]);
    assert.ok(versionstamp !== null, `${name} is not there`);
    assert.deepStrictEqual(value, expected, name);
    assert.equal(Object.prototype.toString.call(value), Object.prototype.toString.call(expected), name);
    // What deepStrictEqual does not look at.
    if (expected instanceof ArrayBuffer && value instanceof ArrayBuffer) {
      assert.deepEqual([value.resizable, value.maxByteLength], [expected.resizable, expected.maxByteLength]);
    }
  }
}

function kindOf(name: string): Kind {
  const kind = kinds[name];
  assert.ok(kind !== undefined, `no kind of value is called ${name}`);
  return kind;
}

const roundTrip =
  (name: string): Case =>
  async (subject) => {
    await writeKinds(subject.kv, subject.prefix, subject, [name]);
    await assertKinds(subject.kv, subject.prefix, subject, [name]);
  };

export const values: Readonly<Record<string, Case>> = Object.fromEntries(
  Object.keys(kinds).map((name) => [`${name}: comes back as it was set`, roundTrip(name)]),
);
