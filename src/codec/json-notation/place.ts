/** Where a reader is in the JSON that it reads, and how it refuses what is there: `value.value[3].type is …`. */
import type { ErrorCode } from "../../core/errors.ts";
import { Refusal } from "../v8/refusal.ts";

/** How much of a path a sentence shows: so many steps from the path's start and from its end, and so many characters of each name. */
const MAX_STEPS_SHOWN = 6;
const MAX_NAME_LENGTH = 40;

const identifier = /^[A-Za-z_$][\w$]*$/;

export class Place {
  readonly #root: string;
  readonly #steps: (string | number)[] = [];

  /** `root`: the caller's name for the JSON, for example `value` or `mutations[2].value`. */
  constructor(root: string) {
    this.#root = root;
  }

  enter(step: string | number): void {
    this.#steps.push(step);
  }

  leave(): void {
    this.#steps.pop();
  }

  /** `text` continues the sentence after the name of the place, or after a member of it. */
  refusal(text: string, member?: string | number, code: ErrorCode = "invalid"): Refusal {
    const steps = member === undefined ? this.#steps : [...this.#steps, member];
    return new Refusal(code, `${this.#root}${textOfSteps(steps)} ${text}`);
  }
}

function textOfSteps(steps: readonly (string | number)[]): string {
  if (steps.length <= 2 * MAX_STEPS_SHOWN) return steps.map(textOfStep).join("");
  const ends = [steps.slice(0, MAX_STEPS_SHOWN), steps.slice(-MAX_STEPS_SHOWN)];
  return ends.map((some) => some.map(textOfStep).join("")).join("…");
}

function textOfStep(step: string | number): string {
  if (typeof step === "number") return `[${step}]`;
  return identifier.test(step) && step.length <= MAX_NAME_LENGTH ? `.${step}` : `[${quotedExcerpt(step)}]`;
}

/** A text for a sentence: quoted, and of a bounded length. */
export function quotedExcerpt(text: string): string {
  if (text.length <= MAX_NAME_LENGTH) return JSON.stringify(text);
  return `${JSON.stringify(text.slice(0, MAX_NAME_LENGTH))}…`;
}

/** What the JSON is, for a sentence. */
export function described(json: unknown): string {
  switch (typeof json) {
    case "string":
      return quotedExcerpt(json);
    case "number":
    case "boolean":
      return String(json);
    case "object":
      if (json === null) return "null";
      return Array.isArray(json) ? "an array" : "an object";
    default:
      return "missing";
  }
}
