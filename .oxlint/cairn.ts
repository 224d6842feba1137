/** The project's own lint rules, as an oxlint plugin; `.oxlintrc.json` turns them on. */
import { importArrows } from "./import-arrows.ts";
import { injectedClock } from "./injected-clock.ts";
import { platformTypes } from "./platform-types.ts";

export default {
  meta: { name: "cairn" },
  rules: {
    "import-arrows": importArrows,
    "injected-clock": injectedClock,
    "platform-types": platformTypes,
  },
};
