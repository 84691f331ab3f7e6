/** The parts of the page of packets that need no browser. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Look, PacketRow } from '../src/api/types.ts';
import { captureCommand } from '../src/packets/capture-command.ts';
import { fatesIn } from '../src/packets/copy-fates.ts';
import { hexLines } from '../src/packets/hex.ts';
import { MOST_ROWS, MOST_WAITING, PacketStore } from '../src/packets/packet-store.ts';
import { packetSearch } from '../src/packets/search.ts';

function row(number: number, packet: Partial<PacketRow['packet']> = {}): PacketRow {
  return {
    packet: {
      number,
      at: number,
      node: 'node-1',
      interface: 'web-1/0',
      interfaceName: '',
      device: 'tap1',
      place: 'sent',
      direction: 'outbound',
      length: 60,
      captured: 60,
      packets: 1,
      gsoSize: 0,
      copy: 'copied',
      original: { state: 'unknown' },
      lostBefore: 0,
      ...packet,
    },
    columns: { source: '', destination: '', protocol: '', info: '' },
  };
}

const rows = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => row(from + i));
const news = (
  more: readonly PacketRow[],
  originals: { number: number; original: PacketRow['packet']['original'] }[] = [],
) => {
  return { rows: [...more], originals, hidden: 0, skipped: 0 };
};
const numbers = (store: PacketStore) => store.shown().rows.map(({ packet }) => packet.number);

test('the list holds its newest rows, and says how many have fallen out', () => {
  const store = new PacketStore();
  store.take(news(rows(1, MOST_ROWS)));
  store.take(news(rows(MOST_ROWS + 1, MOST_ROWS + 7)));
  assert.deepEqual([store.shown().rows.length, store.shown().fallenOut, numbers(store)[0]], [MOST_ROWS, 7, 8]);
});

test('while it is paused the list stays as it is; so many rows wait, and those without room are counted', () => {
  const store = new PacketStore();
  store.take(news(rows(1, 3)));
  store.pause();
  store.take(news(rows(4, 3 + MOST_WAITING), [{ number: 2, original: { state: 'delivered' } }]));
  store.take(news(rows(4 + MOST_WAITING, 8 + MOST_WAITING)));
  assert.deepEqual(numbers(store), [1, 2, 3]);
  assert.equal(store.shown().rows[1]?.packet.original.state, 'unknown');
  assert.deepEqual([store.shown().waiting, store.shown().lostWaiting], [MOST_WAITING, 5]);
  store.resume();
  assert.deepEqual([store.shown().rows.length, store.shown().waiting], [3 + MOST_WAITING, undefined]);
  assert.equal(store.shown().rows[1]?.packet.original.state, 'delivered');
});

test('a fate that becomes known makes another row of it, and leaves the others', () => {
  const store = new PacketStore();
  store.take(news(rows(1, 2)));
  const [first, second] = store.shown().rows;
  store.take(news([], [{ number: 2, original: { state: 'seenLater' } }]));
  assert.equal(store.shown().rows[0], first);
  assert.notEqual(store.shown().rows[1], second);
  assert.equal(store.shown().rows[1]?.packet.original.state, 'seenLater');
});

test('filters by both fates hide rows and count them; a drop that a rule wanted is not one by a full queue', () => {
  const drop = { at: 1, node: 'node-2', reason: '', function: '', device: '', packets: 1 };
  const store = new PacketStore();
  store.take(
    news([
      row(1, { original: { state: 'dropped', drop: { ...drop, cause: 'rule' } } }),
      row(2, { original: { state: 'dropped', drop: { ...drop, cause: 'queue' } } }),
      row(3, { copy: 'dropped:overBudget', original: { state: 'dropped', drop: { ...drop, cause: 'queue' } } }),
    ]),
  );
  store.filterBy({ copy: [], original: ['byRule'] });
  assert.deepEqual([numbers(store), store.shown().hiddenByFate], [[1], 2]);
  store.filterBy({ copy: ['dropped'], original: ['dropped'] });
  assert.deepEqual([numbers(store), store.shown().hiddenByFate], [[3], 2]);
});

test('bytes are lines of sixteen, and the bytes of a field are marked in both halves', () => {
  const lines = hexLines('41'.repeat(17), [15, 2]);
  assert.deepEqual(
    lines.map(({ offset, hex }) => [
      offset,
      hex.map(({ text, isMarked }) => `${text.length / 3}${isMarked ? '!' : ''}`),
    ]),
    [
      ['0000', ['15', '1!']],
      ['0010', ['1!']],
    ],
  );
  assert.deepEqual(lines[1]?.characters, [{ text: 'A', isMarked: true }]);
  assert.deepEqual(hexLines('1b0a', undefined)[0]?.characters, [{ text: '··', isMarked: false }]);
});

test('an address says which look and which filter, and what is no number or text is left out', () => {
  assert.deepEqual(packetSearch({ look: 123, policy: 'ids', packet: '4', for: '-1', copy: ['x'], fates: '' }), {
    look: '123',
    policy: 'ids',
    packet: 4,
  });
  assert.deepEqual(fatesIn('copied,constructor,nonsense,dropped:overBudget'), ['copied', 'dropped:overBudget']);
});

test('words of a look are one word of a shell in the command', () => {
  const look = { interfaces: ['web-1/0'], words: "host 10.0.0.1'; rm -rf /", payload: false } as unknown as Look;
  assert.equal(
    captureCommand(look),
    String.raw`mirrorplane capture web-1/0 --filter 'host 10.0.0.1'\''; rm -rf /' -w - | wireshark -k -i -`,
  );
  assert.match(
    captureCommand({ ...look, policy: 'ids', words: '', payload: true }),
    /^mirrorplane capture --policy ids --payload -w - \|/,
  );
});
