/**
 * The results of sum, min and max from the stored value and the operand. Pure functions. The error messages are those that users of Deno
 * KV know. After an error the stored value stays as it is.
 */
import { type Failure, failure, isFailure } from "../core/errors.ts";
import { MAX_SUM_BYTES } from "../core/limits.ts";
import { Encoding, type NumericMutation } from "../core/operations.ts";
import { decodeV8, encodeV8 } from "../codec/v8/codec.ts";

export interface StoredValue {
  readonly value: Uint8Array;
  readonly encoding: Encoding;
}

type Resolved = { readonly ok: true; readonly value: Uint8Array; readonly encoding: Encoding } | Failure;

type Operand =
  | { readonly kind: "KvU64"; readonly value: bigint }
  | { readonly kind: "BigInt"; readonly value: bigint }
  | { readonly kind: "Number"; readonly value: number };

const U64_LIMIT = 1n << 64n;

/** `stored` null: there is no entry; an expired one counts as none. The result has no expiry. */
export function resolveNumeric(mutation: NumericMutation, stored: StoredValue | null): Resolved {
  if (mutation.type === "sum" && mutation.encoding !== Encoding.le64) return sumV8(mutation, stored);
  return mutateU64(mutation, stored);
}

function mutateU64(mutation: NumericMutation, stored: StoredValue | null): Resolved {
  const { type } = mutation;
  if (mutation.encoding !== Encoding.le64) {
    return failure("type-mismatch", `Failed to perform '${type}' mutation on a non-U64 operand`);
  }
  if (mutation.sumMin !== null || mutation.sumMax !== null || mutation.clamp) {
    return failure("type-mismatch", "Cannot use min/max parameters with KvU64 operands");
  }
  if (stored === null) return { ok: true, value: mutation.value, encoding: Encoding.le64 };
  if (stored.encoding !== Encoding.le64) {
    return failure("type-mismatch", `Failed to perform '${type}' mutation on a non-U64 value in the database`);
  }
  const before = readU64(stored.value);
  const operand = readU64(mutation.value);
  switch (type) {
    case "sum":
      return u64((before + operand) % U64_LIMIT);
    case "min":
      return u64(before < operand ? before : operand);
    case "max":
      return u64(before > operand ? before : operand);
  }
}

function sumV8(mutation: NumericMutation, stored: StoredValue | null): Resolved {
  const operand = operandOf(mutation.value, mutation.encoding);
  const min = mutation.sumMin === null ? null : operandOf(mutation.sumMin, Encoding.v8);
  const max = mutation.sumMax === null ? null : operandOf(mutation.sumMax, Encoding.v8);
  const before = stored === null ? null : operandOf(stored.value, stored.encoding);
  for (const parsed of [operand, min, max, before]) if (parsed !== null && isFailure(parsed)) return parsed;
  // The loop above has returned every failure. The compiler does not carry that over to the two names.
  return addOperands(before as Operand | null, operand as Operand, {
    min: min as Operand | null,
    max: max as Operand | null,
    clamp: mutation.clamp,
  });
}

interface Bounds {
  readonly min: Operand | null;
  readonly max: Operand | null;
  readonly clamp: boolean;
}

function addOperands(before: Operand | null, operand: Operand, bounds: Bounds): Resolved {
  for (const bound of [bounds.min, bounds.max]) {
    if (bound !== null && bound.kind !== operand.kind) {
      return failure("type-mismatch", "Min/max parameters have different types than the operand");
    }
  }
  if (before?.kind === "KvU64") return addToU64(before.value, operand, bounds);
  if (operand.kind === "Number" && (before === null || before.kind === "Number")) {
    return bounded((before?.value ?? 0) + operand.value, bounds, before === null ? operand.value : undefined);
  }
  if (operand.kind === "BigInt" && (before === null || before.kind === "BigInt")) {
    return bounded((before?.value ?? 0n) + operand.value, bounds);
  }
  return cannotSum(before, operand);
}

function addToU64(before: bigint, operand: Operand, { min, max, clamp }: Bounds): Resolved {
  const fits = operand.kind === "BigInt" && operand.value >= 0n && operand.value < U64_LIMIT;
  if (!fits) return cannotSum({ kind: "KvU64", value: before }, operand);
  if (min !== null || max !== null || clamp) {
    return failure("type-mismatch", "Cannot use min/max parameters with KvU64 operands");
  }
  return u64((before + operand.value) % U64_LIMIT);
}

/** `exact`: the operand, when there was no stored value to add it to: 0 + -0 would be 0. */
function bounded<N extends number | bigint>(sum: N, { min, max, clamp }: Bounds, exact?: N): Resolved {
  let result = exact ?? sum;
  const tooLow = min !== null && result < min.value;
  const tooHigh = max !== null && result > max.value;
  if ((tooLow || tooHigh) && !clamp) {
    return failure("type-mismatch", "The result of a Sum operation would exceed its range limit");
  }
  // The bounds were checked to have the operand's own type, which is N.
  if (tooLow) result = min.value as N;
  if (tooHigh) result = max.value as N;
  const encoded = encodeV8(result);
  if (!encoded.ok) return encoded;
  return tooLarge(encoded.bytes) ?? { ok: true, value: encoded.bytes, encoding: Encoding.v8 };
}

function operandOf(bytes: Uint8Array, encoding: Encoding): Operand | Failure {
  switch (encoding) {
    case Encoding.le64:
      return { kind: "KvU64", value: readU64(bytes) };
    case Encoding.bytes:
      return failure("type-mismatch", "unsupported value type");
    case Encoding.v8: {
      const refused = tooLarge(bytes);
      if (refused !== null) return refused;
      const decoded = decodeV8(bytes);
      if (!decoded.ok) return failure("type-mismatch", "Some of the parameters are not valid V8 values");
      if (typeof decoded.value === "number") return { kind: "Number", value: decoded.value };
      if (typeof decoded.value === "bigint") return { kind: "BigInt", value: decoded.value };
      return failure("type-mismatch", "unsupported value type");
    }
  }
}

/** The time of a sum grows with its bigints, and all clients share the object's time. */
function tooLarge(bytes: Uint8Array): Failure | null {
  if (bytes.length <= MAX_SUM_BYTES) return null;
  return failure("limit", `A value or result of a sum has ${bytes.length} bytes: the limit is ${MAX_SUM_BYTES}`);
}

function cannotSum(before: Operand | null, operand: Operand): Failure {
  return failure("type-mismatch", `Cannot sum ${before?.kind ?? operand.kind} with ${operand.kind}`);
}

/** Stored and incoming LE64 values have exactly 8 bytes: the codec refuses others. */
function readU64(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
}

function u64(value: bigint): Resolved {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return { ok: true, value: bytes, encoding: Encoding.le64 };
}
