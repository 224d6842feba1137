/**
 * Calls of other objects, answered with plain values. The platform hangs a disposer on every object that a call gives; whoever
 * returns such an object from a call of its own hands the duty to dispose of it on to its caller, and until the garbage collector
 * comes by, that call stays open at both ends. Nothing of ours answers with anything that needs disposing.
 */

/** The same stub of another object. Only for its methods that are calls. */
export function withPlainAnswers<Stub extends object>(stub: Stub): Stub {
  return new Proxy(stub, {
    get(target, name) {
      const call: unknown = Reflect.get(target, name);
      if (typeof call !== "function") return call;
      return async (...input: unknown[]): Promise<unknown> => withoutDisposer(await Reflect.apply(call, target, input));
    },
  });
}

function withoutDisposer(answer: unknown): unknown {
  if (typeof answer !== "object" || answer === null || !(Symbol.dispose in answer)) return answer;
  const dispose = answer[Symbol.dispose];
  if (typeof dispose === "function") Reflect.apply(dispose, answer, []);
  Reflect.deleteProperty(answer, Symbol.dispose);
  return answer;
}
