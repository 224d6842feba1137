/**
 * Notices a process that hangs without dying. The process is asked over a separate connection, and given up when it has not answered for
 * longer than anything that it does can take.
 */
import { Agent, request } from "node:http";
import type { Timers } from "../core/timers.ts";
import { requestOptions, type ProcessAddress } from "./process-address.ts";

export interface LivenessTimes {
  /** The time between an answer and the next question. */
  readonly everyMs: number;
  /** How long an answer may take. */
  readonly deadlineMs: number;
}

/**
 * One thread of the process serves all requests. What it does without a pause, a parse or a batch, takes seconds at most. A disk that
 * stalls may take tens of seconds. These timers stand still while the machine sleeps.
 */
export const LIVENESS: LivenessTimes = { everyMs: 10_000, deadlineMs: 60_000 };

/** Settles when there was an answer, or when the connection was refused or broke: a process that dies is noticed by its exit. */
export type Ask = (signal: AbortSignal) => Promise<void>;

/** Calls `hung` once, when an answer has taken longer than the deadline. Watches until then, or until the returned function is called. */
export function watchLiveness(
  ask: Ask,
  { everyMs, deadlineMs }: LivenessTimes,
  timers: Timers,
  hung: () => void,
): () => void {
  const questions = new AbortController();
  let cancelTimer: () => void = () => undefined;
  const stop = (): void => {
    cancelTimer();
    questions.abort();
  };
  const giveUp = (): void => {
    stop();
    hung();
  };
  const askOnce = (): void => {
    cancelTimer = timers.after(deadlineMs, giveUp);
    const answered = (): void => {
      if (questions.signal.aborted) return;
      cancelTimer();
      cancelTimer = timers.after(everyMs, askOnce);
    };
    ask(questions.signal).then(answered, answered);
  };
  askOnce();
  return stop;
}

/** Asks an HTTP server on this machine. Only the beginning of the answer matters. */
export function askOverHttp(address: ProcessAddress): Ask {
  // A separate agent, so that the request waits for no free connection and goes through no proxy.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return (signal) =>
    new Promise((resolve, reject) => {
      const question = request({ ...requestOptions(address), path: "/healthz", agent, signal }, (answer) => {
        answer.resume();
        resolve();
      });
      question.on("error", reject);
      question.end();
    });
}

/** Timers that do not keep this process running. */
export const systemTimers: Timers = {
  after(ms, callback) {
    const timer = setTimeout(callback, ms).unref();
    return () => clearTimeout(timer);
  },
};
