/** Copies of the audit log by syslog: by each kind of socket, without waiting, with losses counted. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { createServer as createTls } from 'node:tls';
import { until } from '@mirrorplane/base';
import { SyslogExport } from '../src/audit/syslog/export.ts';
import { lossMessage, syslogMessage } from '../src/audit/syslog/message.ts';
import { parseSyslog, syslogText } from '../src/audit/syslog/target.ts';
import { Authority } from '../src/auth/authority.ts';
import { Bench, temporaryFolder } from './harness.ts';

/** RFC 5424, section 6: PRI, VERSION, TIMESTAMP, HOSTNAME, APP-NAME, PROCID, MSGID, STRUCTURED-DATA, MSG. */
const RFC5424 =
  /^<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) (\[[!-~]+?(?: [!-~]+?="(?:[^"\\\]]|\\["\\\]])*")*\]) (.*)$/s;

/** Prints each datagram that comes to a socket, as JSON. */
const DATAGRAMS = `
import json, socket, sys
kind, where = sys.argv[1], sys.argv[2]
s = socket.socket(socket.AF_UNIX if kind == 'unix' else socket.AF_INET, socket.SOCK_DGRAM)
s.bind(where if kind == 'unix' else ('127.0.0.1', 0))
print(json.dumps(s.getsockname()), flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`;

