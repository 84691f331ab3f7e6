/** Frames that Scapy builds, see frames.py. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Python of Debian, which has python3-scapy. Another Python on the PATH may not have it. */
const PYTHON = '/usr/bin/python3';
const SCRIPT = fileURLToPath(new URL('frames.py', import.meta.url));

/** An ERSPAN packet to build. Defaults: type 2, version 1, TTL 255, everything else 0. */
export interface ErspanRequest {
  inner: Buffer;
  source: string;
  address: string;
  sourceMac: string;
  destinationMac: string;
  sequence?: number;
  session?: number;
  index?: number;
  /** The 12 bits before the index. */
  reserved?: number;
  ttl?: number;
  vlan?: number;
  cos?: number;
  en?: number;
  t?: number;
  type?: 1 | 2 | 3;
  version?: number;
  /** Further fields of the GRE header, as `chksum_present`. */
  gre?: Record<string, number>;
  /** IPv4 options in hex, flags as `DF` or `MF`, fragment offset in units of 8 bytes. */
  options?: string;
  flags?: string;
  frag?: number;
  /** Instead of the right ones. */
  len?: number;
  chksum?: number;
}

export interface BigRequest {
  payload: Buffer;
  six?: boolean;
  vlan?: number;
  timestamps?: boolean;
}

interface Request {
  frames?: boolean;
  erspan?: ErspanRequest[];
  tcp?: BigRequest[];
  udp?: BigRequest[];
  /** As `tcp` and `udp`, with all checksums: for frames that are no super-packets. */
  segments?: BigRequest[];
  datagrams?: BigRequest[];
}

interface Built {
  /** One frame of each kind. */
  frames: Map<string, Buffer>;
  erspan: Buffer[];
  tcp: Buffer[];
  udp: Buffer[];
  segments: Buffer[];
  datagrams: Buffer[];
}

/** One run of Scapy takes about a second: ask for everything at once. */
export function scapy(request: Request): Built {
  const input = JSON.stringify(request, (key, value: unknown) =>
    // JSON.stringify has called Buffer.toJSON already
    (key === 'inner' || key === 'payload') && value !== null && typeof value === 'object'
      ? Buffer.from((value as { data: number[] }).data).toString('hex')
      : value,
  );
  const text = execFileSync(PYTHON, [SCRIPT], { input, encoding: 'utf8', maxBuffer: 2 ** 28 });
  const answer = JSON.parse(text) as { [K in 'erspan' | 'tcp' | 'udp' | 'segments' | 'datagrams']: string[] } & {
    frames?: Record<string, string>;
  };
  const bytes = (hex: string) => Buffer.from(hex, 'hex');
  return {
    frames: new Map(Object.entries(answer.frames ?? {}).map(([name, hex]) => [name, bytes(hex)])),
    erspan: answer.erspan.map(bytes),
    tcp: answer.tcp.map(bytes),
    udp: answer.udp.map(bytes),
    segments: answer.segments.map(bytes),
    datagrams: answer.datagrams.map(bytes),
  };
}
