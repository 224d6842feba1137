/**
 * JavaScript as a list of tokens, enough to find what can be changed: comments are left out, and what is text (strings, the text of
 * templates, regular expressions) is one token that nobody looks into. The code inside a template's `${ }` is tokens as any other.
 */

export interface Token {
  readonly kind: "name" | "number" | "text" | "punctuator";
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const SKIPPED = /(?:\s|\/\/.*|\/\*[^]*?\*\/)+/y;
const NAME = /#?[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/uy;
const NUMBER = /0[xob][\da-f_]+n?|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[+-]?\d+)?n?/iy;
const STRING = /"(?:[^"\\]|\\[^])*"|'(?:[^'\\]|\\[^])*'/y;
const REGULAR_EXPRESSION = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
/** From the opening quote, or from the brace that ends a `${`, to the next `${` or the closing quote. */
const TEMPLATE_START = /`(?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|(?=\$\{))/y;
const TEMPLATE_REST = /(?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|(?=\$\{))/y;
const SUBSTITUTION = /\$\{/y;
const PUNCTUATOR =
  /\.\.\.|=>|>>>=|[*&|?<>]{2}=|>>>|[=!]==|\*\*|<<|>>|&&|\|\||\?\?|\?\.(?!\d)|\+\+|--|[-+*/%&|^<>=!]=|[-+*/%&|^<>=!?:;,.(){}[\]~@]/y;

/** Keywords after which a value begins: a slash there begins a regular expression, a plus is a sign. */
const BEFORE_A_VALUE = new Set(
  "return typeof instanceof in of new delete void throw case do else await yield default extends".split(" "),
);

/** Whether a value may end with this token, so that what follows is an operator between two values. */
export function endsValue(token: Token | undefined): boolean {
  if (token === undefined) return false;
  if (token.kind === "name") return !BEFORE_A_VALUE.has(token.text);
  return token.kind !== "punctuator" || token.text === ")" || token.text === "]";
}

/** Throws at what is no JavaScript. */
export function tokensOf(code: string): Token[] {
  const tokens: Token[] = [];
  const open: string[] = [];
  let at = 0;

  const take = (pattern: RegExp, kind: Token["kind"]): boolean => {
    pattern.lastIndex = at;
    const text = pattern.exec(code)?.[0];
    if (text === undefined) return false;
    tokens.push({ kind, text, start: at, end: at + text.length });
    at += text.length;
    return true;
  };
  const takeTemplate = (text: RegExp): void => {
    if (!take(text, "text")) throw new SyntaxError(`the template at ${at} never ends`);
    if (take(SUBSTITUTION, "punctuator")) open.push("${");
  };

  for (;;) {
    SKIPPED.lastIndex = at;
    at += SKIPPED.exec(code)?.[0].length ?? 0;
    if (at === code.length) return tokens;
    if (code[at] === "`") {
      takeTemplate(TEMPLATE_START);
      continue;
    }
    if (take(NAME, "name") || take(NUMBER, "number") || take(STRING, "text")) continue;
    if (code[at] === "/" && !endsValue(tokens.at(-1)) && take(REGULAR_EXPRESSION, "text")) continue;
    if (!take(PUNCTUATOR, "punctuator")) throw new SyntaxError(`no token begins with ${code.slice(at, at + 10)}`);
    const last = tokens.at(-1)?.text;
    if (last === "{") open.push(last);
    if (last === "}" && open.pop() === "${") takeTemplate(TEMPLATE_REST);
  }
}
