/** Decoders in their sandbox: real tshark and sharkd in bubblewrap. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { type Decoded, Decoders, MAX_DECODERS_EACH } from '../../src/decoder/decoders.ts';
import { RowSource } from '../../src/decoder/row-source.ts';
import { bubblewrap, bubblewrapped, type Running, type Sandbox } from '../../src/decoder/sandbox.ts';
import type { KeptPacket } from '../../src/looks/kept-packet.ts';
import { lookedPacket, udpFrame } from '../looks/looked-packets.ts';
import { missing, scripted } from './sandboxes.ts';

/** Asks for the address of "a". */
const DNS_QUERY = Buffer.from('00010100000100000000000001610000010001', 'hex');

/** Numbered from 1 on. */
function packetsOf(frames: readonly Uint8Array[]): KeptPacket[] {
  return frames.map((frame, i) => lookedPacket({ number: i + 1, bytes: Buffer.from(frame) }));
}

function given<T>(decoded: Decoded<T>): T {
  assert.ok('value' in decoded, JSON.stringify(decoded));
  return decoded.value;
}

function sourceOf(t: TestContext, filter = '', sandbox?: Sandbox): RowSource {
  const source = new RowSource(new Decoders(sandbox), filter, 'ann');
  t.after(() => source.close());
  return source;
}

/** A sandbox that remembers what it has started. */
function watched(): { started: Running[]; sandbox: Sandbox } {
  const started: Running[] = [];
  return {
    started,
    sandbox: () => {
      const running = bubblewrap();
      started.push(running);
      return running;
    },
  };
}

test('each packet has the columns that Wireshark gives it, batch after batch', async (t) => {
  const source = sourceOf(t);
  const [first, second] = [udpFrame('a'), udpFrame('bc', { from: 5000, to: 53 })];
  const batch = packetsOf([first, second]);
  const columns = await source.columnsOf(batch);
  assert.deepEqual(columns.get(1), {
    source: '10.0.0.1',
    destination: '10.0.0.2',
    protocol: 'UDP',
    info: '40000 → 9999 Len=1',
  });
  assert.equal(columns.get(2)?.protocol, 'DNS');
  const next = await source.columnsOf([lookedPacket({ number: 3, bytes: udpFrame('defg') })]);
  assert.deepEqual([...next], [[3, { ...columns.get(1), info: '40000 → 9999 Len=4' }]]);
  assert.equal(source.state.state, 'ok');
});

test('packets that the display filter hides have no columns, also by fate and place', async (t) => {
  const source = sourceOf(t, 'udp.dstport == 53 or frame.comment contains "overBudget"');
  const packets = packetsOf([udpFrame('a'), udpFrame('b', { to: 53 }), udpFrame('c'), udpFrame('d', { to: 53 })]);
  packets[2]!.copy = 'dropped:overBudget';
  const columns = await source.columnsOf(packets);
  assert.deepEqual([...columns.keys()], [2, 3, 4]);
});

test('a packet that is seen at three places is not told to be sent again', async (t) => {
  const tcp = udpFrame('x'.repeat(40));
  tcp[23] = 6;
  tcp.writeUInt8(0x50, 46);
  tcp.writeUInt8(0x18, 47);
  const packets = packetsOf([tcp, tcp, tcp]).map((packet, i) => {
    return { ...packet, place: (['sent', 'arrived', 'delivered'] as const)[i]! };
  });
  const columns = await sourceOf(t).columnsOf(packets);
  for (const { protocol, info } of columns.values()) {
    assert.equal(protocol, 'TCP');
    assert.doesNotMatch(info, /retrans|dup|out-of-order/i);
  }
});

test('fields of a packet come as a tree with their bytes, and with filters that are display filters', async () => {
  const decoders = new Decoders();
  const [packet] = packetsOf([udpFrame(DNS_QUERY, { to: 53 })]);
  const tree = given(await decoders.fields([packet!], 'ann'));
  assert.deepEqual(
    tree.map(({ label }) => label.split(',')[0]),
    ['Ethernet II', 'Internet Protocol Version 4', 'User Datagram Protocol', 'Domain Name System (query)'],
  );
  const port = tree[2]!.children.find(({ label }) => label.startsWith('Destination Port'));
  assert.deepEqual(port?.bytes, [36, 2]);
  assert.equal(port?.filter, 'udp.dstport == 53');
  assert.equal(given(await decoders.filterProblem(port!.filter!, 'ann')), undefined);
});

