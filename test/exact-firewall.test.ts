/** Packets of a mirrored VM that a firewall or a limit drops: each has exactly one copy. */
import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { defaultTopology } from '@mirrorplane/lab';
import { FIREWALLS, type Firewall, firewallBridge, LIMITS, OWN_BRIDGE_FIREWALLS } from './support/exact-firewalls.ts';
import {
  ACCEPTED,
  arpRequest,
  BROADCAST,
  DROPPED,
  ether,
  frames,
  payloadOf,
  udpFrame,
} from './support/exact-frames.ts';
import { arrivalEventually, sh, tryFeature } from './support/exact-node.ts';
import { arrived, assertFrames, watchAll } from './support/exact-taps.ts';
import { useLab } from './support/lab.ts';
import {
  activeEventually,
  allCopied,
  assertSumsClose,
  countedEventually,
  createPolicy,
  deletePolicy,
  packets,
  policyStatus,
  withPolicy,
} from './support/policy.ts';
import { framesOf, type Tap } from './support/taps.ts';
import { PYTHON, sendFrames } from './support/traffic.ts';

// A destination outside of the bridges sees copies alone, not what the bridges flood.
const lab = useLab({ topology: defaultTopology({ nodes: 2, devicesPerNode: 1, switch: false }) });
const TAP = 'tap-web-1';
const DESTINATIONS = [
  { where: 'the same node', destination: 'd-1-1/0', host: 'd-1-1' },
  { where: 'another node', destination: 'd-2-1/0', host: 'd-2-1' },
] as const;
const RULE = `ether type ip udp dport ${DROPPED} drop`;
/** Frames of each kind. */
const N = 8;

let id = 0;

/** Reserves `count` unused frame numbers. Returns the next number, as `frames` needs it. */
function nextIds(count: number): number {
  id += count;
  return id;
}
/** `count` frames from one VM to another, to one UDP port. */
function flow(from: string, to: string, port: number, count = N): string[] {
  const first = id;
  id += count;
  return frames(count, first, (n) => udpFrame({ from: lab().mac(from), to: lab().mac(to), port, id: n }));
}

const isTo = (host: string) => (frame: string) => frame.startsWith(lab().mac(host).replaceAll(':', ''));

/**
 * Installs a firewall while `work` runs. If this kernel lacks the firewall, the test is skipped.
 */
async function behind(t: TestContext, firewall: Firewall, work: () => Promise<void>): Promise<void> {
  if (!(await tryFeature(t, lab(), 'node-1', firewall.name, firewall.up))) {
    return;
  }
  try {
    await work();
  } finally {
    await sh(lab(), 'node-1', firewall.down);
  }
}

/** Sends each list from its host, all hosts at once. */
async function send(lists: Record<string, string[]>): Promise<void> {
  await Promise.all(Object.entries(lists).map(([host, list]) => sendFrames(lab(), host, 'eth0', list)));
}

const PEERS = ['db-1', 'fw-1'];

/**
 * Traffic that the firewall drops and that it accepts, in both directions, within the node and over
 * the uplink.
 */
async function assertSeenThrough(host: string): Promise<void> {
  const mixed = (from: string, to: string) =>
    [flow(from, to, DROPPED, N / 2), flow(from, to, ACCEPTED), flow(from, to, DROPPED, N / 2)].flat();
  const accepted = (list: string[]) => list.filter((frame) => frame.slice(72, 76) === '0008');
  const fromVm = PEERS.flatMap((peer) => mixed('web-1', peer));
  const towards = Object.fromEntries(PEERS.map((peer) => [peer, mixed(peer, 'web-1')]));
  const originals = [...fromVm, ...Object.values(towards).flat()];
  // A bridge that snoops joins a multicast group itself, by a frame to each of its ports.
  const filter = 'not igmp';
  const taps: Record<string, Tap> = { destination: { host, filter } };
  for (const receiver of ['web-1', ...PEERS]) {
    taps[receiver] = { host: receiver, direction: 'in', filter };
  }
  const seen = await watchAll(lab(), taps, async (captures) => {
    await send({ 'web-1': fromVm, ...towards });
    await arrived(captures.destination!, originals.length);
    await arrived(captures['web-1']!, 2 * N);
  });
  const [copies = [], atVm = [], ...atPeers] = await framesOf(
    seen.destination!,
    seen['web-1']!,
    ...PEERS.map((peer) => seen[peer]!),
  );
  assertFrames(copies, originals, 'copies of what was dropped and of what was accepted');
  assertFrames(atVm, accepted(Object.values(towards).flat()), 'what the VM receives');
  PEERS.forEach((peer, i) => {
    assertFrames(atPeers[i]!, accepted(fromVm).filter(isTo(peer)), `what ${peer} receives`);
  });
}

