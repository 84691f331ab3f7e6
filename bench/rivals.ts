/**
 * Other mirrors that operators use today: nft dup, a capture agent with libpcap, Open vSwitch in
 * user space. The kernel's own, tc mirred, is in `variants.ts`.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import { type Ovs, startOvs } from '../test/support/exact-ovs.ts';
import {
  type Bed,
  DESTINATION_NODE,
  LOCAL_DESTINATION,
  PEER,
  REMOTE_DESTINATION,
  type Served,
  SOURCE,
  SOURCE_NODE,
} from './bed.ts';
import { NOTHING } from './node-datapath.ts';
import { SESSION, terminateAtDestination, type Variant } from './variants.ts';

const tap = (bed: Bed, vm: string) => bed.lab.vm(vm).device;

/**
 * nftables copies to a device at the netdev hooks. No tunnel, so the destination is local. The bridge
 * family has no dup, and that of IP copies what is routed.
 */
export const NFT_DUP: Variant = {
  name: 'nft-dup',
  title: 'nft dup',
  destination: { host: LOCAL_DESTINATION, device: 'eth0' },
  async start(bed) {
    const device = tap(bed, SOURCE);
    const commands = ['ingress', 'egress'].flatMap((hook) => [
      `add chain netdev bench ${hook} { type filter hook ${hook} device "${device}" priority 0 ; }`,
      `add rule netdev bench ${hook} dup to "${tap(bed, LOCAL_DESTINATION)}"`,
    ]);
    await bed.run(SOURCE_NODE, ['nft', ['add table netdev bench', ...commands].join('; ')]);
  },
  async stop(bed) {
    await bed.run(SOURCE_NODE, ['nft', 'delete', 'table', 'netdev', 'bench']);
  },
};

let agent: Served | undefined;

/** Starts capture-gre.c at SOURCE's device. It may use any CPU. */
async function startCapture(bed: Bed, to: readonly string[]): Promise<void> {
  const program = join(bed.folder, 'capture-gre');
  if (!existsSync(program)) {
    execFileSync('clang', ['-O2', '-o', program, join(import.meta.dirname, 'capture-gre.c'), '-lpcap']);
  }
  const isCapturing = async (pid: number) => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'capturing\n';
  agent = await bed.serve(SOURCE_NODE, [program, tap(bed, SOURCE), ...to], isCapturing);
}

const captureProcesses = () => (agent === undefined ? [] : [agent.pid]);

/** With the data plane of the other node as receiver. */
export const CAPTURE_GRE: Variant = {
  name: 'libpcap-gre',
  title: 'libpcap to GRE',
  destination: { host: REMOTE_DESTINATION, device: 'eth0' },
  losesCopies: true,
  processes: captureProcesses,
  async start(bed) {
    await terminateAtDestination(bed);
    const address = (node: string) => bed.lab.node(node).underlayAddress;
    await startCapture(bed, [address(SOURCE_NODE), address(DESTINATION_NODE), String(SESSION)]);
  },
  async stop(bed) {
    await agent?.stop();
    await bed.destination.apply(NOTHING);
  },
};

export const CAPTURE_LOCAL: Variant = {
  name: 'libpcap-local',
  title: 'libpcap to a device',
  destination: { host: LOCAL_DESTINATION, device: 'eth0' },
  losesCopies: true,
  processes: captureProcesses,
  start: (bed) => startCapture(bed, [tap(bed, LOCAL_DESTINATION)]),
  stop: async () => agent?.stop(),
};

let ovs: Ovs | undefined;

/** VMs whose devices are moved from the node's bridge into Open vSwitch. */
async function startSwitch(bed: Bed, vms: readonly string[]): Promise<Ovs> {
  rmSync(join(bed.lab.runDir, `ovs-${SOURCE_NODE}`), { recursive: true, force: true }); // of the run before
  const started = await startOvs(bed.lab, SOURCE_NODE);
  ovs = started;
  for (const vm of vms) {
    await bed.run(SOURCE_NODE, ['ip', 'link', 'set', tap(bed, vm), 'nomaster']);
    await started.vsctl('add-port', 'ovs-int', tap(bed, vm));
  }
  return started;
}

