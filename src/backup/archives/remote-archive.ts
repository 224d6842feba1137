/** An archive of another database, read through that database's object: only that one knows the destinations and their secrets. */
import type { ArchiveStub } from "../../contracts/archive-commands.ts";
import { isFailure } from "../../core/errors.ts";
import { type Destination, destinationFailure } from "../destinations/destination.ts";

/** `size`: of the whole file, as it was when the archive was ordered. Names are ids of archives. */
export function remoteArchive(source: Pick<ArchiveStub, "archiveRange">, size: number): Pick<Destination, "get"> {
  return {
    async get(id, { offset, length } = { offset: 0, length: size }) {
      try {
        const bytes = await source.archiveRange(id, offset, length);
        if (!isFailure(bytes)) return { ok: true, bytes, size, etag: null };
        return destinationFailure(bytes.code === "unavailable" ? "retry" : "bad", bytes.message);
      } catch (error) {
        // The other object was ended, or starts.
        return destinationFailure("retry", `The database that has the archive did not answer (${String(error)}).`);
      }
    },
  };
}
