/** Looks on a running cluster, by the command, judged by tcpdump and tshark. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Look } from '@mirrorplane/contract';
import { bpffsOf, pinnedLinks } from './support/interfering.ts';
import { useLab } from './support/lab.ts';
import { countedEventually, createPolicy, deletePolicy } from './support/policy.ts';

const lab = useLab({ nodes: 2, switch: false });
const COMMAND = join(import.meta.dirname, '..', 'bin', 'mirrorplane');
const UDP = join(import.meta.dirname, 'support', 'udp.py');
const LIMIT = { limitMs: 30_000 };

/** A command that captures into a file. */
class Capturing {
  readonly file: string;
  readonly child: ChildProcess;
  stderr = '';

  constructor(t: TestContext, name: string, ...args: string[]) {
    this.file = join(lab().runDir, `${name}.pcapng`);
    const env = {
      PATH: process.env.PATH,
      MIRRORPLANE_URL: `unix:${lab().apiSocket}`,
      MIRRORPLANE_TOKEN_FILE: lab().tokenFile,
    };
    this.child = spawn(COMMAND, ['capture', '--comment', name, '-w', this.file, ...args], {
      env,
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    t.after(() => this.child.kill('SIGKILL'));
  }

  /** Its look, once all these nodes look. */
  async looking(comment: string, ...nodes: string[]): Promise<Look> {
    await until(`the look ${comment}`, async () => areRunning(await lookWith(comment), nodes), LIMIT);
    return (await lookWith(comment))!;
  }

  /** Ends it as Ctrl-C does. @returns what it said on stderr */
  async end(): Promise<string> {
    const closed = once(this.child, 'close');
    this.child.kill('SIGINT');
    const [code] = await closed;
    assert.equal(code, 0, this.stderr);
    return this.stderr;
  }
}

async function looks(): Promise<Look[]> {
  return (await lab().api('GET', '/api/v1/looks')).body.items;
}

const lookWith = async (comment: string) => (await looks()).find((look) => look.comment === comment);

const areRunning = (look: Look | undefined, names: readonly string[]) =>
  names.every((name) => look?.nodes.some(({ node, state }) => node === name && state === 'running'));

/** Packets of a file by place, as tshark reads them, and their comments. */
function packetsOf(file: string): Promise<{ place: string; comment: string }[]> {
  return tshark(file, ['frame.interface_name', 'frame.comment']).then((rows) =>
    rows.map(([name, comment]) => ({ place: / on .*\((\w+)\)/.exec(name!)![1]!, comment: comment! })),
  );
}

async function tshark(file: string, fields: string[]): Promise<string[][]> {
  const args = ['-n', '-r', file, '-T', 'fields', ...fields.flatMap((field) => ['-e', field])];
  const child = spawn('tshark', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const text = Buffer.concat(await child.stdout.toArray()).toString();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t'));
}

const countOf = (packets: readonly { place: string }[], place: string) =>
  packets.filter((packet) => packet.place === place).length;

/** Datagrams of 100 bytes from web-1 to db-1. */
function send(count: number): Promise<unknown> {
  return lab().exec('web-1', ['python3', UDP, lab().address('db-1'), '9', String(count), '100']);
}

/** What the kernel of a node has of looks: programs at hooks, and rows. */
async function leftOn(node: string): Promise<string[]> {
  const programs = pinnedLinks(lab(), node).filter((link) => link.includes('watch'));
  const map = join(bpffsOf(lab(), node), 'maps', 'looks');
  const { stdout } = await lab().exec(node, ['bpftool', '-j', 'map', 'dump', 'pinned', map]);
  const rows = (JSON.parse(stdout) as { value: string[] }[]).filter(({ value }) =>
    value.some((byte) => byte !== '0x00'),
  );
  return [...programs, ...rows.map(({ value }) => value.join(' '))];
}

/** Waits until nothing of looks is in the kernels of the nodes: neither programs nor rows. */
async function nothingLeft(): Promise<void> {
  for (const node of ['node-1', 'node-2']) {
    await until(`no look in the kernel of ${node}`, async () => (await leftOn(node)).length === 0, LIMIT);
  }
}

test('shows each packet at its places on two nodes, as many as tcpdump counts in the guests', async (t) => {
  const sent = await lab().capture('web-1', 'eth0', { filter: 'udp port 9', direction: 'out' });
  const received = await lab().capture('db-1', 'eth0', { filter: 'udp port 9', direction: 'in' });
  const capturing = new Capturing(t, 'both', 'web-1/0', 'db-1/0', '--filter', 'udp port 9');
  await capturing.looking('both', 'node-1', 'node-2');
  await send(50);
  await received.waitFor(50);
  const said = await capturing.end();
  const [atSender, atReceiver] = [await sent.stop(), await received.stop()];
  const packets = await packetsOf(capturing.file);
  assert.deepEqual(
    [countOf(packets, 'sent'), countOf(packets, 'delivered'), packets.length],
    [atSender.packets, atReceiver.packets, packets.length],
    said,
  );
  assert.equal(countOf(packets, 'arrived'), 50, said);
  assert.ok(
    packets.every(({ comment }) => comment === 'copy: noCapture; original: delivered'),
    JSON.stringify(packets),
  );
  assert.match(said, /150 packets written; seen 150 = received 150 \+ lost 0/);
  await nothingLeft();
});

test('pipes pcapng into tshark while the look goes on', async (t) => {
  const env = { ...process.env, MIRRORPLANE_URL: `unix:${lab().apiSocket}`, MIRRORPLANE_TOKEN_FILE: lab().tokenFile };
  const line = `"${COMMAND}" capture web-1/0 --filter 'udp port 9' --comment piped --count 5 -w - | tshark -l -n -i - -T fields -e udp.dstport`;
  const child = spawn('sh', ['-c', line], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const text = child.stdout.toArray();
  await until('the look', async () => areRunning(await lookWith('piped'), ['node-1']), LIMIT);
  await send(20);
  assert.deepEqual(
    Buffer.concat(await text)
      .toString()
      .trim()
      .split('\n'),
    ['9', '9', '9', '9', '9'],
  );
});

test('tells of an overloaded look what it lost, and the numbers add up', async (t) => {
  const capturing = new Capturing(t, 'overload', 'web-1/0', '--rate', '100', '--filter', 'udp port 9');
  await capturing.looking('overload', 'node-1');
  await send(5000);
  await until('all to be seen', async () => (await lookWith('overload'))!.totals.seen === 5000, LIMIT);
  const said = await capturing.end();
  const { totals } = (await lookWith('overload'))!;
  assert.equal(totals.seen, totals.written + totals.overRate + totals.ringFull);
  assert.equal(totals.written, totals.received + totals.lostOnTheWay);
  assert.ok(totals.overRate > 0 && totals.received > 0, JSON.stringify(totals));
  const packets = await packetsOf(capturing.file);
  assert.equal(packets.length, totals.received);
  const lost = 5000 - totals.received;
  assert.ok(
    said.includes(`seen 5000 = received ${totals.received} + lost ${lost} (${totals.overRate} over the rate`),
    said,
  );
});

test('counts in no policy, and says that packets were copied', async (t) => {
  await createPolicy(lab(), { name: 'books', sources: ['web-1/0'], destination: 'ids-1/0' });
  t.after(() => deletePolicy(lab(), 'books'));
  const capturing = new Capturing(t, 'books', '--policy', 'books', '--filter', 'udp port 9');
  await capturing.looking('books', 'node-1');
  const all = await lab().capture('web-1', 'eth0');
  await send(40);
  await countedEventually(lab(), 'books', 40);
  const said = await capturing.end();
  const { packets } = await all.stop();
  const { totals } = await countedEventually(lab(), 'books', packets);
  assert.deepEqual([totals.matched.packets, totals.copied.packets], [packets, packets]);
  assert.match(said, /40 packets written; seen 40 = received 40 \+ lost 0/);
  assert.ok((await packetsOf(capturing.file)).every(({ comment }) => comment.startsWith('copy: copied;')));
});

test('goes on where a guest migrates', async (t) => {
  const capturing = new Capturing(t, 'moving', 'web-1/0', '--filter', 'udp port 9');
  await capturing.looking('moving', 'node-1');
  await send(10);
  await lab().migrate('web-1', 'node-2');
  t.after(() => lab().migrate('web-1', 'node-1'));
  await capturing.looking('moving', 'node-2');
  await send(10);
  await until('all packets', async () => (await lookWith('moving'))!.totals.received >= 20, LIMIT);
  const said = await capturing.end();
  const rows = await tshark(capturing.file, ['frame.interface_name']);
  const nodes = rows.map(([name]) => / on (\S+) \(sent\)/.exec(name!)?.[1]);
  assert.deepEqual(
    [nodes.filter((node) => node === 'node-1').length, nodes.filter((node) => node === 'node-2').length],
    [10, 10],
    said,
  );
});

test('ends by its lease when the command is killed, and nothing of it is left in the kernel', async (t) => {
  const capturing = new Capturing(t, 'killed', 'web-1/0');
  await capturing.looking('killed', 'node-1');
  assert.ok((await leftOn('node-1')).length > 0);
  capturing.child.kill('SIGKILL');
  await until('its end', async () => (await lookWith('killed'))?.state === 'ended', { limitMs: 60_000 });
  assert.equal((await lookWith('killed'))?.endedBy, 'lease');
  await nothingLeft();
});

test('goes on when the agent is killed and started again', async (t) => {
  const capturing = new Capturing(t, 'agent', 'web-1/0', '--filter', 'udp port 9');
  await capturing.looking('agent', 'node-1');
  await send(10);
  await until('ten packets', async () => (await lookWith('agent'))!.totals.received === 10, LIMIT);
  await lab().stopAgent('node-1', 'SIGKILL');
  await until('it to be away', async () => (await lookWith('agent'))!.nodes[0]!.state === 'away', LIMIT);
  await lab().startAgent('node-1');
  await capturing.looking('agent', 'node-1');
  await send(10);
  await until('twenty packets', async () => (await lookWith('agent'))!.totals.received === 20, LIMIT);
  assert.match(await capturing.end(), /20 packets written/);
  await nothingLeft();
});

test('is gone when the controller is killed, and the nodes end what they were asked', async (t) => {
  const capturing = new Capturing(t, 'controller', 'web-1/0');
  await capturing.looking('controller', 'node-1');
  await lab().stopController('SIGKILL');
  const [code] = await once(capturing.child, 'close');
  assert.equal(code, 7, capturing.stderr);
  await lab().startController();
  assert.deepEqual(await looks(), []);
  // Whether the controller is back or not, the lease ends it.
  await until('nothing in the kernel', async () => (await leftOn('node-1')).length === 0, { limitMs: 60_000 });
  const audit = readFileSync(join(lab().runDir, 'controller', 'audit.log'), 'utf8');
  assert.match(
    audit,
    /"action":"create","resource":"looks\/\w+","outcome":"done","detail":"all packets of web-1\/0, headers; controller"/,
  );
});
