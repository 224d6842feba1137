import type { Destination, DestinationFailure } from "../../src/backup/destinations/destination.ts";

/** Stands before each request, and carries it out or not. */
export type Guard = <T extends { readonly ok: true }>(
  work: () => Promise<T | DestinationFailure>,
) => Promise<T | DestinationFailure>;

/** The same destination, with `guard` before every request to it. */
export function guarded(
  store: Destination,
  guard: Guard,
): { -readonly [Member in keyof Destination]: Destination[Member] } {
  return {
    prefix: store.prefix,
    put: (...args) => guard(() => store.put(...args)),
    putIfAbsent: (...args) => guard(() => store.putIfAbsent(...args)),
    putIfUnchanged: (...args) => guard(() => store.putIfUnchanged(...args)),
    get: (...args) => guard(() => store.get(...args)),
    head: (...args) => guard(() => store.head(...args)),
    list: (...args) => guard(() => store.list(...args)),
    delete: (...args) => guard(() => store.delete(...args)),
    startUpload: (...args) => guard(() => store.startUpload(...args)),
    putPart: (...args) => guard(() => store.putPart(...args)),
    completeUpload: (...args) => guard(() => store.completeUpload(...args)),
    abortUpload: (...args) => guard(() => store.abortUpload(...args)),
  };
}
