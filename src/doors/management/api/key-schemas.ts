/** The requests and answers of /api about API keys, as schemas. */
import { z } from "zod";
import {
  API_KEY_PERMISSIONS,
  type ApiKeyInfo,
  type ApiKeyWithSecret,
  type NewApiKey,
} from "../../../contracts/api-keys.ts";
import { MAX_APP_OF_API_KEY_CHARACTERS, MAX_APPS_OF_API_KEY } from "../../../core/document-limits.ts";
import { saying } from "./checked.ts";
import { timeText, timeTextOrNull } from "../../http/job-json.ts";
import { MUST_BE_WELL_FORMED, name, time, wellFormed } from "./schemas.ts";

export const keyParams = z.strictObject({ databaseId: z.string(), keyId: z.string() });

const permissions = saying(z.array(z.enum(API_KEY_PERMISSIONS)).length(1), {
  what: "an array of permissions",
  example: ["documents"],
});
const apps = saying(
  z
    .array(
      saying(
        z
          .string()
          .min(1)
          .max(MAX_APP_OF_API_KEY_CHARACTERS)
          .regex(/^[^/]+(\/[^/]+)?$/)
          .refine(wellFormed, MUST_BE_WELL_FORMED),
        { what: "the id of an app, or of an app and a table with a slash between them", example: "shop/orders" },
      ),
    )
    .min(1)
    .max(MAX_APPS_OF_API_KEY),
  { what: "an array of apps and tables", example: ["shop", "crm/contacts"] },
);
const requireExpiry = z
  .boolean()
  .meta({ description: "Whether a token that is signed with the key must have an `exp`." });

export const newKey = z.strictObject({
  name,
  permissions,
  requireExpiry: requireExpiry.default(false),
  apps: apps.optional().meta({
    description:
      'What the key is for: apps ("shop") and tables ("crm/contacts"). Without it, every app of the database.',
  }),
});

export const key = z
  .object({
    id: z.string().meta({ description: "For the header `keyid` of `POST /cdb`." }),
    name: z.string(),
    permissions,
    requireExpiry,
    apps: apps.nullable(),
    signingKey: z.string().meta({
      description:
        "The id of the signing key with which the check of the id was made. The API key ends when the deployment drops that key.",
    }),
    createdBy: z.string().meta({ description: "The id of the token that made the key." }),
    createdAt: time,
    expiresAt: time
      .nullable()
      .meta({ description: "When the token that made the key ends, and the key with it. null: it does not end." }),
  })
  .meta({ id: "ApiKey" });

export const keyWithSecret = key
  .extend({ secret: z.string().meta({ description: "What callers sign their tokens with. Shown once." }) })
  .meta({ id: "ApiKeyWithSecret" });

export function newKeyOf({ apps: named, ...body }: z.output<typeof newKey>): NewApiKey {
  return { ...body, apps: named ?? null };
}

export function keyJson({ createdAt, expiresAt, ...info }: ApiKeyInfo) {
  return { ...info, createdAt: timeText(createdAt), expiresAt: timeTextOrNull(expiresAt) };
}

export function keyWithSecretJson({ key: info, secret }: ApiKeyWithSecret) {
  return { ...keyJson(info), secret };
}
