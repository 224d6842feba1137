/** Durable Object and R2 types are named only where the platform is wired in; everything else knows an interface of ours. */
import { knowsThePlatform } from "./layers.ts";
import { identifierName, pathBelowSrc, type Rule } from "./rule.ts";

const platformType = /^(DurableObject|R2)/;

export const platformTypes: Rule = {
  create(context) {
    const path = pathBelowSrc(context.filename);
    if (path === undefined || knowsThePlatform.some((place) => place.test(path))) return {};
    return {
      TSTypeReference(node) {
        const name = identifierName(node["typeName"]);
        if (name === undefined || !platformType.test(name)) return;
        context.report({
          message: `${name} is the platform's: name an interface of ours that says what you need`,
          node,
        });
      },
    };
  },
};
