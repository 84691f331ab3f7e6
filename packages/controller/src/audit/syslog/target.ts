/** Where copies of the audit log go by syslog. Pure. */

/** A receiver of syslog. */
export type SyslogTarget = { kind: 'unix'; path: string } | { kind: 'udp' | 'tcp' | 'tls'; host: string; port: number };

/** Ports without another one in the address: RFC 5426, RFC 6587, RFC 5425. */
const PORTS = { udp: 514, tcp: 601, tls: 6514 } as const;

/** Reads `unix:/dev/log`, `udp://HOST[:PORT]`, `tcp://…` or `tls://…`. @throws Error for any other text */
export function parseSyslog(text: string): SyslogTarget {
  const [, path] = /^unix:(\/.+|@.+)$/.exec(text) ?? [];
  if (path !== undefined) {
    return { kind: 'unix', path };
  }
  const [, kind, ipv6, name, port] =
    /^(udp|tcp|tls):\/\/(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = ipv6 ?? name;
  if (host === undefined || Number(port ?? 1) < 1 || Number(port ?? 1) > 65535) {
    throw new Error(
      `"${text}" is no receiver of syslog: write unix:/dev/log, udp://HOST, tcp://HOST or tls://HOST:PORT`,
    );
  }
  const scheme = kind as keyof typeof PORTS;
  return { kind: scheme, host, port: port === undefined ? PORTS[scheme] : Number(port) };
}

/** The address as text. */
export function syslogText(target: SyslogTarget): string {
  if (target.kind === 'unix') {
    return `unix:${target.path}`;
  }
  const { kind, host, port } = target;
  return `${kind}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
