/** Tables, numbers and text that may come from others. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import type { CaptureCounts, PolicyStatus } from '@mirrorplane/contract';
import { ago, bytesOf, humanBytes, packets } from '../src/output/numbers.ts';
import { statusTable, statusText } from '../src/output/status.ts';
import { renderFields, renderTable } from '../src/output/table.ts';

describe('a table', () => {
  it('aligns words on the left and numbers on the right, without trailing spaces', () => {
    const columns = [{ title: 'NAME' }, { title: 'COUNT', align: 'right' as const }, { title: 'NOTE' }];
    const text = renderTable(columns, [
      ['a', 5, 'x'],
      ['longer-name', 123456, ''],
    ]);
    assert.equal(text, ['NAME          COUNT  NOTE', 'a                 5  x', 'longer-name  123456', ''].join('\n'));
  });

  it('is its header alone where there is nothing', () => {
    assert.equal(renderTable([{ title: 'NAME' }, { title: 'KIND' }], []), 'NAME  KIND\n');
  });

  it('stays aligned when coloured, and colours only when asked', () => {
    const columns = [{ title: 'STATE' }, { title: 'N' }];
    const rows = [
      [{ text: 'active', style: 'green' as const }, 1],
      ['-', 2],
    ];
    const coloured = renderTable(columns, rows, { color: true });
    assert.ok(coloured.includes('\x1b[32mactive\x1b[39m'));
    assert.equal(stripVTControlCharacters(coloured), renderTable(columns, rows));
  });

  it('gives wide characters two columns', () => {
    assert.equal(
      renderTable(
        [{ title: 'N' }, { title: 'X' }],
        [
          ['日本', 1],
          ['a', 2],
        ],
      ),
      'N     X\n日本  1\na     2\n',
    );
  });

  it('lets no control character of a name reach the terminal', () => {
    const text = renderTable([{ title: 'NAME' }], [['evil\x1b]0;title\x07\x1b[2Jname\nnext\u202e']]);
    for (const character of ['\x1b', '\x07', '\u202e']) {
      assert.ok(!text.includes(character));
    }
    assert.equal(text.split('\n').length, 3);
  });

  it('writes fields under each other', () => {
    assert.equal(
      renderFields([
        ['id', 'web-1/0'],
        ['allowed vlans', '-'],
        ['name', ''],
      ]),
      'id:            web-1/0\nallowed vlans: -\nname:\n',
    );
  });
});

describe('a number', () => {
  it('of bytes has three figures and a decimal unit', () => {
    const pairs: [number, string][] = [
      [0, '0 B'],
      [98, '98 B'],
      [999, '999 B'],
      [1000, '1.00 kB'],
      [9994, '9.99 kB'],
      [9999, '10.0 kB'],
      [99_960, '100 kB'],
      [999_499, '999 kB'],
      [999_500, '1.00 MB'],
      [1_234_567_890, '1.23 GB'],
    ];
    for (const [bytes, text] of pairs) {
      assert.equal(humanBytes(bytes), text);
    }
  });

  it('that is not known is unknown, and not 0', () => {
    assert.equal(packets(null), 'unknown');
    assert.equal(packets(undefined), 'unknown');
    assert.equal(bytesOf(null), 'unknown');
    assert.equal(packets({ packets: 0, bytes: 0 }), '0');
  });

  it('of seconds since a report is written for people', () => {
    const now = Date.parse('2026-01-01T00:00:00Z');
    assert.equal(ago('2025-12-31T23:59:57Z', now), '3 s ago');
    assert.equal(ago('2025-12-31T23:50:00Z', now), '10 min ago');
    assert.equal(ago('2025-12-31T20:00:00Z', now), '4 h ago');
    assert.equal(ago('2025-12-29T00:00:00Z', now), '3 d ago');
    assert.equal(ago(null, now), 'never');
  });
});

const counts: CaptureCounts = {
  matched: { packets: 100, bytes: 64_000 },
  sampledOut: { packets: 50, bytes: 32_000 },
  copied: { packets: 47, bytes: 30_000 },
  truncated: { packets: 1, bytes: 1500 },
  dropped: { noNeighbour: { packets: 3, bytes: 2000 } },
  skipped: {},
};

const status: PolicyStatus = {
  name: 'ids-all',
  uid: 'u1',
  type: 'virtual',
  state: 'degraded',
  reasons: [{ code: 'SOURCE_ABSENT', message: 'web-2/0 has no device now; start the VM', interface: 'web-2/0' }],
  destination: {
    interface: 'ids-1/0',
    devices: [{ node: 'node-2', name: 'tap7', ifindex: 7, mac: '02:00:00:00:00:07', mtu: 1500, up: true }],
  },
  totals: counts,
  delivered: { packets: 40, bytes: 25_000 },
  lost: null,
  sources: [
    { interface: 'web-1/0', state: 'capturing', devices: [], inbound: counts },
    { interface: 'web-2/0', state: 'waiting', devices: [] },
  ],
  paths: [
    {
      from: 'node-1',
      to: 'node-2',
      sent: { packets: 47, bytes: 34_350 },
      sentInner: { packets: 47, bytes: 32_000 },
      received: { packets: 45, bytes: 32_000 },
      delivered: { packets: 40, bytes: 25_000 },
      lost: 7,
    },
    { from: 'node-3', to: 'node-2', sent: null, sentInner: null, received: null, delivered: null, lost: null },
  ],
  countersAt: new Date().toISOString(),
  stale: false,
};

describe('the status of a policy', () => {
  const text = statusText(status, false);

  it('says why it is not active', () => {
    assert.match(
      text,
      /^policy ids-all \(virtual\): degraded\n {2}SOURCE_ABSENT \(web-2\/0\): web-2\/0 has no device now/,
    );
  });

  it('shows totals that add up, drops by reason, and what was delivered', () => {
    for (const line of [
      /^matched +100 +64\.0 kB$/m,
      /^sampled out +50 /m,
      /^copied +47 /m,
      /^dropped +3 +2\.00 kB$/m,
    ]) {
      assert.match(text, line);
    }
    assert.match(text, /^ {2}noNeighbour +3 /m);
    assert.match(text, /^delivered +40 +25\.0 kB$/m);
  });

  it('has a row for each source and direction, and unknown where nothing was reported', () => {
    assert.match(text, /^web-1\/0 +capturing +no device now +inbound +100 .* noNeighbour 3 \(2\.00 kB\)$/m);
    assert.match(text, /^web-2\/0 +waiting +no device now +- +unknown( +unknown)+ +-$/m);
  });

  it('has a row for each path, with what was lost, or unknown', () => {
    assert.match(text, /^node-1 +node-2 +47 +32\.0 kB +45 .* 7 +34\.4 kB$/m);
    assert.match(text, /^node-3 +node-2( +unknown){8}$/m);
  });

  it('shows no sums while no node has reported', () => {
    const zero = { packets: 0, bytes: 0 };
    const totals = { matched: zero, sampledOut: zero, copied: zero, truncated: zero, dropped: {}, skipped: {} };
    const silent: PolicyStatus = { ...status, totals, delivered: null, countersAt: null };
    assert.match(statusText(silent, false), /^matched +unknown +unknown$/m);
    assert.match(statusTable([silent], false), /^ids-all +virtual +degraded( +unknown){6} +SOURCE_ABSENT$/m);
  });

  it('of a policy without paths has lost nothing', () => {
    assert.match(statusTable([{ ...status, paths: [], lost: 0 }], false), / 100 +50 +47 +3 +40 +0 +SOURCE_ABSENT$/m);
  });
});
