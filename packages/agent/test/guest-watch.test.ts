/** Where a guest is seen to be while it migrates. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Standby } from '@mirrorplane/contract';
import { identify, type NodeDevice } from '../src/discovery/devices.ts';
import { GuestWatch } from '../src/migration/guest-watch.ts';
import { link } from './support.ts';

const DEVICES = identify(
  [5, 6].map((i) => link(`tap${i}`, i, { alias: `mirrorplane:kind=vm;id=web-${i}` })),
  [],
).devices;
const expected: Standby[] = [{ interface: 'web-5', role: 'target' }];
const left: Standby[] = [{ interface: 'web-5', role: 'origin' }];

/** A watch over devices that have received as many packets as `received` says. */
function watch(received: Record<number, number>) {
  const asked: number[] = [];
  let arrivals = 0;
  const guests = new GuestWatch({
    statistics: async (ifindex) => {
      asked.push(ifindex);
      return { received: received[ifindex] ?? 0, sent: 0, sentBytes: 0 };
    },
    arrived: () => {
      arrivals++;
    },
  });
  const look = async (standby: Standby[], devices: NodeDevice[] = DEVICES) =>
    (await guests.look(devices, standby)).map(({ guest }) => guest);
  return { guests, look, asked, arrivals: () => arrivals };
}

test('without anything to stand by, no device is asked and nothing is said', async () => {
  const { look, asked } = watch({ 5: 9 });
  assert.deepEqual(await look([]), [undefined, undefined]);
  assert.deepEqual(asked, []);
});

test('an expected guest is absent until its device has received a frame, and runs there from then on', async () => {
  const received = { 5: 0 };
  const { guests, look, arrivals } = watch(received);
  assert.deepEqual(await look(expected), ['absent', undefined]);
  assert.equal(arrivals(), 0);
  received[5] = 1;
  await until('the arrival', () => arrivals() > 0);
  assert.deepEqual(await look(expected), ['running', undefined]);
  // The controller has heard of it, and asks no more.
  assert.deepEqual(await look([]), ['running', undefined]);
  guests.close();
});

test('a guest is expected where the controller alone says that it is elsewhere, and not where its provider does', async () => {
  const { guests } = watch({ 5: 0 });
  const look = async (devices: NodeDevice[], standby: Standby[]) =>
    (await guests.look(devices, standby)).map(({ guest, expected: is }) => `${guest} ${is ?? false}`)[0];
  assert.equal(await look(DEVICES, expected), 'absent true');
  assert.equal(await look(DEVICES, []), 'undefined false');
  assert.equal(await look(DEVICES, left), 'absent false');
  const said = DEVICES.map((device) => ({ ...device, guest: 'absent' as const }));
  assert.equal(await look(said, expected), 'absent false');
  guests.close();
});

test('only frames that a guest sends after it has left show that it is back', async () => {
  const received = { 5: 1000 };
  const { guests, look, arrivals } = watch(received);
  assert.deepEqual(await look(left), ['absent', undefined]);
  assert.deepEqual(await look(left), ['absent', undefined]);
  received[5]++;
  await until('the return', () => arrivals() > 0);
  assert.deepEqual(await look(left), ['running', undefined]);
  guests.close();
});

test('a guest that arrived, and left again later, is absent', async () => {
  const received = { 5: 3 };
  const { guests, look } = watch(received);
  assert.deepEqual(await look(expected), ['running', undefined]);
  assert.deepEqual(await look([]), ['running', undefined]);
  assert.deepEqual(await look(left), ['absent', undefined]);
  guests.close();
});

test('a guest that an identity provider says is running is believed, and its device is not asked', async () => {
  const { look, asked } = watch({ 5: 0 });
  const said = DEVICES.map((device) => ({ ...device, guest: 'running' as const }));
  assert.deepEqual(await look(expected, said), ['running', 'running']);
  assert.deepEqual(asked, []);
});

test('a guest that an identity provider says is absent runs all the same once it has sent a frame', async () => {
  const received = { 5: 0 };
  const { guests, look } = watch(received);
  const said = DEVICES.map((device) => ({ ...device, guest: 'absent' as const }));
  assert.deepEqual(await look(expected, said), ['absent', 'absent']);
  received[5] = 1;
  assert.deepEqual(await look(expected, said), ['running', 'absent']);
  guests.close();
});

test('a device that comes back as another interface starts again', async () => {
  const received = { 5: 3 };
  const { guests, look } = watch(received);
  assert.deepEqual(await look(expected), ['running', undefined]);
  const other = identify([link('tap5', 5, { alias: 'mirrorplane:kind=vm;id=other' })], []).devices;
  assert.deepEqual(await look([], other), [undefined]);
  received[5] = 0;
  assert.deepEqual(await look(expected), ['absent', undefined]);
  guests.close();
});

test('after it is closed, nothing is asked any more', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { guests, look, asked } = watch({ 5: 0 });
  await look(expected);
  guests.close();
  t.mock.timers.tick(1000);
  assert.equal(asked.length, 1);
});

test('a guest behind macvtap runs here when its device has sent a frame, and not when it has received one', async () => {
  const counts = { received: 3, sent: 0, sentBytes: 0 };
  let arrived = false;
  const guests = new GuestWatch({ statistics: async () => counts, arrived: () => (arrived = true) });
  const alias = 'mirrorplane:kind=vm;id=web-5';
  const { devices } = identify([link('macvtap0', 5, { linkType: 'macvtap', alias })], []);
  assert.equal((await guests.look(devices, expected))[0]?.guest, 'absent');
  counts.sent = 1;
  await until('the arrival', () => arrived);
  assert.equal((await guests.look(devices, expected))[0]?.guest, 'running');
  guests.close();
});

test('a guest that was seen is absent from when its provider begins to say so', async () => {
  const received = { 5: 3 };
  const { guests, look } = watch(received);
  assert.deepEqual(await look(expected), ['running', undefined]);
  const stopped = DEVICES.map((device, i) => (i === 0 ? { ...device, guest: 'absent' as const } : device));
  assert.deepEqual(await look([], stopped), ['absent', undefined]);
  assert.deepEqual(await look(left, stopped), ['absent', undefined]);
  guests.close();
});
