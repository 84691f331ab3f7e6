/** Which device a claim of an identity provider is about. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { Identities } from '../src/discovery/identities.ts';
import { IdentityRecord } from '../src/discovery/identity-record.ts';
import { type Claim, type IdentityProvider, type Knowledge, tie } from '../src/discovery/provider.ts';
import { link, temporaryFolder, testLog } from './support.ts';

const claim = (device: string, id: string, more: Partial<Claim> = {}): Claim => ({
  device,
  identity: { kind: 'vm', id, name: '', provider: 'libvirt' },
  ...more,
});

/** A provider that says what it is told. */
class Told extends EventEmitter<{ change: [] }> implements IdentityProvider {
  readonly name: string;
  #knowledge: Knowledge | undefined;
  constructor(name: string) {
    super();
    this.name = name;
  }
  say(...claims: [ifindex: number, claim: Claim][]): void {
    this.#knowledge = { claims: new Map(claims), problems: [] };
    this.emit('change');
  }
  knowledge() {
    return this.#knowledge;
  }
  look() {}
  open() {}
  close() {}
}

const ids = (claims: readonly Claim[]) => claims.map((said) => ('identity' in said ? said.identity.id : said.error));

test('a claim is of the device that was there before the daemon was asked', () => {
  assert.deepEqual([...tie([claim('vnet0', 'a')], new Map([['vnet0', 7]])).keys()], [7]);
});

test('a device that came after the daemon was asked has no claim yet', () => {
  assert.equal(tie([claim('vnet0', 'a')], new Map([['vnet1', 8]])).size, 0);
});

test('a device that was renamed keeps its claim, and another that took its name gets none', () => {
  const before = tie([claim('vnet0', 'a')], new Map([['vnet0', 7]]));
  const there = new Map([
    ['renamed', 7],
    ['vnet0', 9],
  ]);
  assert.deepEqual([...tie([claim('vnet0', 'a')], there, before).keys()], [7]);
});

test('a device under the name of one that went has the claim once the daemon was asked again', () => {
  const before = tie([claim('vnet0', 'a')], new Map([['vnet0', 7]]));
  assert.deepEqual([...tie([claim('vnet0', 'a')], new Map([['vnet0', 9]]), before).keys()], [9]);
});

test('the next run of a domain is tied to the device of its name, although the old device is still there', () => {
  const before = tie([claim('wan0', 'a', { life: '1' })], new Map([['wan0', 7]]));
  const there = new Map([
    ['old', 7],
    ['wan0', 9],
  ]);
  assert.deepEqual([...tie([claim('wan0', 'a', { life: '2' })], there, before).keys()], [9]);
});

test('of two claims on one device the first one holds', () => {
  const tied = tie([claim('wan0', 'a'), claim('wan0', 'b')], new Map([['wan0', 7]]));
  assert.deepEqual(ids([...tied.values()]), ['a']);
});

test('providers are asked in their order', async (t) => {
  const record = await IdentityRecord.load(join(temporaryFolder(t), 'identities.json'), testLog);
  const [first, second] = [new Told('libvirt'), new Told('open-vswitch')];
  const identities = new Identities({ providers: [first, second], record });
  second.say([7, claim('vnet0', 'port')]);
  assert.deepEqual(ids(identities.of(link('vnet0', 7))), ['port']);
  first.say([7, claim('vnet0', 'nic')]);
  assert.deepEqual(ids(identities.of(link('vnet0', 7))), ['nic', 'port']);
  await identities.close();
});

test('the last claims of a provider hold after a restart, until it claims again', async (t) => {
  const file = join(temporaryFolder(t), 'identities.json');
  const before = new Told('libvirt');
  const first = new Identities({ providers: [before], record: await IdentityRecord.load(file, testLog) });
  before.say([7, claim('vnet0', 'a', { guest: 'running' })], [8, claim('vnet1', 'b')]);
  await first.close();

  const provider = new Told('libvirt');
  const identities = new Identities({ providers: [provider], record: await IdentityRecord.load(file, testLog) });
  assert.deepEqual(identities.of(link('vnet0', 7)), [claim('vnet0', 'a', { guest: 'running' })]);
  assert.deepEqual(identities.of(link('other', 8)), [], 'another device has the ifindex');
  assert.deepEqual(identities.of(link('vnet0', 9)), [], 'another device has the name');
  provider.say([8, claim('vnet1', 'b')]);
  assert.deepEqual(identities.of(link('vnet0', 7)), []);
  await identities.close();
});

test('claims of a provider that is now switched off do not hold', async (t) => {
  const file = join(temporaryFolder(t), 'identities.json');
  const before = new Told('libvirt');
  const first = new Identities({ providers: [before], record: await IdentityRecord.load(file, testLog) });
  before.say([7, claim('vnet0', 'a')]);
  await first.close();
  const identities = new Identities({
    providers: [new Told('open-vswitch')],
    record: await IdentityRecord.load(file, testLog),
  });
  assert.deepEqual(identities.of(link('vnet0', 7)), []);
  await identities.close();
});