async function datagrams(t: TestContext, kind: 'unix' | 'udp', where = '') {
  const child = spawn('python3', ['-c', DATAGRAMS, kind, where], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  const lines = () =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  await until('the receiver is there', () => lines().length > 0);
  return { address: lines()[0], messages: () => (lines().slice(1) as string[]).filter((one) => one !== '') };
}

/** A receiver of a stream. Messages have their length before them (RFC 6587, 3.4.1). */
async function stream(t: TestContext, server: Server, where: object = { port: 0, host: '127.0.0.1' }) {
  let bytes = Buffer.alloc(0);
  const sockets = new Set<Socket>();
  server.on(
    server.listenerCount('secureConnection') >= 0 && 'setSecureContext' in server ? 'secureConnection' : 'connection',
    (socket: Socket) => {
      sockets.add(socket);
      socket
        .on('error', () => undefined)
        .on('data', (chunk: Buffer) => {
          bytes = Buffer.concat([bytes, chunk]);
        });
    },
  );
  server.listen(where);
  await once(server, 'listening');
  const close = () => {
    server.close();
    for (const socket of sockets) {
      socket.destroy();
    }
  };
  t.after(close);
  const messages = () => {
    const found: string[] = [];
    for (let at = 0; at < bytes.length; ) {
      const space = bytes.indexOf(' ', at);
      const length = Number(bytes.toString('latin1', at, space));
      found.push(bytes.toString('utf8', space + 1, space + 1 + length));
      at = space + 1 + length;
    }
    return found;
  };
  const { port } = (server.address() ?? {}) as { port: number };
  return { port, messages, close };
}

const line = (seq: number, more: object = {}) =>
  JSON.stringify({
    seq,
    prev: '0'.repeat(64),
    time: '2026-01-31T12:00:00.000Z',
    actor: 'ann',
    outcome: 'done',
    ...more,
  });

function exporter(t: TestContext, url: string, more: { authority?: string; mostWaiting?: number } = {}) {
  const told: string[] = [];
  const syslog = new SyslogExport({
    target: parseSyslog(url),
    clock: Date.now,
    tell: (text) => told.push(text),
    ...more,
  });
  t.after(() => syslog.close());
  return { syslog, told };
}

test('a message has the form of RFC 5424, with the fields as structured data and the line as text', () => {
  const sender = { host: 'host-1', pid: 7 };
  const resource = 'policies/"a]b\\c';
  const text = syslogMessage(line(5, { resource, outcome: 'refused', code: 'FORBIDDEN' }), sender).toString();
  const [, priority, time, host, app, pid, id, data, message] = RFC5424.exec(text)!;
  assert.deepEqual(
    [priority, time, host, app, pid, id],
    [String(13 * 8 + 4), '2026-01-31T12:00:00.000Z', 'host-1', 'mirrorplane', '7', 'entry'],
  );
  assert.match(
    data!,
    /^\[mirrorplane@32473 seq="5" actor="ann" resource="policies\/\\"a\\\]b\\\\c" outcome="refused" code="FORBIDDEN"\]$/,
  );
  assert.equal(JSON.parse(message!).resource, resource);
  assert.match(lossMessage(12, '2026-01-31T12:00:00.000Z', sender).toString(), RFC5424);
  assert.ok(syslogMessage(line(5, { detail: 'x'.repeat(70_000) }), sender).length < 1000);
});

test('receivers are read and printed, and anything else is refused', () => {
  for (const text of ['unix:/dev/log', 'udp://10.0.0.1:514', 'tcp://logs.example:601', 'tls://[fd00::1]:6514']) {
    assert.equal(syslogText(parseSyslog(text)), text);
  }
  assert.deepEqual(parseSyslog('tls://logs'), { kind: 'tls', host: 'logs', port: 6514 });
  for (const text of ['', 'unix:', 'http://a', 'udp://', 'udp://a:0', 'tcp://a:70000', 'tls://a b']) {
    assert.throws(() => parseSyslog(text), /is no receiver of syslog: write/, text);
  }
});

test('a controller sends what it writes to a Unix socket, and the lines there are those of the log', async (t) => {
  const socket = path.join(temporaryFolder(t), 'log');
  const receiver = await datagrams(t, 'unix', socket);
  const bench = await Bench.start(t, 0, { syslog: { target: parseSyslog(`unix:${socket}`) } });
  await bench.cluster('node-1');
  const lines = readFileSync(path.join(bench.data, 'audit.log'), 'utf8').trimEnd().split('\n');
  await until('all have come', () => receiver.messages().length === lines.length);
  assert.deepEqual(
    receiver.messages().map((message) => RFC5424.exec(message)?.[8]),
    lines,
  );
  const { text } = await bench.get('/metrics');
  assert.match(text, new RegExp(`^mirrorplane_audit_syslog_lines_total\\{outcome="sent"\\} ${lines.length}$`, 'm'));
  assert.match(text, /^mirrorplane_audit_syslog_lines_total\{outcome="lost"\} 0$/m);
});

test('UDP, TCP, TLS and a Unix stream socket receive the same', async (t) => {
  const folder = temporaryFolder(t);
  const authority = await Authority.open(folder, Date.now);
  const { certificate, key } = await authority.serverCertificate(['127.0.0.1']);
  const udp = await datagrams(t, 'udp');
  const tcp = await stream(t, createServer());
  const tls = await stream(t, createTls({ cert: certificate, key }));
  const unix = path.join(folder, 'stream');
  const local = await stream(t, createServer(), { path: unix });
  const lines = [1, 2, 3].map((seq) => line(seq, { detail: 'größer ☂' }));
  const receivers: [string, () => string[]][] = [
    [`udp://127.0.0.1:${udp.address[1]}`, udp.messages],
    [`tcp://127.0.0.1:${tcp.port}`, tcp.messages],
    [`tls://127.0.0.1:${tls.port}`, tls.messages],
    [`unix:${unix}`, local.messages],
  ];
  for (const [url, messages] of receivers) {
    const { syslog } = exporter(t, url, { authority: path.join(folder, 'ca.crt') });
    syslog.add(lines);
    await until(`${url} has all`, () => messages().length === 3);
    assert.deepEqual(
      messages().map((message) => RFC5424.exec(message)?.[8]),
      lines,
      url,
    );
  }
  const { syslog, told } = exporter(t, `tls://127.0.0.1:${tls.port}`);
  syslog.add(lines);
  await until('the certificate is refused', () => told.length > 0);
  assert.match(told[0]!, /self-signed certificate|unable to (get|verify)/);
  assert.equal(tls.messages().length, 3);
});

test('while a receiver is down, lines wait in a bounded queue; those without room are counted, and told when it is back', async (t) => {
  const first = await stream(t, createServer());
  const { syslog, told } = exporter(t, `tcp://127.0.0.1:${first.port}`, { mostWaiting: 5 });
  syslog.add([line(1)]);
  await until('the first has come', () => first.messages().length === 1);
  first.close();
  await until('it is told', async () => {
    syslog.add([line(2)]);
    return told.length > 0;
  });
  syslog.add(Array.from({ length: 20 }, (_, at) => line(100 + at)));
  const { lost } = syslog.counts;
  assert.ok(lost >= 15, String(lost));
  const again = await stream(t, createServer(), { port: first.port, host: '127.0.0.1' });
  await until('the waiting ones have come', () => again.messages().length >= 6, { limitMs: 30_000 });
  assert.match(
    again.messages()[0]!,
    new RegExp(`\\[mirrorplane@32473 count="${lost}"\\] ${lost} lines of the audit log`),
  );
  assert.match(
    told[0]!,
    /^copies of the audit log: tcp:\/\/127\.0\.0\.1:\d+ does not take them \(.*\); it is tried again$/,
  );
  await until('it is told again', () => told.length === 2);
  assert.match(told[1]!, /takes them again; \d+ were lost since the start$/);
});
