/**
 * Finds the members of classes that nothing outside of their class uses, with TypeScript's own search for references. A member counts as
 * used when
 *
 * - code outside of its class names it, by the class or by an interface that the class implements;
 * - code names a member of the same name of another type, and the objects of the class fit that type although the class does not say
 *   `implements`: a layer describes in this way what it needs of a class that it may not import;
 * - its class is abstract, and the second is true for a class that extends it; or the member itself is abstract, and its class uses it;
 * - another package declares the member too, as it does `alarm` of a Durable Object: the platform calls that.
 *
 * Private members (`#x`) are left to the linter and to the compiler's `noUnusedLocals`.
 *
 * TypeScript calls this API unstable: a new version of TypeScript may ask for changes here.
 */
import {
  isClassLikeDeclaration,
  isGetAccessorDeclaration,
  isIdentifier,
  isInterfaceDeclaration,
  isMethodDeclaration,
  isMethodSignatureDeclaration,
  isPropertyAssignment,
  isPropertyDeclaration,
  isPropertySignatureDeclaration,
  isSetAccessorDeclaration,
  isShorthandPropertyAssignment,
  isTypeLiteralNode,
  SyntaxKind,
  type ClassLikeDeclaration,
  type Identifier,
  type Node,
} from "typescript/unstable/ast";
import { API, type Project, type Type } from "typescript/unstable/sync";

/** The name of a member, and the class or the type that has it. */
interface Member {
  readonly name: Identifier;
  readonly owner: Node;
}

const isMember = [isMethodDeclaration, isPropertyDeclaration, isGetAccessorDeclaration, isSetAccessorDeclaration];

/** Nodes that give a member its name and do not use the member: declarations, and objects that are written out. */
const isNaming = [
  ...isMember,
  isMethodSignatureDeclaration,
  isPropertySignatureDeclaration,
  isPropertyAssignment,
  isShorthandPropertyAssignment,
];

/** A member that nothing uses: `Ledger.close`, at `src/engine/ledger.ts:12`. */
export interface UnusedMember {
  readonly title: string;
  readonly place: string;
}

/**
 * The unused members of the classes in a folder. Only uses in that folder count.
 *
 * @param configurations the `tsconfig.json` files that compile the folder together; a member that one of them uses is used.
 */
export function unusedMembers(folder: string, configurations: readonly string[]): UnusedMember[] {
  const api = new API();
  try {
    const projects = api.updateSnapshot({ openProjects: [...configurations] }).getProjects();
    const used = new Set<string>();
    const unused = new Map<string, UnusedMember>();
    for (const project of projects) {
      // A search takes milliseconds for each member, and one use is enough.
      for (const member of new Search(project, `${folder}/`).members()) {
        if (used.has(member.place)) continue;
        if (member.isUsed()) used.add(member.place);
        else unused.set(member.place, { title: member.title, place: member.place });
      }
    }
    return [...unused.values()].filter(({ place }) => !used.has(place));
  } finally {
    api.close();
  }
}

class Search {
  readonly #project: Project;
  readonly #folder: string;
  readonly #classes: ClassLikeDeclaration[] = [];
  readonly #ofClasses: Member[] = [];
  /** Of interfaces and of types that are written out, by name. */
  readonly #ofTypes = new Map<string, Member[]>();

  constructor(project: Project, folder: string) {
    this.#project = project;
    this.#folder = folder;
    for (const path of project.program.getSourceFileNames()) {
      const file = this.#isInFolder(path) ? project.program.getSourceFile(path) : undefined;
      if (file !== undefined) this.#collect(file);
    }
  }

