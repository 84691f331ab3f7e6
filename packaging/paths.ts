/** Folders of the build. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The source tree. */
export const ROOT = join(import.meta.dirname, '..');
/** Where packages are put. */
export const DIST = join(ROOT, 'dist');
/** What was downloaded, kept between builds. */
export const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'mirrorplane');
