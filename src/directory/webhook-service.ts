/**
 * Webhooks at work: answers the commands about them, makes events from incidents, and delivers them. Only the alarm makes deliveries, a
 * few at a time. So ten thousand databases with the same failing bucket cause no more requests at once than one database.
 */
import { assert } from "../core/assert.ts";
import { earliest, type UnixMs } from "../core/clock.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import { MAX_DELIVERIES_AT_ONCE, MAX_ENDED_DELIVERIES, MAX_WEBHOOKS } from "../core/limits.ts";
import type { Input, Output } from "../contracts/management.ts";
import { ARCHIVE_EVENT, type DeliveryInfo, TEST_EVENT, type WebhookInfo } from "../contracts/webhooks.ts";
import type { Told } from "./incidents.ts";
import type { Organization } from "./organization.ts";
import type { Admitted } from "./scopes.ts";
import type { WebhookParts } from "./organization-parts.ts";
import { aboutDatabase, timeText } from "./webhook-events.ts";
import { type Sendable, sendEvent } from "./webhook-sender.ts";
import { newWebhookSecret } from "./webhook-signature.ts";
import { parseWebhookUrl } from "./webhook-url.ts";
import type { DueDelivery, SealedSecrets } from "./webhooks.ts";

/** Deliveries of one alarm. The others are due again at once, and other work gets its turn in between. */
const DELIVERIES_PER_RUN = 20;
const EVENTS_PER_RUN = 20;

const noSuchWebhook = failure("not-found", "There is no such webhook, or none that this token may know of.");

export class WebhookService {
  readonly #organization: Organization;
  readonly #parts: WebhookParts;
  /** How many test events are under way. */
  #testing = 0;

  constructor(organization: Organization, parts: WebhookParts) {
    this.#organization = organization;
    this.#parts = parts;
  }