for (const { where, destination, host } of DESTINATIONS) {
  describe(`with the destination on ${where}`, () => {
    before(async () => {
      await createPolicy(lab(), { name: 'through', sources: ['web-1/0'], destination });
      await activeEventually(lab(), 'through');
      await arrivalEventually(lab(), 'node-1', 'br0', lab().mac('web-1'), TAP);
    });
    after(() => deletePolicy(lab(), 'through'));

    for (const firewall of FIREWALLS) {
      test(`copies frames once, in both directions, whether ${firewall.name} drops or accepts them`, (t) =>
        behind(t, firewall, () => assertSeenThrough(host)));
    }

    for (const limit of LIMITS) {
      test(`copies all, once, of what is cut down by ${limit.name}`, (t) =>
        behind(t, limit, async () => {
          const [from, to] = limit.direction === 'from' ? ['web-1', 'fw-1'] : ['fw-1', 'web-1'];
          const list = flow(from, to, DROPPED, 60);
          const taps: Record<string, Tap> = { destination: { host }, receiver: { host: to, direction: 'in' } };
          const seen = await watchAll(lab(), taps, async (captures) => {
            await sendFrames(lab(), from, 'eth0', list);
            await arrived(captures.destination!, list.length);
            await arrived(captures.receiver!, 1);
          });
          const [copies = []] = await framesOf(seen.destination!);
          assertFrames(copies, list, 'copies');
          const received = seen.receiver!.packets;
          assert.ok(received > 0 && received < list.length, `the limit lets some pass, not all: ${received}`);
        }));
    }

    test('has counted each packet once', async () => {
      const status = await policyStatus(lab(), 'through');
      const { matched } = status.totals;
      const counted = await countedEventually(lab(), 'through', matched.packets);
      assertSumsClose(counted);
      assert.deepEqual(packets(counted.totals), allCopied(counted.totals.matched.packets));
      assert.ok(matched.packets >= 8 * N * 5, 'the firewalls were there');
    });
  });
}

for (const learning of [true, false]) {
  test(`copies once, in both directions, what ${learning ? 'a learning' : 'an unlearning'} firewall bridge of one VM drops`, async (t) => {
    const bridge = firewallBridge(lab().mac('web-1'), learning);
    for (const { destination, host } of DESTINATIONS) {
      await withPolicy(lab(), { name: 'own-bridge', sources: ['web-1/0'], destination }, () =>
        behind(t, bridge, async () => {
          // The bridge learns from the first frame of the VM, where it learns at all.
          await sendFrames(lab(), 'web-1', 'eth0', flow('web-1', 'fw-1', ACCEPTED, 1));
          await arrivalEventually(lab(), 'node-1', 'fwbr', '00:00:00:00:00:00', TAP);
          if (learning) {
            await arrivalEventually(lab(), 'node-1', 'fwbr', lab().mac('web-1'), TAP);
          }
          for (const firewall of OWN_BRIDGE_FIREWALLS) {
            await sh(lab(), 'node-1', firewall.up);
            try {
              await assertSeenThrough(host);
            } finally {
              await sh(lab(), 'node-1', firewall.down);
            }
          }
        }),
      );
    }
  });
}

