/**
 * Open vSwitch (userspace datapath) in a node of a bare lab: a second end of ERSPAN that others
 * wrote.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import type { Lab } from '@mirrorplane/lab';
import { deviceOf } from './exact-datapath.ts';

/** An Open vSwitch that runs. */
export interface Ovs {
  /** Process ids of the database server and of the switch. */
  readonly pids: readonly number[];
  vsctl(...args: string[]): Promise<string>;
  appctl(...args: string[]): Promise<string>;
  /** Runs `ovs-ofctl COMMAND BRIDGE ARGUMENT...`. */
  ofctl(command: string, bridge: string, ...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

/** True where it is installed. */
export function hasOvs(): boolean {
  return existsSync('/usr/sbin/ovs-vswitchd') && existsSync('/usr/share/openvswitch/vswitch.ovsschema');
}

/**
 * Starts it in a node and gives it the node's underlay NIC: the bridge `ovs-phy` has its address,
 * the bridge `ovs-int` is for guests and tunnels.
 */
export async function startOvs(lab: Lab, node: string): Promise<Ovs> {
  const folder = join(lab.runDir, `ovs-${node}`);
  mkdirSync(folder, { recursive: true });
  const env = {
    OVS_RUNDIR: folder,
    OVS_LOGDIR: folder,
    OVS_DBDIR: folder,
    OVS_SYSCONFDIR: folder,
    OVS_PKGDATADIR: '/usr/share/openvswitch',
  };
  const database = join(folder, 'conf.db');
  const socket = `unix:${join(folder, 'db.sock')}`;
  await lab.exec(node, ['ovsdb-tool', 'create', database, '/usr/share/openvswitch/vswitch.ovsschema'], { env });
  const spawned = {
    stdio: 'ignore',
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, ...env },
  } as const;
  const children = [
    lab.spawn(node, ['ovsdb-server', database, `--remote=p${socket}`, `--unixctl=${join(folder, 'db.ctl')}`], spawned),
  ];
  const vsctl = async (...args: string[]) =>
    (await lab.exec(node, ['ovs-vsctl', `--db=${socket}`, '--timeout=20', ...args], { env })).stdout;
  const appctl = async (...args: string[]) =>
    (await lab.exec(node, ['ovs-appctl', '-t', join(folder, 'ovs.ctl'), ...args], { env })).stdout;
  const ofctl = async (command: string, bridge: string, ...args: string[]) =>
    (
      await lab.exec(node, ['ovs-ofctl', '--names', command, `unix:${join(folder, `${bridge}.mgmt`)}`, ...args], {
        env,
      })
    ).stdout;
  const stop = async () => {
    for (const child of children) {
      child.kill('SIGTERM');
    }
    await until('Open vSwitch to end', () =>
      children.every((child) => child.exitCode !== null || child.signalCode !== null),
    );
  };
  try {
    await until('ovsdb-server', () => existsSync(join(folder, 'db.sock')), { limitMs: 20_000 });
    await vsctl('--no-wait', 'init');
    children.push(lab.spawn(node, ['ovs-vswitchd', socket, `--unixctl=${join(folder, 'ovs.ctl')}`], spawned));
    const { mac } = await deviceOf(lab, node, 'underlay0');
    const { underlayAddress } = lab.node(node);
    const bridge = (name: string) => ['--', 'add-br', name, '--', 'set', 'bridge', name, 'datapath_type=netdev'];
    await vsctl(...bridge('ovs-phy'), `other_config:hwaddr="${mac}"`, ...bridge('ovs-int'));
    await vsctl('add-port', 'ovs-phy', 'underlay0');
    await lab.exec(node, ['ip', '-batch', '-'], {
      input: `address flush dev underlay0\naddress add ${underlayAddress}/24 dev ovs-phy\nlink set ovs-phy up\n`,
    });
    await until('Open vSwitch to know its route', async () => {
      return (await appctl('ovs/route/show')).includes('ovs-phy');
    });
    return { pids: children.map(({ pid }) => pid!), vsctl, appctl, ofctl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