  /** When the idempotency key made a webhook before, the answer is that webhook, with its present secret. */
  async create(
    who: Admitted,
    { idempotency, ...wishes }: Input<"webhooks.create">,
  ): Promise<Output<"webhooks.create"> | Failure> {
    const { entropy, webhooks: rules } = this.#parts;
    const { monitoring } = this.#organization;
    const parsed = parseWebhookUrl(wishes.url, rules);
    if (!parsed.ok) return parsed;
    const [id, secret] = [entropy.uuid(), newWebhookSecret(entropy)];
    const sealed = await this.#seal(id, secret);
    if (typeof sealed !== "string") return sealed;
    monitoring.tables.make();
    const made = this.#organization.createOnce(who, idempotency, this.#now(), id, () => {
      if (monitoring.webhooks.count() >= MAX_WEBHOOKS) {
        return failure("limit", `An organization has at most ${MAX_WEBHOOKS} webhooks.`);
      }
      monitoring.webhooks.add(id, { ...wishes, url: parsed.url }, sealed, this.#now());
      if (wishes.enabled) monitoring.incidents.wake(this.#now());
      return undefined;
    });
    if (isFailure(made)) return made;
    this.#setAlarm();
    if (made === id) return { webhook: this.#existing(id), secret };
    const webhook = this.get({ webhookId: made });
    if (isFailure(webhook)) return failure("conflict", "What this Idempotency-Key made is no longer there.");
    const secrets = await this.#secretsOf(made, monitoring.webhooks.secretsOf(made, this.#now()));
    return isFailure(secrets) ? secrets : { webhook, secret: secrets[0] };
  }

  list(): Output<"webhooks.list"> {
    const { tables, webhooks } = this.#organization.monitoring;
    return { items: tables.exist ? webhooks.list() : [], next: null };
  }

  get({ webhookId }: Input<"webhooks.get">): WebhookInfo | Failure {
    const { tables, webhooks } = this.#organization.monitoring;
    return (tables.exist ? webhooks.get(webhookId) : null) ?? noSuchWebhook;
  }

  update({ webhookId, ...changes }: Input<"webhooks.update">): WebhookInfo | Failure {
    const before = this.get({ webhookId });
    if (isFailure(before)) return before;
    const parsed = changes.url === null ? null : parseWebhookUrl(changes.url, this.#parts.webhooks);
    if (parsed !== null && !parsed.ok) return parsed;
    const { monitoring } = this.#organization;
    const now = this.#now();
    const enabled = changes.enabled ?? before.enabled;
    monitoring.together(() => {
      const after = {
        url: parsed?.url ?? before.url,
        description: changes.description ?? before.description,
        events: changes.events ?? before.events,
        enabled,
      };
      monitoring.webhooks.change(webhookId, after, now);
      if (enabled) monitoring.incidents.wake(now);
    });
    this.#setAlarm();
    return this.#existing(webhookId);
  }

  delete(input: Input<"webhooks.delete">): Output<"webhooks.delete"> | Failure {
    const found = this.get(input);
    if (isFailure(found)) return found;
    const { monitoring } = this.#organization;
    monitoring.together(() => monitoring.webhooks.remove(input.webhookId));
    return { deleted: true };
  }

  async rotateSecret({ webhookId }: Input<"webhooks.rotateSecret">): Promise<Output<"webhooks.create"> | Failure> {
    const found = this.get({ webhookId });
    if (isFailure(found)) return found;
    const secret = newWebhookSecret(this.#parts.entropy);
    const sealed = await this.#seal(webhookId, secret);
    if (typeof sealed !== "string") return sealed;
    this.#organization.monitoring.webhooks.replaceSecret(webhookId, sealed, this.#now());
    const webhook = this.get({ webhookId });
    return isFailure(webhook) ? webhook : { webhook, secret };
  }

  /** Sends an event at once, even to a disabled webhook, and returns the result. It is not tried again. */
  async test({ webhookId }: Input<"webhooks.test">): Promise<DeliveryInfo | Failure> {
    const found = this.get({ webhookId });
    if (isFailure(found)) return found;
    if (this.#testing >= MAX_DELIVERIES_AT_ONCE) {
      return failure(
        "unavailable",
        `${MAX_DELIVERIES_AT_ONCE} webhooks are being tested, which is the limit. Try again.`,
      );
    }
    this.#testing += 1;
    try {
      return await this.#test(found);
    } finally {
      this.#testing -= 1;
    }
  }

  async #test({ id: webhookId, url }: WebhookInfo): Promise<DeliveryInfo | Failure> {
    const { monitoring } = this.#organization;
    const now = this.#now();
    const eventId = this.#newEventId();
    const body = this.#body(TEST_EVENT, { webhookId }, now);
    const id = monitoring.together(() => monitoring.webhooks.addTest(webhookId, eventId, body, now));
    const secrets = monitoring.webhooks.secretsOf(webhookId, now);
    this.#setAlarm();
    return (await this.#attempt({ id, webhookId, eventId, url, body }, secrets)) ?? noSuchWebhook;
  }

  deliveries(input: Input<"webhooks.deliveries">): Output<"webhooks.deliveries"> | Failure {
    const found = this.get(input);
    if (isFailure(found)) return found;
    return {
      items: this.#organization.monitoring.webhooks.deliveries(input.webhookId, MAX_ENDED_DELIVERIES),
      next: null,
    };
  }

  /** Idempotent: an event that is known is not told again. */
  tellOfArchive(eventId: string, body: string): void {
    const { monitoring } = this.#organization;
    if (!monitoring.tables.exist) return;
    monitoring.together(() => {
      if (!monitoring.webhooks.knowsEvent(eventId)) {
        monitoring.webhooks.addEvent(eventId, ARCHIVE_EVENT, body, this.#now());
      }
    });
  }

  /** When the alarm is needed next. */
  dueAt(): UnixMs | null {
    const { tables, incidents, webhooks } = this.#organization.monitoring;
    return tables.exist ? earliest([incidents.dueAt(), webhooks.dueAt()]) : null;
  }

  /** Does what is due: some events and some deliveries. */
  async work(): Promise<void> {
    const { monitoring } = this.#organization;
    if (!monitoring.tables.exist) return;
    this.#makeEvents();
    const due = monitoring.webhooks.due(this.#now(), DELIVERIES_PER_RUN).values();
    const deliverer = async () => {
      for (const delivery of due) await this.#attempt(delivery, delivery.secrets);
    };
    await Promise.all(Array.from({ length: MAX_DELIVERIES_AT_ONCE }, deliverer));
  }

  #makeEvents(): void {
    const { monitoring } = this.#organization;
    const now = this.#now();
    monitoring.together(() => {
      if (!monitoring.webhooks.anyEnabled()) return monitoring.incidents.leave(now);
      for (let i = 0; i < EVENTS_PER_RUN; i++) {
        const told = monitoring.incidents.take(now);
        if (told === null) return;
        const body = this.#body(told.event, { databases: this.#databasesOf(told) }, now);
        monitoring.webhooks.addEvent(this.#newEventId(), told.event, body, now);
      }
    });
  }

  #databasesOf({ event, incidents }: Told): readonly object[] {
    const { monitoring, databases } = this.#organization;
    return incidents.map((incident) => {
      const { databaseId } = incident;
      const name = databases.get(databaseId)?.name ?? "";
      return aboutDatabase(event, { id: databaseId, name }, incident, monitoring.healths.get(databaseId));
    });
  }

  /** Sends the event and stores the result. null when the delivery is not wanted any more. */
  async #attempt(delivery: Omit<DueDelivery, "secrets">, sealed: SealedSecrets | null): Promise<DeliveryInfo | null> {
    const { webhooks: parts, clock } = this.#parts;
    const secrets = await this.#secretsOf(delivery.webhookId, sealed);
    const attempt = isFailure(secrets)
      ? { status: null, error: secrets.message }
      : await sendEvent({ ...parts, clock }, delivery satisfies Sendable, secrets);
    const { monitoring } = this.#organization;
    const outcome = monitoring.together(() => monitoring.webhooks.attempted(delivery.id, attempt, this.#now()));
    if (outcome?.state === "failed") {
      console.error(
        `webhook ${delivery.webhookId} of organization ${this.#organization.id}: event ${delivery.eventId} was given up after ${outcome.attempts} attempts. ${outcome.error}`,
      );
    }
    return outcome;
  }

  async #secretsOf(webhookId: string, sealed: SealedSecrets | null): Promise<[string, ...string[]] | Failure> {
    if (sealed === null) return noSuchWebhook;
    const current = await this.#open(webhookId, sealed.current);
    if (isFailure(current)) return current;
    const previous = sealed.previous === null ? null : await this.#open(webhookId, sealed.previous);
    return previous === null || isFailure(previous) ? [current] : [current, previous];
  }

  /** Opens a secret. Encrypts it anew if its key is an old one. */
  async #open(webhookId: string, sealed: string): Promise<string | Failure> {
    const { secrets } = this.#parts;
    if (isFailure(secrets)) return secrets;
    const opened = await secrets.open(sealed, this.#placeOf(webhookId));
    if (!opened.ok) {
      return failure("internal", "The webhook's secret cannot be decrypted. Replace it with :rotateSecret.");
    }
    if (opened.stale) {
      const anew = await this.#seal(webhookId, opened.text);
      if (typeof anew === "string") this.#organization.monitoring.webhooks.resealed(webhookId, sealed, anew);
    }
    return opened.text;
  }

  async #seal(webhookId: string, secret: string): Promise<string | Failure> {
    const { secrets } = this.#parts;
    return isFailure(secrets) ? secrets : secrets.seal(secret, this.#placeOf(webhookId));
  }

  #placeOf(webhookId: string): { readonly databaseId: string; readonly backupId: string } {
    return { databaseId: this.#organization.id, backupId: webhookId };
  }

  #existing(webhookId: string): WebhookInfo {
    const webhook = this.get({ webhookId });
    assert(!isFailure(webhook), "the webhook that was just written");
    return webhook;
  }

  #newEventId(): string {
    return `msg_${this.#parts.entropy.uuid().replaceAll("-", "")}`;
  }

  #body(type: DeliveryInfo["event"], data: object, now: UnixMs): string {
    return JSON.stringify({
      type,
      timestamp: timeText(now),
      data: { organizationId: this.#organization.id, ...data },
    });
  }

  #setAlarm(): void {
    const due = this.dueAt();
    if (due !== null) this.#parts.dueBy(due);
  }

  #now(): UnixMs {
    return this.#parts.clock.now();
  }
}
