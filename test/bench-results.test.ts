/** What is made of the results of the bench: two runs compared, and the tables of the page. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pairsOf, unpaired } from '../bench/agree.ts';
import { comparedRow, row } from '../bench/row.ts';
import { stretchesOf } from '../bench/scale/stretches.ts';
import { pageOf } from '../bench/tables.ts';

const AIM = { at: 'least', ratio: 0.9 } as const;
const run = (ratio: number) => [
  row('packets/sent/none', 'kpps', [100]),
  comparedRow('packets/sent/local', 'kpps', [100 * ratio], [100], AIM),
  comparedRow('packets/sent/mirred', 'kpps', [80], [100]),
  row('packets/delivered/local', 'of sent', [1]),
];

test('compares the ratios that have an aim, and tells how many percent they are apart', () => {
  const [only, ...others] = pairsOf(run(0.8), run(0.84), false);
  assert.deepEqual(others, []);
  assert.equal(only!.name, 'packets/sent/local');
  assert.ok(Math.abs(only!.apart - 5) < 1e-9, `${only!.apart}`);
  assert.ok(Math.abs(pairsOf(run(0.84), run(0.8), false)[0]!.apart - 5) < 1e-9, 'in both orders');
});

test('compares ratios without an aim if it is asked to', () => {
  const names = pairsOf(run(0.8), run(0.8), true).map(({ name, apart }) => [name, apart]);
  assert.deepEqual(names, [
    ['packets/sent/local', 0],
    ['packets/sent/mirred', 0],
  ]);
});

test('names a row with an aim that only one run has', () => {
  assert.deepEqual(unpaired(run(0.8), run(0.8).slice(0, 1)), ['packets/sent/local']);
  assert.deepEqual(unpaired(run(0.8), run(0.9)), []);
});

test('puts every row of a run on the page, those that no section names at its end', () => {
  const page = pageOf([...run(0.8), row('new/thing/here', 'ms', [3])], '2 CPUs');
  assert.match(page, /^```\n2 CPUs\n```\n/);
  assert.match(page, /### 64-byte UDP from one sending CPU\n/);
  const line = '| local mirror | 80.00 (80.00 to 80.00) | 100.00 % | 0.800 (0.80 to 0.80) | >= 0.90 | missed |';
  assert.ok(page.includes(line), page);
  assert.ok(page.includes('### More rows\n\n`new/thing`:\n\n'), page);
  assert.ok(page.includes('| here | 3.000 (3.000 to 3.000) |'), page);
});

test('a stretch of a profile ends where the thread is idle or another call begins, and leaves garbage out', () => {
  const frame = (id: number, functionName: string, file: string, children: number[] = []) => {
    const url = file === '' ? '' : `file:///mirrorplane/packages/${file}`;
    return { id, children, callFrame: { functionName, url, lineNumber: 9 } };
  };
  const nodes = [
    frame(1, '(root)', '', [2, 3, 4, 6]),
    frame(2, '(idle)', ''),
    frame(3, '(garbage collector)', ''),
    frame(4, 'tick', 'controller/src/a.ts', [5]),
    frame(5, 'work', 'planner/src/b.ts'),
    frame(6, 'read', 'controller/src/c.ts'),
  ];
  const samples = [4, 5, 3, 5, 2, 5, 6, 6];
  const stretches = stretchesOf({ nodes, samples, timeDeltas: [0, ...samples.map(() => 1000)] });
  assert.deepEqual(
    stretches.map(({ ms, within }) => [ms, [...within]]),
    [
      [
        3,
        [
          ['tick controller/a.ts:10', 3],
          ['work planner/b.ts:10', 2],
        ],
      ],
      [2, [['read controller/c.ts:10', 2]]],
      [
        1,
        [
          ['work planner/b.ts:10', 1],
          ['tick controller/a.ts:10', 1],
        ],
      ],
    ],
  );
});
