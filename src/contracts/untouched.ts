/**
 * A header of answers that were given before any object was called, where the status alone does not say so: to a refused upgrade, and to a
 * refused request that gets status 200. A front that counts open databases reads it.
 */
export const UNTOUCHED = { header: "cairn-object", value: "untouched" } as const;
