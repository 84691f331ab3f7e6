/** Metrics as Prometheus expects them, and as their page describes them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { printable, until } from '@mirrorplane/base';
import { LoopDelay } from '@mirrorplane/daemon';
import fc from 'fast-check';
import { Counter, Gauge, Registry, type RegistryContentType } from 'prom-client';
import { METRICS, type MetricEntry } from '../src/metrics/catalogue.ts';
import { formatOf, Series } from '../src/metrics/exposition.ts';
import { metricsReference } from '../src/metrics/reference.ts';
import { Bench, vmDevice } from './harness.ts';

const FILE = new URL('../../../docs/reference/metrics.md', import.meta.url);
const ENTRIES = Object.values<MetricEntry>(METRICS);
const count = (packets: number) => ({ packets, bytes: 1000 * packets });

/** A policy from node-1 to node-2, with counters of both; node-2 has a problem. */
async function scraped(t: Parameters<typeof Bench.start>[0]): Promise<string> {
  return (await scrapable(t)).text;
}

/** The same with the controller. */
async function scrapable(t: Parameters<typeof Bench.start>[0]): Promise<{ bench: Bench; text: string }> {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2');
  const [one, two] = [
    await bench.connect(await bench.credentials('node-1')),
    await bench.connect(await bench.credentials('node-2')),
  ];
  one.hello('node-1', { hook: 'tcx' });
  two.hello('node-2');
  one.inventory(vmDevice('web-1/0', 7));
  two.inventory(vmDevice('ids-1/0', 8));
  await until('both are listed', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  const body = { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0', maxRate: 8 };
  const { uid } = await bench.must('POST', '/api/v1/policies', body);
  const delivery = await until('the sender knows', () => one.program?.deliveries.find(({ kind }) => kind === 'erspan'));
  const termination = await until('the receiver knows', () => two.program?.terminations[0]);
  const counts = {
    matched: count(10),
    sampledOut: count(2),
    copied: count(5),
    truncated: count(1),
    dropped: { overBudget: count(2), noNeighbour: count(1) },
    skipped: { isCopy: count(4) },
  };
  const base = { epoch: 'a', peers: [], unknownErspan: 3 };
  const captures = [{ policy: uid, source: 'web-1/0', direction: 'inbound' as const, counts }];
  const sent = { packets: 5, bytes: 5250 };
  const ofSender = { ...base, captures, deliveries: [{ delivery: delivery.id, policy: uid, sent }], terminations: [] };
  const came = { received: count(5), delivered: count(4), relayed: count(1), dropped: {} };
  two.send({
    type: 'counters',
    report: {
      ...base,
      captures: [],
      deliveries: [],
      terminations: [{ termination: termination.id, policy: uid, node: 'node-1', ...came }],
    },
  });
  const problems = [{ code: 'DEVICE_DOWN', message: 'eth1 is down' }];
  two.send({ type: 'status', appliedRevision: two.program!.revision, captures: [], problems });
  const budgets = [
    { device: 'eth1', bytesPerSecond: 12_500_000 },
    { device: 'eth2', bytesPerSecond: 0 },
  ];
  const text = await until('the metrics have it all', async () => {
    // As every second: arrivals are shown as of the last reading of the sender.
    one.send({ type: 'counters', report: ofSender, budgets });
    const { text } = await bench.get('/metrics');
    const wanted = [
      'mirrorplane_path_delivered_packets_total{',
      'mirrorplane_node_problems{',
      'mirrorplane_policy_packets_total{',
      // The event loop is sampled every 100 ms: a young process has no sample yet.
      'nodejs_eventloop_lag_max_seconds ',
    ];
    // Each is the beginning of a line: the help of a metric has its name too.
    return wanted.every((one) => text.includes(`\n${one}`)) && text;
  });
  return { bench, text };
}

/** Values by series, without the name of the metric. */
function series(text: string, name: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return Object.fromEntries(
    lines.map((line) => {
      const [key = '', value] = line.slice(name.length).split(/ (?=\S+$)/);
      return [key, Number(value)];
    }),
  );
}

test('the committed metrics.md is what the catalogue gives', () => {
  const remedy = 'scripts/run.sh packages/controller/src/metrics/reference.ts --write docs/reference/metrics.md';
  assert.equal(readFileSync(FILE, 'utf8'), metricsReference(), `write it again: ${remedy}`);
});

test('names and labels are in snake case, counters end in _total, and nothing else does', () => {
  assert.equal(new Set(ENTRIES.map(({ name }) => name)).size, ENTRIES.length);
  for (const { kind, name, labels } of ENTRIES) {
    for (const word of [name, ...labels]) {
      assert.match(word, /^[a-z]+(_[a-z][a-z0-9]*)*$/);
    }
    assert.equal(name.endsWith('_total'), kind === 'counter', name);
  }
});

test('sums over a metric count each packet once, and bytes along a path are comparable', async (t) => {
  const text = await scraped(t);
  const sum = (name: string) => Object.values(series(text, name)).reduce((total, value) => total + value, 0);
  assert.equal(sum('mirrorplane_policy_packets_total'), 10);
  assert.equal(sum('mirrorplane_policy_bytes_total'), 10_000);
  const capture = 'policy="p",source="web-1/0",direction="inbound"';
  assert.deepEqual(series(text, 'mirrorplane_policy_packets_total'), {
    [`{${capture},outcome="sampled_out",reason=""}`]: 2,
    [`{${capture},outcome="copied",reason=""}`]: 5,
    [`{${capture},outcome="dropped",reason="overBudget"}`]: 2,
    [`{${capture},outcome="dropped",reason="noNeighbour"}`]: 1,
  });
  const path = '{policy="p",from="node-1",to="node-2"}';
  for (const [name, value] of [
    ['sent_bytes_total', 5000],
    ['sent_outer_bytes_total', 5250],
    ['received_bytes_total', 5000],
    ['delivered_bytes_total', 4000],
    ['relayed_bytes_total', 1000],
    ['sent_packets_total', 5],
  ] as const) {
    assert.deepEqual(series(text, `mirrorplane_path_${name}`), { [path]: value }, name);
  }
});

test('with more sources than asked for, a policy is one series, and sums stay what they are', async (t) => {
  const { bench, text } = await scrapable(t);
  const name = 'mirrorplane_policy_packets_total';
  assert.equal(series(text, 'mirrorplane_policy_sources')[''], 1);
  assert.equal(series(text, 'mirrorplane_policy_sources_summed')[''], 0);
  const { text: summed } = await bench.get('/metrics?sources=0');
  assert.equal(series(summed, 'mirrorplane_policy_sources_summed')[''], 1);
  const labels = 'policy="p",source="",direction=""';
  assert.deepEqual(series(summed, name), {
    [`{${labels},outcome="sampled_out",reason=""}`]: 2,
    [`{${labels},outcome="copied",reason=""}`]: 5,
    [`{${labels},outcome="dropped",reason="overBudget"}`]: 2,
    [`{${labels},outcome="dropped",reason="noNeighbour"}`]: 1,
  });
  assert.deepEqual(series(summed, 'mirrorplane_policy_skipped_packets_total'), { [`{${labels},reason="isCopy"}`]: 4 });
  const rest = (all: string) =>
    all.split('\n').filter((line) => /^mirrorplane_(policy_state|path|node_info)/.test(line));
  assert.deepEqual(rest(summed), rest(text));
  assert.equal(execFileSync('promtool', ['check', 'metrics'], { input: summed, encoding: 'utf8' }), '');
});

test('a scraper can ask for some policies alone, and no more than 10,000 sources have series', async (t) => {
  const { bench } = await scrapable(t);
  const { text } = await bench.get('/metrics?policy=other&policy=none,more');
  assert.equal(series(text, 'mirrorplane_policy_sources')[''], 0);
  assert.doesNotMatch(text, /policy="p"/);
  assert.match(text, /mirrorplane_node_info\{node="node-1"/);
  const { text: wanted } = await bench.get('/metrics?policy=other,p');
  assert.match(wanted, /_policy_packets_total\{policy="p",source="web-1\/0"/);
  assert.equal((await bench.get('/metrics?sources=10001')).status, 400);
});

test('OpenMetrics has the same values under the names that it wants', async (t) => {
  const { bench, text } = await scrapable(t);
  const headers = { accept: 'application/openmetrics-text; version=1.0.0' };
  const open = await bench.request('GET', '/metrics', undefined, { headers });
  assert.equal(open.headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8');
  assert.match(open.text, /^# TYPE mirrorplane_policy_packets counter$/m);
  assert.ok(open.text.endsWith('\n# EOF\n'));
  const name = 'mirrorplane_path_sent_packets_total';
  assert.deepEqual(series(open.text, name), series(text, name));
});

const label = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('a"b', 'a\\', 'a\nb', '\\n', '', '\u001b[31m'));

test('whatever labels are, the text can be read back, and all series of a metric are together', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(label, label, fc.integer()), { maxLength: 20 }), (list) => {
      const all = new Series();
      const expected = new Map<string, number>();
      for (const [node, code, value] of list) {
        all.add('nodeProblems', value, { node, code });
        all.add('nodeConnected', 1, { node });
        const key = JSON.stringify([printable(node), printable(code)]);
        expected.set(key, (expected.get(key) ?? 0) + value);
      }
      const text = [...all.text(formatOf(''))].join('');
      const found = new Map<string, number>();
      const seen: string[] = [];
      for (const line of text.split('\n').filter((one) => one !== '' && !one.startsWith('#'))) {
        const [, name, labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)!;
        if (seen.at(-1) !== name) {
          assert.ok(!seen.includes(name!), name);
          seen.push(name!);
        }
        if (name === 'mirrorplane_node_problems') {
          const values = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, , one]) => unescaped(one!));
          found.set(JSON.stringify(values), Number(value));
        }
      }
      assert.deepEqual(found, expected);
    }),
  );
});