test('copies once what firewalls at the input and output hooks of the bridge drop', async (t) => {
  const hooks = ['input', 'output'].map((hook) => `chain ${hook} { type filter hook ${hook} priority 0; ${RULE}; }`);
  const firewall = {
    name: 'nftables bridge family, input and output',
    up: `nft -f - <<'EOF'\ntable bridge exact {\n${hooks.join('\n')}\n}\nEOF\n`,
    down: 'nft delete table bridge exact\n',
  };
  const { stdout } = await lab().exec('node-1', ['ip', '-j', 'link', 'show', 'dev', 'br0']);
  const bridge: string = JSON.parse(stdout)[0].address;
  const vm = lab().mac('web-1');
  const both = (from: string, to: string) =>
    [DROPPED, ACCEPTED].flatMap((port) => frames(N, nextIds(N), (n) => udpFrame({ from, to, port, id: n })));
  for (const { destination, host } of DESTINATIONS) {
    await withPolicy(lab(), { name: 'host', sources: ['web-1/0'], destination }, () =>
      behind(t, firewall, async () => {
        const [up, down] = [both(vm, bridge), both(bridge, vm)];
        const taps: Record<string, Tap> = {
          destination: { host },
          node: { host: 'node-1', device: 'br0', direction: 'in', filter: `ether src ${vm}` },
          vm: { host: 'web-1', direction: 'in' },
        };
        const seen = await watchAll(lab(), taps, async (captures) => {
          await sendFrames(lab(), 'web-1', 'eth0', up);
          await sendFrames(lab(), 'node-1', 'br0', down);
          await arrived(captures.destination!, 4 * N);
        });
        const [copies = [], atNode = [], atVm = []] = await framesOf(seen.destination!, seen.node!, seen.vm!);
        assertFrames(copies, [...up, ...down], 'copies');
        assertFrames(atNode, up.slice(N), 'what the node receives');
        assertFrames(atVm, down.slice(N), 'what the VM receives');
      }),
    );
  }
});

/** Frames that a bridge sends to every port. */
function flooded(from: string): string[] {
  const mac = lab().mac(from);
  return [
    ...frames(N, nextIds(N), (n) => udpFrame({ from: mac, to: BROADCAST, id: n })),
    ...frames(N, nextIds(N), (n) => udpFrame({ from: mac, to: '01:00:5e:01:02:03', destination: '239.1.2.3', id: n })),
    ...frames(N, nextIds(N), (n) => ether(mac, '33:33:00:01:02:03', 0x88b5, payloadOf(n))),
    ...frames(N, nextIds(N), (n) => arpRequest(mac, '10.0.0.77', '10.0.0.78', n)),
    ...frames(N, nextIds(N), (n) => udpFrame({ from: mac, to: '02:ee:00:00:00:01', id: n })),
  ];
}

for (const { where, destination, host } of DESTINATIONS) {
  test(`broadcast, multicast, ARP and unknown unicast are copied once each, to ${where}`, async () => {
    await withPolicy(lab(), { name: 'flooded', sources: ['web-1/0'], destination }, async () => {
      const lists = Object.fromEntries(['web-1', 'web-2', 'db-1'].map((from) => [from, flooded(from)]));
      const all = Object.values(lists).flat();
      const taps: Record<string, Tap> = { destination: { host }, vm: { host: 'web-1', direction: 'in' } };
      const seen = await watchAll(lab(), taps, async (captures) => {
        await send(lists);
        await arrived(captures.destination!, all.length);
        const { totals } = await countedEventually(lab(), 'flooded', all.length);
        assert.deepEqual(packets(totals), allCopied(all.length));
      });
      const [copies = [], atVm = []] = await framesOf(seen.destination!, seen.vm!);
      assertFrames(copies, all, 'copies');
      assertFrames(atVm, [...lists['web-2']!, ...lists['db-1']!], 'what the VM receives');
    });
  });
}

