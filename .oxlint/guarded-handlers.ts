/**
 * In the front, what is called back goes through the guard of its connection (src/local/front/guard.ts): a throw in a bare handler, or
 * inside of node's `pipe`, ends the process and with it every other client.
 */
import { identifierName, literalText, pathBelowSrc, type Node, type Rule } from "./rule.ts";

/** The guard itself, and the clock, whose one caller guards what it gives. */
const FRONT = /^local\/front\/(?!(guard|clock)\.ts$)/;

/** Of any object, with the name of an event. The guard's own take the object first. */
const listeners = new Set(["on", "once", "addListener", "prependListener", "prependOnceListener"]);
/** A socket's `setTimeout` takes the time alone, too. */
const timers = new Set(["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "nextTick"]);
const pipes = new Set(["pipe", "pipeline", "finished"]);

export const guardedHandlers: Rule = {
  create(context) {
    if (!FRONT.test(pathBelowSrc(context.filename) ?? "")) return {};
    return {
      CallExpression(node) {
        const called = calledName(node["callee"]);
        const given = node["arguments"];
        if (called === undefined || !Array.isArray(given)) return;
        if (listeners.has(called) && literalText(given[0]) !== undefined) {
          context.report({ message: "a handler that no guard holds: use guard.on or guard.once", node });
        } else if (timers.has(called) && !(called === "setTimeout" && given.length < 2)) {
          context.report({
            message: "a handler that no guard holds: use guard.after or guard.soon",
            node,
          });
        } else if (pipes.has(called)) {
          context.report({ message: "what node's pipe throws no guard holds: pass the data on in handlers", node });
        }
      },
    };
  },
};

function calledName(callee: unknown): string | undefined {
  const name = identifierName(callee);
  if (name !== undefined || typeof callee !== "object" || callee === null) return name;
  const { property } = callee as Partial<Node>; // Absent where the callee is no member of anything.
  return identifierName(property) ?? literalText(property);
}
