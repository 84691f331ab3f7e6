/** Options of a command that runs a controller: what of the audit log is kept, and who gets copies. */
import { type Command, InvalidArgumentError } from 'commander';
import { parseSyslog } from './audit/syslog/target.ts';
import type { ControllerOptions } from './controller.ts';

/** The values of these options. */
export interface AuditLogOptions {
  auditKeepSize: number;
  auditKeepDays?: number;
  auditSyslog?: string;
  auditSyslogCa?: string;
}

const MB = 1 << 20;
const DAY_MS = 24 * 60 * 60 * 1000;

/** Adds the options. */
export function addAuditOptions(command: Command): Command {
  return command
    .option(
      '--audit-keep-size <MB>',
      'size of the audit log, at least 16 MB; the oldest part is removed',
      whole(16),
      1024,
    )
    .option(
      '--audit-keep-days <days>',
      'days after which a part of the audit log is removed (default: by size alone)',
      whole(1),
    )
    .option(
      '--audit-syslog <receiver>',
      'copies of the audit log by syslog: unix:/dev/log, udp://HOST, tcp://HOST or tls://HOST, each with :PORT if it has another one',
      receiver,
    )
    .option(
      '--audit-syslog-ca <file>',
      'certificates that may have signed that of a tls:// receiver, PEM (default: those of the system)',
    );
}

/** The values as options of the controller. */
export function auditOptionsOf(options: AuditLogOptions): Pick<ControllerOptions, 'audit' | 'syslog'> {
  const { auditKeepSize, auditKeepDays, auditSyslog, auditSyslogCa } = options;
  const keepBytes = auditKeepSize * MB;
  return {
    audit: {
      keepBytes,
      // Eight files at least, so that little is removed at once.
      fileBytes: Math.min(64 * MB, keepBytes / 8),
      ...(auditKeepDays !== undefined && { keepMs: auditKeepDays * DAY_MS }),
    },
    ...(auditSyslog !== undefined && {
      syslog: { target: parseSyslog(auditSyslog), ...(auditSyslogCa !== undefined && { authority: auditSyslogCa }) },
    }),
  };
}

function whole(least: number) {
  return (value: string): number => {
    const number = /^\d{1,7}$/.test(value) ? Number(value) : 0;
    if (number < least) {
      throw new InvalidArgumentError(`use a whole number of at least ${least}.`);
    }
    return number;
  };
}

function receiver(value: string): string {
  try {
    parseSyslog(value);
  } catch {
    throw new InvalidArgumentError('write unix:/dev/log, udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT.');
  }
  return value;
}
