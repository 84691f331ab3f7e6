/** Preflight checks: the results of checking whether a host can run an agent. */

import { reason } from '../log.ts';

/** All checks, in display order. The names are stable. */
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
  'encryption',
  'data-folder',
  'certificate',
  'clock',
  'controller',
] as const;
export type CheckId = (typeof CHECK_IDS)[number];

/**
 * `ok`: no problem. `warning`: the agent can run, but something does not work. `failed`: the agent
 * cannot run. `skipped`: the check needs another check that has failed.
 */
export type CheckState = 'ok' | 'warning' | 'failed' | 'skipped';

/** The result of one check. */
export interface Check {
  id: CheckId;
  state: CheckState;
  /** The finding. */
  found: string;
  /** The remedy. Present for `warning` and `failed`. */
  remedy?: string;
  /** Further lines, for example the log of the verifier. */
  lines?: readonly string[];
}

export const ok = (id: CheckId, found: string): Check => ({ id, state: 'ok', found });
export const warning = (id: CheckId, found: string, remedy: string): Check => ({ id, state: 'warning', found, remedy });
export const failed = (id: CheckId, found: string, remedy: string): Check => ({ id, state: 'failed', found, remedy });

/** @param why completes "not tried: WHY" */
export const skipped = (id: CheckId, why: string): Check => ({ id, state: 'skipped', found: `not tried: ${why}` });

/** Reason of a skipped check that needs others. */
export const SEE_ABOVE = 'see the failed check above';

/**
 * The check for the facts of a trial. Without facts, an earlier failure has prevented the trial,
 * and the check is skipped.
 */
export function judged<T>(id: CheckId, facts: T | undefined, judge: (facts: T) => Check): Check {
  return facts === undefined ? skipped(id, SEE_ABOVE) : judge(facts);
}

/** Runs a check. A thrown error makes the check `failed`. */
export async function guarded(id: CheckId, check: () => Check | Promise<Check>): Promise<Check> {
  try {
    return await check();
  } catch (error) {
    return failed(id, `it cannot be checked: ${reason(error)}`, 'correct the cause that the message names');
  }
}

/** True if an agent can run. */
export function isFit(checks: readonly Check[]): boolean {
  return checks.every(({ state }) => state !== 'failed');
}

/** A host cannot run an agent. The message has all failed checks with their remedies. */
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
