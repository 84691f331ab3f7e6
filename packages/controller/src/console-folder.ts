/** Where the console is: the controller serves it, and another package builds it. */
import { existsSync } from 'node:fs';
import path from 'node:path';

/** In a package, beside the bundle; in the source tree, where the console is built. */
const PLACES = ['console', '../../console/dist'];

/** The folder of the console; the place in the source tree where it is not built yet. */
export function findConsole(): string {
  const places = PLACES.map((place) => path.join(import.meta.dirname, place));
  return places.find((place) => existsSync(path.join(place, 'index.html'))) ?? places.at(-1)!;
}
