/** The rows of many faults as one table. */
import type { FaultRow } from './run.ts';

interface Sum {
  times: number;
  acknowledged: number;
  unknown: number;
  longestGap: number;
  well: number;
}

/** One line for each fault, as Markdown has it. */
export function tableOf(rows: readonly FaultRow[]): string {
  const sums = new Map<string, Sum>();
  for (const { fault, acknowledged, unknown, longestGap, well } of rows) {
    const before = sums.get(fault) ?? { times: 0, acknowledged: 0, unknown: 0, longestGap: 0, well: 0 };
    sums.set(fault, {
      times: before.times + 1,
      acknowledged: before.acknowledged + acknowledged,
      unknown: before.unknown + unknown,
      longestGap: Math.max(before.longestGap, longestGap),
      well: Math.max(before.well, well),
    });
  }
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  return [
    '| fault | times | changes acknowledged | outcome unknown | longest without, s | at most, s after its end |',
    '|---|---|---|---|---|---|',
    ...[...sums].map(
      ([fault, { times, acknowledged, unknown, longestGap, well }]) =>
        `| ${fault} | ${times} | ${acknowledged} | ${unknown} | ${seconds(longestGap)} | ${seconds(well)} |`,
    ),
  ].join('\n');
}
