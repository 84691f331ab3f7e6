/**
 * A lab with real wires: at the places below, the kernel has segmented packets and computed
 * checksums, as a NIC would.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from '@mirrorplane/base';
import type { CaptureResult, Lab } from '@mirrorplane/lab';

import { PYTHON, python } from './traffic.ts';

const TRANSFER = join(import.meta.dirname, 'transfer.py');
/** Every kind of work that a device may leave to its hardware. */
const ALL_OFF = { tso: 'off', gso: 'off', tx: 'off' } as const;

export type Offloads = Readonly<Record<string, 'on' | 'off'>>;

/** Sets offloads of a device; those named here must exist. */
export async function offloads(lab: Lab, host: string, device: string, settings: Offloads): Promise<void> {
  if (Object.keys(settings).length === 0) {
    return;
  }
  await lab.exec(host, ['ethtool', '-K', device, ...Object.entries(settings).flat()]);
}

/**
 * Devices that behave like a wire without offloads, whatever comes: each frame there is as long as
 * on the wire.
 */
export async function makeWires(lab: Lab, places: readonly (readonly [host: string, device: string])[]): Promise<void> {
  for (const [host, device] of places) {
    await offloads(lab, host, device, ALL_OFF);
  }
}

/**
 * Sets the MTU of the underlay of a lab of two nodes and waits until both agents have reported it.
 */
export async function setUnderlayMtu(lab: Lab, mtu: number): Promise<void> {
  const nodes = lab.topology.nodes.map(({ name }) => name);
  for (const node of nodes) {
    await lab.exec('fabric', ['ip', 'link', 'set', `u-${node}`, 'mtu', String(mtu)]);
  }
  await lab.exec('fabric', ['ip', 'link', 'set', 'under', 'mtu', String(mtu)]);
  for (const node of nodes) {
    await lab.exec(node, ['ip', 'link', 'set', 'underlay0', 'mtu', String(mtu)]);
  }
  for (const node of nodes) {
    await until(
      `${node} reports an underlay MTU of ${mtu}`,
      async () => {
        return (await lab.api('GET', `/api/v1/nodes/${node}`)).body.underlay?.mtu === mtu;
      },
      { limitMs: 20_000 },
    );
  }
}

/** A file of random bytes in the lab's folder. It is removed with the lab. */
export function randomFile(lab: Lab, name: string, bytes: number): string {
  const file = join(lab.runDir, name);
  writeFileSync(file, randomBytes(bytes));
  return file;
}

