/** The physical switch: a separate Open vSwitch for the lab, with the userspace datapath. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import { namespaceOf } from './build.ts';
import { commandEnv, inNetns, run } from './netns.ts';
import { type ProcessRecord, startDaemon } from './processes.ts';
import { BUSINESS_VLAN } from './switch-topology.ts';
import type { LabEdge, Topology } from './topology.ts';

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';
const BRIDGE = 'sw0';
/** Enough for a loaded machine. An idle one needs a few hundred milliseconds. */
const READY_MS = 20_000;

/** The folder of the lab's Open vSwitch: database, sockets, pid files, logs. */
export function ovsDir(runDir: string): string {
  return join(runDir, 'ovs');
}

/**
 * Variables that keep every Open vSwitch command inside the lab's folder and away from the
 * machine's own switch.
 */
export function ovsEnv(runDir: string): Record<string, string> {
  const dir = ovsDir(runDir);
  return {
    OVS_RUNDIR: dir,
    OVS_LOGDIR: dir,
    OVS_DBDIR: dir,
    OVS_SYSCONFDIR: dir,
    OVS_PKGDATADIR: '/usr/share/openvswitch',
  };
}

/** Runs `ovs-vsctl` against the lab's switch and waits until the switch has done it. */
export async function ovsVsctl(runDir: string, args: string[]): Promise<string> {
  const db = `--db=unix:${join(ovsDir(runDir), 'db.sock')}`;
  return (await run(['ovs-vsctl', db, '--timeout=20', ...args], { env: ovsEnv(runDir) })).stdout;
}

/** Runs `ovs-appctl` against the lab's switch. */
export async function ovsAppctl(runDir: string, args: string[]): Promise<string> {
  const target = join(ovsDir(runDir), 'vswitchd.ctl');
  return (await run(['ovs-appctl', '-t', target, ...args], { env: ovsEnv(runDir) })).stdout;
}

/**
 * Starts ovsdb-server and ovs-vswitchd in the switch's namespace, and configures the ports. Calls
 * `record` with each process as soon as it runs. Returns when the switch forwards.
 */
export async function startSwitch(
  lab: string,
  topology: Topology,
  runDir: string,
  record: (process: ProcessRecord) => void,
  signal?: AbortSignal,
): Promise<void> {
  const dir = ovsDir(runDir);
  const ns = namespaceOf(lab, 'switch');
  const env = commandEnv(ovsEnv(runDir));
  mkdirSync(dir, { recursive: true });
  await run(['ovsdb-tool', 'create', join(dir, 'conf.db'), SCHEMA], { env: ovsEnv(runDir) });
  const daemon = (name: string, argv: string[]) =>
    record(startDaemon(name, inNetns(ns, argv), join(dir, `${name}.log`), env));

  const db = join(dir, 'db.sock');
  daemon('ovsdb-server', [
    'ovsdb-server',
    join(dir, 'conf.db'),
    `--remote=punix:${db}`,
    `--unixctl=${join(dir, 'ovsdb.ctl')}`,
    '--no-chdir',
  ]);
  await until('ovsdb-server', () => existsSync(db), { limitMs: READY_MS, signal });
  await ovsVsctl(runDir, ['--no-wait', 'init']);
  daemon('ovs-vswitchd', ['ovs-vswitchd', `unix:${db}`, `--unixctl=${join(dir, 'vswitchd.ctl')}`, '--no-chdir']);
  signal?.throwIfAborted();
  await ovsVsctl(runDir, configuration(topology));
  for (const [port, mac] of staticAddresses(topology)) {
    await ovsAppctl(runDir, ['fdb/add', BRIDGE, port, String(BUSINESS_VLAN), mac]);
  }
}

/** One transaction that makes the bridge with all its ports. */
function configuration(topology: Topology): string[] {
  const sw = topology.switch;
  if (sw === null) {
    return [];
  }
  const args = ['--', 'add-br', BRIDGE, '--', 'set', 'bridge', BRIDGE, 'datapath_type=netdev', 'fail_mode=standalone'];
  args.push('mcast_snooping_enable=false', 'rstp_enable=false', 'stp_enable=false');
  if (sw.floodVlans.length > 0) {
    args.push(`flood_vlans=${sw.floodVlans.join(',')}`);
  }
  for (const edge of topology.edges) {
    args.push('--', 'add-port', BRIDGE, edge.switchPort, ...trunkSettings(edge), '--');
    args.push('set', 'port', edge.switchPort, `protected=${sw.protectEdges}`);
  }
  for (const host of sw.hosts) {
    args.push('--', 'add-port', BRIDGE, host.name, `tag=${host.vlan}`);
  }
  return args;
}

/**
 * The port settings of an edge: a trunk with an allowed list, with or without an untagged business
 * VLAN.
 */
function trunkSettings(edge: LabEdge): string[] {
  const trunks = edge.nativeVlan === null ? edge.allowedVlans : [edge.nativeVlan, ...edge.allowedVlans];
  const settings = [`trunks=${trunks.join(',')}`];
  if (edge.nativeVlan === null) {
    settings.push('vlan_mode=trunk');
  } else {
    settings.push('vlan_mode=native-untagged', `tag=${edge.nativeVlan}`);
  }
  return settings;
}

/**
 * The hosts of the business network, so that even the first frame to each goes only to its port.
 */
function staticAddresses(topology: Topology): [port: string, mac: string][] {
  const gateways = topology.edges.flatMap((edge): [string, string][] =>
    edge.gateway === null ? [] : [[edge.switchPort, edge.gateway.mac]],
  );
  const hosts = topology.switch?.hosts.filter((host) => host.vlan === BUSINESS_VLAN) ?? [];
  return [...gateways, ...hosts.map((host): [string, string] => [host.name, host.mac])];
}
