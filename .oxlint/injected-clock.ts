/** Time, waiting and randomness are passed in: the real ones are refused outside of the files that hand them out. */
import { ownsTheClock } from "./layers.ts";
import { identifierName, isNode, literalText, pathBelowSrc, type Node, type Rule } from "./rule.ts";

const clock = "take the time from the Clock that was passed in (core/clock.ts)";
const entropy = "take randomness from the source that was passed in";
const timers = "wait by the Timers that were passed in (core/timers.ts)";

/** Of globals: members. */
const members = new Map([
  ["Date.now", clock],
  ["performance.now", clock],
  ["Math.random", entropy],
  ["crypto.randomUUID", entropy],
  ["crypto.getRandomValues", entropy],
  ["scheduler.wait", timers],
  ["AbortSignal.timeout", timers],
]);

/** Globals themselves, called or handed on. */
const globals = new Map([
  ["setTimeout", timers],
  ["setInterval", timers],
  ["setImmediate", timers],
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
        const name = memberName(node);
        const replacement = name === undefined ? undefined : members.get(name);
        if (replacement !== undefined) context.report({ message: `${name} is the real one: ${replacement}`, node });
        const ofGlobalThis = globalProperty(node);
        const instead = ofGlobalThis === undefined ? undefined : globals.get(ofGlobalThis);
        if (instead !== undefined) context.report({ message: `${ofGlobalThis} is the real one: ${instead}`, node });
      },
      Identifier(node) {
        const name = identifierName(node) ?? "";
        const replacement = globals.get(name);
        if (replacement === undefined || namesMember(node)) return;
        context.report({ message: `${name} is the real one: ${replacement}`, node });
      },
      NewExpression: dateWithoutTime,
      CallExpression: dateWithoutTime,
    };
  },
};

/** Whether an identifier is the name of a member, as in `socket.setTimeout(1)` or `{ setTimeout: 1 }`, and not of a variable. */
function namesMember(node: Node): boolean {
  const { parent } = node;
  if (!isNode(parent) || parent["computed"] === true) return false;
  return parent["property"] === node || (parent["key"] === node && parent["shorthand"] !== true);
}

/** "Date.now" for `Date.now`, `Date["now"]` and `globalThis.Date.now`. */
function memberName(node: Node): string | undefined {
  const property = propertyOf(node);
  const object = node["object"];
  const owner = identifierName(object) ?? (isNode(object) ? globalProperty(object) : undefined);
  return owner === undefined || property === undefined ? undefined : `${owner}.${property}`;
}

/** "Date" for `globalThis.Date` and `globalThis["Date"]`. */
function globalProperty(node: Node): string | undefined {
  return identifierName(node["object"]) === "globalThis" ? propertyOf(node) : undefined;
}

function propertyOf(node: Node): string | undefined {
  return node["computed"] === true ? literalText(node["property"]) : identifierName(node["property"]);
}