test('the text is that of prom-client, in both formats', async () => {
  const values = fc.array(
    fc.tuple(label, label, fc.oneof(fc.integer(), fc.double({ min: -1e9, max: 1e9, noNaN: true }))),
    { minLength: 1, maxLength: 8 },
  );
  await fc.assert(
    fc.asyncProperty(values, fc.boolean(), async (list, isOpen) => {
      const type = isOpen ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE;
      const registry: Registry<RegistryContentType> = new Registry();
      registry.setContentType(type);
      const all = new Series();
      const { name, help, labels } = METRICS.nodeProblems;
      const other = METRICS.events;
      const gauge = new Gauge({ name, help, labelNames: [...labels], registers: [registry] });
      const counter = new Counter({ ...other, labelNames: [...other.labels], registers: [registry] });
      for (const [node, code, value] of list) {
        const series = { node: printable(node), code: printable(code) };
        gauge.inc(series, value);
        all.add('nodeProblems', value, { node, code });
        counter.inc({ kind: printable(code) }, Math.abs(value));
        all.add('events', Math.abs(value), { kind: code });
      }
      const wanted = /mirrorplane_(node_problems|events)/;
      const lines = (text: string) =>
        text
          .split('\n')
          .filter((line) => wanted.test(line))
          .sort();
      const format = formatOf(type);
      assert.equal(format.contentType, type);
      assert.deepEqual(lines([...all.text(format)].join('')), lines(await registry.metrics()));
    }),
  );
});

