/**
 * The compared variants: ways to copy the traffic of one VM, and no mirror. A new variant (another
 * mirror of the kernel, a switch, a program that reads and resends) is one more object of the
 * interface `Variant` in a list. Measurements only use this interface.
 */
import type { DatapathState, DeliveryEntry, HookCapture } from '@mirrorplane/agent/testing';
import { type Bed, DESTINATION_NODE, LOCAL_DESTINATION, REMOTE_DESTINATION, SOURCE, SOURCE_NODE } from './bed.ts';
import { NOTHING } from './node-datapath.ts';

export interface Variant {
  /** Stable: part of the names in the results. */
  name: string;
  title: string;
  /** Where copies arrive: a host and its device; undefined where nothing is copied. */
  destination?: { host: string; device: string };
  /** Begins to copy all packets that SOURCE sends and receives. */
  start(bed: Bed): Promise<void>;
  /** Ends the copying. If `start` fails, the whole bed is removed instead. */
  stop(bed: Bed): Promise<void>;
  /** Copies may be lost: their share is a result, and not a failure. */
  losesCopies?: true;
  /** Super-packets arrive in segments, so there may be more copies than originals. */
  segments?: true;
  /** Processes that do the mirror's work, while it runs. */
  processes?(): readonly number[];
  /** Counters of the mirror itself, if it has any. */
  totals?(bed: Bed): Promise<Totals>;
}

/**
 * Packets on the wire (segments of super-packets), and bytes, since the mirror was set up the first
 * time.
 */
export interface Totals {
  matched: number;
  copied: number;
  copiedBytes: number;
  /** Matched but not copied. */
  dropped: number;
}

const nicOf = (host: string) => ({ host, device: 'eth0' });

const POLICY = 'bench';
/** A packet is copied where a random 32-bit number is below it. */
const ALL = 2 ** 32;

/**
 * Both directions of a source into one delivery. Slots and names stay the same over all variants of a
 * run.
 */
export async function captureState(
  bed: Bed,
  delivery: DeliveryEntry,
  threshold = ALL,
  [node, source] = [SOURCE_NODE, SOURCE],
): Promise<DatapathState> {
  const ifindex = await bed.ifindex(node, bed.lab.vm(source).device);
  return stateOf(delivery, [{ source, ifindex, id: delivery.id }], threshold);
}

/** A source: its name, its device on the node, and what its captures are called. */
export interface CapturedSource {
  source: string;
  ifindex: number;
  id: string;
}

/**
 * Both directions of sources into one delivery.
 * @param sources 1 to 1024
 */
export function stateOf(delivery: DeliveryEntry, sources: readonly CapturedSource[], threshold = ALL): DatapathState {
  const captures = sources.flatMap(({ source, ifindex, id }, i) => {
    const capture = (direction: HookCapture['direction'], hook: HookCapture['hook']): HookCapture => ({
      id: `${id}/${direction}`,
      policy: POLICY,
      source,
      direction,
      ifindex,
      hook,
      threshold,
      skipVlanId: 0,
      sourceSlot: i + 1,
      delivery: delivery.id,
    });
    return [capture('outbound', 'ingress'), capture('inbound', 'egress')];
  });
  return { captures, deliveries: [delivery], terminations: [], mirrorDevice: 0 };
}

export async function localDelivery(bed: Bed, node: string, vm: string): Promise<DeliveryEntry> {
  const ifindex = await bed.ifindex(node, bed.lab.vm(vm).device);
  return { id: `to-${vm}`, policy: POLICY, kind: 'local', ifindex, mtu: 1500 };
}

/**
 * Sums over both directions. They only grow, so the difference of two readings is the traffic in
 * between.
 */
async function totals(bed: Bed): Promise<Totals> {
  const sum: Totals = { matched: 0, copied: 0, copiedBytes: 0, dropped: 0 };
  for (const { counts } of (await bed.source.counters()).captures) {
    sum.matched += counts.matched.packets;
    sum.copied += counts.copied.packets;
    sum.copiedBytes += counts.copied.bytes;
    for (const count of Object.values(counts.dropped)) {
      sum.dropped += count.packets;
    }
  }
  return sum;
}

