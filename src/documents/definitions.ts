/** Definitions that were decoded before. Every action looks at one, and a long one takes longer to decode than the document. */
import { equalBytes, toBinaryText } from "../core/bytes.ts";
import { MAX_TABLES } from "../core/document-limits.ts";
import type { Encoding } from "../core/operations.ts";
import { decodeDefinition, type TableDefinition } from "./definition.ts";

interface Decoded {
  readonly value: Uint8Array;
  readonly encoding: Encoding;
  readonly definition: TableDefinition | null;
}

export class Definitions {
  readonly #decoded = new Map<string, Decoded>();

  /** The definition in the entry of this key. null: there is no entry, or it holds no valid definition. */
  decode(
    key: Uint8Array,
    entry: { readonly value: Uint8Array; readonly encoding: Encoding } | null,
  ): TableDefinition | null {
    if (entry === null) return null;
    const name = toBinaryText(key);
    const before = this.#decoded.get(name);
    const { value, encoding } = entry;
    if (before?.encoding === encoding && equalBytes(before.value, value)) return before.definition;
    const definition = decodeDefinition(value, encoding);
    if (this.#decoded.size >= MAX_TABLES) this.#decoded.clear();
    this.#decoded.set(name, { value, encoding, definition });
    return definition;
  }
}
