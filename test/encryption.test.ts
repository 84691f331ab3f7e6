/**
 * Copies between nodes that are encrypted by WireGuard: what arrives, what the wire shows, what a
 * forger reaches, and what is lost while a pool or a key changes.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { FORGED_SOURCE, forgedCopies } from './support/forged-erspan.ts';
import { useLab } from './support/lab.ts';
import { Numbered, shown } from './support/numbered.ts';
import { activeEventually, createPolicy } from './support/policy.ts';
import { assertSameFrames, framesOf, sourceMac, watch } from './support/taps.ts';
import { ping, sendFrames } from './support/traffic.ts';

/** Whether the kernel has WireGuard. The device is made in a network namespace that ends at once. */
function hasWireguard(): boolean {
  return spawnSync('unshare', ['-n', 'ip', 'link', 'add', 'wg0', 'type', 'wireguard']).status === 0;
}

/** MTU of the sources, ERSPAN 50, WireGuard 75: the smallest that docs/underlay.md names. */
const UNDERLAY_MTU = 1625;
/** Of the payload of pings, as hex digits and as text. */
const PATTERN = { hex: '6d6972726f7265642e', text: 'mirrored.' };
const GRE = 'ip proto 47';
const WIREGUARD = 'udp portrange 51850-51851';
/** Milliseconds for a change, on an emulated machine too. */
const CHANGE_MS = 120_000;
/** A key is renewed after 30 days. */
const DAYS_31 = 31 * 24 * 3600 * 1000;

