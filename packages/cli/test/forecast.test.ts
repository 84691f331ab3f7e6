/** What a dry run prints of a forecast. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Forecast, NodeForecast } from '@mirrorplane/contract';
import { forecastText } from '../src/output/forecast.ts';

const rate = (bitsPerSecond: number) => ({ packetsPerSecond: 1, bitsPerSecond });
const NODE: NodeForecast = {
  node: 'node-2',
  sources: 40,
  unknown: 0,
  way: 'erspan',
  copies: rate(310e6),
  wireBitsPerSecond: 330e6,
  uplink: { device: 'eth1', bitsPerSecond: 1e9, shareBefore: 0.6, shareAfter: 0.9 },
  givesWay: 0.12,
  why: 'uplink',
  cut: { above: 1464, atMost: 0.003 },
};
const FORECAST: Forecast = {
  seconds: 60,
  sourceCount: 40,
  unknownCount: 0,
  unknown: [],
  originals: rate(310e6),
  copies: rate(310e6),
  givesWay: 0.12,
  nodes: [NODE],
};

test('says what the sources made, what gives way, and how full uplinks would be', () => {
  assert.deepEqual(forecastText(FORECAST).split('\n'), [
    'forecast: 40 of 40 sources made 310 Mbit/s in the last 60 s; copies: 310 Mbit/s, 12 % would give way',
    'forecast: node "node-2": 330 Mbit/s by eth1 (1.00 Gbit/s): 60 % in use now, 90 % with the copies; 12 % would give way (uplink)',
    'forecast: node "node-2": at most 0.3 % of frames would be cut to 1464 bytes',
    '',
  ]);
});

test('says what is not known, and what to do about it', () => {
  const uplink = { device: 'eth1', bitsPerSecond: null, shareBefore: null, shareAfter: null };
  const node: NodeForecast = {
    ...NODE,
    uplink,
    givesWay: null,
    why: 'speedUnknown',
    dropped: { above: 1414, atMost: null },
  };
  const { cut: _, ...uncut } = node;
  const text = forecastText({
    ...FORECAST,
    unknownCount: 10,
    unknown: [
      { interface: 'web-1/0', why: 'absent' },
      { interface: 'web-2/0', why: 'noReport' },
    ],
    givesWay: null,
    nodes: [uncut],
  });
  for (const line of [
    /^forecast: 30 of 40 sources made .*, unknown would give way$/m,
    /^forecast: rate unknown: web-1\/0, no device now$/m,
    /^forecast: rate unknown: 8 more$/m,
    /by eth1 \(speed unknown\): unknown in use now, unknown with the copies; unknown would give way \(the speed of the uplink is not known: set --uplink-rate of its agent\)$/m,
    /at most unknown of frames would be dropped: they have more than 1414 bytes$/m,
  ]) {
    assert.match(text, line);
  }
  assert.match(
    forecastText({ ...FORECAST, seconds: null, unknownCount: 40, nodes: [] }),
    /^forecast: the rate of no source is known \(0 of 40\)$/m,
  );
});
