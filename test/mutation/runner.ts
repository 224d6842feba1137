/**
 * One vitest, kept open in a process of its own with the copied tree as its working directory: a test file at a time is run on request.
 * A process of its own because a mutant may never end, and then takes vitest and workerd with it.
 */
import { createVitest, type TestRunResult } from "vitest/node";

export interface Request {
  /** Absolute path of a test file. */
  readonly test: string;
  /** Absolute path of the source file that was rewritten since the last request. */
  readonly changed: string | undefined;
}

export interface Answer {
  /** Title and message of the first failure; undefined when all passed. */
  readonly failure: string | undefined;
}

// One tree after the other, each with one test file at a time.
const vitest = await createVitest({ watch: false, bail: 1, maxWorkers: 1, reporters: [{}] });

process.once("disconnect", () => process.exit());
process.on("message", (request: Request) => {
  void answerOf(request).then((answer) => process.send?.(answer));
});

async function answerOf({ test, changed }: Request): Promise<Answer> {
  if (changed !== undefined) vitest.invalidateFile(changed);
  try {
    const result = await vitest.runTestSpecifications(await vitest.globTestSpecifications([test]));
    return { failure: firstFailure(result) };
  } catch (error) {
    return { failure: String(error) };
  }
}

function firstFailure({ testModules, unhandledErrors }: TestRunResult): string | undefined {
  if (testModules.length === 0) return "no test ran";
  for (const module of testModules) {
    for (const test of module.children.allTests("failed"))
      return `${test.fullName}: ${messageOf(test.result().errors?.[0])}`;
    if (!module.ok()) return messageOf(module.errors()[0]);
  }
  return unhandledErrors.length === 0 ? undefined : messageOf(unhandledErrors[0]);
}

function messageOf(error: unknown): string {
  const text =
    typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error);
  return text.split("\n", 1)[0] ?? "";
}
