/** Whether a byte is a character of ASCII that a JSON string has as it is: neither a control character, nor a quote, nor a backslash. */
export function isPlainInJson(byte: number): boolean {
  return byte >= 0x20 && byte <= 0x7e && byte !== QUOTE && byte !== BACKSLASH;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