/** As readers of the format take a label. */
function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_, letter) => (letter === 'n' ? '\n' : letter));
}

test('a turn that keeps others waiting is told', async () => {
  const delay = new LoopDelay();
  try {
    await until('the first samples', () => delay.seconds !== undefined);
    for (const began = performance.now(); performance.now() - began < 500; ) {
      // Nothing else has its turn.
    }
    const { p50, max } = await until('the long turn is told', () => {
      const { seconds } = delay;
      return seconds && seconds.max >= 0.39 && seconds;
    });
    assert.ok(p50 < max, `${p50} ${max}`);
  } finally {
    delay.close();
  }
});

test('metrics of nodes, policies, events and the process are there', async (t) => {
  const text = await scraped(t);
  assert.equal(series(text, 'mirrorplane_policy_max_rate_bytes_per_second')['{policy="p"}'], 1_000_000);
  assert.deepEqual(series(text, 'mirrorplane_node_device_budget_bytes_per_second'), {
    '{node="node-1",device="eth1"}': 12_500_000,
  });
  assert.equal(series(text, 'mirrorplane_node_problems')['{node="node-2",code="DEVICE_DOWN"}'], 1);
  assert.ok(Object.keys(series(text, 'mirrorplane_policy_reasons')).some((key) => key.includes('DEVICE_DOWN')));
  const info = '{node="node-1",pool="east",agent_version="0.1.0",kernel="6.12.0",hook="tcx"}';
  assert.equal(series(text, 'mirrorplane_node_info')[info], 1);
  assert.equal(series(text, 'mirrorplane_events_total')['{kind="policyCreated"}'], 1);
  assert.equal(series(text, 'mirrorplane_interface_moves_total')[''], 0);
  assert.equal(Object.values(series(text, 'mirrorplane_build_info'))[0], 1);
  const memory = series(text, 'process_resident_memory_bytes')['']!;
  assert.ok(series(text, 'nodejs_eventloop_lag_max_seconds')['']! >= 0);
  assert.ok(memory > 10_000_000 && memory < 10_000_000_000, `${memory}`);
  const age = Date.now() / 1000 - series(text, 'process_start_time_seconds')['']!;
  assert.ok(age > 0 && age < 600, `${age}`);
});

test('promtool has nothing to say against them', async (t) => {
  const input = await scraped(t);
  assert.equal(execFileSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' }), '');
});