/** The data plane is loaded and captures nothing. */
export const NONE: Variant = {
  name: 'none',
  title: 'no mirror',
  start: async () => undefined,
  stop: async () => undefined,
};

export const LOCAL: Variant = {
  name: 'local',
  title: 'local mirror',
  destination: nicOf(LOCAL_DESTINATION),
  async start(bed) {
    const delivery = await localDelivery(bed, SOURCE_NODE, LOCAL_DESTINATION);
    await bed.source.apply(await captureState(bed, delivery));
  },
  async stop(bed) {
    await bed.source.apply(NOTHING);
  },
  totals,
};

/**
 * Every packet is captured and sampled out: the cost of the decision without a copy. It is no
 * mirror, so it is not in VARIANTS.
 */
export const SAMPLED_OUT: Variant = {
  ...LOCAL,
  name: 'percent-0',
  title: 'percent 0',
  async start(bed) {
    const delivery = await localDelivery(bed, SOURCE_NODE, LOCAL_DESTINATION);
    await bed.source.apply(await captureState(bed, delivery, 0));
  },
};

export const SESSION = 7;

/** The other node takes ERSPAN of SOURCE_NODE and hands it to a VM there. */
export async function terminateAtDestination(bed: Bed): Promise<void> {
  const here = bed.lab.node(SOURCE_NODE);
  const delivery = await localDelivery(bed, DESTINATION_NODE, REMOTE_DESTINATION);
  const termination = {
    id: `from-${here.name}`,
    policy: POLICY,
    node: here.name,
    address: here.underlayAddress,
    ownAddress: bed.lab.node(DESTINATION_NODE).underlayAddress,
    session: SESSION,
    generation: 0,
    delivery: delivery.id,
  };
  await bed.destination.apply({
    captures: [],
    deliveries: [delivery],
    terminations: [termination],
    mirrorDevice: await bed.ifindex(DESTINATION_NODE, 'underlay0'),
  });
}

/**
 * The state of the node that sends ERSPAN to the other one.
 * @param back the other way: what REMOTE_DESTINATION sends and receives, to SOURCE_NODE
 */
export async function erspanState(bed: Bed, mtu: number, back = false): Promise<DatapathState> {
  const delivery = await erspanDelivery(bed, mtu, back);
  return captureState(bed, delivery, ALL, back ? [DESTINATION_NODE, REMOTE_DESTINATION] : [SOURCE_NODE, SOURCE]);
}

/** How copies of a node leave for the other one. @param back see `erspanState` */
export async function erspanDelivery(bed: Bed, mtu: number, back = false): Promise<DeliveryEntry> {
  const [from, to] = back ? [DESTINATION_NODE, SOURCE_NODE] : [SOURCE_NODE, DESTINATION_NODE];
  const there = bed.lab.node(to);
  return {
    id: `to-${there.name}`,
    policy: POLICY,
    kind: 'erspan',
    ifindex: await bed.ifindex(from, 'underlay0'),
    mtu,
    sourceAddress: bed.lab.node(from).underlayAddress,
    address: there.underlayAddress,
    session: SESSION,
    generation: 0,
    lanes: true,
  };
}

/**
 * ERSPAN to the other node, and out of it into a VM there: both ends of the path run on this
 * machine's CPUs.
 */
function erspan(mtu: number): Variant {
  return {
    name: `erspan-${mtu}`,
    title: `ERSPAN, underlay MTU ${mtu}`,
    destination: nicOf(REMOTE_DESTINATION),
    async start(bed) {
      await bed.setUnderlayMtu(mtu);
      await terminateAtDestination(bed);
      await bed.source.apply(await erspanState(bed, mtu));
    },
    async stop(bed) {
      await bed.source.apply(NOTHING);
      await bed.destination.apply(NOTHING);
    },
    totals,
  };
}
export const ERSPAN_1500 = erspan(1500);
export const ERSPAN_1600 = erspan(1600);

/** Unplugs the far ends of the underlay cables of nodes from the bridge: they drop all packets. */
export function unplugged(bed: Bed, nodes: readonly string[]) {
  return {
    async start() {
      for (const node of nodes) {
        await bed.run('fabric', ['ip', 'link', 'set', cableOf(node), 'nomaster']);
      }
    },
    async stop() {
      for (const node of nodes) {
        await bed.run('fabric', ['ip', 'link', 'set', cableOf(node), 'master', 'under']);
        const mac = await bed.mac(node, 'underlay0');
        await bed.run('fabric', ['bridge', 'fdb', 'replace', mac, 'dev', cableOf(node), 'master', 'static']);
      }
    },
  };
}

