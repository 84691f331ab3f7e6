/** The log of a simulated process. */
import type { Scheduler } from '../core/scheduler.ts';
import type { Trace } from '../core/trace.ts';

type Line = (...values: [object | string, string?]) => void;

export interface SimulatedLog {
  fatal: Line;
  error: Line;
  warn: Line;
  info: Line;
  debug: Line;
  trace: Line;
}

/** @param failed is told of errors, which a schedule has none of */
export function simulatedLog(
  who: string,
  { scheduler, trace, failed }: { scheduler: Scheduler; trace: Trace; failed: (message: string) => void },
): SimulatedLog {
  const silent = () => {};
  const textOf = (fields: object | string, message = '') => {
    const { err, ...rest } = typeof fields === 'string' ? { err: undefined } : (fields as { err?: Error });
    const said = typeof fields === 'string' ? fields : message;
    return `${said} ${JSON.stringify(rest)}${err === undefined ? '' : ` ${err.stack ?? err}`}`;
  };
  const line =
    (level: string): Line =>
    (fields, message) =>
      trace.add(scheduler.now, who, () => `${level}: ${textOf(fields, message)}`);
  const error: Line = (fields, message) => failed(`${who}: ${textOf(fields, message)}`);
  return { fatal: error, error, warn: line('warn'), info: line('info'), debug: silent, trace: silent };
}
