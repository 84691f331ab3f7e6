/** Preflight checks: what a host must have before an agent can run there, as one list. */

import { reason } from '../log.ts';

/** Every check, in the order in which they are shown. The names stay. */
export const CHECK_IDS = [
  'runtime',
  'root',
  'capabilities',
  'libbpf',
  'bpf',
  'lockdown',
  'memlock',
  'jit',
  'kernel-features',
  'btf',
  'hook',
  'helper-device',
  'hold-queue',
  'bpffs',
  'data-path',
  'mirror-device',
  'data-folder',
  'certificate',
  'clock',
  'controller',
] as const;
export type CheckId = (typeof CHECK_IDS)[number];

/**
 * `ok`: as it has to be. `warning`: the agent runs, and something does not work. `failed`: the agent cannot run.
 * `skipped`: it cannot be tried before another check is mended.
 */
export type CheckState = 'ok' | 'warning' | 'failed' | 'skipped';

/** The result of one check. */
export interface Check {
  id: CheckId;
  state: CheckState;
  /** What was found. */
  found: string;
  /** What to do about it. There where the state is `warning` or `failed`. */
  remedy?: string;
  /** More that was found, line by line: what a verifier said. */
  lines?: readonly string[];
}

export const ok = (id: CheckId, found: string): Check => ({ id, state: 'ok', found });
export const warning = (id: CheckId, found: string, remedy: string): Check => ({ id, state: 'warning', found, remedy });
export const failed = (id: CheckId, found: string, remedy: string): Check => ({ id, state: 'failed', found, remedy });

/** @param why as in "not tried: WHY" */
export const skipped = (id: CheckId, why: string): Check => ({ id, state: 'skipped', found: `not tried: ${why}` });

/** Why a check is skipped that needs others. */
export const SEE_ABOVE = 'see the failed check above';

/** Judges what a trial has found; where an earlier failure has left the trial out, the check is skipped. */
export function judged<T>(id: CheckId, facts: T | undefined, judge: (facts: T) => Check): Check {
  return facts === undefined ? skipped(id, SEE_ABOVE) : judge(facts);
}

/** Runs a check. An error that it throws is a failure of it. */
export async function guarded(id: CheckId, check: () => Check | Promise<Check>): Promise<Check> {
  try {
    return await check();
  } catch (error) {
    return failed(id, `it cannot be checked: ${reason(error)}`, 'correct the cause that the message names');
  }
}

/** True where an agent can run. */
export function isFit(checks: readonly Check[]): boolean {
  return checks.every(({ state }) => state !== 'failed');
}

/** A host cannot run an agent. The message has every check that failed, with what to do. */
export class HostUnfit extends Error {
  constructor(checks: readonly Check[]) {
    const failures = checks.filter(({ state }) => state === 'failed');
    const parts = failures.flatMap(({ id, found, lines = [], remedy }) => [
      `  ${id}: ${found}`,
      ...lines.map((line) => `      ${line}`),
      `    -> ${remedy}`,
    ]);
    super(['this host cannot run the agent; nothing was changed, and no join token was used', ...parts].join('\n'));
    this.name = 'HostUnfit';
  }
}