const cableOf = (node: string) => `u-${node}`;

/**
 * Only the mirroring node: the far end of its underlay cable is unplugged from the bridge, and
 * drops all packets. So these numbers do not include the work of the other node, which is normally
 * another machine.
 */
export function senderAlone(both: Variant): Variant {
  return {
    ...both,
    name: `${both.name}-sender`,
    title: `${both.title}, sending node alone`,
    destination: { host: 'fabric', device: cableOf(SOURCE_NODE) },
    async start(bed) {
      await unplugged(bed, [SOURCE_NODE]).start();
      await both.start(bed);
    },
    async stop(bed) {
      await both.stop(bed);
      await unplugged(bed, [SOURCE_NODE]).stop();
    },
  };
}
export const ERSPAN_SENDER = senderAlone(ERSPAN_1500);
export const ERSPAN_1600_SENDER = senderAlone(ERSPAN_1600);

/**
 * The kernel's own mirror with a filter that matches everything: act_mirred after u32 on clsact.
 * @param out a device of SOURCE_NODE
 */
export async function startMirred(bed: Bed, out: string): Promise<void> {
  const device = bed.lab.vm(SOURCE).device;
  await bed.run(SOURCE_NODE, ['tc', 'qdisc', 'add', 'dev', device, 'clsact']);
  for (const hook of ['ingress', 'egress']) {
    const filter = ['tc', 'filter', 'add', 'dev', device, hook, 'protocol', 'all', 'u32', 'match', 'u32', '0', '0'];
    await bed.run(SOURCE_NODE, [...filter, 'action', 'mirred', 'egress', 'mirror', 'dev', out]);
  }
}

export async function stopMirred(bed: Bed): Promise<void> {
  await bed.run(SOURCE_NODE, ['tc', 'qdisc', 'del', 'dev', bed.lab.vm(SOURCE).device, 'clsact']);
}

export const MIRRED: Variant = {
  name: 'mirred',
  title: 'tc mirred (yardstick)',
  destination: nicOf(LOCAL_DESTINATION),
  start: (bed) => startMirred(bed, bed.lab.vm(LOCAL_DESTINATION).device),
  stop: stopMirred,
};

/** The module makes devices of its own in each namespace: erspan0 is one of them. */
const ERSPAN_DEVICE_NAME = 'span0';

/**
 * The kernel's own mirror into the kernel's own ERSPAN: mirred to a device of type erspan. It takes
 * no super-packets, so the kernel makes segments before it. The underlay has room for whole copies,
 * which such a device otherwise truncates. Not every kernel has it (module ip_gre).
 */
export const ERSPAN_DEVICE: Variant = senderAlone({
  name: 'erspan-device',
  title: 'mirred to an erspan device',
  segments: true,
  async start(bed) {
    await bed.setUnderlayMtu(1600);
    const [local, remote] = [SOURCE_NODE, DESTINATION_NODE].map((node) => bed.lab.node(node).underlayAddress);
    const tunnel = ['type', 'erspan', 'seq', 'key', String(SESSION), 'local', local!, 'remote', remote!];
    await bed.run(SOURCE_NODE, ['ip', 'link', 'add', ERSPAN_DEVICE_NAME, ...tunnel, 'erspan_ver', '1']);
    await bed.run(SOURCE_NODE, ['ip', 'link', 'set', ERSPAN_DEVICE_NAME, 'mtu', '1500', 'up']);
    await startMirred(bed, ERSPAN_DEVICE_NAME);
  },
  async stop(bed) {
    await stopMirred(bed);
    await bed.run(SOURCE_NODE, ['ip', 'link', 'del', ERSPAN_DEVICE_NAME]);
  },
});

/** Everything that is compared; the first is the baseline. */
export const VARIANTS: readonly Variant[] = [NONE, LOCAL, ERSPAN_1500, ERSPAN_1600, ERSPAN_SENDER, MIRRED];
