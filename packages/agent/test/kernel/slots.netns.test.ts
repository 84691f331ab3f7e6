/** Slots of counters in the kernel: taken, given back, taken again. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BpfMap, closeFd, getPinned } from '../../src/datapath/kernel/libbpf.ts';
import { Slots } from '../../src/datapath/kernel/slots.ts';
import { useWorld } from './support/world.ts';

const LIMITS = { capture: 8192, delivery: 4096, termination: 8192, device: 1024 };
const NONE = {
  capture: new Set<string>(),
  delivery: new Set<string>(),
  termination: new Set<string>(),
  device: new Set<string>(),
};

const world = await useWorld();
let maps: Record<'slots' | 'slot_names', BpfMap>;

before(() => {
  const open = (name: string) => new BpfMap(name, getPinned(join(world.bpffs, 'maps', name))!);
  maps = { slots: open('slots'), slot_names: open('slot_names') };
});
after(() => {
  for (const map of Object.values(maps ?? {})) {
    closeFd(map.fd);
  }
});

test('an identity that takes a slot a second time begins a new life, also for a new reader of the map', () => {
  const slots = new Slots(maps, LIMITS);
  const prepared: number[] = [];
  const take = (id: string) => slots.take('capture', id, (slot) => prepared.push(slot));
  take('a');
  take('b');
  const first = slots.life('capture', 'a');
  assert.equal(take('a'), slots.find('capture', 'a'));
  assert.deepEqual([slots.life('capture', 'a'), prepared.length], [first, 2], 'asking again changes nothing');
  slots.release({ ...NONE, capture: new Set(['b']) });
  assert.equal(slots.life('capture', 'a'), undefined);
  take('a');
  assert.notEqual(slots.life('capture', 'a'), first);
  const again = new Slots(maps, LIMITS);
  for (const id of ['a', 'b']) {
    assert.deepEqual(
      [again.find('capture', id), again.life('capture', id)],
      [slots.find('capture', id), slots.life('capture', id)],
    );
  }
});

test('every kind has room for as many slots as its limit', () => {
  const slots = new Slots(maps, { ...LIMITS, termination: 8192 });
  const taken = new Set(Array.from({ length: 8192 }, (_, i) => slots.take('termination', `t${i}`, () => undefined)));
  assert.equal(taken.size, 8192);
  assert.throws(() => slots.take('termination', 'one more', () => undefined), /no free termination slot/);
  slots.release(NONE);
});

test('a new reader of the maps finds the text of a slot, until the slot is given back', () => {
  const slots = new Slots(maps, LIMITS);
  slots.take('capture', 'a', () => undefined, 'what a is');
  slots.take('delivery', 'b', () => undefined, 'what b is');
  const again = new Slots(maps, LIMITS);
  assert.deepEqual([again.texts('capture'), again.texts('delivery')], [['what a is'], ['what b is']]);
  again.forget('capture', 'a');
  assert.deepEqual(new Slots(maps, LIMITS).texts('capture'), []);
  again.release(NONE);
  assert.deepEqual(maps.slot_names.keys(16), []);
});
