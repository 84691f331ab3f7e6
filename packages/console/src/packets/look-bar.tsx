/** How the look is: whether it runs, what it has counted and lost, and what it does not see. */
import { Alert, Button } from '@mantine/core';
import type { ReactNode } from 'react';
import type { Look } from '../api/types.ts';
import { useNow } from '../data/clock.ts';
import { Data, Mark, Said } from '../parts/marks.tsx';
import { number } from '../text/format.ts';
import { text } from '../text/index.ts';
import classes from './packets.module.css';
import { endLook, type LookShown } from './use-look.ts';

const t = text.packets;

/** @param endsAt when it ends if nothing else happens, milliseconds since 1970 */
export function LookState({ look, phase, endsAt }: LookShown & { look: Look; endsAt: number }): ReactNode {
  const now = useNow();
  const isRunning = look.state === 'running';
  return (
    <div className="bar">
      <span role="status">
        {isRunning ? (
          <Mark tone="good" sign="●">
            {t.running(number(Math.max(0, Math.round((endsAt - now) / 1000))))}
          </Mark>
        ) : (
          <Mark tone="calm" sign="■">
            {t.ended[look.endedBy ?? 'asked']} {t.readable}
          </Mark>
        )}{' '}
        {phase === 'waiting' && (
          <Mark tone="bad" sign="✕">
            {t.unreachable}
          </Mark>
        )}
      </span>
      {isRunning && (
        <Button variant="default" onClick={() => void endLook(look.id)}>
          {t.end}
        </Button>
      )}
    </div>
  );
}

/** All that was counted, and where packets were lost. Losses are marked. */
export function LookCounts({ look, packets }: LookShown & { look: Look }): ReactNode {
  const { seen, written, received, overRate, ringFull, lostOnTheWay } = look.totals;
  const counts: [label: string, count: number, isLoss?: true][] = [
    [t.seen, seen],
    [t.written, written],
    [t.received, received],
    [t.overRate, overRate, true],
    [t.ringFull, ringFull, true],
    [t.lostOnTheWay, lostOnTheWay, true],
    [t.skipped, packets.skipped, true],
    [t.fallenOut, packets.fallenOut],
  ];
  return (
    <ul className={classes.counts} aria-label={t.counts}>
      {counts.map(([label, count, isLoss = false]) => (
        <li key={label} data-lost={(isLoss && count > 0) || undefined}>
          {label} <strong translate="no">{number(count)}</strong>
        </li>
      ))}
    </ul>
  );
}

/** Nodes and devices where the look sees nothing, or hears no drops, with the reason. */
export function LookGaps({ look }: { look: Look }): ReactNode {
  const states = { refused: t.nodeRefused, away: t.nodeAway, asked: t.nodeAsked, running: '' };
  const gaps = look.nodes.flatMap(({ node, state, message, unseen, unheard }) => [
    // After its end nobody looks any more.
    ...(state === 'running' || look.state === 'ended' ? [] : [{ where: node, what: states[state], message }]),
    ...unseen.map(({ device, message: why }) => ({ where: `${node} ${device}`, what: '', message: why })),
    ...(unheard === undefined ? [] : [{ where: node, what: t.unheard, message: unheard }]),
  ]);
  return (
    gaps.length > 0 && (
      <Alert color="yellow" title={t.unseen} role="status">
        <ul>
          {gaps.map(({ where, what, message = '' }) => (
            <li key={`${where} ${message}`}>
              <Data>{where}</Data>: {what} <Said>{message}</Said>
            </li>
          ))}
        </ul>
      </Alert>
    )
  );
}

/** What is said while packets are not decoded, or were not. */
export function DecoderNote({ decoder }: Pick<LookShown, 'decoder'>): ReactNode {
  if (decoder === undefined || decoder.state === 'ok') {
    return null;
  }
  const isAbsent = decoder.state === 'absent';
  return (
    <Alert color="yellow" title={isAbsent ? t.decoderAbsent : t.decoderRestarted} role="status">
      <Said>{decoder.message}</Said> {isAbsent && t.decoderAbsentHow}
    </Alert>
  );
}
