/** Of KV Connect, those that this server speaks. */
export const PROTOCOL_VERSIONS: readonly number[] = [1, 2, 3];
