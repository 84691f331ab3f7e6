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

export interface LogParts {
  scheduler: Scheduler;
  trace: Trace;
  /** Gets each error: a schedule has none. */
  failed: (message: string) => void;
  /** Whether an error belongs to a fault of the schedule. */
  isExpected: (line: { message: string; error: Error | undefined }) => boolean;
}

export function simulatedLog(who: string, { scheduler, trace, failed, isExpected }: LogParts): SimulatedLog {
  const silent = () => {};
  const textOf = (fields: object | string, message = '') => {
    const { err, ...rest } = typeof fields === 'string' ? { err: undefined } : (fields as { err?: Error });
    const said = typeof fields === 'string' ? fields : message;
    const text = `${said} ${JSON.stringify(rest)}${err === undefined ? '' : ` ${err.stack ?? err}`}`;
    // The number of the real process is another one each time.
    return text.replaceAll(`process ${process.pid}`, 'process');
  };
  const line =
    (level: string): Line =>
    (fields, message) =>
      trace.add(scheduler.now, who, () => `${level}: ${textOf(fields, message)}`);
  const error: Line = (fields, message) => {
    const { err } = (typeof fields === 'string' ? {} : fields) as { err?: Error };
    if (isExpected({ message: typeof fields === 'string' ? fields : (message ?? ''), error: err })) {
      line('error')(fields, message);
    } else {
      failed(`${who}: ${textOf(fields, message)}`);
    }
  };
  return { fatal: error, error, warn: line('warn'), info: line('info'), debug: silent, trace: silent };
}
