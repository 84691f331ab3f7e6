/** What must always be true was not. */
export class Violation extends Error {
  override name = 'Violation';
}
