/** A file of the repository as a text, which Vite puts into the test: inside workerd there are no files. */
declare module "*.md?raw" {
  const text: string;
  export default text;
}

declare module "*.ndjson?raw" {
  const text: string;
  export default text;
}
