/**
 * Reports, at each start and each week, that the authority will end, early enough to replace it.
 */
import type { Logger } from '@mirrorplane/daemon';
import type { Authority } from '../auth/authority.ts';
import { authorityProblem } from '../auth/certificates.ts';
import type { EventLog } from './log.ts';

/** Milliseconds between two reports. */
const INTERVAL_MS = 7 * 24 * 60 * 60 * 1000;

interface Parts {
  authority: Authority;
  events: EventLog;
  log: Logger;
  /** Milliseconds since 1970. */
  clock: () => number;
}

/** Checks now, and then every week. Returns the function that stops it. */
export function watchAuthority({ authority, events, log, clock }: Parts): () => void {
  const controller = { kind: 'controller', name: 'controller' } as const;
  const look = () => {
    const problem = authorityProblem(authority.endsAt, clock());
    if (problem) {
      log.warn({ problem: problem.message }, 'authority ends');
      void events.note({ kind: 'certificateEnding', object: controller, cause: controller, ...problem });
    }
  };
  look();
  const timer = setInterval(look, INTERVAL_MS).unref();
  return () => clearInterval(timer);
}
