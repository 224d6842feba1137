/** The HTTP/2 of the front without a network: a socket whose two sides are the test's. And the frames in what was sent. */
import { Socket } from "node:net";
import { onTestFinished } from "vitest";
import { Guard } from "../../src/local/front/guard.ts";
import { Http2Connection } from "../../src/local/front/http2/connection.ts";
import type { Http2Stream } from "../../src/local/front/http2/stream.ts";
import { Turns } from "../../src/local/front/http2/turns.ts";
import { type Frame, framesIn, PREFACE, settings } from "../support/raw-http2.ts";

/** A connection whose socket takes what the test says, and gets its bytes from the test. */
export class HeldSocket extends Socket {
  written: Buffer[] = [];
  /** Bytes that the client has not taken. */
  override writableLength = 0;
  override bytesWritten = 0;
  isHeld = false;
  isReading = true;

  override write(bytes: unknown): boolean {
    if (!Buffer.isBuffer(bytes)) throw new Error("expected bytes");
    this.written.push(bytes);
    this.bytesWritten += bytes.length;
    if (this.isHeld) this.writableLength += bytes.length;
    return !this.isHeld;
  }

  override pause(): this {
    this.isReading = false;
    return this;
  }

  override resume(): this {
    this.isReading = true;
    return this;
  }

  frames(type: number): Frame[] {
    return framesIn(Buffer.concat(this.written)).frames.filter((one) => one.type === type);
  }

  takeSome(bytes: number): void {
    this.writableLength = Math.max(0, this.writableLength - bytes);
  }

  takeAll(): void {
    this.writableLength = 0;
    this.emit("drain");
  }
}

export function held(opened: (stream: Http2Stream) => void = () => undefined, turns = new Turns()) {
  const socket = new HeldSocket();
  onTestFinished(() => void socket.destroy());
  const bugs: unknown[] = [];
  const guard = new Guard(
    () => socket.destroy(),
    (bug) => bugs.push(bug),
  );
  const connection = new Http2Connection({ socket, guard, turns, opened });
  socket.emit("data", Buffer.concat([PREFACE, settings()]));
  return { socket, connection, bugs };
}

/** Resolves when everything that was planned by now has happened. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
