/** In which order an agent reports. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AgentMessage } from '@mirrorplane/contract';
import type { NodeDevice } from '../src/discovery/devices.ts';
import { Reporter, type ReporterParts } from '../src/reporter.ts';

function start() {
  const sent: AgentMessage[] = [];
  const report = { epoch: 'e', captures: [], deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
  const datapath = { hookKind: () => 'tcx', counters: async () => report, countersSaved: () => {} };
  const parts = { node: 'node-1', version: '1', datapath, has: () => ({}), log: {} } as unknown as ReporterParts;
  const reporter = new Reporter(parts);
  reporter.connect({ connected: true, congested: false, send: (message) => sent.push(message) });
  const types = () => sent.splice(0).map(({ type }) => type);
  return { reporter, types };
}

const device = (ifindex: number) => ({ ifindex, name: `tap${ifindex}` }) as NodeDevice;

test('a device that has come is told before its counts, also while the pass that found it goes on', async () => {
  const { reporter, types } = start();
  const underlay = { ifindex: 2, underlay: undefined } as never;
  reporter.found([device(1)], underlay);
  reporter.came({ revision: 1, captures: [], problems: [] });
  reporter.greeting();
  await reporter.sendCounters();
  assert.deepEqual(types(), ['counters'], 'the greeting has told the device');
  reporter.found([device(1), device(2)], underlay);
  await reporter.sendCounters();
  assert.deepEqual(types(), ['inventory', 'counters']);
  await reporter.sendCounters();
  assert.deepEqual(types(), ['inventory', 'counters'].slice(1));
});
