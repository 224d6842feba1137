/** Atomic writes as JSON, in text frames of sockets and in plain HTTP: `{"checks":[…],"mutations":[…]}`. */
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import { failure } from "../../core/errors.ts";
import { MAX_CHECKS, MAX_MUTATIONS, MAX_TIME_MS } from "../../core/limits.ts";
import type { AtomicWrite, Check, Mutation } from "../../core/operations.ts";
import { versionOfHex } from "../../core/versionstamp.ts";
import { expiryOfJson } from "./entry-line.ts";
import { arrayOf, atMost, flagOf, keyOf, objectOf, onlyMembers, Refused, refuse, valueOf } from "./members.ts";
import { described } from "./place.ts";
import type { JsonObject } from "./types.ts";

export interface WriteForm {
  /** JSON that does not have the notation's form stands for itself. */
  readonly plain: boolean;
  /** The caller's name for the write: "The body", "write". */
  readonly name: string;
  /** Begins the names of its members: "", "write.". */
  readonly root: string;
  /** The time that `expireIn` counts from. null: `expireIn` is not accepted. */
  readonly now: UnixMs | null;
}

const WRITE_MEMBERS = ["checks", "mutations", "enqueues"];
const DELETE_MEMBERS = ["type", "key"];
const SET_MEMBERS = ["type", "key", "value", "expiresAt", "expireIn", "versionstampedKey"];
const NUMERIC_MEMBERS = ["type", "key", "value", "min", "max", "clamp"];

/** Throws `Refused`. The decoder of such writes judges them; only their number is checked here. */
export function atomicWriteOf(json: unknown, form: WriteForm): AtomicWrite {
  const { name, root } = form;
  const write = objectOf(json, name, '{"mutations":[{"type":"delete","key":["users",1]}]}');
  onlyMembers(write, WRITE_MEMBERS, name);
  const { checks = [], mutations = [], enqueues = [] } = write;
  if (arrayOf(enqueues, `${root}enqueues`).length > 0) {
    throw new Refused(
      failure("unsupported", `This database has no queues: ${root}enqueues must be empty, or be left out.`),
    );
  }
  return {
    checks: atMost(MAX_CHECKS, checks, `${root}checks`).map((check, index) =>
      checkOf(check, `${root}checks[${index}]`),
    ),
    mutations: atMost(MAX_MUTATIONS, mutations, `${root}mutations`).map((mutation, index) =>
      mutationOf(mutation, `${root}mutations[${index}]`, form),
    ),
    enqueues: [],
  };
}

/** An entry may stand as a check. So members beside the two are not refused. */
function checkOf(json: unknown, name: string): Check {
  const check = objectOf(json, name, '{"key":["users",1],"versionstamp":null}');
  const key = keyOf(check["key"], `${name}.key`);
  const { versionstamp } = check;
  if (versionstamp === null) return { key, version: null };
  if (typeof versionstamp !== "string" || !/^[0-9a-f]{20}$/i.test(versionstamp)) {
    return refuse(
      `${name}.versionstamp is ${described(versionstamp)}; it must be 20 hexadecimal digits, or null for "no entry".`,
    );
  }
  return { key, version: versionOfHex(versionstamp.toLowerCase()) || "other" };
}

function mutationOf(json: unknown, name: string, form: WriteForm): Mutation {
  const mutation = objectOf(json, name, '{"type":"delete","key":["users",1]}');
  const { type } = mutation;
  const { plain } = form;
  const key = keyOf(mutation["key"], `${name}.key`);
  switch (type) {
    case "delete":
      onlyMembers(mutation, DELETE_MEMBERS, name);
      return { type, key };
    case "set": {
      onlyMembers(mutation, SET_MEMBERS, name);
      const expiresAt = expiryOf(mutation, name, form);
      const versionstampedKey = flagOf(mutation, name, "versionstampedKey");
      return { type, key, ...valueOf(mutation, name, "value", plain), expiresAt, versionstampedKey };
    }
    case "sum":
    case "min":
    case "max": {
      onlyMembers(mutation, NUMERIC_MEMBERS, name);
      const bound = (member: string): Uint8Array | null =>
        Object.hasOwn(mutation, member) ? valueOf(mutation, name, member, plain).value : null;
      const range = { sumMin: bound("min"), sumMax: bound("max"), clamp: flagOf(mutation, name, "clamp") };
      return { type, key, ...valueOf(mutation, name, "value", plain), ...range };
    }
    default:
      return refuse(`${name}.type is ${described(type)}; it must be "set", "delete", "sum", "min" or "max".`);
  }
}

/** `expiresAt` is a time, `expireIn` are milliseconds from now. */
function expiryOf({ expiresAt, expireIn }: JsonObject, name: string, { now }: WriteForm): UnixMs | null {
  if (expireIn === undefined || expireIn === null) {
    const expiry = expiryOfJson(expiresAt, `${name}.expiresAt`);
    if (typeof expiry === "object" && expiry !== null) throw new Refused(expiry);
    return expiry;
  }
  if (expiresAt !== undefined && expiresAt !== null) refuse(`${name} has expiresAt and expireIn; name one of them.`);
  if (now === null) return refuse(`${name}.expireIn is not taken here; name the time as expiresAt.`);
  const isTime = typeof expireIn === "number" && Number.isSafeInteger(expireIn) && expireIn >= 0;
  if (isTime && now + expireIn <= MAX_TIME_MS) return asUnixMs(now + expireIn);
  return refuse(`${name}.expireIn is ${described(expireIn)}; it must be milliseconds from now, like 60000.`);
}
