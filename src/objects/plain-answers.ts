/**
 * Calls of other objects, with plain values as answers. The platform attaches a disposer to every object that a call returns. Code that
 * returns such an object from a call of its own passes on the duty to dispose of it. Until the garbage collector runs, that call stays
 * open at both ends. None of our answers needs disposing, so the disposer is called and removed at once.
 */

/** The same stub of another object. Only for stubs whose members are all calls. */
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
