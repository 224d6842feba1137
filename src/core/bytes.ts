/** Byte-string helpers that run unchanged in workerd and in Node. */

/** Lexicographic order of unsigned bytes, as memcmp: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    // Both indexes are below both lengths.
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** The same bytes, with the type that the web's interfaces ask for: memory that no other thread writes to. */
export function unshared(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  // None of our code makes shared memory, and no protocol hands us any.
  return bytes as Uint8Array<ArrayBuffer>;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** The least byte string above `bytes`. */
export function justAfter(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const after = new Uint8Array(bytes.length + 1);
  after.set(bytes);
  return after;
}

/** Whether `bytes` contains `part` at the index `at`. */
export function hasBytesAt(bytes: Uint8Array, at: number, part: Uint8Array): boolean {
  if (at + part.length > bytes.length) return false;
  for (let i = 0; i < part.length; i++) if (bytes[at + i] !== part[i]) return false;
  return true;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Lower-case hexadecimal, two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += hexOfByte[byte];
  return text;
}

/** One character a byte, from `start` to before `end`: the shortest text that names the bytes. */
export function toBinaryText(bytes: Uint8Array, start = 0, end = bytes.length): string {
  let text = "";
  // The caller holds end <= bytes.length.
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i] as number);
  return text;
}

/** The bytes that `toHex` wrote as this text. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

export function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** The bytes of a text that is known to be base64. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