/** A process that says "listening", and something at its end. */
export async function listen(lab: Lab, host: string, argv: string[]) {
  const child = lab.spawn(host, [PYTHON, TRANSFER, ...argv], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const line = async () => (await lines.next()).value as string | undefined;
  assert.equal(await line(), 'listening', argv.join(' '));
  return {
    /** Ends its input and returns the line that it prints then. */
    result: async () => {
      child.stdin!.end();
      const said = await line();
      if (child.exitCode === null && child.signalCode === null) {
        await once(child, 'close');
      }
      return said;
    },
    kill: () => child.kill('SIGKILL'),
  };
}

/** A TCP transfer of a file. Asserts that the receiver got it whole. */
export async function transfer(
  lab: Lab,
  file: { path: string; sha256: string },
  from: string,
  to: { host: string; address: string; port: number },
  megabits = 300,
): Promise<void> {
  const receiver = await listen(lab, to.host, ['receive', to.address, String(to.port)]);
  try {
    const argv = ['send', to.address, String(to.port), file.path, String(megabits)];
    await lab.exec(from, [PYTHON, TRANSFER, ...argv]);
    assert.equal(await receiver.result(), file.sha256, 'the original arrives whole');
  } finally {
    receiver.kill();
  }
}

/** Datagrams, or UDP super-packets where `segment` is not 0. */
export async function sendUdp(
  lab: Lab,
  from: string,
  address: string,
  port: number,
  shape: { segment: number; length: number; count: number },
): Promise<void> {
  const { segment, length, count } = shape;
  await lab.exec(from, [PYTHON, TRANSFER, 'udp', address, String(port), ...[segment, length, count].map(String)]);
}

/** True where the kernel has UDP_SEGMENT. */
export async function hasUdpGso(lab: Lab): Promise<boolean> {
  const { stdout } = await lab.exec('ctl', [PYTHON, TRANSFER, 'probe-udp-gso'], { check: false });
  return stdout.trim() === 'yes';
}

export interface Difference {
  a: number;
  b: number;
  onlyA: number;
  onlyB: number;
  examples: string[];
}

/**
 * Asserts that two captures hold the same frames, byte by byte, in any order, and at least `least`
 * of them.
 */
export async function assertSameMultiset(
  copies: CaptureResult,
  originals: CaptureResult,
  least: number,
  mac: string | undefined,
  what: string,
): Promise<void> {
  const args = ['compare', copies.file, originals.file, ...(mac ? [mac.replaceAll(':', '')] : [])];
  const { a, b, onlyA, onlyB, examples } = await python<Difference>('exact-pcap.py', args);
  assert.deepEqual({ onlyA, onlyB }, { onlyA: 0, onlyB: 0 }, `${what}: ${a} copies, ${b} originals; ${examples}`);
  assert.ok(a >= least, `${what}: ${a} frames, at least ${least} expected`);
}

/**
 * Asserts that the TCP stream in a capture is the file, but for the tails of `truncated` segments.
 * Returns the longest payload of a segment.
 */
export async function assertStream(
  capture: CaptureResult,
  port: number,
  file: { path: string; sha256: string },
  what: string,
  truncated = 0,
): Promise<{ longest: number; frames: number }> {
  const result = await python<{ missing: number; wrong: number; longest: number; frames: number; sha256: string }>(
    'exact-pcap.py',
    ['stream', capture.file, String(port), file.path],
  );
  assert.equal(result.wrong, 0, `${what}: ${JSON.stringify(result)}`);
  if (truncated > 0) {
    // Not more than their tails is missing.
    const most = truncated * 8948;
    assert.ok(result.missing > 0 && result.missing <= most, `${what}: ${truncated} cut, ${JSON.stringify(result)}`);
  } else {
    assert.equal(result.missing, 0, `${what}: ${JSON.stringify(result)}`);
    assert.equal(result.sha256, file.sha256, what);
  }
  return result;
}

export interface Outer {
  packets: number;
  longest: number;
  fragments: number;
  mayFragment: number;
  badChecksum: number;
  otherKind: number;
  truncated: number;
}

/**
 * Asserts that ERSPAN packets on the wire fit into `mtu`, are whole, and must not be fragmented.
 */
export async function assertOuter(capture: CaptureResult, mtu: number): Promise<Outer> {
  const outer = await python<Outer>('outer.py', [capture.file]);
  const { fragments, mayFragment, badChecksum, otherKind } = outer;
  assert.deepEqual(
    { fragments, mayFragment, badChecksum, otherKind },
    { fragments: 0, mayFragment: 0, badChecksum: 0, otherKind: 0 },
    JSON.stringify(outer),
  );
  assert.ok(outer.longest <= mtu, `an IP packet of ${outer.longest} bytes on an underlay of ${mtu}`);
  return outer;
}

/** By default, tshark verifies none of them. */
const CHECK = ['ip', 'tcp', 'udp'].flatMap((protocol) => ['-o', `${protocol}.check_checksum:TRUE`]);

/**
 * How many checksums of IP, TCP and UDP, of every layer, tshark has found wrong and right in a
 * capture.
 */
async function checksums(file: string): Promise<{ bad: number; good: number }> {
  const fields = ['ip', 'tcp', 'udp'].flatMap((protocol) => ['-e', `${protocol}.checksum.status`]);
  fields.push('-e', 'tcp.checksum');
  const child = spawn('tshark', ['-r', file, ...CHECK, '-T', 'fields', ...fields], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const out: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  const [code] = await once(child, 'close');
  assert.equal(code, 0, `tshark -r ${file}`);
  const rows = Buffer.concat(out).toString().split('\n');
  let bad = 0;
  let good = 0;
  for (const row of rows) {
    // 0: wrong, 1: right, 2: unknown. One value for each layer, for example 1,1.
    const [ip = '', tcp = '', udp = '', value = ''] = row.split('\t');
    const statuses = [ip, tcp, udp].join(',').split(',');
    // The kernel writes a TCP checksum of 0 as 0xffff, which is the same sum; tshark wants the 0.
    if (statuses.includes('0') && !(value.includes('0xffff') && !`${ip},${udp}`.split(',').includes('0'))) {
      bad++;
    }
    if (`${tcp},${udp}`.split(',').includes('1')) {
      good++;
    }
  }
  return { bad, good };
}

/**
 * Asserts that tshark finds every checksum of IP, TCP and UDP right, but of `truncated` frames, and
 * at least `least` that it could judge.
 */
export async function assertChecksums(
  capture: CaptureResult,
  least: number,
  what: string,
  truncated = 0,
): Promise<void> {
  const { bad, good } = await checksums(capture.file);
  assert.ok(bad <= truncated, `${what}: ${bad} frames with wrong checksums, ${truncated} are cut`);
  assert.ok(good >= least, `${what}: ${good} checksums of TCP and UDP verified, at least ${least} expected`);
}
