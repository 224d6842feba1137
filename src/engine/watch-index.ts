/**
 * Which watches a changed key concerns: watches of the key itself, and watches of each of its prefixes. One tree holds the names of both.
 *
 * An edge of the tree is one or more whole parts of a key. A node has at most one edge that begins with a given part. Finding the watches
 * of a key walks from the root. Each step is one look-up, of the key's next part. The walk ends at the first part with which no watched
 * name continues. So a key costs one look-up if no watched name begins with its first part, and at most one for each part that it shares
 * with a watched name. The number of watches does not matter. The tree has at most two nodes for each name, however many parts names
 * have.
 */
import { concatBytes, hasBytesAt, toBinaryText } from "../core/bytes.ts";
import { partEnd } from "../codec/key-codec.ts";
import { hasPartsAt } from "../codec/key-prefix.ts";

/** What a name stands for: one key, or all keys that begin with its parts. */
export type NameKind = "key" | "prefix";

interface Node<Watch> {
  /** The whole parts that this node's name has after its parent's name. Empty only at the root. */
  label: Uint8Array;
  /** By the first part of their labels. null: there are none. */
  children: Map<string, Node<Watch>> | null;
  /** The watches of this node's name. null: there are none. */
  key: Set<Watch> | null;
  prefix: Set<Watch> | null;
}

export class WatchIndex<Watch> {
  readonly #root: Node<Watch> = newNode(new Uint8Array());

  /** Keeps `name`, an encoded key. A prefix may have no parts: then every key concerns the watch. */
  add(name: Uint8Array, kind: NameKind, watch: Watch): void {
    let node = this.#root;
    for (let at = 0; at < name.length; at += node.label.length) node = childFor(node, name, at);
    node[kind] ??= new Set();
    node[kind].add(watch);
  }

  /** Does nothing when the watch was not added. */
  remove(name: Uint8Array, kind: NameKind, watch: Watch): void {
    let node = this.#root;
    const path: Node<Watch>[] = [];
    for (let at = 0; at < name.length; at += node.label.length) {
      const child = node.children?.get(firstPart(name, at));
      if (child === undefined || !hasPartsAt(name, at, child.label)) return;
      path.push(node);
      node = child;
    }
    const watches = node[kind];
    if (watches === null) return;
    watches.delete(watch);
    if (watches.size > 0) return;
    node[kind] = null;
    for (let parent = path.pop(); parent !== undefined && isIdle(node); parent = path.pop()) {
      if (node.children !== null) {
        if (node.children.size === 1) for (const only of node.children.values()) takePlaceOf(node, only);
        return;
      }
      removeChild(parent, node);
      node = parent;
    }
  }

  /** Calls `tell` with each watch that a change of this key concerns. `tell` must not change the index. */
  visit(key: Uint8Array, tell: (watch: Watch) => void): void {
    let node = this.#root;
    let at = 0;
    for (;;) {
      if (node.prefix !== null) for (const watch of node.prefix) tell(watch);
      if (at === key.length) break;
      const child = node.children?.get(firstPart(key, at));
      if (child === undefined || !hasPartsAt(key, at, child.label)) return;
      at += child.label.length;
      node = child;
    }
    if (node.key !== null) for (const watch of node.key) tell(watch);
  }

  clear(): void {
    this.#root.children = null;
    this.#root.key = null;
    this.#root.prefix = null;
  }
}

function newNode<Watch>(label: Uint8Array): Node<Watch> {
  return { label, children: null, key: null, prefix: null };
}

/** The child whose label is the name's text at `at`, or a beginning of it. Made if there is none. */
function childFor<Watch>(node: Node<Watch>, name: Uint8Array, at: number): Node<Watch> {
  const part = firstPart(name, at);
  node.children ??= new Map();
  const child = node.children.get(part);
  if (child === undefined) {
    const leaf = newNode<Watch>(name.subarray(at));
    node.children.set(part, leaf);
    return leaf;
  }
  const shared = sharedParts(child.label, name, at);
  if (shared === child.label.length) return child;
  const between = newNode<Watch>(child.label.subarray(0, shared));
  child.label = child.label.subarray(shared);
  between.children = new Map([[firstPart(child.label, 0), child]]);
  node.children.set(part, between);
  return between;
}

/** Bytes of the whole parts with which both `label` and `name`, from `at` on, begin. */
function sharedParts(label: Uint8Array, name: Uint8Array, at: number): number {
  let shared = 0;
  while (shared < label.length && at + shared < name.length) {
    const end = partEnd(label, shared);
    if (partEnd(name, at + shared) !== at + end) break;
    if (!hasBytesAt(name, at + shared, label.subarray(shared, end))) break;
    shared = end;
  }
  return shared;
}

function isIdle<Watch>({ key, prefix }: Node<Watch>): boolean {
  return key === null && prefix === null;
}

function removeChild<Watch>(parent: Node<Watch>, child: Node<Watch>): void {
  parent.children?.delete(firstPart(child.label, 0));
  if (parent.children?.size === 0) parent.children = null;
}

/** Merges the node with its only child, whose name stays as it was. */
function takePlaceOf<Watch>(node: Node<Watch>, only: Node<Watch>): void {
  node.label = concatBytes([node.label, only.label]);
  node.children = only.children;
  node.key = only.key;
  node.prefix = only.prefix;
}

function firstPart(name: Uint8Array, at: number): string {
  return toBinaryText(name, at, partEnd(name, at));
}
