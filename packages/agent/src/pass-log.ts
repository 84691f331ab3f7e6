/** The log lines of a pass. */
import { type CaptureStatus, captureOfHook, type NodeProgram } from '@mirrorplane/contract';
import type { ApplyResult } from './datapath/datapath.ts';
import type { Logger } from './log.ts';
import type { Reconciled } from './reconcile/surroundings.ts';

/** The outcome of a pass, and the state before it. */
export interface AppliedPass {
  program: NodeProgram;
  reconciled: Reconciled;
  result: ApplyResult;
  known: { revision: number | undefined; captures: readonly CaptureStatus[] };
}

/** Logs the outcome: at `info` if something changed, else at `debug`. */
export function logApplied(log: Logger, { program, reconciled, result, known }: AppliedPass): void {
  const { attached, detached, written, refused, repaired } = result;
  for (const { id, ifindex, code, message } of refused) {
    // Logged once, not with every attempt.
    if (known.captures.some((status) => captureOfHook(id) === status.capture && status.message === message)) {
      continue;
    }
    log.warn({ capture: id, ifindex, code, reason: message }, 'capture refused');
  }
  const changed = attached + detached + written + repaired.length > 0 || known.revision !== program.revision;
  log[changed ? 'info' : 'debug'](
    {
      revision: program.revision,
      captures: reconciled.state.captures.length,
      waiting: reconciled.waiting.length,
      attached,
      detached,
      written,
      refused: refused.length,
      repaired: repaired.reduce((sum, { count }) => sum + count, 0),
    },
    'program applied',
  );
}
