/** The project's own lint rules, as an oxlint plugin; `.oxlintrc.json` turns them on. */
import { guardedHandlers } from "./guarded-handlers.ts";
import { importArrows } from "./import-arrows.ts";
import { injectedClock } from "./injected-clock.ts";

export default {
  meta: { name: "cairn" },
  rules: {
    "guarded-handlers": guardedHandlers,
    "import-arrows": importArrows,
    "injected-clock": injectedClock,
  },
};
