/** Garbage of JavaScript that a daemon should not keep until V8 collects it. */
import { getHeapStatistics } from 'node:v8';

/**
 * Bytes in use of a heap that is collected at once. The process stops for some 1 to 3 ms for each MiB
 * of it.
 */
const LARGEST_HEAP = 64 << 20;

/**
 * Collects all garbage, and returns the pages to the system, where the heap is small. V8 would keep
 * them: as long as anything is allocated each second, it does this only 100 seconds after its last
 * collection of old objects.
 * @returns false where nothing was collected: the heap is large, or Node.js runs without `--expose-gc`
 */
export function collectGarbage(): boolean {
  const collect = globalThis.gc;
  if (collect === undefined || getHeapStatistics().used_heap_size > LARGEST_HEAP) {
    return false;
  }
  // Only a collection of this kind empties V8's pool of free pages, too.
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  return true;
}
