/** `mirrorplane agent`: the daemon of a node, and its removal. */
import { isIPv4 } from 'node:net';
import { resolve } from 'node:path';
import { MAX_RATE, Name } from '@mirrorplane/contract';
import {
  createLog,
  exitForUsage,
  LOG_LEVELS,
  type Logger,
  type LogLevel,
  openServiceManager,
  parseSettings,
  type ServiceManager,
} from '@mirrorplane/daemon';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseController } from './controller-link/enroll.ts';
import type { HookChoice } from './datapath/kernel/hook-kind.ts';
import { HOOK_OPTION } from './hook-option.ts';
import { comeFirst } from './host/priority.ts';
import { TOKEN_REFUSED, takeJoinToken } from './join-token.ts';
import { reason } from './log.ts';
import { requirePins } from './preflight/bpffs.ts';
import { isFit } from './preflight/check.ts';
import { checkHost, requireFit } from './preflight/index.ts';
import { layDownRights } from './preflight/lay-down-rights.ts';
import { renderChecks } from './preflight/render.ts';
import { AGENT_CAPABILITIES, requireRights } from './preflight/rights.ts';
import {
  AGENT_VERSION,
  type AgentOptions,
  DEFAULT_BPFFS,
  kernelDatapath,
  startAgent,
  WIREGUARD_PORT,
} from './start.ts';
import { uninstall } from './uninstall.ts';

interface Flags {
  node?: string;
  controller?: string[];
  token?: string;
  tokenFile?: string;
  data: string;
  mirrorDevice?: string;
  mirrorAddress?: string;
  arrive: boolean;
  libvirt: string;
  openVswitch: string;
  proxmox: string;
  incus: string;
  containers: string;
  identityScope?: string;
  maxRate?: number;
  underlayHops?: number;
  wireguardPort?: number;
  protect: 'auto' | 'all' | 'off';
  uplinkRate?: number;
  hook: HookChoice;
  bpffs: string;
  logLevel: LogLevel;
  uninstall?: boolean;
  check?: boolean;
  output: 'table' | 'json';
}

/** A copy leaves with TTL 255, and each router takes 1. */
const MAX_HOPS = 254;
/** The highest UDP port that has a next one. */
const MAX_PORT = 65_534;

/**
 * Milliseconds after which a pass counts as stuck. A pass over a thousand devices takes less than
 * half of this time.
 */
const STUCK_MS = 60_000;

function nodeName(text: string): string {
  const checked = Name.safeParse(text);
  if (!checked.success) {
    throw new InvalidArgumentError(checked.error.issues[0]?.message ?? 'not a name');
  }
  return text;
}

/** Several are divided by commas, or given one by one, as in a list of a settings file. */
function controllerAddresses(text: string, before: string[] = []): string[] {
  const all = text.split(',').map((one) => one.trim());
  try {
    all.forEach(parseController);
  } catch {
    throw new InvalidArgumentError('write it as HOST:PORT, and several controllers divided by commas.');
  }
  return [...before, ...all];
}

function megabits(text: string): number {
  const rate = Number(text);
  if (!(rate >= 1 && rate <= MAX_RATE)) {
    throw new InvalidArgumentError(`use 1 to ${MAX_RATE} Mbit/s.`);
  }
  return rate;
}

function hops(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count > MAX_HOPS) {
    throw new InvalidArgumentError(`use 0 to ${MAX_HOPS} routers.`);
  }
  return count;
}

function udpPort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > MAX_PORT) {
    throw new InvalidArgumentError(`use 1 to ${MAX_PORT}.`);
  }
  return port;
}

function ipv4(text: string): string {
  if (!isIPv4(text)) {
    throw new InvalidArgumentError('this is not an IPv4 address.');
  }
  return text;
}

const command = new Command('mirrorplane agent')
  .description(
    'Runs the agent of this node. The agent carries out the plans of the controller. ' +
      `Needs root, or ${AGENT_CAPABILITIES.join(', ')}.`,
  )
  .version(AGENT_VERSION, '-V, --version', 'print the version')
  .option('--node <name>', 'name of this node', nodeName)
  .option(
    '--controller <host:port>',
    "address of the controller's port for agents; of several controllers, all or some, divided by commas. The agent learns the others",
    controllerAddresses,
  )
  .addOption(new Option('--token <token>', 'refused').hideHelp())
  .option(
    '--token-file <file>',
    'file with the join token, or - for the standard input; MIRRORPLANE_JOIN_TOKEN holds the token itself. Required on the first start; a new token enrols the node again',
  )
  .option('--data <dir>', 'directory of the key, the certificate and the last program', '/var/lib/mirrorplane/agent')
  .option('--mirror-device <device>', 'device that carries ERSPAN to and from other nodes')
  .option('--mirror-address <address>', 'IPv4 address for ERSPAN (default: the first one of the mirror device)', ipv4)
  .option(
    '--underlay-hops <n>',
    'most routers between two nodes: copies that have passed more are refused (default: not checked)',
    hops,
  )
  .option(
    '--wireguard-port <port>',
    `UDP port of encrypted copies; the next port is used too while keys change (default: ${WIREGUARD_PORT})`,
    udpPort,
  )
  .option('--max-rate <mbit>', 'budget for all copies that this node makes, Mbit/s (default: no limit)', megabits)
  .addOption(
    new Option(
      '--protect <mode>',
      'when to throttle copies: if service traffic needs the sending device (auto), or also if it needs the CPUs (all)',
    )
      .choices(['auto', 'all', 'off'])
      .default('auto'),
  )
  .option('--uplink-rate <mbit>', 'rate that the mirror device can send, Mbit/s (default: detected)', megabits)
  .option('--no-arrive', "do not copy packets that a firewall on a guest's bridge drops")
  .option('--libvirt <uri>', 'identities from libvirt: a connection URI, auto or off', 'auto')
  .option('--open-vswitch <socket>', 'identities from Open vSwitch: the socket of its database, auto or off', 'auto')
  .option('--proxmox <dir>', 'identities from Proxmox VE: its mounted directory, auto or off', 'auto')
  .option('--incus <socket>', 'identities from Incus or LXD: its socket, auto or off', 'auto')
  .option(
    '--containers <paths>',
    'identities from container runtimes: Docker or Podman sockets, OCI bundle directories, auto or off',
    'auto',
  )
  .option('--identity-scope <name>', 'prefix for ids of Proxmox VE and pods, to tell clusters apart', nodeName)
  .addOption(HOOK_OPTION)
  .option('--bpffs <dir>', 'directory on a bpf file system', DEFAULT_BPFFS)
  .addOption(new Option('--log-level <level>', 'lowest level that is logged').choices(LOG_LEVELS).default('info'))
  .option('--check', 'check whether this host can run the agent, print the result, and exit; changes nothing')
  .addOption(
    new Option('-o, --output <format>', 'output format of --check').choices(['table', 'json']).default('table'),
  )
  .addOption(
    new Option('--uninstall', 'remove everything that the agent left on this node, and exit').conflicts('check'),
  )
  .showHelpAfterError('(--help shows all options)')
  .exitOverride(exitForUsage);

