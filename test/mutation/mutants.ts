/**
 * The small changes of a source file that its tests should notice. Each is made at one place of the text, and each still parses. What
 * only words an error, and what `assert` says cannot happen, is left as it is: no test can see the one, none can cause the other.
 */
import { stripTypeScriptTypes } from "node:module";
import { endsValue, tokensOf, type Token } from "./tokens.ts";

export interface Mutant {
  /** Path of the source file, below the root. */
  readonly file: string;
  /** The text from `start` to `end` is replaced. */
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
}

type Change = Omit<Mutant, "file">;
/** What can be changed at one token. `end` of a change may lie further on. */
type Rule = (tokens: readonly Token[], index: number) => Change | undefined;

const OTHER_OPERATOR = new Map([
  ["<", "<="],
  ["<=", "<"],
  [">", ">="],
  [">=", ">"],
  ["===", "!=="],
  ["!==", "==="],
  ["&&", "||"],
  ["||", "&&"],
  ["+", "-"],
  ["-", "+"],
  ["+=", "-="],
  ["-=", "+="],
]);
const OTHER_CONSTANT = new Map([
  ["true", "false"],
  ["false", "true"],
]);
/** What a statement may begin with although a bracket follows, as after the name of what is called. */
const NO_CALLS = new Set("if for while switch do else return throw super".split(" "));
const OPENING = new Set(["(", "[", "{", "${"]);
const CLOSING = new Set([")", "]", "}"]);

const rules: readonly Rule[] = [
  otherOperator,
  otherConstant,
  oneMore,
  (tokens, index) => conditionAs("true", tokens, index),
  (tokens, index) => conditionAs("false", tokens, index),
  withoutCall,
  withoutResult,
];

/** In the order of the text. `code` is TypeScript. */
export function mutantsOf(file: string, code: string): Mutant[] {
  // Types become blanks, so every offset stays: what is found in the one text is changed in the other.
  const tokens = tokensOf(stripTypeScriptTypes(code));
  const mutants: Mutant[] = [];
  for (let index = 0; index < tokens.length; index++) {
    index = afterWhatNoTestSees(tokens, index);
    for (const rule of rules) {
      const change = rule(tokens, index);
      if (change !== undefined) mutants.push({ file, ...change });
    }
  }
  return mutants;
}

export function mutated(code: string, { start, end, replacement }: Change): string {
  return code.slice(0, start) + replacement + code.slice(end);
}

/** A token list knows no grammar: a number may have been the name of a property. */
export function parses(code: string): boolean {
  try {
    stripTypeScriptTypes(code);
    return true;
  } catch {
    return false;
  }
}

/** All of them in an order drawn from the seed. */
export function shuffled(mutants: readonly Mutant[], seed: number): Mutant[] {
  const rest = [...mutants];
  const drawn: Mutant[] = [];
  let state = seed >>> 0;
  while (rest.length > 0) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    drawn.push(...rest.splice(Math.floor((state / 2 ** 32) * rest.length), 1));
  }
  return drawn;
}

function otherOperator(tokens: readonly Token[], index: number): Change | undefined {
  const token = tokens[index];
  if (token?.kind !== "punctuator" || !endsValue(tokens[index - 1])) return undefined;
  return replaced(token, OTHER_OPERATOR.get(token.text));
}

function otherConstant(tokens: readonly Token[], index: number): Change | undefined {
  const token = tokens[index];
  return token?.kind === "name" ? replaced(token, OTHER_CONSTANT.get(token.text)) : undefined;
}

function oneMore(tokens: readonly Token[], index: number): Change | undefined {
  const token = tokens[index];
  if (token?.kind !== "number") return undefined;
  return replaced(token, `(${token.text} + ${token.text.endsWith("n") ? "1n" : "1"})`);
}

/** `if (condition)`; a loop only ends at once, since one that never ends tells nothing. */
function conditionAs(constant: "true" | "false", tokens: readonly Token[], index: number): Change | undefined {
  const keyword = tokens[index]?.text;
  if (!(keyword === "if" || (keyword === "while" && constant === "false"))) return undefined;
  const [first, last] = [tokens[index + 2], tokens[closingOf(tokens, index + 1) - 1]];
  if (first === undefined || last === undefined || first.text === constant) return undefined;
  return { start: first.start, end: last.end, replacement: constant };
}

/** A statement that is a call and nothing else: `await this.one.two(three);`. */
function withoutCall(tokens: readonly Token[], index: number): Change | undefined {
  const [before, first] = [tokens[index - 1], tokens[index]];
  if (first?.kind !== "name" || NO_CALLS.has(first.text)) return undefined;
  if (before === undefined || !["{", "}", ";", ")"].includes(before.text)) return undefined;
  let at = index;
  while (tokens[at]?.kind === "name" || [".", "?.", "(", "["].includes(tokens[at]?.text ?? "")) {
    at = OPENING.has(tokens[at]?.text ?? "") ? closingOf(tokens, at) + 1 : at + 1;
  }
  if (tokens[at]?.text !== ";" || tokens[at - 1]?.text !== ")") return undefined;
  return { start: first.start, end: tokens[at - 1]?.end ?? first.end, replacement: "" };
}

function withoutResult(tokens: readonly Token[], index: number): Change | undefined {
  const [keyword, first] = [tokens[index], tokens[index + 1]];
  if (keyword?.text !== "return" || first === undefined || [";", "}", "undefined"].includes(first.text))
    return undefined;
  let at = index + 1;
  while (tokens[at] !== undefined && tokens[at]?.text !== ";") {
    at = OPENING.has(tokens[at]?.text ?? "") ? closingOf(tokens, at) + 1 : at + 1;
  }
  return { start: first.start, end: tokens[at - 1]?.end ?? first.end, replacement: "undefined" };
}

/** The index itself, or the one after the call that begins there, if that call only words an error or states an invariant. */
function afterWhatNoTestSees(tokens: readonly Token[], index: number): number {
  const text = (ahead: number) => tokens[index + ahead]?.text;
  if (["assert", "unreachable", "failure"].includes(text(0) ?? "") && text(1) === "(")
    return closingOf(tokens, index + 1);
  if (text(0) === "new" && tokens[index - 1]?.text === "throw" && text(2) === "(") return closingOf(tokens, index + 2);
  return index;
}

/** The index of the bracket that closes the one at `index`. */
function closingOf(tokens: readonly Token[], index: number): number {
  let depth = 0;
  for (let at = index; at < tokens.length; at++) {
    const text = tokens[at]?.kind === "punctuator" ? (tokens[at]?.text ?? "") : "";
    if (OPENING.has(text)) depth += 1;
    if (CLOSING.has(text)) depth -= 1;
    if (depth === 0) return at;
  }
  throw new SyntaxError(`what begins at ${tokens[index]?.start} is never closed`);
}

function replaced({ start, end }: Token, replacement: string | undefined): Change | undefined {
  return replacement === undefined ? undefined : { start, end, replacement };
}
