/**
 * One vitest, kept open in a process of its own with the copied tree as its working directory: a test file at a time is run on request.
 * A process of its own because a mutant may never end, and then takes vitest and workerd with it.
 */
import { createVitest, type TestModule } from "vitest/node";

export interface Request {
  /** Absolute path of a test file. */
  readonly test: string;
  /** Absolute paths of the source files that were rewritten since the last request. */
  readonly changed: readonly string[];
}

export interface Answer {
  /** Title and message of the first failure; undefined when all passed. */
  readonly failure: string | undefined;
}

const vitest = await createVitest({ watch: false, bail: 1, maxWorkers: 1, reporters: [{}] });

process.once("disconnect", () => process.exit());
process.on("message", (request: Request) => {
  void answerOf(request).then((answer) => process.send?.(answer));
});

async function answerOf({ test, changed }: Request): Promise<Answer> {
  for (const path of changed) vitest.invalidateFile(path);
  try {
    const { testModules, unhandledErrors } = await vitest.runTestSpecifications(
      await vitest.globTestSpecifications([test]),
    );
    // The modules of earlier runs are among them.
    const module = testModules.find(({ moduleId }) => moduleId === test);
    return { failure: module === undefined ? "no test ran" : failureOf(module, unhandledErrors) };
  } catch (error) {
    return { failure: String(error) };
  }
}

function failureOf(module: TestModule, unhandledErrors: readonly unknown[]): string | undefined {
  for (const test of module.children.allTests("failed")) {
    return `${test.fullName}: ${messageOf(test.result().errors?.[0])}`;
  }
  const [error] = [...module.errors(), ...unhandledErrors];
  if (error !== undefined) return messageOf(error);
  return module.state() === "passed" ? undefined : `the file is ${module.state()}`;
}

function messageOf(error: unknown): string {
  const text =
    typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error);
  return text.split("\n", 1)[0] ?? "";
}
