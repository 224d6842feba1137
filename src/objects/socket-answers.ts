/**
 * The answers of a socket on their way out. Each has the form of its request. Answers of the same form that are ready together make one
 * message.
 */
import { encodeAtomicWriteOutput, encodeSnapshotReadOutput, encodeWatchOutput } from "../codec/datapath.ts";
import { encodeFeedPage } from "../codec/feed.ts";
import { doneResponse, encodeServerFrame, errorResponse, SocketField, type SocketResponse } from "../codec/socket.ts";
import { encodePrefixUpdate, type PrefixUpdate } from "../codec/socket-prefix.ts";
import {
  textOfDone,
  textOfError,
  textsOfFeed,
  textOfFrame,
  textOfPrefix,
  textOfRead,
  textOfWatch,
  textOfWrite,
} from "../codec/socket-text.ts";
import { type Failure, isFailure } from "../core/errors.ts";
import type { FeedPage } from "../core/feed.ts";
import type { CommitResult, Entry } from "../core/operations.ts";

/** `plain`: text whose values are plain JSON where that loses nothing. */
export type Form = "binary" | "notation" | "plain";

/** A message is sent when it has this many bytes or characters. Further answers go into the next message. */
const MESSAGE_SIZE = 256 * 1024;

export class SocketAnswers {
  readonly #send: (message: Uint8Array<ArrayBuffer> | string) => void;
  #binary: SocketResponse[] = [];
  #texts: string[] = [];
  #size = 0;
  #planned = false;

  constructor(send: (message: Uint8Array<ArrayBuffer> | string) => void) {
    this.#send = send;
  }

  /** When a text would be too long, an error is sent in its place. */
  read(id: number, ranges: readonly (readonly Entry[])[], form: Form): void {
    if (form === "binary") this.#add({ id, field: SocketField.read, body: encodeSnapshotReadOutput(ranges) });
    else this.#addText(id, textOfRead(id, ranges, form === "plain"));
  }

  write(id: number, result: CommitResult, form: Form): void {
    if (form === "binary") this.#add({ id, field: SocketField.write, body: encodeAtomicWriteOutput(result) });
    else this.#addText(id, textOfWrite(id, result));
  }

  /** Returns how many bytes or characters it takes. A failure when these would be too many; then nothing was added. */
  watch(id: number, entries: readonly (Entry | null)[], form: Form): number | Failure {
    if (form !== "binary") return this.#addUpdate(id, textOfWatch(id, entries, form === "plain"));
    return this.#addUpdate(id, { id, field: SocketField.watch, body: encodeWatchOutput(entries) });
  }

  /** Returns what `watch` does. */
  prefix(id: number, update: PrefixUpdate, form: Form): number | Failure {
    if (form !== "binary") return this.#addUpdate(id, textOfPrefix(id, update, form === "plain"));
    return this.#addUpdate(id, { id, field: SocketField.prefix, body: encodePrefixUpdate(update) });
  }

  /** Adds a page of the feed. Returns how many bytes or characters it takes. */
  feed(id: number, page: FeedPage, form: Form): number {
    if (form === "binary") {
      const body = encodeFeedPage(page);
      this.#add({ id, field: SocketField.feed, body });
      return body.length;
    }
    let size = 0;
    for (const text of textsOfFeed(id, page, form === "plain")) {
      this.#addText(id, text);
      size += text.length;
    }
    return size;
  }

  done(id: number, form: Form): void {
    if (form === "binary") this.#add(doneResponse(id));
    else this.#addText(id, textOfDone(id));
  }

  error(id: number, why: Failure, form: Form): void {
    if (form === "binary") this.#add(errorResponse(id, why));
    else this.#addText(id, why);
  }

  /** Sends the answers that are ready. */
  flush(): void {
    const [binary, texts] = [this.#binary, this.#texts];
    this.#binary = [];
    this.#texts = [];
    this.#size = 0;
    if (binary.length > 0) this.#send(encodeServerFrame(binary));
    if (texts.length > 0) this.#send(textOfFrame(texts));
  }

  #addUpdate(id: number, update: SocketResponse | string | Failure): number | Failure {
    if (typeof update === "string") {
      this.#addText(id, update);
      return update.length;
    }
    if (isFailure(update)) return update;
    this.#add(update);
    return update.body.length;
  }

  #add(response: SocketResponse): void {
    this.#binary.push(response);
    this.#added(response.body.length);
  }

  #addText(id: number, text: string | Failure): void {
    const said = typeof text === "string" ? text : textOfError(id, text);
    this.#texts.push(said);
    this.#added(said.length);
  }

  #added(size: number): void {
    this.#size += size;
    if (this.#size >= MESSAGE_SIZE) {
      this.flush();
    } else if (!this.#planned) {
      this.#planned = true;
      // `queueMicrotask` takes workerd 5 % of all that a small read takes it: it makes a function of its own kind for each call.
      void Promise.resolve().then(() => {
        this.#planned = false;
        this.flush();
      });
    }
  }
}
