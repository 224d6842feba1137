/** A name server that gives one name another address each time: what an attacker's does who wants a check to see one, and a connection another. */
import { createSocket } from "node:dgram";
import { isIPv4 } from "node:net";

export interface NameServer {
  /** The addresses that were given for a name, in their order. */
  readonly given: ReadonlyMap<string, readonly string[]>;
  close(): void;
}

/** `names`: the IPv4 addresses of each, which are given in turn, as valid for no time. Every other name has none. */
export async function startNameServer(
  port: number,
  names: Readonly<Record<string, readonly string[]>>,
): Promise<NameServer> {
  const given = new Map<string, string[]>();
  const socket = createSocket("udp4");
  socket.on("message", (query, { port: from, address }) => {
    const { name, type, end } = questionOf(query);
    const addresses = type === TYPE_A ? names[name] : undefined;
    const before = given.get(name) ?? [];
    const next = addresses?.[before.length % addresses.length];
    if (next !== undefined) given.set(name, [...before, next]);
    socket.send(answerTo(query.subarray(0, end), next), from, address);
  });
  await new Promise<void>((resolve) => {
    socket.bind(port, "127.0.0.1", resolve);
  });
  return { given, close: () => socket.close() };
}

/** RFC 1035, 3.2.2 and 4.1. */
const HEADER_BYTES = 12;
const TYPE_A = 1;
const RESPONSE_RECURSION_AVAILABLE = 0x8180;
const POINTER_TO_QUESTION = 0xc000 | HEADER_BYTES;

/** `end`: of the question, behind the header. */
function questionOf(query: Buffer): { readonly name: string; readonly type: number; readonly end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function answerTo(question: Buffer, address: string | undefined): Buffer {
  const head = Buffer.from(question);
  head.writeUInt16BE(RESPONSE_RECURSION_AVAILABLE, 2);
  const counts = [1, address === undefined ? 0 : 1, 0, 0];
  counts.forEach((count, i) => head.writeUInt16BE(count, 4 + 2 * i));
  if (address === undefined) return head;
  if (!isIPv4(address)) throw new Error(`${address} is no IPv4 address`);
  const record = Buffer.alloc(16);
  record.writeUInt16BE(POINTER_TO_QUESTION, 0);
  record.writeUInt16BE(TYPE_A, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt16BE(4, 10);
  record.set(address.split(".").map(Number), 12);
  return Buffer.concat([head, record]);
}
