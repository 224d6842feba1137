/** Time and randomness are passed in: calls of the real ones are refused outside of the layers that hand them out. */
import { ownsTheClock } from "./layers.ts";
import { identifierName, literalText, pathBelowSrc, type Node, type Rule } from "./rule.ts";

const clock = "take the time from the Clock that was passed in (core/clock.ts)";
const entropy = "take randomness from the source that was passed in";

const replacements = new Map([
  ["Date.now", clock],
  ["performance.now", clock],
  ["Math.random", entropy],
  ["crypto.randomUUID", entropy],
  ["crypto.getRandomValues", entropy],
]);

export const injectedClock: Rule = {
  create(context) {
    const path = pathBelowSrc(context.filename);
    if (path === undefined || ownsTheClock.some((owner) => owner.test(path))) return {};

    const dateWithoutTime = (node: Node): void => {
      const given = node["arguments"];
      if (identifierName(node["callee"]) === "Date" && Array.isArray(given) && given.length === 0) {
        context.report({ message: `new Date() reads the real clock: ${clock}`, node });
      }
    };
    return {
      MemberExpression(node) {
        const called = memberName(node);
        const replacement = called === undefined ? undefined : replacements.get(called);
        if (replacement !== undefined) context.report({ message: `${called} is the real one: ${replacement}`, node });
      },
      NewExpression: dateWithoutTime,
      CallExpression: dateWithoutTime,
    };
  },
};

/** "Date.now" for `Date.now`, `Date["now"]` and `globalThis.Date.now`. */
function memberName(node: Node): string | undefined {
  const property = node["computed"] === true ? literalText(node["property"]) : identifierName(node["property"]);
  const object = node["object"];
  const owner = identifierName(object) ?? globalProperty(object);
  return owner === undefined || property === undefined ? undefined : `${owner}.${property}`;
}

function globalProperty(node: unknown): string | undefined {
  if (typeof node !== "object" || node === null || !("object" in node) || !("property" in node)) return undefined;
  return identifierName(node.object) === "globalThis" ? identifierName(node.property) : undefined;
}
