/** A view of a store that forgets what was before while the view is being opened. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import { CompactedError, type Store, type Watcher } from '../../src/store/store.ts';
import { View } from '../../src/store/view.ts';

/** A store that has one domain, and another one with each reading. It forgets so many times. */
function forgetful(times: number) {
  const state = { readings: 0, watcher: undefined as Watcher | undefined, left: times };
  const store = {
    range: async () => {
      const revision = ++state.readings;
      const entry = { key: `domains/d-${revision}`, value: {}, createRevision: revision, modRevision: revision };
      return { revision, entries: [entry] };
    },
    watch: async (_prefix: string, from: number, watcher: Watcher) => {
      assert.equal(from, state.readings + 1);
      if (state.left-- > 0) {
        throw new CompactedError(`revision ${from} is compacted`);
      }
      state.watcher = watcher;
      return { close: () => undefined };
    },
  };
  return { state, store: store as unknown as Store };
}

test('a view reads all again where the store has forgotten what came after its reading', async () => {
  const { state, store } = forgetful(3);
  const view = new View(store, assert.fail);
  await view.open();
  assert.equal(state.readings, 4);
  assert.deepEqual([...view.all('domains').keys()], ['d-4']);
  assert.equal(view.revision, 4);
});

test('so does one whose watch has ended, and it says when that is to no end', async () => {
  const { state, store } = forgetful(0);
  const errors: Error[] = [];
  const view = new View(store, (error) => errors.push(error));
  await view.open();
  state.left = 2;
  state.watcher!.onEnd(new CompactedError('revision 1 is compacted'));
  await until('it has read again', () => view.revision === 4);
  state.left = Number.POSITIVE_INFINITY;
  state.watcher!.onEnd(new CompactedError('revision 4 is compacted'));
  await until('it says so', () => errors.length === 1);
  assert.ok(errors[0] instanceof CompactedError);
  assert.ok(state.readings < 20);
});
