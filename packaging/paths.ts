/** Folders of the build. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The source tree. */
export const ROOT = join(import.meta.dirname, '..');
/** Folder of built packages. */
export const DIST = join(ROOT, 'dist');
/** Cache of downloads. */
export const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'mirrorplane');
