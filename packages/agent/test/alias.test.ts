/** Identities that an alias gives a device. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAlias } from '../src/discovery/alias.ts';

const identities: [outcome: string, alias: string, expected: object][] = [
  [
    'reads all fields',
    'mirrorplane:kind=vm;id=web-1/0;name=web-1 eth0;network=blue',
    { kind: 'vm', id: 'web-1/0', name: 'web-1 eth0', network: 'blue', provider: 'alias' },
  ],
  [
    'takes the fields in any order',
    'mirrorplane:network=blue;id=fw-1/0;kind=nfv',
    { kind: 'nfv', id: 'fw-1/0', name: '', network: 'blue', provider: 'alias' },
  ],
  [
    'ignores keys of later versions',
    'mirrorplane:kind=vm;id=a;colour=red;shape=',
    { kind: 'vm', id: 'a', name: '', provider: 'alias' },
  ],
  [
    'leaves white space and empty parts out',
    'mirrorplane: kind = vm ; id=a ;; ',
    { kind: 'vm', id: 'a', name: '', provider: 'alias' },
  ],
  [
    'takes an equals sign as part of a value',
    'mirrorplane:kind=vm;id=a;name=a=b',
    { kind: 'vm', id: 'a', name: 'a=b', provider: 'alias' },
  ],
  [
    'takes an empty network as none',
    'mirrorplane:kind=vm;id=a;network=',
    { kind: 'vm', id: 'a', name: '', provider: 'alias' },
  ],
];
for (const [outcome, alias, expected] of identities) {
  test(`an alias: ${outcome}`, () => assert.deepEqual(parseAlias(alias), { identity: expected }));
}

const errors: [outcome: string, alias: string, expected: RegExp][] = [
  ['that says nothing', 'mirrorplane:', /kind is missing/],
  ['without a kind', 'mirrorplane:id=a', /kind is missing/],
  ['with a MAC address that is none', 'mirrorplane:kind=vm;id=a;mac=02:00', /mac "02:00": write a MAC address/],
  ['of an unknown kind', 'mirrorplane:kind=pod;id=a', /kind "pod" is unknown/],
  ['of kind edge', 'mirrorplane:kind=edge;id=a', /declare the edge-connected interface/],
  ['without an id', 'mirrorplane:kind=vm', /id is missing/],
  ['with an empty id', 'mirrorplane:kind=vm;id=', /id is missing/],
  ['with an id that is not usable', 'mirrorplane:kind=vm;id=a b', /id "a b": use 1 to 128/],
  ['with a word that is no field', 'mirrorplane:kind=vm;oops;id=a', /"oops" is not KEY=VALUE/],
  ['with a key that comes twice', 'mirrorplane:kind=vm;id=a;id=b', /"id" is given twice/],
  ['with a guest that is neither here nor away', 'mirrorplane:kind=vm;id=a;guest=gone', /guest "gone": write/],
  ['with a name that is too long', `mirrorplane:kind=vm;id=a;name=${'x'.repeat(129)}`, /name is longer/],
  ['with a network that is too long', `mirrorplane:kind=vm;id=a;network=${'x'.repeat(129)}`, /network is longer/],
];
for (const [outcome, alias, expected] of errors) {
  test(`refuses an alias ${outcome}`, () => {
    const result = parseAlias(alias);
    assert.ok(result !== undefined && 'error' in result);
    assert.match(result.error, expected);
  });
}

test('an alias says which MAC address the guest has', () => {
  const said = parseAlias('mirrorplane:kind=vm;id=a;mac=02:00:00:00:0A:01');
  assert.deepEqual(said, {
    identity: { kind: 'vm', id: 'a', name: '', provider: 'alias' },
    mac: '02:00:00:00:0a:01',
  });
});

test('an alias says whether the guest runs there', () => {
  for (const guest of ['running', 'absent'] as const) {
    const said = parseAlias(`mirrorplane:kind=vm;id=a;guest=${guest}`);
    assert.deepEqual(said, { identity: { kind: 'vm', id: 'a', name: '', provider: 'alias' }, guest });
  }
});

test('an alias that is not about Mirrorplane says nothing', () => {
  for (const alias of ['', 'uplink to rack 4', 'xmirrorplane:kind=vm;id=a']) {
    assert.equal(parseAlias(alias), undefined);
  }
});
