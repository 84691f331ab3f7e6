/** Copies equal their originals: TCP super-packets, UDP, ARP, and every other Ethernet protocol. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import type { PolicyInput, PolicyStatus } from '@mirrorplane/contract';
import { labName, useLab } from './support/lab.ts';
import {
  activeEventually,
  allCopied,
  assertSumsClose,
  countedEventually,
  packets,
  policyStatus,
  statusEventually,
  withPolicy,
} from './support/policy.ts';
import { assertSameFrames, framesOf, watch } from './support/taps.ts';
import { PYTHON, ping, python, sendFrames } from './support/traffic.ts';

const TRANSFER = join(import.meta.dirname, 'support', 'transfer.py');
const UDP = join(import.meta.dirname, 'support', 'udp.py');
const PORT = 5001;
/** Bytes that ERSPAN puts in front of an IP packet. */
const OVERHEAD = 50;
/** For captures of whole streams: of super-packets, and of frames. */
const SUPER = { snapLength: 66_000, bufferKiB: 65_536 };
const WIRE = { bufferKiB: 32_768 };

/** What stream.py prints. */
interface Stream {
  bytes: number;
  missing: number;
  wrong: number;
  frames: number;
  longest: number;
  badHeaders: number;
}

/** What outer.py prints. */
interface Outer {
  packets: number;
  bytes: number;
  longest: number;
  fragments: number;
  mayFragment: number;
  badChecksum: number;
  otherKind: number;
  truncated: number;
  sessions: number[];
}

