/**
 * The turns of long work in one process. All objects and doors of a process share one thread: a piece of work of each of thirty requests, one
 * after the other, would hold everybody else for the sum of them. So the pieces are spread out in time, and organizations share it:
 *
 * - Between two pieces everything else gets a turn. While others ask for short work, long work takes half of the time at most; while nobody
 *   does, it takes nearly all of it.
 * - Of the organizations whose work waits, the one that has used least is next. So each gets about its part.
 * - While no other organization has used the process for a while, long requests leave it no time of its own. They still have their turns:
 *   who comes then meets one piece of work, and not one of each request that waits.
 *
 * What a piece takes is read off the clock. Where the clock stands still while code runs, as on Cloudflare, it is what the caller estimates:
 * nothing, if it does not say.
 *
 * Objects cannot wake each other. So each that waits looks again after a while, and one that does not look any more keeps nobody waiting.
 */
import { asUnixMs, type Clock, type UnixMs } from "./clock.ts";
import { type Failure, failure } from "./errors.ts";
import { MAX_LONG_WORK_WAIT_MS, MAX_WAITING_TURNS } from "./limits.ts";

/** Others are expected to come again for so long after their last request. A request that comes after a longer pause may meet much at once. */
const SHARED_MS = 60_000;

/** The same for work that also leaves time to the requests of its own organization. */
const USED_MS = 1_000;

/**
 * When nobody has asked for anything between so many looks of the one that is next, nobody waits for an answer. Between two looks everything
 * that was there runs, however long that takes.
 */
const QUIET_LOOKS = 3;

/** With so much work that others have had no time or no turn after, more may begin: it is less than a request takes on its way. */
const MAX_OWED_MS = 4;

/** What an organization has used before, its short requests included, keeps its long ones back for so much work of others at most. */
const MOST_AHEAD_MS = 200;

/** What a short request is taken to cost its organization. */
const SHORT_MS = 0.1;

/** Each that waits looks again within this time. One that has not looked for longer is gone. */
const MAX_SLEEP_MS = 100;
const GONE_MS = 300;

/** So many of an organization are next together, and organizations that have used no more than this. */
const TOGETHER = 4;
const TOGETHER_MS = 5;

/** Time between two turns, at most, by which those that wait sleep. */
const SLOWEST_PACE_MS = 20;

/** A piece of estimated work takes no longer. What a turn took beyond it was the work of others. */
const MAX_PIECE_MS = 50;

/** After much work at once others have no more time than this. More is owed only by a clock that was set back, and then nothing is. */
const MOST_OWED_MS = 100;

/** A piece of work takes no longer. What is longer is a clock that was set. */
const LONGEST_PIECE_MS = 10_000;

/** Organizations whose work is known. When there are more, all begin anew. */
const MAX_OWNERS = 1_000;

export interface ProcessTurnsParts {
  readonly clock: Clock;
  /** `wait(0)` lets everything run that waits for its turn. */
  readonly wait: (ms: number) => Promise<void>;
}

/** For the long work of one organization. */
export interface WorkTurns {
  /** Whether nobody else uses the process at present. */
  readonly isAlone: boolean;
  /** To be called before a request's first piece of work. null: it may begin at once. Resolves to why it may not begin at all, or to null. */
  begin(): Promise<Failure | null> | null;
  /** Does a piece of work, which is charged. */
  piece<Result>(work: () => Result): Result;
  /** The same for a piece that writes. Its commit is charged, too, unless the organization is alone. */
  stored<Result>(work: () => Result, flushed: () => Promise<void>): Promise<Result>;
  /** Waits until what was written is on disk. The runtime commits meanwhile, which takes as long as the writes themselves, and is charged. */
  flush(flushed: () => Promise<void>): Promise<void>;
  /** Charges what was done since then. `estimate`: about how many milliseconds it takes, which counts where the clock stands still. */
  worked(since: UnixMs, estimate?: number): void;
  /** Between two pieces of work: resolves when the next one may begin. */
  next(): Promise<void>;
}