/** The options of the agent that are only handed on. */
function partsOf(flags: Flags): Partial<AgentOptions> {
  const { mirrorDevice, mirrorAddress, identityScope, maxRate, underlayHops, wireguardPort, uplinkRate, protect } =
    flags;
  const { arrive, libvirt, openVswitch, proxmox, incus, containers } = flags;
  return {
    ...{ arrive, libvirt, openVswitch, proxmox, incus, containers },
    protect: protect !== 'off',
    protectCpu: protect === 'all',
    ...(mirrorDevice !== undefined && { mirrorDevice }),
    ...(mirrorAddress !== undefined && { mirrorAddress }),
    ...(identityScope !== undefined && { identityScope }),
    ...(maxRate !== undefined && { maxRate }),
    ...(underlayHops !== undefined && { maxHops: underlayHops }),
    ...(wireguardPort !== undefined && { wireguardPort }),
    ...(uplinkRate !== undefined && { uplinkRate }),
  };
}

function printChecks(checks: Awaited<ReturnType<typeof checkHost>>, output: Flags['output']): void {
  const fit = isFit(checks);
  process.stdout.write(output === 'json' ? `${JSON.stringify({ fit, checks }, null, 2)}\n` : renderChecks(checks));
  process.exitCode = fit ? 0 : 1;
}

async function run(flags: Flags, token: string | undefined, log: Logger, manager: ServiceManager): Promise<void> {
  const { node, controller, mirrorDevice, mirrorAddress, hook } = flags;
  const data = resolve(flags.data);
  const bpffs = resolve(flags.bpffs);
  if (flags.uninstall) {
    requireRights();
    requirePins(bpffs);
    const found = await uninstall({ data, bpffs, datapath: await kernelDatapath(bpffs) });
    if (found.pins && !found.data) {
      log.warn({ data }, 'no agent has used this data folder: run --uninstall again with the --data of the agent');
    }
    log.info('uninstalled');
    return;
  }
  const host = { bpffs, data, node, hook, mirrorDevice, mirrorAddress, datapath: () => kernelDatapath(bpffs, hook) };
  if (flags.check) {
    printChecks(await checkHost({ ...host, controllers: controller }), flags.output);
    return;
  }
  if (node === undefined || controller === undefined) {
    return command.error(`error: ${node === undefined ? '--node' : '--controller'} is missing`);
  }
  const datapath = await requireFit({ ...host, token: token !== undefined }, log);
  comeFirst(log);
  const stop = new AbortController();
  let started: Awaited<ReturnType<typeof startAgent>> | undefined;
  const end = (signal: string) => {
    if (stop.signal.aborted) {
      process.exit(1);
    }
    log.info(`stopping, the data plane goes on [signal:${signal}]`);
    manager.stopping();
    stop.abort(new Error('stopped'));
    void started?.close().then(() => process.exit(0));
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  started = await startAgent({
    node,
    controller,
    data,
    bpffs,
    datapath,
    log,
    signal: stop.signal,
    ...(token !== undefined && { token }),
    ...partsOf(flags),
  });
  if (stop.signal.aborted) {
    await started.close();
    process.exit(0);
  }
  const { agent } = started;
  manager.watch(() => agent.passingFor() < STUCK_MS);
  manager.ready();
}

parseSettings(command, { prefix: 'MIRRORPLANE_AGENT' });
const flags = command.opts<Flags>();
if (flags.token !== undefined) {
  command.error(`error: ${TOKEN_REFUSED}`);
}
const log = createLog('agent', flags.logLevel);
try {
  if (!flags.check && !flags.uninstall) {
    await layDownRights(resolve(flags.bpffs), AGENT_CAPABILITIES, log);
  }
  const token = takeJoinToken(flags.uninstall || flags.check ? undefined : flags.tokenFile);
  await run(flags, token, log, await openServiceManager());
} catch (error) {
  if (reason(error) === 'stopped') {
    process.exit(0);
  }
  process.stderr.write(`error: ${reason(error)}\n`);
  process.exit(1);
}
