/** The part of Node's crypto that the state digest uses. workerd has it, too, and no other synchronous SHA-256. */
declare module "node:crypto" {
  interface Hash {
    update(bytes: Uint8Array): Hash;
    copy(): Hash;
    digest(): Uint8Array;
  }
  export function createHash(algorithm: "sha256"): Hash;
}