/**
 * Does the first piece of a request's work at its turn: at once, if it need not wait. A piece that may have waited must judge again whether
 * the request is allowed. Resolves to why it may not begin at all, or to what the piece returns.
 */
export function firstPiece<Result>(
  turns: Pick<WorkTurns, "begin" | "piece">,
  work: () => Result,
): Result | Promise<Awaited<Result> | Failure> {
  const turn = turns.begin();
  if (turn === null) return turns.piece(work);
  return turn.then<Awaited<Result> | Failure>((crowded) => crowded ?? Promise.resolve(turns.piece(work)));
}

/** What work leaves time for: the requests of other organizations, or those of its own, too. */
type LeavesTimeTo = "others" | "everybody";

/** Work that has not begun, and work between two pieces. */
type Kind = "begins" | "goesOn";

interface Waiting {
  /** When it last looked. */
  seen: number;
}

interface Account {
  /** Milliseconds of work. Only the differences between accounts count. */
  used: number;
  /** What waits, in the order in which it came. */
  readonly begins: Set<Waiting>;
  readonly goesOn: Set<Waiting>;
  /** Which of both had the last turn. */
  last: Kind;
}

export class ProcessTurns {
  readonly #clock: Clock;
  readonly #wait: (ms: number) => Promise<void>;
  readonly #accounts = new Map<string, Account>();
  /** Those with work that waits. */
  readonly #queue = new Set<Account>();
  /** What the account had used whose work was the last to begin: who comes anew has used as much. */
  #level = 0;
  /** Pieces of work and short requests so far. */
  #events = 0;
  /** When the last piece of work began. Where the clock stands still no other one begins before the clock goes on. */
  #began = Number.NEGATIVE_INFINITY;
  /** Milliseconds of all pieces so far. */
  #charged = 0;
  /** About how many milliseconds lie between two turns, lately. */
  #pace = 1;
  /** When the others have had as much time as that piece and those before. */
  #free = 0;
  /** Pieces that follow each other without a pause: when the last of them ended, and what was charged before the first. */
  #burst = { end: Number.NEGATIVE_INFINITY, from: 0 };
  readonly #shortUses = new Uses();
  readonly #longUses = new Uses();
  #isInPiece = false;
  /** Whether the clock goes on while code runs. Known when it has during a piece. */
  #clockRuns = false;

  constructor({ clock, wait }: ProcessTurnsParts) {
    this.#clock = clock;
    this.#wait = wait;
  }

