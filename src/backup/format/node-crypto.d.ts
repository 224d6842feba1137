/** The part of Node's crypto that the state digest uses: workerd has it too, and it is its only SHA-256 that answers at once. */
declare module "node:crypto" {
  interface Hash {
    update(bytes: Uint8Array): Hash;
    copy(): Hash;
    digest(): Uint8Array;
  }
  export function createHash(algorithm: "sha256"): Hash;
}
