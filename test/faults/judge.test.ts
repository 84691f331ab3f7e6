/** The judgement of a run: books that agree are accepted, and each that does not is named. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Operation, Value } from './checker/operation.ts';
import { type Evidence, judge } from './judge.ts';

const value = (token: string, enabled = true): Value => ({ token, enabled });

function wrote(at: number, key: string, revision: number, token: string): Operation {
  const times = { client: 'c', key, invoked: at, returned: at + 1 };
  const written = { kind: 'written', revision, value: value(token) } as const;
  return { ...times, request: { kind: 'put', value: value(token) }, outcome: written };
}

/** Two policies: one was written twice, the other one was written and deleted. */
function good(): Evidence {
  const [a, b] = ['policies/a', 'policies/b'];
  const event = (id: number, kind: string, name: string) => ({
    id,
    kind,
    object: { kind: 'policy', name },
    message: '',
  });
  const deletion = { client: 'c', key: b, invoked: 30, returned: 31, request: { kind: 'delete' } } as const;
  const entry = (resource: string, revision: number) => ({ resource, revision, action: 'replace', outcome: 'done' });
  return {
    operations: [
      wrote(0, a, 1, 'a1'),
      wrote(10, b, 2, 'b1'),
      wrote(20, a, 3, 'a2'),
      { ...deletion, outcome: { kind: 'deleted' } },
    ],
    lists: [
      {
        client: 'l',
        folder: 'policies',
        invoked: 15,
        returned: 16,
        items: new Map([
          ['a', { revision: 1, value: value('a1') }],
          ['b', { revision: 2, value: value('b1') }],
        ]),
      },
    ],
    events: [
      event(1, 'policyCreated', 'a'),
      event(2, 'policyCreated', 'b'),
      event(4, 'policyChanged', 'a'),
      event(7, 'policyDeleted', 'b'),
    ],
    audit: [entry(a, 1), entry(b, 2), entry(a, 3), entry(b, 4)],
    commits: [
      { revision: 1, key: a, value: value('a1') },
      { revision: 2, key: b, value: value('b1') },
      { revision: 3, key: a, value: value('a2') },
      { revision: 4, key: b, value: undefined },
    ],
    valueIn: (_, record) => record as Value,
    last: new Map([[a, { revision: 3, value: value('a2') }]]),
    keys: [a, b],
  };
}

test('accepts books that agree', () => {
  assert.deepEqual(judge(good()), []);
});

const { operations, lists, events, audit, commits } = good();
const WRONG: [what: string, found: RegExp, change: Partial<Evidence>][] = [
  ['a write that is not in the store', /not in the store/, { commits: commits!.toSpliced(2, 1) }],
  ['a write that nobody has asked for', /nobody has written/, { operations: operations.toSpliced(2, 1) }],
  [
    'a deletion that nobody has asked for',
    /deleted 1 times, and clients know of 0/,
    { operations: operations.toSpliced(3, 1) },
  ],
  [
    'a change that is gone at the end',
    /policies\/a: no order explains/,
    { last: new Map([['policies/a', { revision: 1, value: value('a1') }]]) },
  ],
  ['an audit log without an entry', /no entry of policies\/a 3/, { audit: audit.toSpliced(2, 1) }],
  ['an audit log with an entry twice', /policies\/a 3 twice/, { audit: [...audit, audit[2]!] }],
  [
    'an audit log with an entry of nothing',
    /which was not committed/,
    { audit: [...audit, { ...audit[2]!, revision: 9 }] },
  ],
  ['an event that is missing', /events of policies\/a: 1 seen, 2 committed/, { events: events.toSpliced(2, 1) }],
  ['an event that came twice', /event 4 came after 4/, { events: events.toSpliced(3, 0, events[2]!) }],
  ['events in the wrong order', /event 2 came after 4/, { events: [events[0]!, events[2]!, events[1]!, events[3]!] }],
  [
    'revisions that do not grow with time',
    /no higher revision/,
    { operations: operations.with(1, wrote(10, 'policies/b', 1, 'b1')) },
  ],
  [
    'a list of two moments',
    /of no single moment/,
    {
      lists: [
        ...lists,
        {
          ...lists[0]!,
          invoked: 20,
          returned: 31,
          // The first one was so after the second one was deleted, or before.
          items: new Map([['a', { revision: 1, value: value('a1') }]]),
        },
      ],
      commits: commits!.toSpliced(1, 1, { revision: 0, key: 'policies/b', value: value('b1') }),
    },
  ],
];

for (const [what, found, change] of WRONG) {
  test(`finds ${what}`, () => {
    assert.match(judge({ ...good(), ...change }).join('\n'), found);
  });
}
