/** Signs of state: a shape and a word, so that no meaning hangs on colour alone. */
import type { ReactNode } from 'react';
import type { NodeState, PolicyState, ProbeOutcome } from '../api/types.ts';
import { text } from '../text/index.ts';
import classes from './marks.module.css';

export type Tone = 'good' | 'warn' | 'bad' | 'calm' | 'quiet';

/** A sign with its word. */
export function Mark({ tone, sign, children }: { tone: Tone; sign: string; children: ReactNode }): ReactNode {
  return (
    <span className={classes.mark} data-tone={tone}>
      <span aria-hidden="true" className={classes.sign}>
        {sign}
      </span>
      <span className={classes.word}>{children}</span>
    </span>
  );
}

const STATES: Record<PolicyState, [Tone, string]> = {
  active: ['good', '●'],
  degraded: ['warn', '▲'],
  waiting: ['calm', '◔'],
  ending: ['calm', '◕'],
  disabled: ['quiet', '○'],
  pendingApproval: ['warn', '◔'],
  failed: ['bad', '✕'],
};

export function StateMark({ state }: { state: PolicyState }): ReactNode {
  const [tone, sign] = STATES[state];
  return (
    <Mark tone={tone} sign={sign}>
      {text.states[state]}
    </Mark>
  );
}

export type HealthState = keyof typeof text.healths;
const HEALTHS: Record<HealthState, [Tone, string]> = {
  ok: ['good', '✓'],
  losing: ['bad', '▼'],
  throttled: ['warn', '▽'],
  unknown: ['quiet', '?'],
  idle: ['quiet', '–'],
};

export function HealthMark({ health }: { health: HealthState }): ReactNode {
  const [tone, sign] = HEALTHS[health];
  return (
    <Mark tone={tone} sign={sign}>
      {text.healths[health]}
    </Mark>
  );
}

const NODES: Record<NodeState, [Tone, string]> = {
  ready: ['good', '●'],
  pending: ['calm', '◔'],
  disconnected: ['bad', '✕'],
};

export function NodeMark({ state }: { state: NodeState }): ReactNode {
  const [tone, sign] = NODES[state];
  return (
    <Mark tone={tone} sign={sign}>
      {text.nodes.states[state]}
    </Mark>
  );
}

const OUTCOMES: Record<ProbeOutcome, [Tone, string]> = {
  delivered: ['good', '✓'],
  cut: ['warn', '▲'],
  died: ['bad', '✕'],
  unknown: ['quiet', '?'],
};

/** What became of the probes of a test. */
export function OutcomeMark({ outcome }: { outcome: ProbeOutcome }): ReactNode {
  const [tone, sign] = OUTCOMES[outcome];
  return (
    <Mark tone={tone} sign={sign}>
      {text.policyTest.outcomes[outcome]}
    </Mark>
  );
}

/** A value that is not known. */
export function Unknown(): ReactNode {
  return (
    <span className={classes.unknown}>
      <span aria-hidden="true">?</span>
      <span className="hidden-text">{text.common.unknown}</span>
    </span>
  );
}

/** A number where it is known. */
export function Known({ value, as }: { value: number | null | undefined; as(value: number): string }): ReactNode {
  return typeof value === 'number' ? (
    <span className="number" translate="no">
      {as(value)}
    </span>
  ) : (
    <Unknown />
  );
}

/** A name, id or other word that is not ours: it is shown as it is in every language. */
export function Data({ children }: { children: ReactNode }): ReactNode {
  return <span translate="no">{children}</span>;
}

/** A sentence of the controller or of an agent, in its own language. */
export function Said({ children }: { children: ReactNode }): ReactNode {
  return (
    <span lang="en" translate="no">
      {children}
    </span>
  );
}
