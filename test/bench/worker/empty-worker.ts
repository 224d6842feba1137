/** A Worker that does nothing: what starting any costs. */
export default {
  fetch(): Response {
    return new Response("");
  },
};
