/** The cases by theme: what every client is put through, and what only Deno is. */
import type { Cases } from "./case.ts";
import { counters } from "./counters.ts";
import { denoOnly } from "./deno-only.ts";
import { expiry } from "./expiry.ts";
import { keys } from "./keys.ts";
import { listing } from "./listing.ts";
import { reading } from "./reading.ts";
import { sizes } from "./sizes.ts";
import { values } from "./values.ts";
import { watching } from "./watching.ts";
import { writing } from "./writing.ts";

export const themes: Readonly<Record<string, Cases>> = {
  reading,
  listing,
  writing,
  counters,
  values,
  keys,
  sizes,
  expiry,
  watching,
};

export const denoThemes: Readonly<Record<string, Cases>> = { ...themes, "only in Deno": denoOnly };
