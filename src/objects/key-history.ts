/** The versions of one key in the backup's log. */
import type { KeyHistory } from "../contracts/entry-commands.ts";
import type { RestoreAnswer, RestoreCommand } from "../contracts/restore-commands.ts";
import { toHex } from "../core/bytes.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";

/** `before`: the versionstamp at which the page begins, in hex; older versions follow. null: the page begins with the newest version. */
export async function keyHistory(
  restores: { run(command: RestoreCommand): Promise<RestoreAnswer | Failure> },
  key: Uint8Array,
  before: string | null,
  limit: number,
): Promise<KeyHistory | Failure> {
  const answer = await restores.run({
    command: "points",
    at: before ?? "latest",
    direction: "before",
    limit,
    keys: true,
    prefix: toHex(key),
    exact: true,
  });
  if (isFailure(answer)) return answer;
  if (answer.kind !== "points") return failure("internal", "The database answered another question.");
  const versions = answer.points.flatMap(({ version, changes }) => {
    const [changed] = changes?.keys ?? [];
    return changed === undefined ? [] : [{ version, change: changed.change }];
  });
  return { ok: true, versions, next: answer.next };
}