/** The mirror of both directions of SOURCE, out of a port. Waits until it copies. */
async function mirrorTo(bed: Bed, port: string, vm: string): Promise<void> {
  await ovs!.vsctl(
    ...['--', '--id=@p', 'get', 'port', tap(bed, SOURCE), '--', '--id=@o', 'get', 'port', port, '--', '--id=@m'],
    ...['create', 'mirror', 'name=m', 'select-src-port=@p', 'select-dst-port=@p', 'output-port=@o'],
    ...['--', 'set', 'bridge', 'ovs-int', 'mirrors=@m'],
  );
  // Open vSwitch drops the first packets until it has resolved the address of a tunnel's other end.
  await until(
    'copies of Open vSwitch',
    async () => {
      const before = (await bed.device(vm, 'eth0')).received.packets;
      await bed.run(SOURCE, ['ping', '-q', '-c', '2', '-i', '0.1', '-W', '1', bed.lab.address(PEER)]).catch(() => '');
      return (await bed.device(vm, 'eth0')).received.packets > before;
    },
    { signal: bed.signal },
  );
}

/** Ends Open vSwitch, and gives the node its bridge and its underlay NIC back. */
async function stopSwitch(bed: Bed, vms: readonly string[]): Promise<void> {
  await ovs?.vsctl('del-br', 'ovs-int', '--', 'del-br', 'ovs-phy');
  await ovs?.stop();
  const { underlayAddress } = bed.lab.node(SOURCE_NODE);
  await bed.run(SOURCE_NODE, ['ip', 'address', 'replace', `${underlayAddress}/24`, 'dev', 'underlay0']);
  await bed.resolveUnderlay();
  for (const vm of vms) {
    await bed.run(SOURCE_NODE, ['ip', 'link', 'set', tap(bed, vm), 'master', 'br0']);
    const entry = [bed.lab.mac(vm), 'dev', tap(bed, vm), 'master', 'static'];
    await bed.run(SOURCE_NODE, ['bridge', 'fdb', 'replace', ...entry]);
  }
}

/**
 * Open vSwitch with the userspace datapath in place of the node's bridge: it switches the traffic,
 * and mirrors it to an ERSPAN port. Its threads may use any CPU.
 */
export const OPEN_VSWITCH: Variant = {
  name: 'ovs-userspace',
  title: 'OVS userspace',
  destination: { host: REMOTE_DESTINATION, device: 'eth0' },
  losesCopies: true,
  processes: () => ovs?.pids ?? [],
  async start(bed) {
    await terminateAtDestination(bed);
    const { vsctl } = await startSwitch(bed, [SOURCE, PEER]);
    const to = bed.lab.node(DESTINATION_NODE).underlayAddress;
    const tunnel = ['type=erspan', `options:remote_ip=${to}`, `options:key=${SESSION}`];
    await vsctl('add-port', 'ovs-int', 'span', '--', 'set', 'interface', 'span', ...tunnel, 'options:erspan_ver=1');
    await mirrorTo(bed, 'span', REMOTE_DESTINATION);
  },
  async stop(bed) {
    await stopSwitch(bed, [SOURCE, PEER]);
    await bed.destination.apply(NOTHING);
  },
};

/** The same to a port of the switch. */
export const OPEN_VSWITCH_LOCAL: Variant = {
  ...OPEN_VSWITCH,
  name: 'ovs-userspace-local',
  title: 'OVS userspace to a port',
  destination: { host: LOCAL_DESTINATION, device: 'eth0' },
  async start(bed) {
    await startSwitch(bed, [SOURCE, PEER, LOCAL_DESTINATION]);
    await mirrorTo(bed, tap(bed, LOCAL_DESTINATION), LOCAL_DESTINATION);
  },
  stop: (bed) => stopSwitch(bed, [SOURCE, PEER, LOCAL_DESTINATION]),
};
