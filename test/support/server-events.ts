/** Server-Sent Events as a test reads them. */

export interface ServerEvent {
  readonly event: string;
  readonly id?: string;
  readonly json: unknown;
}

/** Of a stream, as they come; comments are left out. */
export class Events {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";
  #isDone = false;

  constructor({ body }: Response) {
    if (body === null) throw new Error("no body");
    this.#reader = body.getReader();
  }

  async next(count: number): Promise<ServerEvent[]> {
    const events: ServerEvent[] = [];
    while (events.length < count) {
      const end = this.#text.indexOf("\n\n");
      if (end === -1) {
        if (!(await this.#more())) throw new Error(`the stream ended: ${this.#text}`);
        continue;
      }
      const lines = this.#text.slice(0, end).split("\n");
      this.#text = this.#text.slice(end + 2);
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const [event, id, data] = [field("event"), field("id"), field("data")];
      if (event === undefined) continue;
      events.push({ event, ...(id === undefined ? {} : { id }), json: JSON.parse(data ?? "null") });
    }
    return events;
  }

  async ended(): Promise<boolean> {
    while (await this.#more());
    return this.#isDone;
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#reader.read();
    this.#isDone = done;
    if (value !== undefined) this.#text += this.#decoder.decode(value, { stream: true });
    return !done;
  }
}
