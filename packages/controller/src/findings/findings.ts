/** Findings of the cluster: the newest, in memory. */
import { randomBytes } from 'node:crypto';
import { FINDING_LIMITS, type FindingCreate, LOOK_LIMITS, type LookCreate } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import type { LookOwner, Looks } from '../looks/looks.ts';
import { ProblemError } from '../problems/problems.ts';
import { FindingRun } from './finding-run.ts';
import type { Whereabouts } from './whereabouts.ts';

export interface FindingsOptions {
  looks: Looks;
  /** The time that is shown. */
  clock: () => number;
  /** Milliseconds of a clock that does not jump: what findings wait is measured by it. */
  steady: () => number;
  log: Logger;
  whereIs: (id: string) => Whereabouts;
}

/** The look that a finding needs. */
export function lookRequest({ from, to, words }: FindingCreate): LookCreate {
  return {
    interfaces: [from, to],
    words,
    payload: false,
    packetRate: LOOK_LIMITS.packetRate,
    comment: `finding from ${from} to ${to}`,
  };
}

/** A controller that is started again has none. */
export class Findings {
  readonly #options: FindingsOptions;
  /** In the order in which they began. */
  readonly #runs = new Map<string, FindingRun>();

  constructor(options: FindingsOptions) {
    this.#options = options;
  }

  /**
   * Begins to look. The interfaces exist, and the words have been checked.
   * @throws ProblemError LOOK_LIMIT
   */
  create(request: FindingCreate, owner: LookOwner): FindingRun {
    const { looks, clock, steady, log, whereIs } = this.#options;
    const running = [...this.#runs.values()].filter((run) => !run.isDone);
    if (running.length >= FINDING_LIMITS.running) {
      const owners = [...new Set(running.map((run) => run.owner))].join(', ');
      throw new ProblemError(
        'LOOK_LIMIT',
        `${running.length} findings are under way (of ${owners}): wait for one of them`,
      );
    }
    const { holder = owner.name } = owner;
    if (running.filter((run) => run.holder === holder).length >= FINDING_LIMITS.each) {
      const message = `${FINDING_LIMITS.each} findings of yours are under way: wait for one of them`;
      throw new ProblemError('LOOK_LIMIT', message);
    }
    const look = looks.create(lookRequest(request), owner);
    const { id } = look;
    const run = new FindingRun({
      id: randomBytes(6).toString('hex'),
      request,
      owner: owner.name,
      holder,
      look,
      clock,
      steady,
      log,
      whereIs,
      renew: () => looks.renew(id),
      end: () => looks.end(id, 'asked'),
    });
    this.#runs.set(run.id, run);
    for (const [id, old] of [...this.#runs].slice(0, -FINDING_LIMITS.kept)) {
      old.close();
      looks.end(old.look, 'asked');
      this.#runs.delete(id);
    }
    return run;
  }

  get(id: string): FindingRun | undefined {
    return this.#runs.get(id);
  }

  /** The newest first. */
  list(): FindingRun[] {
    return [...this.#runs.values()].reverse();
  }

  close(): void {
    for (const run of this.#runs.values()) {
      run.close();
    }
  }
}
