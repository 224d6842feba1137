/** Builds the indexes of documents in the background, a bounded piece at a time, so that requests get their turn in between. */
import type { Clock, UnixMs } from "../core/clock.ts";
import type { DocumentIndex } from "../documents/index/document-index.ts";
import type { WorkTurns } from "../core/process-turns.ts";
import type { Task } from "./alarm-clock.ts";
import type { Room } from "./room.ts";

const MS_PER_STEP = 10;
const STEPS_PER_RUN = 20;

/** More than the steps of a run write. */
const BYTES_PER_RUN = 32 * 1024 * 1024;

export interface DocumentIndexTaskParts {
  readonly index: DocumentIndex;
  readonly room: Pick<Room, "refusalOfJob">;
  readonly clock: Clock;
  /** The turns of the organization's long work in the process. */
  readonly turns: Pick<WorkTurns, "worked" | "piece" | "next">;
}

export function documentIndexTask({ index, room, clock, turns }: DocumentIndexTaskParts): Task {
  let since: UnixMs | null = null;
  let stepsDone = 0;
  return {
    name: "document indexes",
    dueAt() {
      since = index.hasWork ? (since ?? clock.now()) : null;
      return since;
    },
    // What a build has gathered is gathered anew after a restart. What is removed is removed for good.
    place: () => index.settled ?? String(stepsDone),
    async run() {
      // What is to be removed is removed even where there is no room for a build.
      const refused = await room.refusalOfJob(BYTES_PER_RUN);
      let steps = 0;
      for (; steps < STEPS_PER_RUN && index.hasWork; steps += 1) {
        // A step begins after this turn of the object. The turns of the process are told now, so that no other object begins a piece before it.
        turns.worked(clock.now(), MS_PER_STEP);
        const hadWork = await index.step(refused === null, turns.piece);
        await turns.next();
        if (!hadWork) break;
        stepsDone += 1;
      }
      if (steps === 0 && refused !== null) throw new Error(refused.message);
    },
  };
}
