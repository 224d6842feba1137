/** The versions of KV Connect that this server speaks. */
export const PROTOCOL_VERSIONS: readonly number[] = [1, 2, 3];
