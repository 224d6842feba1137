/**
 * All limits of what comes from outside: what is refused, cut or given up for its size, its number or its time. Each has its reason, in the
 * file of its topic. docs/limits.md lists them for users, and tests hold both sides of each. A constant that only concerns how one file works
 * (the size of a page, the interval of a check) stands in that file.
 */
export * from "./request-limits.ts";
export * from "./watch-limits.ts";
export * from "./socket-limits.ts";
export * from "./json-limits.ts";
export * from "./database-limits.ts";
export * from "./backup-limits.ts";
export * from "./organization-limits.ts";
export * from "./front-limits.ts";
