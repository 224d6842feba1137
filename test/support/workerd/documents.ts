/** Documents of a real object, over its real interface. */
import type { AppOrTable, DocumentRequest } from "../../../src/contracts/document-commands.ts";
import type { Grant } from "../../../src/contracts/grant.ts";
import { encodeV8 } from "../../../src/codec/v8/codec.ts";
import type { Key } from "../../../src/codec/key-codec.ts";
import { Encoding } from "../../../src/core/operations.ts";
import { commit, everything, newDatabase, read, type Stub } from "./database-object.ts";
import { key, point, prefix, remove, set, write } from "./engine.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- the answers of tests are JSON of any form
export type Json = any;

export class DocumentDatabase {
  readonly stub: Stub;

  constructor(stub: Stub) {
    this.stub = stub;
  }

  static async make(): Promise<DocumentDatabase> {
    return new DocumentDatabase(await newDatabase());
  }

  /** What the object answers to this text, with the JSON of each result parsed. A failure is `"code: message"`. */
  async send(text: string, grant: Grant = everything, tables?: readonly AppOrTable[]): Promise<Json> {
    const request: DocumentRequest = { text, ...(tables === undefined ? {} : { tables }) };
    const answer = await this.stub.documents(grant, request);
    if (!answer.ok) return said(answer);
    const results = answer.results.map(({ result }) =>
      result.ok ? (JSON.parse(result.json) as unknown) : said(result),
    );
    return answer.isBatch ? results : results[0];
  }

  /** One request, of table `shop/orders` unless it names another. */
  ask(request: object, grant?: Grant, tables?: readonly AppOrTable[]): Promise<Json> {
    return this.send(JSON.stringify({ ...ORDERS, ...request }), grant, tables);
  }

  create(ids: object, columns: object, more: object = {}): Promise<Json> {
    return this.ask({ action: "create", ids, columns, ...more });
  }

  update(ids: object, columns: object, more: object = {}): Promise<Json> {
    return this.ask({ action: "update", ids, columns, ...more });
  }

  delete(ids: object, more: object = {}): Promise<Json> {
    return this.ask({ action: "delete", ids, ...more });
  }

  get(ids: object, more: object = {}): Promise<Json> {
    return this.ask({ action: "get", ids, ...more });
  }

  getMany(ids: object, endIds: object, more: object = {}): Promise<Json> {
    return this.ask({ action: "getMany", ids, endIds, ...more });
  }

  batch(requests: readonly object[], atomic = false): Promise<Json> {
    return this.send(JSON.stringify({ atomic, requests: requests.map((one) => ({ ...ORDERS, ...one })) }));
  }

  async tables(command: TableCommandOfAnyForm, grant: Grant = everything): Promise<Json> {
    const answer = await this.stub.documentTables(grant, { ...ORDERS, ...command });
    return answer.ok ? answer : said(answer);
  }

  define(definition: object, more: object = {}): Promise<Json> {
    return this.tables({ command: "define", definition, ...more });
  }

  /** Writes a V8 value at a key, as Deno does. */
  async set(target: Key, value: unknown, expiresAt: number | null = null): Promise<void> {
    const encoded = encodeV8(value);
    if (!encoded.ok) throw new Error(encoded.message);
    await commit(this.stub, write([set(key(...target), encoded.bytes, { encoding: Encoding.v8, expiresAt })]));
  }

  async setBytes(target: Key, value: Uint8Array, encoding: Encoding): Promise<void> {
    await commit(this.stub, write([set(key(...target), value, { encoding })]));
  }

  async remove(target: Key): Promise<void> {
    await commit(this.stub, write([remove(key(...target))]));
  }

  /** The entry of a key, or undefined. */
  async entry(target: Key) {
    const [[entry] = []] = await read(this.stub, [point(key(...target))]);
    return entry;
  }

  /** How many entries there are under a key. */
  async count(target: Key): Promise<number> {
    const [entries = []] = await read(this.stub, [prefix(key(...target), 1000)]);
    return entries.length;
  }
}

/** A test may send what the type does not allow. */
type TableCommandOfAnyForm = Json;

export const ORDERS = { appId: "shop", tableId: "orders" };
export const MIN = "CDB:tableMinId";
export const MAX = "CDB:tableMaxId";

function said({ code, message }: { readonly code: string; readonly message: string }): string {
  return `${code}: ${message}`;
}
