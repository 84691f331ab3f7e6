/** What a policy would make of the traffic of the last minute, as text. */
import { printable } from '@mirrorplane/base';
import type { Forecast, NodeForecast } from '@mirrorplane/contract';
import { humanBits, percentOf } from './numbers.ts';

/** Why a share is not known. */
const UNKNOWN_SHARE = {
  speedUnknown: 'the speed of the uplink is not known: set --uplink-rate of its agent',
  uplinkUnknown: 'its agent has not reported its uplink',
  ratesUnknown: 'no rate of a source there is known',
} as const;

/** One line a fact. What is not known is said to be unknown. */
export function forecastText({ seconds, sourceCount, unknownCount, ...rest }: Forecast): string {
  const { unknown, originals, copies, givesWay, nodes } = rest;
  const known = sourceCount - unknownCount;
  const base = `${known} of ${sourceCount} sources`;
  const lines = [
    seconds === null
      ? `the rate of no source is known (0 of ${sourceCount})`
      : `${base} made ${humanBits(originals.bitsPerSecond)} in the last ${seconds} s; copies: ${humanBits(copies.bitsPerSecond)}, ${percentOf(givesWay)} would give way`,
    ...unknown.map(
      (one) => `rate unknown: ${one.interface}, ${one.why === 'absent' ? 'no device now' : 'no report yet'}`,
    ),
    ...(unknownCount > unknown.length ? [`rate unknown: ${unknownCount - unknown.length} more`] : []),
    ...nodes.flatMap((node) => nodeLines(node).map((line) => `node "${node.node}": ${line}`)),
  ];
  return lines.map((line) => `forecast: ${printable(line)}\n`).join('');
}

function nodeLines(node: NodeForecast): string[] {
  const { wireBitsPerSecond, uplink, givesWay, why, cut, dropped } = node;
  const speed = uplink && (uplink.bitsPerSecond === null ? 'speed unknown' : humanBits(uplink.bitsPerSecond));
  const shares =
    uplink && `${percentOf(uplink.shareBefore)} in use now, ${percentOf(uplink.shareAfter)} with the copies`;
  const by = uplink ? ` by ${uplink.device} (${speed}): ${shares}` : '';
  const reason =
    why !== undefined && Object.hasOwn(UNKNOWN_SHARE, why) ? UNKNOWN_SHARE[why as keyof typeof UNKNOWN_SHARE] : why;
  return [
    `${humanBits(wireBitsPerSecond)}${by}; ${percentOf(givesWay)} would give way${reason === undefined ? '' : ` (${reason})`}`,
    ...(cut ? [`at most ${percentOf(cut.atMost)} of frames would be cut to ${cut.above} bytes`] : []),
    ...(dropped
      ? [`at most ${percentOf(dropped.atMost)} of frames would be dropped: they have more than ${dropped.above} bytes`]
      : []),
  ];
}
