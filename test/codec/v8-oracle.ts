/**
 * V8's own serializer, as Node exposes it. `v8.serialize` would write views as objects of Node's own; the class below it writes
 * them as V8 does.
 */
import { Deserializer, Serializer } from "node:v8";

export function v8Serialize(value: unknown): Uint8Array {
  const serializer = new Serializer();
  serializer.writeHeader();
  serializer.writeValue(value);
  return new Uint8Array(serializer.releaseBuffer());
}

/** `value`, or nothing when V8 refuses the bytes. */
export function v8Deserialize(bytes: Uint8Array): { readonly value: unknown } | undefined {
  try {
    const deserializer = new Deserializer(bytes);
    deserializer.readHeader();
    // Typed as any by Node.
    return { value: deserializer.readValue() as unknown };
  } catch {
    return undefined;
  }
}

/** V8 itself makes room for every length that a sparse array announces: these would take its memory, not ours. */
export function wouldExhaustV8(bytes: Uint8Array): boolean {
  return bytes.some((byte, i) => byte === 0x61 && [1, 2, 3].every((next) => (bytes[i + next] ?? 0) >= 0x80));
}