  /** A database of the organization was read or written. Pieces of long work do so, too, and are counted as such. */
  used(owner: string): void {
    if (this.#isInPiece) return;
    this.#events += 1;
    this.#shortUses.note(owner, this.#clock.now());
    this.#accountOf(owner).used += SHORT_MS;
  }

  /** For the requests of an organization. */
  of(owner: string): WorkTurns {
    return this.#turnsOf(owner, "others");
  }

  /** For work that the requests of its own organization are not to wait for either. */
  patient(owner: string): WorkTurns {
    return this.#turnsOf(owner, "everybody");
  }

  #turnsOf(owner: string, leaves: LeavesTimeTo): WorkTurns {
    const worked = (since: UnixMs, estimate = 0): void => this.#charge(owner, leaves, since, estimate);
    const isAlone = (): boolean => this.#isAlone(owner, leaves);
    const piece = <Result>(work: () => Result): Result => {
      const [since, isInPiece] = [this.#clock.now(), this.#isInPiece];
      this.#isInPiece = true;
      try {
        return work();
      } finally {
        this.#isInPiece = isInPiece;
        if (this.#clock.now() > since) this.#clockRuns = true;
        if (!isInPiece) worked(since);
      }
    };
    const flush = async (flushed: () => Promise<void>): Promise<void> => {
      const [since, charged] = [this.#clock.now(), this.#charged];
      await flushed();
      // Without the pieces of others that were done in this time.
      if (this.#clockRuns) worked(asUnixMs(since + this.#charged - charged));
    };
    return {
      get isAlone() {
        return isAlone();
      },
      begin: () => this.#begin(owner, leaves),
      next: async () => {
        if (isAlone() && this.#queue.size === 0) return this.#wait(0);
        await this.#turn(owner, leaves, "goesOn", Number.POSITIVE_INFINITY);
      },
      worked,
      piece,
      stored: async (work, flushed) => {
        const result = piece(work);
        if (this.#clockRuns && !isAlone()) await flush(flushed);
        return result;
      },
      flush,
    };
  }

  #begin(owner: string, leaves: LeavesTimeTo): Promise<Failure | null> | null {
    const now = this.#clock.now();
    this.#longUses.note(owner, now);
    if (leaves === "others" && !this.#clockRuns) return null;
    const account = this.#accountOf(owner);
    const { end, from } = this.#burst;
    if (this.#queue.size === 0 && this.#isFree(owner, leaves, now > end ? this.#charged : from)) {
      this.#begins(account, "begins");
      return null;
    }
    if (account.begins.size >= MAX_WAITING_TURNS) return Promise.resolve(CROWDED);
    return this.#turn(owner, leaves, "begins", now + MAX_LONG_WORK_WAIT_MS);
  }

  /** Whether no other organization uses the process, or the clock does not show what work takes. */
  #isAlone(owner: string, leaves: LeavesTimeTo): boolean {
    if (leaves === "everybody") return false;
    if (!this.#clockRuns) return true;
    const last = Math.max(this.#shortUses.last(owner), this.#longUses.last(owner));
    return Math.abs(this.#clock.now() - last) >= SHARED_MS;
  }

  #charge(owner: string, leaves: LeavesTimeTo, since: UnixMs, estimate: number): void {
    const now = this.#clock.now();
    this.#longUses.note(owner, now);
    if (this.#clockRuns) {
      // A clock that was set meanwhile says nothing.
      const took = Math.max(0, Math.min(now - since, LONGEST_PIECE_MS));
      this.#owe(owner, leaves, took, took);
      return;
    }
    if (estimate === 0) return;
    this.#owe(owner, leaves, estimate, 0);
    void this.#wait(0).then(() => {
      const more = Math.min(this.#clock.now() - now, MAX_PIECE_MS) - estimate;
      if (more > 0) this.#owe(owner, leaves, more, more);
    });
  }

  /** Notes so much work. `shown`: so much of it the clock shows already. */
  #owe(owner: string, leaves: LeavesTimeTo, ms: number, shown: number): void {
    const now = this.#clock.now();
    this.#events += 1;
    const account = this.#accountOf(owner);
    if (this.#queue.size === 0) this.#level = Math.max(this.#level, account.used);
    account.used += ms;
    this.#burst = { end: now, from: now - shown > this.#burst.end ? this.#charged : this.#burst.from };
    this.#charged += ms;
    const isShared =
      leaves === "others" ? !this.#isAlone(owner, leaves) : Math.abs(now - this.#shortUses.last(null)) < USED_MS;
    // While it was done, others had no time.
    const began = now - shown;
    const from = this.#free - began > MOST_OWED_MS ? began : Math.max(this.#free, began);
    this.#free = Math.min(from + ms + (isShared ? ms : 0), now + MOST_OWED_MS);
  }

  /** Whether a piece of work may begin now. `charged`: what had been charged when everything else last had its turn. */
  #isFree(owner: string, leaves: LeavesTimeTo, charged: number): boolean {
    if (this.#isAlone(owner, leaves)) return this.#charged - charged <= MAX_OWED_MS;
    const now = this.#clock.now();
    const owed = this.#free - now;
    return (this.#clockRuns || now !== this.#began) && (owed <= MAX_OWED_MS || owed > MOST_OWED_MS);
  }

  #begins(account: Account, kind: Kind): void {
    account.last = kind;
    this.#level = Math.max(this.#level, account.used);
    const now = this.#clock.now();
    this.#pace += (Math.max(0, Math.min(now - this.#began, SLOWEST_PACE_MS)) - this.#pace) / 8;
    this.#began = now;
  }

  /** Waits until it is the turn of a piece of the organization's among those that wait. */
  async #turn(owner: string, leaves: LeavesTimeTo, kind: Kind, until: number): Promise<Failure | null> {
    const account = this.#accountOf(owner);
    const own: Waiting = { seen: this.#clock.now() };
    this.#enter(account, kind, own);
    let [events, quietLooks, charged] = [-1, 0, this.#charged];
    await this.#wait(this.#before(account, kind, own) === 0 && this.#free <= own.seen ? 0 : 1);
    for (;;) {
      own.seen = this.#clock.now();
      // Also when it was taken for gone meanwhile.
      this.#enter(account, kind, own);
      const before = this.#before(account, kind, own);
      quietLooks = before === 0 && events === this.#events ? quietLooks + 1 : 0;
      events = this.#events;
      if (quietLooks >= QUIET_LOOKS) this.#free = own.seen;
      if ((before === 0 && this.#isFree(owner, leaves, charged)) || own.seen > until) break;
      charged = this.#charged;
      const isNext = before === 0 && this.#isAlone(owner, leaves);
      await this.#wait(isNext ? 0 : Math.min(MAX_SLEEP_MS, 1 + Math.floor((before * this.#pace) / 2)));
    }
    account[kind].delete(own);
    this.#settle(account);
    if (own.seen > until) return CROWDED;
    this.#begins(account, kind);
    return null;
  }

  /** Who comes anew, or again, has used no less than those whose work was done meanwhile, and is behind them for a while at most. */
  #enter(account: Account, kind: Kind, own: Waiting): void {
    if (!this.#queue.has(account)) {
      account.used = Math.min(Math.max(account.used, this.#level), this.#level + MOST_AHEAD_MS);
    }
    account[kind].add(own);
    this.#queue.add(account);
  }

  #settle(account: Account): void {
    if (account.begins.size + account.goesOn.size === 0) this.#queue.delete(account);
  }

  /**
   * About how many have their turn before it. In an organization what begins and what goes on have turns in alternation: so one request is
   * done after the other, and none that takes long holds up all others. The first few are next together, and so are organizations of which
   * none has used much more than another: what is short does not wait until one after the other has looked.
   */
  #before(account: Account, kind: Kind, own: Waiting): number {
    let before = 0;
    for (const other of this.#queue) this.#dropGone(other, own);
    for (const other of account[kind]) {
      if (other === own) break;
      before += 1;
    }
    const others = account[kind === "begins" ? "goesOn" : "begins"].size;
    before += Math.min(others, account.last === kind ? before + 1 : before);
    // What is short shows only where the clock runs.
    if (this.#clockRuns) before = Math.max(0, before - TOGETHER + 1);
    const turns = before;
    for (const other of this.#queue) {
      const isNext = other.used + (this.#clockRuns ? TOGETHER_MS : 0) < account.used;
      if (other !== account) before += Math.min(other.begins.size + other.goesOn.size, isNext ? turns + 1 : turns);
    }
    return before;
  }

  #dropGone(account: Account, own: Waiting): void {
    for (const waiting of [account.begins, account.goesOn]) {
      for (const first of waiting) {
        if (Math.abs(own.seen - first.seen) <= GONE_MS) break;
        waiting.delete(first);
      }
    }
    this.#settle(account);
  }

  #accountOf(owner: string): Account {
    let account = this.#accounts.get(owner);
    if (account !== undefined) return account;
    if (this.#accounts.size >= MAX_OWNERS) this.#accounts.clear();
    account = { used: this.#level, begins: new Set(), goesOn: new Set(), last: "goesOn" };
    this.#accounts.set(owner, account);
    return account;
  }
}

/** When organizations last did something: the last one, and the last of the others. */
class Uses {
  #last = { owner: "", at: Number.NEGATIVE_INFINITY };
  #other = this.#last;

  note(owner: string, at: number): void {
    if (owner === this.#last.owner) {
      this.#last.at = at;
    } else {
      this.#other = this.#last;
      this.#last = { owner, at };
    }
  }

  /** By any organization but this one. null: by any. */
  last(except: string | null): number {
    return this.#last.owner === except ? this.#other.at : this.#last.at;
  }
}

const CROWDED = failure(
  "unavailable",
  "Other long requests of this organization wait for their turn already, as many or as long as may be. Try again, or send fewer at a time.",
);
