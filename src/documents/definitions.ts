/** Definitions that were decoded before. Every action looks at one, and a long one takes longer to decode than the document. */
import { equalBytes, toBinaryText } from "../core/bytes.ts";
import type { Encoding } from "../core/operations.ts";
import { decodeDefinition, type TableDefinition } from "./definition.ts";

interface Decoded {
  readonly value: Uint8Array;
  readonly encoding: Encoding;
  readonly definition: TableDefinition;
}

/** Bytes of stored definitions that are remembered. */
const MAX_REMEMBERED_BYTES = 1024 * 1024;

export class Definitions {
  readonly #decoded = new Map<string, Decoded>();
  #bytes = 0;

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
    if (definition !== null) this.#remember(name, { value, encoding, definition });
    return definition;
  }

  #remember(name: string, decoded: Decoded): void {
    this.#bytes += decoded.value.length - (this.#decoded.get(name)?.value.length ?? 0);
    if (this.#bytes > MAX_REMEMBERED_BYTES) {
      this.#decoded.clear();
      this.#bytes = decoded.value.length;
    }
    this.#decoded.set(name, decoded);
  }
}