test('each frame is copied once while the bridge forgets the VM and learns it again', async () => {
  const vm = lab().mac('web-1');
  await withPolicy(lab(), { name: 'learning', sources: ['web-1/0'], destination: 'd-2-1/0' }, async () => {
    const sent: string[] = [];
    const from = async (host: string, list: string[]) => {
      sent.push(...list);
      await sendFrames(lab(), host, 'eth0', list);
    };
    const seen = await watchAll(lab(), { destination: { host: 'd-2-1' } }, async ({ destination }) => {
      for (let round = 0; round < 4; round++) {
        await sh(lab(), 'node-1', round % 2 ? 'ip link set br0 type bridge fdb_flush\n' : '');
        await lab().exec('node-1', ['bridge', 'fdb', 'del', vm, 'dev', TAP, 'master'], { check: false });
        await from('db-1', flow('db-1', 'web-1', ACCEPTED));
        await arrivalEventually(lab(), 'node-1', 'br0', vm, null);
        await from('fw-1', flow('fw-1', 'web-1', ACCEPTED));
        await from('web-1', flow('web-1', 'fw-1', ACCEPTED)); // learns
        await from('db-1', flow('db-1', 'web-1', ACCEPTED));
        await arrivalEventually(lab(), 'node-1', 'br0', vm, TAP);
        await from('db-1', flow('db-1', 'web-1', ACCEPTED));
      }
      await arrived(destination, sent.length);
    });
    await sh(lab(), 'node-1', `bridge fdb replace ${vm} dev ${TAP} master static\n`);
    const [copies = []] = await framesOf(seen.destination);
    assertFrames(copies, sent, 'copies');
  });
});

test('each frame is copied once while the MAC address of the VM changes', async () => {
  const [old, changed] = [lab().mac('web-1'), '02:00:00:00:c4:a6'];
  await withPolicy(lab(), { name: 'address', sources: ['web-1/0'], destination: 'd-1-1/0' }, async () => {
    const sent: string[] = [];
    const from = async (host: string, list: string[]) => {
      sent.push(...list);
      await sendFrames(lab(), host, 'eth0', list);
    };
    const towards = (to: string) => frames(N, nextIds(N), (n) => udpFrame({ from: lab().mac('fw-1'), to, id: n }));
    const outOf = (mac: string) => frames(N, nextIds(N), (n) => udpFrame({ from: mac, to: lab().mac('fw-1'), id: n }));
    const seen = await watchAll(lab(), { destination: { host: 'd-1-1' } }, async ({ destination }) => {
      await from('fw-1', towards(old));
      await sh(lab(), 'web-1', `ip link set dev eth0 address ${changed}\n`);
      await from('fw-1', towards(changed)); // flooded
      await from('web-1', outOf(changed)); // learned
      await from('fw-1', towards(changed));
      await arrivalEventually(lab(), 'node-1', 'br0', changed, TAP);
      await from('fw-1', towards(changed));
      await sh(lab(), 'web-1', `ip link set dev eth0 address ${old}\n`);
      await from('fw-1', towards(old));
      await arrived(destination, sent.length);
    });
    const [copies = []] = await framesOf(seen.destination);
    assertFrames(copies, sent, 'copies');
  });
});

test('frames of a port that joins the bridge while traffic runs are copied within a second, and none twice', async () => {
  /** A frame every five milliseconds: a second is 200. */
  const [count, pause] = [400, 0.005];
  await withPolicy(lab(), { name: 'joining', sources: ['web-1/0'], destination: 'd-2-1/0' }, async () => {
    const from = '02:00:00:00:00:99';
    const list = frames(count, nextIds(count), (n) => udpFrame({ from, to: lab().mac('web-1'), id: n }));
    await sh(lab(), 'node-1', 'ip link add joinvm type veth peer name joinport\nip link set joinvm up\n');
    try {
      const taps = { destination: { host: 'd-2-1' }, vm: { host: 'web-1', direction: 'in' } } as const;
      const seen = await watchAll(lab(), taps, async (captures) => {
        const paced = [PYTHON, `${import.meta.dirname}/support/exact-paced.py`, 'joinvm', String(pause)];
        const sending = lab().exec('node-1', paced, { input: `${list.join('\n')}\n` });
        await sh(lab(), 'node-1', 'ip link set joinport master br0 up\n');
        await sending;
        const received = await captures.vm.count();
        await arrived(captures.destination, received - 1 / pause);
      });
      const [copies = [], received = []] = await framesOf(seen.destination, seen.vm);
      assert.equal(new Set(copies).size, copies.length, 'none twice');
      const missing = received.length - copies.length;
      assert.deepEqual(copies, received.slice(missing), 'all from the first on, as they were');
      assert.ok(received.length > count / 2, `the VM has received ${received.length}`);
      assert.ok(missing <= 1 / pause, `${missing} frames were missed before the agent had followed`);
    } finally {
      await sh(lab(), 'node-1', 'ip link del joinvm\n');
    }
  });
});
