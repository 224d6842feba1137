/**
 * Key prefixes, by parts: a prefix P admits the key P itself and the keys that begin with all of P's parts. Every part of an encoded key
 * begins with a byte from 01 to 27. A longer part that begins as P's last part continues with ff where P's part ends. So these keys are
 * the range of bytes from P (whose successor is P 00) to before P ff, and a longer last part is never in it.
 */
import { compareBytes, concatBytes, hasBytesAt, justAfter } from "../core/bytes.ts";

/** Encoded keys from `start` to before `end`. */
export interface KeyRange {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
}

const PAST_EVERY_PART = 0xff;

/** Whether an encoded key is the prefix or lies under it. */
export function admitsKey(prefix: Uint8Array, key: Uint8Array): boolean {
  return hasPartsAt(key, 0, prefix);
}

/** Whether an encoded key has these whole parts at the index `at`, where one of its parts begins. */
export function hasPartsAt(key: Uint8Array, at: number, parts: Uint8Array): boolean {
  return hasBytesAt(key, at, parts) && key[at + parts.length] !== PAST_EVERY_PART;
}

/** The keys that the prefix admits. */
export function rangeOfPrefix(prefix: Uint8Array): KeyRange {
  return { start: prefix, end: endOf(prefix) };
}

/** The keys that begin with all parts of the encoded key and have more. */
export function rangeUnder(prefix: Uint8Array): KeyRange {
  return { start: justAfter(prefix), end: endOf(prefix) };
}

/** The keys of `start <= key < end` that the prefix admits. Undefined when there are none. */
export function intersectRange(prefix: Uint8Array, start: Uint8Array, end: Uint8Array): KeyRange | undefined {
  const admittedEnd = endOf(prefix);
  const from = compareBytes(start, prefix) > 0 ? start : prefix;
  const to = compareBytes(end, admittedEnd) < 0 ? end : admittedEnd;
  return compareBytes(from, to) < 0 ? { start: from, end: to } : undefined;
}

function endOf(prefix: Uint8Array): Uint8Array {
  return concatBytes([prefix, Uint8Array.of(PAST_EVERY_PART)]);
}
