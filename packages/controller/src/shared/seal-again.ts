/**
 * Seals what controllers share with a new key. The leader does it while it runs: it writes with the
 * new key from its first write on, and opens both. It may be stopped between any two steps, and the
 * next leader goes on.
 */

import { WRITES_KEY } from '../store/shared-space.ts';
import type { SharedOperation } from '../store/store.ts';
import type { ClusterKey } from './cluster-key.ts';
import { checkOf, isSealedBy, MARK_KEY, markOperation, type StoredMark } from './mark.ts';
import type { SharedWriter } from './writer.ts';

/** Values and bytes of one transaction. */
const MOST_VALUES = 32;
const MOST_BYTES = 512 << 10;

/**
 * Says that values of two keys are there, if this controller has another key that seals. Before it, no
 * value is sealed with that one.
 * @returns the mark as it is now
 */
export async function beginSealing(writer: SharedWriter, key: ClusterKey, mark: StoredMark): Promise<StoredMark> {
  if (mark.former !== undefined || isSealedBy(key, mark)) {
    return mark;
  }
  const both = { ...mark, check: checkOf(key), former: mark.check };
  await writer.write([markOperation(key, both)]);
  return both;
}

/**
 * Seals all values again that another key has sealed, some at a time.
 * @param isStopped asked between two transactions
 * @returns how many values were sealed again; undefined: it was stopped before the end
 * @throws SealError if a value was changed; what the store throws
 */
export async function sealValues(
  writer: SharedWriter,
  key: ClusterKey,
  isStopped: () => boolean,
): Promise<number | undefined> {
  let count = 0;
  for (let from: string | undefined = ''; from !== undefined; ) {
    if (isStopped()) {
      return undefined;
    }
    const begin: string = from;
    await writer.rewrite(async () => {
      const { ops, next } = await opsFrom(writer, key, begin);
      count += ops.length;
      from = next;
      return ops;
    });
  }
  return count;
}

/** Says that all values are sealed with the key that seals. @returns the mark as it is now */
export async function endSealing(writer: SharedWriter, key: ClusterKey, mark: StoredMark): Promise<StoredMark> {
  const { former: _, ...alone } = mark;
  await writer.write([markOperation(key, alone)]);
  return alone;
}

/** Operations for the values from a key on. `next`: where to go on; undefined: these were the last ones. */
async function opsFrom(
  { space }: SharedWriter,
  key: ClusterKey,
  from: string,
): Promise<{ ops: SharedOperation[]; next: string | undefined }> {
  const ops: SharedOperation[] = [];
  let [seen, bytes] = [0, 0];
  for await (const { key: name, value } of space.entries('', { from })) {
    if (seen === MOST_VALUES || bytes > MOST_BYTES) {
      return { ops, next: name };
    }
    seen++;
    bytes += value.length;
    const sealed = name === WRITES_KEY || name === MARK_KEY ? undefined : key.sealAgain(name, value as Buffer);
    if (sealed !== undefined) {
      ops.push({ type: 'put', key: name, value: sealed });
    }
  }
  return { ops, next: undefined };
}
