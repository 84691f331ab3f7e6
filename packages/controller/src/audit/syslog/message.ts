/** Lines of the audit log as messages of syslog, RFC 5424. Pure. */
import type { AuditEntry } from '@mirrorplane/contract';

/** Facility 13, "log audit", RFC 5424 table 1. */
const FACILITY = 13;
const SEVERITIES: Record<AuditEntry['outcome'], number> = { failed: 3, refused: 4, done: 5, unchanged: 6 };
const INFORMATIONAL = 6;
/** Number of an enterprise for private structured data. 32473 is that of examples, RFC 5612. */
const SD_ID = 'mirrorplane@32473';
const FIELDS = [
  'seq',
  'actor',
  'actorKind',
  'address',
  'action',
  'resource',
  'outcome',
  'code',
  'revision',
  'count',
] as const;

/** Bytes of a line that a datagram can carry beside its fields. A longer one is sent without its text. */
const MAX_TEXT = 32 * 1024;

/** Who sends: HOSTNAME and PROCID. */
export interface SyslogSender {
  host: string;
  pid: number;
}

/** The message of a line: its fields as structured data, and the line itself as the text. */
export function syslogMessage(line: string, { host, pid }: SyslogSender): Buffer {
  const entry = JSON.parse(line) as Partial<AuditEntry> & { time: string; checkpoint?: object };
  const severity = entry.outcome === undefined ? INFORMATIONAL : SEVERITIES[entry.outcome];
  const fields = FIELDS.flatMap((name) =>
    entry[name] === undefined ? [] : [`${name}="${escaped(String(entry[name]))}"`],
  );
  const id = entry.checkpoint === undefined ? 'entry' : 'checkpoint';
  const head = `<${FACILITY * 8 + severity}>1 ${entry.time} ${host} mirrorplane ${pid} ${id}`;
  const text = Buffer.byteLength(line) > MAX_TEXT ? '' : ` ${line}`;
  return Buffer.from(`${head} [${[SD_ID, ...fields].join(' ')}]${text}`);
}

/** The message that says how many others are missing. */
export function lossMessage(count: number, time: string, { host, pid }: SyslogSender): Buffer {
  const head = `<${FACILITY * 8 + SEVERITIES.refused}>1 ${time} ${host} mirrorplane ${pid} lost`;
  return Buffer.from(
    `${head} [${SD_ID} count="${count}"] ${count} lines of the audit log were not sent: read them with "mirrorplane audit export"`,
  );
}

/** RFC 5424, 6.3.3: a quote, a backslash and a bracket are escaped. Control characters are left out. */
function escaped(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is left out
  return value.replace(/[\u0000-\u001f\u007f-\u009f]/g, '').replace(/["\\\]]/g, '\\$&');
}

/** A message in a stream: its length before it, RFC 6587 (3.4.1) and RFC 5425 (4.3). */
export function framed(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${message.length} `), message]);
}
