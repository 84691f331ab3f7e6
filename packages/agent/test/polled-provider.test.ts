/** When an identity provider is asked again. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { type Listing, PolledProvider } from '../src/discovery/polled-provider.ts';
import { link, testLog } from './support.ts';

/** A provider whose listing is what `read` gives, with a veth of the name of its guest. */
function provider(t: TestContext, read: () => Promise<Listing | undefined> | Listing | undefined) {
  const source = {
    name: 'test',
    reads: 0,
    hint: (): void => {},
    read: async () => {
      source.reads++;
      return read();
    },
    concerns: ({ name }: { name: string }) => name.startsWith('veth'),
    follow: (hint: () => void) => {
      source.hint = hint;
    },
    log: testLog,
  };
  const polled = new PolledProvider(source);
  t.after(() => polled.close());
  return { polled, source };
}

const listing = (device: string, id: string): Listing => ({
  claims: [{ device, identity: { kind: 'vm', id, name: '', provider: 'test' } }],
  problems: [],
});
const ids = (polled: PolledProvider) =>
  [...(polled.knowledge()?.claims ?? [])].map(([ifindex, claim]) => [
    ifindex,
    'identity' in claim ? claim.identity.id : claim.error,
  ]);

test('a device that may be one of its guests makes it read, and another does not', async (t) => {
  const { polled, source } = provider(t, () => listing('veth1', 'a'));
  polled.look([]);
  polled.open();
  await until('the first reading', () => polled.knowledge());
  assert.deepEqual(ids(polled), []);
  const before = source.reads;
  polled.look([link('tap1', 3)]);
  assert.equal(source.reads, before);
  polled.look([link('tap1', 3), link('veth1', 4)]);
  await until('the device is known', () => ids(polled).length === 1);
  assert.deepEqual(ids(polled), [[4, 'a']]);
});

test('a hint makes it read, and a change is reported once', async (t) => {
  let now = listing('veth1', 'a');
  const { polled, source } = provider(t, () => now);
  polled.look([link('veth1', 4)]);
  polled.open();
  await until('the first reading', () => ids(polled).length === 1);
  let changes = 0;
  polled.on('change', () => changes++);
  now = listing('veth1', 'b');
  const before = source.reads;
  for (let i = 0; i < 100; i++) {
    source.hint();
  }
  await until('both readings after the hints', () => source.reads >= before + 2);
  assert.deepEqual(ids(polled), [[4, 'b']]);
  assert.equal(changes, 1);
  assert.equal(source.reads, before + 2);
});

test('what was said holds while it cannot be read', async (t) => {
  let fails = false;
  const { polled, source } = provider(t, () => {
    if (fails) {
      throw new Error('not now');
    }
    return listing('veth1', 'a');
  });
  polled.look([link('veth1', 4)]);
  polled.open();
  await until('the first reading', () => ids(polled).length === 1);
  fails = true;
  const before = source.reads;
  source.hint();
  await until('readings that fail', () => source.reads >= before + 2);
  assert.deepEqual(ids(polled), [[4, 'a']]);
});

test('where the system is not there, nothing is said', async (t) => {
  const { polled, source } = provider(t, () => undefined);
  polled.look([link('veth1', 4)]);
  polled.open();
  await until('a reading', () => source.reads > 0);
  assert.equal(polled.knowledge(), undefined);
});

test('a device that came under the name of another while it was read is not taken for it', async (t) => {
  const gate = Promise.withResolvers<Listing>();
  let first = true;
  const { polled, source } = provider(t, () => {
    if (!first) {
      return new Promise<Listing>(() => undefined);
    }
    first = false;
    return gate.promise;
  });
  polled.look([link('veth1', 4)]);
  polled.open();
  await until('the reading has begun', () => source.reads === 1);
  polled.look([link('veth1', 9)]);
  gate.resolve(listing('veth1', 'a'));
  await until('it is done', () => polled.knowledge());
  assert.deepEqual(ids(polled), [[4, 'a']]);
});