  /** Every member of every class. */
  members(): (UnusedMember & { readonly isUsed: () => boolean })[] {
    return this.#ofClasses.map((member) => {
      const { name, owner } = member;
      const file = name.getSourceFile();
      const line = file.getLineAndCharacterOfPosition(name.getStart()).line + 1;
      return {
        title: `${nameOf(owner)?.text ?? "(class)"}.${name.text}`,
        place: `${file.fileName.slice(this.#folder.length)}:${line}`,
        isUsed: () => this.#isUsed(member),
      };
    });
  }

  #isUsed({ name, owner }: Member): boolean {
    const { uses, isOfOthers } = this.#search(name);
    if (isOfOthers || uses.some((use) => isAbstract(name.parent) || !isInside(use, owner))) return true;
    const { checker } = this.#project;
    const objects = this.#objectsOf(owner);
    return (this.#ofTypes.get(name.text) ?? []).some((wanted) => {
      const type = this.#typeOf(wanted.owner);
      if (type === undefined || !objects.some((object) => checker.isTypeAssignableTo(object, type))) return false;
      return this.#search(wanted.name).uses.some((use) => !isInside(use, owner));
    });
  }

  /** The types of the objects that have the class's members. An abstract class has objects of the classes that extend it alone. */
  #objectsOf(owner: Node): Type[] {
    const type = this.#typeOf(owner);
    if (type === undefined) return [];
    if (!isAbstract(owner)) return [type];
    return this.#classes.flatMap((other) => {
      const objects = other === owner || other.heritageClauses === undefined ? undefined : this.#typeOf(other);
      return objects !== undefined && this.#project.checker.isTypeAssignableTo(objects, type) ? [objects] : [];
    });
  }

  /** `isOfOthers`: a file outside of the folder declares what is named here, too. */
  #search(name: Identifier): { readonly uses: Node[]; readonly isOfOthers: boolean } {
    const symbols = this.#project.checker.getReferencedSymbolsForNode(name, name.getStart());
    const handles = symbols.flatMap(({ references }) => references).filter(({ path }) => this.#isInFolder(path));
    const nodes = handles.map((handle) => handle.resolve(this.#project)).filter((node) => node !== undefined);
    return {
      uses: nodes.filter((node) => !isNaming.some((is) => is(node.parent) && node.parent.name === node)),
      isOfOthers: symbols.some(({ definition }) => !this.#isInFolder(definition.path)),
    };
  }

  #collect(node: Node): void {
    if (isClassLikeDeclaration(node)) {
      this.#classes.push(node);
      for (const member of node.members) {
        for (const is of isMember) {
          if (is(member) && isIdentifier(member.name)) this.#ofClasses.push({ name: member.name, owner: node });
        }
      }
    }
    if (isInterfaceDeclaration(node) || isTypeLiteralNode(node)) {
      for (const member of node.members) {
        if (!isMethodSignatureDeclaration(member) && !isPropertySignatureDeclaration(member)) continue;
        if (!isIdentifier(member.name)) continue;
        const same = this.#ofTypes.get(member.name.text) ?? [];
        this.#ofTypes.set(member.name.text, [...same, { name: member.name, owner: node }]);
      }
    }
    node.forEachChild((child) => this.#collect(child));
  }

  #typeOf(owner: Node): Type | undefined {
    const { checker } = this.#project;
    if (isTypeLiteralNode(owner)) return checker.getTypeFromTypeNode(owner);
    const symbol = checker.getSymbolAtLocation(nameOf(owner) ?? owner);
    return symbol === undefined ? undefined : checker.getDeclaredTypeOfSymbol(symbol);
  }

  /** Some paths of TypeScript's are in lower case where the file system does not tell cases apart. */
  #isInFolder(path: string): boolean {
    return path.toLowerCase().startsWith(this.#folder.toLowerCase());
  }
}

/** Undefined for a class or a type without a name. */
function nameOf(owner: Node): Identifier | undefined {
  return isClassLikeDeclaration(owner) || isInterfaceDeclaration(owner) ? owner.name : undefined;
}

function isAbstract(node: Node): boolean {
  const kinds = [isClassLikeDeclaration, ...isMember];
  return kinds.some(
    (is) => is(node) && (node.modifiers?.some(({ kind }) => kind === SyntaxKind.AbstractKeyword) ?? false),
  );
}

function isInside(node: Node, owner: Node): boolean {
  return node.getSourceFile() === owner.getSourceFile() && node.pos >= owner.pos && node.end <= owner.end;
}
