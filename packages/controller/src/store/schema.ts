/** The number of the form in which a store keeps its data. A release that changes the form raises it. */

/** The schema that this release reads and writes. */
export const SCHEMA = 1;

/** @param found schema of a store. @throws Error with a remedy if this release cannot read it */
export function requireSchema(found: number): void {
  if (found !== SCHEMA) {
    const remedy = 'install the release that has written it, or restore a backup that this one can read';
    throw new Error(`the store has schema ${found}, and this release reads schema ${SCHEMA}: ${remedy}`);
  }
}
