/** Single operations of a client, with what came of each as data: for what only some tokens may do. */
import type { Kv, KvKey, KvListSelector } from "@deno/kv";
import { collect } from "../cases/case.ts";

/** Keys and values are what JSON can carry. */
export type Operation =
  | { readonly type: "get"; readonly key: KvKey }
  | { readonly type: "getMany"; readonly keys: readonly KvKey[] }
  | { readonly type: "list"; readonly selector: KvListSelector; readonly limit?: number; readonly reverse?: boolean }
  | { readonly type: "set"; readonly key: KvKey; readonly value: unknown }
  | { readonly type: "delete"; readonly key: KvKey }
  | { readonly type: "sum"; readonly key: KvKey }
  /** A write to one key that checks another one. */
  | { readonly type: "check"; readonly key: KvKey; readonly check: KvKey }
  /** Begins to watch, under a name; answers when the first state is there. */
  | { readonly type: "watch"; readonly name: string; readonly keys: readonly KvKey[] }
  /** Everything that the watch of that name has seen so far, and how it ended if it did. */
  | { readonly type: "watched"; readonly name: string };

/** `value`: entries as [key, value], a missing one as null. `error`: the message of what was thrown. */
export type Outcome = { readonly value: unknown } | { readonly error: string };

export interface Watched {
  readonly states: unknown[];
  /** Null while it goes on. */
  ended: string | null;
}

const watches = new Map<string, Watched>();

export async function attempt(kv: Kv, operation: Operation): Promise<Outcome> {
  try {
    return { value: await perform(kv, operation) };
  } catch (error) {
    return { error: messageOf(error) };
  }
}

async function perform(kv: Kv, operation: Operation): Promise<unknown> {
  switch (operation.type) {
    case "get":
      return (await kv.get(operation.key)).value;
    case "getMany":
      return (await kv.getMany<unknown[]>([...operation.keys])).map(({ value }) => value);
    case "list": {
      const { selector, limit, reverse } = operation;
      const options = { ...(limit === undefined ? {} : { limit }), ...(reverse === undefined ? {} : { reverse }) };
      return (await collect(kv.list(selector, options))).map(({ key, value }) => [key, value]);
    }
    case "set":
      return (await kv.set(operation.key, operation.value)).ok;
    case "delete":
      await kv.delete(operation.key);
      return null;
    case "sum":
      return (await kv.atomic().sum(operation.key, 1n).commit()).ok;
    case "check": {
      const check = { key: operation.check, versionstamp: null };
      return (await kv.atomic().check(check).set(operation.key, "checked").commit()).ok;
    }
    case "watch": {
      const watched: Watched = { states: [], ended: null };
      watches.set(operation.name, watched);
      const first = Promise.withResolvers<void>();
      void follow(kv, operation.keys, watched, () => first.resolve()).catch(first.reject);
      return first.promise;
    }
    case "watched":
      return watches.get(operation.name);
  }
}

/** Rejects when the watch ends before it has given a first state. */
async function follow(kv: Kv, keys: readonly KvKey[], watched: Watched, onState: () => void): Promise<void> {
  try {
    for await (const entries of kv.watch([...keys])) {
      watched.states.push(entries.map(({ value }) => value));
      onState();
    }
    watched.ended = "the end of the stream";
  } catch (error) {
    watched.ended = messageOf(error);
    if (watched.states.length === 0) throw error;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
