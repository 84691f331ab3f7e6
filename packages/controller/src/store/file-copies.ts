/** Where the small files of a controller are kept for other controllers. */

/** New contents by name. Undefined: the file goes. */
export type FileChanges = Readonly<Record<string, string | undefined>>;

/** Takes files for other controllers. */
export interface FileCopies {
  /** Carries out all changes, or none. @throws what the store throws */
  write(changes: FileChanges): Promise<void>;
}