describe('encrypted copies', { skip: !hasWireguard() && 'the kernel has no WireGuard' }, () => {
  const lab = useLab({ nodes: 2, switch: false, underlayMtu: UNDERLAY_MTU });
  let numbered: Numbered | undefined;
  after(() => numbered?.stop());

  async function setUnderlay(underlay: 'plain' | 'wireguard'): Promise<void> {
    const { status, body } = await lab().api('PUT', '/api/v1/pools/pool-a', { domain: 'domain-1', underlay });
    assert.equal(status, 200, JSON.stringify(body));
  }

  /** What crosses the underlay while some more copies arrive. */
  async function crossing(): Promise<{ clear: number; encrypted: number }> {
    const wire = { host: 'node-1', device: 'underlay0', direction: 'out' } as const;
    const seen = await watch(
      lab(),
      { clear: { ...wire, filter: GRE }, encrypted: { ...wire, filter: WIREGUARD } },
      async () => numbered!.moreCopies(['web']),
    );
    return { clear: seen.clear.packets, encrypted: seen.encrypted.packets };
  }

  const isClear = async () => (await crossing()).encrypted === 0;
  const isEncrypted = async () => (await crossing()).clear === 0;

  const nodeOf = async (name: string) => (await lab().api('GET', `/api/v1/nodes/${name}`)).body;
  const keyFile = (node: string) => join(lab().runDir, 'agents', node, 'wireguard.json');
  const keysOf = (node: string) =>
    (JSON.parse(readFileSync(keyFile(node), 'utf8')) as { keys: { privateKey: string; madeAt: number }[] }).keys;

  test('a pool begins to encrypt while copies are made: none is lost, and no copy crosses in clear text', async (t) => {
    await createPolicy(lab(), { name: 'secret', sources: ['web-1/0'], destination: 'ids-1/0' });
    await activeEventually(lab(), 'secret');
    numbered = new Numbered(lab(), { web: { from: 'web-1', to: 'web-2', port: 7001, copies: 'ids-1' } });
    await numbered.start();
    const before = await crossing();
    assert.ok(before.clear > 0 && before.encrypted === 0, JSON.stringify(before));
    const gaps = await numbered.during(() => setUnderlay('wireguard'), { repaired: isEncrypted, limitMs: CHANGE_MS });
    t.diagnostic(shown(gaps));
    assert.deepEqual([gaps.web!.missing, gaps.web!.duplicated], [0, 0]);
    const now = await crossing();
    assert.ok(now.encrypted > 0 && now.clear === 0, JSON.stringify(now));
    await activeEventually(lab(), 'secret');
  });

  test('a node has another key: no copy is lost', async (t) => {
    const { publicKey, port } = (await nodeOf('node-2')).underlay.wireguard;
    const change = async () => {
      await lab().stopAgent('node-2');
      const keys = keysOf('node-2').map((key) => ({ ...key, madeAt: key.madeAt - DAYS_31 }));
      writeFileSync(keyFile('node-2'), JSON.stringify({ keys }));
      await lab().startAgent('node-2');
    };
    const repaired = async () => {
      const { wireguard } = (await nodeOf('node-2')).underlay;
      return wireguard.publicKey !== publicKey && wireguard.port === port + 1 && (await usesPort(port + 1));
    };
    const gaps = await numbered!.during(change, { repaired, limitMs: CHANGE_MS });
    t.diagnostic(shown(gaps));
    assert.deepEqual([gaps.web!.missing, gaps.web!.duplicated], [0, 0]);
  });

  /** Whether all copies go to this port of node-2 now. */
  async function usesPort(port: number): Promise<boolean> {
    const wire = { host: 'node-1', device: 'underlay0', direction: 'out' } as const;
    const taps = {
      to: { ...wire, filter: `udp dst port ${port}` },
      others: { ...wire, filter: `(${WIREGUARD} and not udp dst port ${port}) or ${GRE}` },
    };
    const seen = await watch(lab(), taps, async () => numbered!.moreCopies(['web']));
    return seen.to.packets > 0 && seen.others.packets === 0;
  }

  test('no private key is anywhere but in the folder of its node', () => {
    const secrets = ['node-1', 'node-2'].flatMap((node) => keysOf(node).map(({ privateKey }) => privateKey));
    assert.ok(secrets.length >= 2);
    const files = readdirSync(lab().runDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== 'wireguard.json')
      .map(({ parentPath, name }) => join(parentPath, name));
    const found = files.filter((file) => {
      const content = readFileSync(file);
      return secrets.some((secret) => content.includes(secret) || content.includes(Buffer.from(secret, 'base64')));
    });
    assert.deepEqual(found, []);
  });

  test('copies of all sizes arrive byte for byte, and the wire has nothing but WireGuard', async () => {
    const icmp = { filter: 'icmp' };
    const wire = { host: 'node-1', device: 'underlay0', filter: 'ip' } as const;
    const sizes = [0, 1, 17, 56, 500, 1471, 1472];
    const seen = await watch(
      lab(),
      { original: { host: 'web-1', ...icmp }, copies: { host: 'ids-1', ...icmp }, wire },
      async ({ copies }) => {
        for (const size of sizes) {
          await ping(lab(), 'web-1', 'web-2', 3, { size, pattern: PATTERN.hex });
        }
        await copies.waitFor(sizes.length * 3 * 2, CHANGE_MS);
      },
    );
    const [copies, originals] = await framesOf(seen.copies, seen.original);
    assertSameFrames(copies!, originals!, 'at the destination');
    assert.ok(readFileSync(seen.original.file).includes(PATTERN.text));
    assert.ok(!readFileSync(seen.wire.file).includes(PATTERN.text), 'nothing can be read on the wire');
    const [packets] = await framesOf(seen.wire);
    // IPv4 without options: protocol and fragment bits, ports, and the type of a message of WireGuard.
    const protocols = packets!.map((hex) => `${hex.slice(46, 48)} ${hex.slice(84, 86)}`);
    assert.ok(protocols.includes('11 04'));
    assert.deepEqual(
      protocols.filter((one) => !/^11 0[1-4]$/.test(one)),
      [],
      'only WireGuard: handshakes and data',
    );
    assert.ok(
      packets!.every((hex) => (Number.parseInt(hex.slice(40, 44), 16) & 0x3fff) === 0),
      'no fragments',
    );
  });

  test('ERSPAN in clear text is not delivered, whatever session it tries, and is reported', async () => {
    const frames = await forgedCopies(lab(), { from: 'node-1', to: 'node-2' });
    const forged = { filter: `ether src ${FORGED_SOURCE.replace(/..(?=.)/g, '$&:')}` };
    const taps = {
      destination: { host: 'ids-1', ...forged },
      answers: { host: 'node-2', device: 'underlay0', filter: 'icmp', direction: 'out' as const },
    };
    const seen = await watch(lab(), taps, async () => {
      const tryAll = async () => {
        await sendFrames(lab(), 'node-1', 'underlay0', frames);
        const { problems } = await nodeOf('node-2');
        return problems.some(({ code }: { code: string }) => code === 'COPIES_FORGED');
      };
      await until('the node reports forged copies', tryAll, { limitMs: CHANGE_MS, pauseMs: 200 });
    });
    assert.deepEqual([seen.destination.packets, seen.answers.packets], [0, 0]);
    assert.ok((await crossing()).encrypted > 0, 'copies still arrive');
    await until('the devices of node-2', async () => (await devicesOf('node-2')).length === 1, { limitMs: CHANGE_MS });
  });

  const devicesOf = async (node: string) =>
    (await lab().exec(node, ['ip', '-br', 'link', 'show', 'type', 'wireguard'])).stdout.split('\n').filter(Boolean);

  test('a pool ends to encrypt while copies are made: none is lost, and the devices go', async (t) => {
    const gaps = await numbered!.during(() => setUnderlay('plain'), { repaired: isClear, limitMs: CHANGE_MS });
    t.diagnostic(shown(gaps));
    assert.deepEqual([gaps.web!.missing, gaps.web!.duplicated], [0, 0]);
    for (const node of ['node-1', 'node-2']) {
      await until(`no device on ${node}`, async () => (await devicesOf(node)).length === 0, { limitMs: CHANGE_MS });
    }
    const copied = await framesOf(
      (await watch(lab(), { copies: { host: 'ids-1', filter: 'udp' } }, () => numbered!.moreCopies(['web']))).copies,
    );
    assert.ok(copied[0]!.every((frame) => sourceMac(frame) === lab().mac('web-1').replaceAll(':', '')));
  });
});