test('says why a display filter is none', async () => {
  const decoders = new Decoders();
  assert.match(given(await decoders.filterProblem('tcp.port == foo', 'ann')) ?? '', /"foo" is not a valid number/);
  assert.match(given(await decoders.filterProblem('udp) or (tcp', 'ann')) ?? '', /./);
  assert.equal(given(await decoders.filterProblem('udp or tcp', 'ann')), undefined);
});

test('a decoder that dies is started again, and the packets that it had have simple columns', async (t) => {
  const { started, sandbox } = watched();
  const source = sourceOf(t, '', sandbox);
  const packets = packetsOf([udpFrame('a')]);
  await source.columnsOf(packets);
  const ended = once(started[0]!.stdout, 'close');
  started[0]!.kill();
  await ended;
  const columns = await source.columnsOf(packets);
  assert.equal(columns.get(1)?.info, '40000 → 9999');
  assert.deepEqual(source.state, { state: 'restarted', message: 'the decoder has ended' });
  const again = await source.columnsOf(packets);
  assert.equal(again.get(1)?.info, '40000 → 9999 Len=1');
  assert.equal(source.state.state, 'ok');
});

test('a decoder that dies again and again is left alone, and the reason is told', async (t) => {
  const sandbox = scripted('read -r job; echo ready; read -r filter; head -c 1 >/dev/null');
  const source = sourceOf(t, '', sandbox);
  const packets = packetsOf([udpFrame('a')]);
  for (let i = 0; i < 3; i++) {
    assert.equal((await source.columnsOf(packets)).size, 1);
  }
  assert.equal(source.state.state, 'absent');
  assert.match(source.state.message ?? '', /3 times in a row/);
});

test('without a decoder, and without a sandbox, rows say what is missing and how to get it', async (t) => {
  for (const [sandbox, said] of [
    [scripted('echo absent tshark'), /apt install tshark/],
    [scripted('exit 1'), /allow user namespaces/],
    [missing, /apt install bubblewrap/],
  ] as const) {
    const source = sourceOf(t, '', sandbox);
    const columns = await source.columnsOf(packetsOf([udpFrame('a')]));
    assert.deepEqual(columns.get(1), {
      source: '10.0.0.1',
      destination: '10.0.0.2',
      protocol: 'UDP',
      info: '40000 → 9999',
    });
    assert.equal(source.state.why, 'notInstalled');
    assert.match(source.state.message ?? '', said);
  }
});

test('at most eight decoders run, four of one user, and who gets none is told', async (t) => {
  const decoders = new Decoders();
  const half = (who: string) => Array.from({ length: MAX_DECODERS_EACH }, () => decoders.rows('', who));
  const opened = await Promise.all(half('ann'));
  t.after(() => {
    for (const one of opened) {
      given(one).close();
    }
  });
  const saidTo = async (who: string) => {
    const refused = await decoders.rows('', who);
    assert.ok('absent' in refused && refused.absent.why === 'busy');
    return refused.absent.message;
  };
  assert.match((await saidTo('ann'))!, /^4 decoders of yours run already: close another list of packets of yours$/);
  opened.push(...(await Promise.all(half('bob'))));
  assert.match((await saidTo('carol'))!, /^8 decoders run already/);
  given(opened[0]!).close();
  given(opened[0]!).close();
  assert.match((await saidTo('bob'))!, /of yours/);
  opened[0] = await decoders.rows('', 'carol');
  given(opened[0]);
});

test('a decoder sees no network, no other process, no file of the host, and can write nothing but its own', async () => {
  const said = await saidBy(
    bubblewrapped(`
    cat /etc/passwd /root/.profile '${import.meta.filename}' /proc/1/status 2>&1 | grep -vc 'No such file'
    tail -n +3 </proc/net/dev
    touch /usr/x /x /tmp/x 2>&1 | grep -c 'Read-only'
    head -c 40000000 /dev/zero >/tmp/x 2>/dev/null || echo full
    ls /
  `),
  );
  assert.equal(said, '0\n2\nfull\nbin\ndev\nlib\nlib64\ntmp\nusr\n');
});

test('a job that is none runs nothing', async () => {
  const running = bubblewrap();
  running.stdin.end('sh -c id\n');
  assert.equal(await saidBy(running), 'unknown job\n');
});

/** Waits for its end. */
async function saidBy({ stdout }: Running): Promise<string> {
  let said = '';
  for await (const text of stdout.setEncoding('utf8')) {
    said += text;
  }
  return said;
}
