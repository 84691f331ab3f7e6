/** `mirrorplane agent`: the daemon of a node, and its removal. */
import { readFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { resolve } from 'node:path';
import { MAX_RATE, Name } from '@mirrorplane/contract';
import { openServiceManager, parseSettings, type ServiceManager } from '@mirrorplane/daemon';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseController } from './enroll.ts';
import { createLog, LOG_LEVELS, type Logger, type LogLevel, reason } from './log.ts';
import { requireBpffs, requireRoot } from './preflight.ts';
import { comeFirst } from './priority.ts';
import { AGENT_VERSION, DEFAULT_BPFFS, kernelDatapath, startAgent } from './start.ts';
import { uninstall } from './uninstall.ts';

interface Flags {
  node?: string;
  controller?: string;
  token?: string;
  tokenFile?: string;
  data: string;
  mirrorDevice?: string;
  mirrorAddress?: string;
  arrive: boolean;
  libvirt: string;
  openVswitch: string;
  maxRate?: number;
  protect: 'auto' | 'all' | 'off';
  uplinkRate?: number;
  bpffs: string;
  logLevel: LogLevel;
  uninstall?: boolean;
}

/** Milliseconds after which a pass over the node is taken to be stuck. A thousand devices take less than half of that. */
const STUCK = 60_000;

function nodeName(text: string): string {
  const checked = Name.safeParse(text);
  if (!checked.success) throw new InvalidArgumentError(checked.error.issues[0]?.message ?? 'not a name');
  return text;
}

function controllerAddress(text: string): string {
  try {
    parseController(text);
  } catch {
    throw new InvalidArgumentError('write it as HOST:PORT.');
  }
  return text;
}

function megabits(text: string): number {
  const rate = Number(text);
  if (!(rate >= 1 && rate <= MAX_RATE)) throw new InvalidArgumentError(`use 1 to ${MAX_RATE} Mbit/s.`);
  return rate;
}

function ipv4(text: string): string {
  if (!isIPv4(text)) throw new InvalidArgumentError('it is not an IPv4 address.');
  return text;
}

const command = new Command('mirrorplane agent')
  .description('Runs the agent of this node: it carries out what the controller plans. Needs root.')
  .version(AGENT_VERSION)
  .option('--node <name>', 'name of this node', nodeName)
  .option('--controller <host:port>', "the controller's port for agents", controllerAddress)
  .addOption(
    new Option('--token <token>', 'join token, needed the first time; a new one joins anew').env('MIRRORPLANE_TOKEN'),
  )
  .addOption(new Option('--token-file <file>', 'file with the join token').conflicts('token'))
  .option('--data <dir>', 'folder for the key, the certificate and the last program', '/var/lib/mirrorplane/agent')
  .option('--mirror-device <device>', 'device that ERSPAN to and from other nodes takes')
  .option('--mirror-address <address>', 'IPv4 address for ERSPAN (default: the first one of the mirror device)', ipv4)
  .option('--max-rate <mbit>', 'budget for all copies that this node makes, Mbit/s (default: no limit)', megabits)
  .addOption(
    new Option(
      '--protect <mode>',
      'hold copies back where service traffic needs the device that they leave by; all: or CPUs',
    )
      .choices(['auto', 'all', 'off'])
      .default('auto'),
  )
  .option('--uplink-rate <mbit>', 'what the mirror device can send, Mbit/s (default: found out)', megabits)
  .option('--no-arrive', "leave out what a firewall on a guest's bridge drops")
  .option('--libvirt <uri>', 'libvirt that knows the VMs of this node: a connection URI, auto or off', 'auto')
  .option('--open-vswitch <socket>', "Open vSwitch that knows the NICs: its database's socket, auto or off", 'auto')
  .option('--bpffs <dir>', 'folder on a bpf file system', DEFAULT_BPFFS)
  .addOption(new Option('--log-level <level>', 'least level that is logged').choices(LOG_LEVELS).default('info'))
  .option('--uninstall', 'remove everything that the agent left on this node, and end')
  .showHelpAfterError('(--help shows all options)');

async function run(flags: Flags, log: Logger, manager: ServiceManager): Promise<void> {
  const { node, controller } = flags;
  if (!flags.uninstall && (node === undefined || controller === undefined)) {
    command.error(`error: ${node === undefined ? '--node' : '--controller'} is missing`);
  }
  requireRoot();
  const data = resolve(flags.data);
  const bpffs = resolve(flags.bpffs);
  requireBpffs(bpffs, log);
  if (flags.uninstall) {
    await uninstall({ data, datapath: await kernelDatapath(bpffs) });
    log.info('uninstalled');
    return;
  }
  const token = flags.tokenFile === undefined ? flags.token : (await readFile(flags.tokenFile, 'utf8')).trim();
  comeFirst(log);
  const stop = new AbortController();
  let started: Awaited<ReturnType<typeof startAgent>> | undefined;
  const end = (signal: string) => {
    if (stop.signal.aborted) process.exit(1);
    log.info(`stopping, the data plane goes on [signal:${signal}]`);
    manager.stopping();
    stop.abort(new Error('stopped'));
    void started?.close().then(() => process.exit(0));
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  started = await startAgent({
    node: node!,
    controller: controller!,
    data,
    bpffs,
    log,
    signal: stop.signal,
    ...(token === undefined ? {} : { token }),
    ...(flags.mirrorDevice === undefined ? {} : { mirrorDevice: flags.mirrorDevice }),
    arrive: flags.arrive,
    libvirt: flags.libvirt,
    openVswitch: flags.openVswitch,
    ...(flags.maxRate !== undefined && { maxRate: flags.maxRate }),
    protect: flags.protect !== 'off',
    protectCpu: flags.protect === 'all',
    ...(flags.uplinkRate !== undefined && { uplinkRate: flags.uplinkRate }),
    ...(flags.mirrorAddress === undefined ? {} : { mirrorAddress: flags.mirrorAddress }),
  });
  if (stop.signal.aborted) {
    await started.close();
    process.exit(0);
  }
  const { agent } = started;
  manager.watch(() => agent.passingFor() < STUCK);
  manager.ready();
}

parseSettings(command, { prefix: 'MIRRORPLANE_AGENT' });
const flags = command.opts<Flags>();
const log = createLog(flags.logLevel);
try {
  await run(flags, log, await openServiceManager());
} catch (error) {
  if (reason(error) === 'stopped') process.exit(0);
  process.stderr.write(`error: ${reason(error)}\n`);
  process.exit(1);
}
