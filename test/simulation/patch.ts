/** Other lines in a source of the product, as it is loaded. The file on the disk stays as it is. */

/** One replacement. */
export interface Patch {
  /** Path below `packages/`. */
  file: string;
  /** Text that is in the file exactly once. */
  find: string;
  put: string;
}

/** A source with its replacements. @throws Error if a text is not there, or more than once */
export function patched(source: string, patches: readonly Patch[]): string {
  return patches.reduce((text, { file, find, put }) => {
    const parts = text.split(find);
    if (parts.length !== 2) {
      throw new Error(
        `${file} has ${parts.length - 1} times "${find}", and the simulation replaces it once: change the patch with the file`,
      );
    }
    return parts.join(put);
  }, source);
}
