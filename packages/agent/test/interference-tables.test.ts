/** Which tables a look reads again, and which a check between looks compares. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Interference, type InterferenceParts } from '../src/datapath/kernel/interference.ts';

/** Far more than the shortest time between two looks. */
const STEP_MS = 1000;

/** Tables of so many rows, all of which others have changed. */
function interferenceOf(...sizes: number[]): Interference {
  const links = { restorePins: () => 0, areInPlace: () => true };
  const installation = { restorePins: () => 0, programIds: new Set(), programFolder: 'programs' };
  const tables = sizes.map((size) => ({ size, reread: () => 1, differs: () => true }));
  const parts = { bpffs: '/nowhere', links, installation, tables };
  return new Interference(parts as unknown as InterferenceParts);
}

test('every look repairs tables of up to 4096 rows, and only now and then larger ones', () => {
  const interference = interferenceOf(1, 300, 4096, 4097);
  const repairs = Array.from({ length: 20 }, (_, turn) => interference.look([], (turn + 1) * STEP_MS).repaired);
  assert.deepEqual(repairs.slice(0, 19), Array(19).fill([{ kind: 'mapWritten', count: 3 }]));
  assert.deepEqual(repairs[19], [{ kind: 'mapWritten', count: 4 }]);
});

test('one of two checks sees each table of up to 4096 rows', () => {
  const seenBy = (...sizes: number[]) => {
    const interference = interferenceOf(...sizes);
    interference.look([], STEP_MS);
    interference.settled([], true);
    return ([0, 1, undefined] as const).map((half) => !interference.isIntact(half));
  };
  assert.deepEqual(seenBy(4096), [true, false, true]);
  assert.deepEqual(seenBy(5000, 4096), [false, true, true]);
  assert.deepEqual(seenBy(5000, 5000), [false, false, false]);
});
