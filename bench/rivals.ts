/**
 * Other mirrors that operators use today: nft dup, a capture agent with libpcap, Open vSwitch in
 * user space.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import { type Ovs, startOvs } from '../test/support/exact-ovs.ts';
import { type Bed, DESTINATION_NODE, LOCAL_DESTINATION, PEER, REMOTE_DESTINATION, SOURCE, SOURCE_NODE } from './bed.ts';
import { NOTHING } from './node-datapath.ts';
import { SESSION, terminateAtDestination, type Variant } from './variants.ts';

const tap = (bed: Bed, vm: string) => bed.lab.vm(vm).device;

/** nftables copies to a device at the netdev hooks; no tunnel, so the destination is local. */
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

let agent: { stop: () => Promise<void> } | undefined;

/** capture-gre.c, with the data plane of the other node as receiver. It may use any CPU. */
export const CAPTURE_GRE: Variant = {
  name: 'libpcap-gre',
  title: 'libpcap to GRE',
  destination: { host: REMOTE_DESTINATION, device: 'eth0' },
  async start(bed) {
    const program = join(bed.folder, 'capture-gre');
    if (!existsSync(program)) {
      execFileSync('clang', ['-O2', '-o', program, join(import.meta.dirname, 'capture-gre.c'), '-lpcap']);
    }
    await terminateAtDestination(bed);
    const address = (node: string) => bed.lab.node(node).underlayAddress;
    const argv = [program, tap(bed, SOURCE), address(SOURCE_NODE), address(DESTINATION_NODE), String(SESSION)];
    agent = await bed.serve(SOURCE_NODE, argv, async () => {
      const table = await bed.run(SOURCE_NODE, ['cat', '/proc/net/packet']);
      return table.trim().split('\n').length > 1;
    });
  },
  async stop(bed) {
    await agent?.stop();
    await bed.destination.apply(NOTHING);
  },
};

let ovs: Ovs | undefined;

/**
 * Open vSwitch with the userspace datapath in place of the node's bridge: it switches the traffic,
 * and mirrors it to an ERSPAN port. Its threads may use any CPU.
 */
export const OPEN_VSWITCH: Variant = {
  name: 'ovs-userspace',
  title: 'OVS userspace',
  destination: { host: REMOTE_DESTINATION, device: 'eth0' },
  async start(bed) {
    await terminateAtDestination(bed);
    rmSync(join(bed.lab.runDir, `ovs-${SOURCE_NODE}`), { recursive: true, force: true }); // of the run before
    ovs = await startOvs(bed.lab, SOURCE_NODE);
    for (const device of [tap(bed, SOURCE), tap(bed, PEER)]) {
      await bed.run(SOURCE_NODE, ['ip', 'link', 'set', device, 'nomaster']);
      await ovs.vsctl('add-port', 'ovs-int', device);
    }
    const to = bed.lab.node(DESTINATION_NODE).underlayAddress;
    const tunnel = ['type=erspan', `options:remote_ip=${to}`, `options:key=${SESSION}`];
    await ovs.vsctl('add-port', 'ovs-int', 'span', '--', 'set', 'interface', 'span', ...tunnel, 'options:erspan_ver=1');
    await ovs.vsctl(
      ...['--', '--id=@p', 'get', 'port', tap(bed, SOURCE), '--', '--id=@o', 'get', 'port', 'span', '--', '--id=@m'],
      ...['create', 'mirror', 'name=m', 'select-src-port=@p', 'select-dst-port=@p', 'output-port=@o'],
      ...['--', 'set', 'bridge', 'ovs-int', 'mirrors=@m'],
    );
    // Open vSwitch drops the first packets until it has resolved the address of the tunnel's other
    // end.
    await until(
      'copies of Open vSwitch',
      async () => {
        const before = (await bed.device(REMOTE_DESTINATION, 'eth0')).received.packets;
        await bed.run(SOURCE, ['ping', '-q', '-c', '2', '-i', '0.1', '-W', '1', bed.lab.address(PEER)]).catch(() => '');
        return (await bed.device(REMOTE_DESTINATION, 'eth0')).received.packets > before;
      },
      { signal: bed.signal },
    );
  },
  async stop(bed) {
    await ovs?.vsctl('del-br', 'ovs-int', '--', 'del-br', 'ovs-phy');
    await ovs?.stop();
    const { underlayAddress } = bed.lab.node(SOURCE_NODE);
    await bed.run(SOURCE_NODE, ['ip', 'address', 'replace', `${underlayAddress}/24`, 'dev', 'underlay0']);
    await bed.resolveUnderlay();
    for (const vm of [SOURCE, PEER]) {
      await bed.run(SOURCE_NODE, ['ip', 'link', 'set', tap(bed, vm), 'master', 'br0']);
      const entry = [bed.lab.mac(vm), 'dev', tap(bed, vm), 'master', 'static'];
      await bed.run(SOURCE_NODE, ['bridge', 'fdb', 'replace', ...entry]);
    }
    await bed.destination.apply(NOTHING);
  },
};