for (const mtu of [1600, 1500]) {
  describe(`underlay MTU ${mtu}`, () => {
    const lab = useLab({ name: labName(mtu === 1600 ? 't' : 'u'), underlayMtu: mtu });
    const file = () => join(lab().runDir, 'random.bin');

    before(() => writeFileSync(file(), randomBytes(3_000_000)));

    /** Sends the file from one VM to another over TCP and asserts that it arrived. */
    async function transfer(from: string, to: string, megabits: number): Promise<void> {
      const address = lab().address(to);
      const argv = [PYTHON, TRANSFER, 'receive', address, String(PORT)];
      const receiver = lab().spawn(to, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
      let said = '';
      receiver.stdout?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      const closed = once(receiver, 'close');
      try {
        await once(receiver.stdout!, 'data', { signal: AbortSignal.timeout(10_000) });
        await lab().exec(from, [PYTHON, TRANSFER, 'send', address, String(PORT), file(), String(megabits)]);
        await closed;
      } finally {
        receiver.kill('SIGKILL');
      }
      const { stdout } = await lab().exec(from, ['sha256sum', file()]);
      assert.equal(said, `listening\n${stdout.slice(0, 64)}\n`, 'the original stream arrived as it was sent');
    }

    /** Sends datagrams. No listener is needed. */
    async function udp(from: string, to: string, count: number, size: number, segments?: number): Promise<void> {
      const argv = [PYTHON, UDP, lab().address(to), '9', String(count), String(size)];
      if (segments !== undefined) {
        argv.push(String(segments));
      }
      await lab().exec(from, argv);
    }

    /** SHA-256 of the stream that tshark puts together of a capture. */
    async function followed(pcap: string): Promise<string> {
      const argv = ['tshark', '-r', pcap, '-q', '-z', 'follow,tcp,raw,0'];
      const { stdout } = await lab().exec('ctl', argv);
      const hex = stdout.split('\n').filter((line) => /^[0-9a-f]+$/.test(line));
      return createHash('sha256')
        .update(Buffer.from(hex.join(''), 'hex'))
        .digest('hex');
    }

    const stream = (pcap: string) => python<Stream>('stream.py', [pcap, file(), String(PORT)]);
    const sent = ({ totals }: PolicyStatus) => totals.copied.packets;

    /**
     * Waits until the counters are at rest: every matched packet is copied, and every copy
     * delivered.
     */
    async function atRest(name: string, atLeast: number): Promise<PolicyStatus> {
      let last = -1;
      return await statusEventually(lab(), name, 'counters at rest', (status) => {
        const { received, delivered } = status.paths[0] ?? {};
        const now = status.totals.matched.packets;
        const still = now >= atLeast && now === last && received?.packets === delivered?.packets;
        if (status.paths[0]?.sent?.packets !== received?.packets || status.delivered === null) {
          return false;
        }
        last = now;
        return still;
      });
    }

    test('a TCP stream of super-packets is complete at a local destination', async () => {
      const policy: PolicyInput = { name: 'tcp-local', sources: ['web-1/0'], destination: 'web-2/0' };
      await withPolicy(lab(), policy, async () => {
        const taps = { copies: { host: 'web-2', ...SUPER } };
        const seen = await watch(lab(), taps, async () => {
          await transfer('web-1', 'app-1', 200);
          const status = await atRest('tcp-local', 2000);
          assert.deepEqual(packets(status.totals), allCopied(sent(status)));
          assert.deepEqual(status.delivered, status.totals.copied);
          assertSumsClose(status);
        });
        const { longest, ...rest } = await stream(seen.copies.file);
        assert.deepEqual({ ...rest, frames: 0 }, { bytes: 3_000_000, missing: 0, wrong: 0, frames: 0, badHeaders: 0 });
        assert.ok(longest > 1514, `super-packets stay whole, the longest had ${longest} bytes`);
        const { stdout } = await lab().exec('ctl', ['sha256sum', file()]);
        assert.equal(await followed(seen.copies.file), stdout.slice(0, 64));
      });
    });

    test('a TCP stream of super-packets comes through ERSPAN in packets of the underlay MTU, none a fragment', async () => {
      const policy: PolicyInput = { name: 'tcp-erspan', sources: ['web-1/0'], destination: 'ids-1/0' };
      // A physical NIC puts segments on the wire; a veth would hand super-packets through and prove
      // nothing.
      const segments = (on: 'on' | 'off') =>
        lab().exec('node-1', ['ethtool', '-K', 'underlay0', 'tso', on, 'gso', on, 'tx-gre-segmentation', on]);
      await segments('off');
      try {
        await withPolicy(lab(), policy, async () => {
          const taps = {
            copies: { host: 'ids-1', ...WIRE },
            outer: {
              host: 'node-2',
              device: 'underlay0',
              filter: 'ip proto 47',
              ...WIRE,
            },
          };
          let status: PolicyStatus | undefined;
          const seen = await watch(lab(), taps, async () => {
            await transfer('web-1', 'app-1', 100);
            status = await atRest('tcp-erspan', 2000);
            assertSumsClose(status);
          });
          assert.deepEqual(status!.totals.dropped, {});
          const { truncated } = packets(status!.totals)!;
          const outer = await python<Outer>('outer.py', [seen.outer.file]);
          const { sent: counted } = status!.paths[0]!;
          assert.deepEqual([outer.packets, outer.bytes], [counted!.packets, counted!.bytes], 'counted as on the wire');
          const { fragments, mayFragment, badChecksum, otherKind, sessions } = outer;
          assert.deepEqual(
            { fragments, mayFragment, badChecksum, otherKind, sessions: sessions.length },
            { fragments: 0, mayFragment: 0, badChecksum: 0, otherKind: 0, sessions: 1 },
          );
          assert.ok(outer.longest <= mtu, `the longest outer packet has ${outer.longest} bytes`);
          assert.equal(outer.truncated, truncated, 'the T bit is set where a copy was cut');
          const { missing, ...rest } = await stream(seen.copies.file);
          assert.deepEqual([rest.wrong, rest.badHeaders], [0, 0]);
          if (mtu >= 1500 + OVERHEAD) {
            assert.deepEqual([missing, truncated], [0, 0]);
            assert.equal(rest.longest, 1514, 'segments keep their size');
            const { stdout } = await lab().exec('ctl', ['sha256sum', file()]);
            assert.equal(await followed(seen.copies.file), stdout.slice(0, 64));
          } else {
            // Segments of super-packets shrink; a full segment by itself is cut, and every byte of
            // that is accounted for.
            assert.ok(missing <= truncated * OVERHEAD, `${missing} bytes are missing of ${truncated} cut packets`);
            assert.ok(truncated * 10 < rest.frames, `${truncated} of ${rest.frames} segments were cut`);
          }
        });
      } finally {
        await segments('on');
      }
    });

    test('a TCP stream of super-packets leaves by an edge in tagged frames of wire size, complete', async () => {
      const policy: PolicyInput = { name: 'tcp-edge', sources: ['web-1/0'], destination: 'edge-1', vlanId: 100 };
      await withPolicy(lab(), policy, async () => {
        const taps = { copies: { host: 'mon-sw', ...WIRE } };
        const seen = await watch(lab(), taps, async (captures) => {
          // Slow: a switch in user space that does not get a CPU for some 40 ms would lose frames
          // of a faster stream.
          await transfer('web-1', 'app-1', 10);
          const status = await atRest('tcp-edge', 2000);
          assert.deepEqual(packets(status.totals), allCopied(sent(status)));
          await captures.copies.waitFor(sent(status));
        });
        const { longest, missing, wrong } = await stream(seen.copies.file);
        assert.deepEqual({ longest, missing, wrong }, { longest: 1514, missing: 0, wrong: 0 });
      });
    });

    test('iperf3 at full speed: no copy is lost unaccounted', async () => {
      const policies: PolicyInput[] = [
        { name: 'speed-erspan', sources: ['web-1/0'], destination: 'ids-1/0' },
        { name: 'speed-local', sources: ['app-1/0'], destination: 'mon-3/0' },
      ];
      const server = lab().spawn('web-1', ['iperf3', '-s', '-1', '--forceflush'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      try {
        await once(server.stdout!, 'data', { signal: AbortSignal.timeout(10_000) });
        await withPolicy(lab(), policies[0]!, () =>
          withPolicy(lab(), policies[1]!, async () => {
            // The receiver asks and ends it: one that is told to end counts no more what it has not
            // read yet.
            const argv = ['iperf3', '-c', lab().address('web-1'), '--reverse', '-n', '50M', '-J'];
            const { end } = JSON.parse((await lab().exec('app-1', argv)).stdout);
            const { bytes } = end.sum_received;
            assert.ok(bytes >= 50 * 2 ** 20, `the original stream arrived: ${bytes} bytes`);
            for (const { name } of policies) {
              const status = await atRest(name, bytes / 1448);
              const { copied } = status.totals;
              const dropped = Object.values(status.totals.dropped).reduce((sum, c) => sum + (c?.packets ?? 0), 0);
              assert.equal(status.totals.matched.packets, copied.packets + dropped, name);
              assert.ok(
                status.totals.matched.bytes >= bytes,
                `${name}: ${status.totals.matched.bytes} bytes were matched`,
              );
              assertSumsClose(status);
            }
          }),
        );
      } finally {
        server.kill();
      }
    });

    test('UDP datagrams of every size up to the MTU are copied byte by byte', async () => {
      const policy: PolicyInput = { name: 'udp', sources: ['web-1/0'], destination: 'ids-1/0', direction: 'outbound' };
      // With finished checksums the captures at both ends are the same; a veth leaves them to be
      // done later.
      const checksums = (on: 'on' | 'off') => lab().exec('web-1', ['ethtool', '-K', 'eth0', 'tx', on, 'tso', on]);
      await checksums('off');
      try {
        await withPolicy(lab(), policy, async () => {
          const taps = { source: { host: 'web-1', filter: 'udp' }, copies: { host: 'ids-1' } };
          const seen = await watch(lab(), taps, async (captures) => {
            for (const size of [4, 100, mtu - OVERHEAD - 28 - 50, Math.min(1472, mtu - OVERHEAD - 28)]) {
              await udp('web-1', 'app-1', 100, size);
            }
            await captures.copies.waitFor(400);
            assert.deepEqual(packets((await countedEventually(lab(), 'udp', 400)).totals), allCopied(400));
          });
          const [originals = [], copies = []] = await framesOf(seen.source, seen.copies);
          assertSameFrames(copies, originals, 'datagrams');
        });
      } finally {
        await checksums('on');
      }
    });

    test('UDP super-packets are copied datagram by datagram, truncated where these do not fit into the underlay', async () => {
      const policy: PolicyInput = { name: 'uso', sources: ['web-1/0'], destination: 'ids-1/0', direction: 'outbound' };
      await withPolicy(lab(), policy, async () => {
        await udp('web-1', 'app-1', 100, 1400, 10);
        const first = await countedEventually(lab(), 'uso', 100);
        assert.deepEqual(packets(first.totals), allCopied(100));
        await udp('web-1', 'app-1', 50, 1472, 10);
        const fits = mtu >= 1500 + OVERHEAD;
        const status = await countedEventually(lab(), 'uso', 150);
        assert.deepEqual(packets(status.totals), { ...allCopied(150), truncated: fits ? 0 : 50 });
        assertSumsClose(status);
      });
    });

    test('frames of every kind are copied byte by byte, within the node and through ERSPAN', async () => {
      const macs = [lab().mac('web-1'), lab().mac('app-1')];
      const frames = await python<[what: string, hex: string][]>('odd_frames.py', macs);
      const fit = frames.filter(([, hex]) => hex.length / 2 <= 14 + mtu - OVERHEAD);
      assert.equal(fit.length < frames.length, mtu === 1500, 'full frames fit into the larger MTU alone');
      for (const [destination, host] of [
        ['web-2/0', 'web-2'],
        ['ids-1/0', 'ids-1'],
      ] as const) {
        const hex = (host === 'web-2' ? frames : fit).map(([, frame]) => frame);
        // The VM at the other end answers some of them.
        const policy = { name: 'kinds', sources: ['web-1/0'], destination, direction: 'outbound' };
        await withPolicy(lab(), policy, async () => {
          const seen = await watch(lab(), { copies: { host } }, async (captures) => {
            await sendFrames(lab(), 'web-1', 'eth0', hex);
            const status = await countedEventually(lab(), 'kinds', hex.length, 0);
            assert.deepEqual(packets(status.totals), allCopied(hex.length), host);
            await captures.copies.waitFor(hex.length);
          });
          const [copies = []] = await framesOf(seen.copies);
          const name = (frame: string) => frames.find(([, known]) => known === frame)?.[0] ?? frame;
          assert.deepEqual(copies.map(name), hex.map(name), `at ${host}, in their order`);
        });
      }
    });

    test('ARP is copied: a question to all, and its answer', async () => {
      const policy: PolicyInput = { name: 'arp', sources: ['app-1/0'], destination: 'ids-1/0' };
      const [address, mac] = [lab().address('web-1'), lab().mac('web-1')];
      await withPolicy(lab(), policy, async () => {
        await lab().exec('app-1', ['ip', 'neigh', 'del', address, 'dev', 'eth0']);
        try {
          const taps = { source: { host: 'app-1' }, copies: { host: 'ids-1' } };
          const seen = await watch(lab(), taps, async (captures) => {
            await ping(lab(), 'app-1', 'web-1', 5);
            // The question is to all, so the destination gets it for itself too.
            await captures.copies.waitFor(13);
            assert.deepEqual(packets((await countedEventually(lab(), 'arp', 12)).totals), allCopied(12));
          });
          const [originals = [], copies = []] = await framesOf(seen.source, seen.copies);
          const question = originals.find((frame) => frame.startsWith('f'.repeat(12)));
          assert.ok(question, 'the source has asked');
          assertSameFrames(copies, [question, ...originals], 'copies, and the question itself');
        } finally {
          const replace = ['ip', 'neigh', 'replace', address, 'lladdr', mac, 'dev', 'eth0', 'nud', 'permanent'];
          await lab().exec('app-1', replace);
        }
      });
    });

    if (mtu < 1500 + OVERHEAD) {
      test('copies that do not fit into the underlay are truncated with the T bit, counted, and shown as a reason', async () => {
        const policy: PolicyInput = { name: 'cut', sources: ['web-1/0'], destination: 'ids-1/0' };
        await withPolicy(lab(), policy, async () => {
          const taps = {
            source: { host: 'web-1' },
            copies: { host: 'ids-1' },
            outer: { host: 'node-2', device: 'underlay0', filter: 'ip proto 47' },
          };
          const seen = await watch(lab(), taps, async (captures) => {
            await ping(lab(), 'web-1', 'app-1', 10, { size: 1472 });
            await captures.copies.waitFor(20);
            const status = await countedEventually(lab(), 'cut', 20);
            assert.deepEqual(packets(status.totals), { ...allCopied(20), truncated: 20 });
            assert.deepEqual([status.state, status.reasons[0]?.code], ['degraded', 'COPIES_TRUNCATED']);
          });
          const [originals = [], copies = []] = await framesOf(seen.source, seen.copies);
          const cut = originals.map((frame) => frame.slice(0, 2 * (14 + mtu - OVERHEAD)));
          assertSameFrames(copies, cut, 'copies without their ends');
          const outer = await python<Outer>('outer.py', [seen.outer.file]);
          assert.deepEqual([outer.packets, outer.truncated, outer.longest], [20, 20, mtu]);
          const fields = ['-T', 'fields', '-e', 'erspan.truncated'];
          const { stdout } = await lab().exec('ctl', ['tshark', '-r', seen.outer.file, ...fields]);
          assert.deepEqual([...new Set(stdout.trim().split('\n'))], ['1'], 'tshark reads the T bit too');
          assert.equal((await policyStatus(lab(), 'cut')).totals.truncated.packets, 20);
        });
      });
    }

    test('a frame with more tags than ERSPAN can carry is counted as dropped, and the next one is copied', async () => {
      const [to, from] = [lab().mac('app-1'), lab().mac('web-1')].map((mac) => mac.replaceAll(':', ''));
      const tags = '810000078100000881000009';
      const frame = (middle: string) => `${to}${from}${middle}88b5${'ab'.repeat(60)}`;
      await withPolicy(lab(), { name: 'tags', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
        await activeEventually(lab(), 'tags');
        const seen = await watch(lab(), { copies: { host: 'ids-1' } }, async (captures) => {
          await sendFrames(lab(), 'web-1', 'eth0', [frame(tags), frame('')]);
          await captures.copies.waitFor(1);
          const { totals } = await countedEventually(lab(), 'tags', 2, 1);
          assert.deepEqual(packets(totals), { ...allCopied(2), copied: 1, dropped: { vlanUnsupported: 1 } });
        });
        assert.deepEqual((await framesOf(seen.copies))[0], [frame('')]);
      });
    });
  });
}
