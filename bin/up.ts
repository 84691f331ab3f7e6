/** `mirrorplane up`: controller and agent for this host in one process. */
import { X509Certificate } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import {
  AGENT_CAPABILITIES,
  DEFAULT_BPFFS,
  HOOK_OPTION,
  type HookChoice,
  kernelDatapath,
  layDownRights,
  requireFit,
  startAgent,
} from '@mirrorplane/agent';
import { Closers } from '@mirrorplane/base';
import { Client, ProblemError } from '@mirrorplane/cli';
import { defaultRouteDevice, nodeNameOf } from '@mirrorplane/cli/host';
import { VERSION } from '@mirrorplane/cli/version';
import {
  type ApiOptions,
  type AuditLogOptions,
  addApiOptions,
  addAuditOptions,
  auditOptionsOf,
  controllerOptionsOf,
  parseListen,
  startController,
} from '@mirrorplane/controller';
import { createLog, exitForUsage, LOG_LEVELS, type LogLevel } from '@mirrorplane/daemon';
import { Command, InvalidArgumentError, Option } from 'commander';

interface Flags extends ApiOptions, AuditLogOptions {
  data: string;
  agentListen: string;
  node?: string;
  mirrorDevice?: string;
  hook: HookChoice;
  bpffs: string;
  logLevel: LogLevel;
}

/** Communication domain and pool of a host that belongs to no other. */
const DEFAULT = 'default';

const command = new Command('mirrorplane up')
  .description(
    'Runs controller and agent for this host in one process. Needs root. Ctrl-C stops both; copying continues.',
  )
  .version(VERSION, '-V, --version', 'print the version')
  .option('--data <dir>', 'directory of the store, the tokens and the keys', '/var/lib/mirrorplane');

addAuditOptions(addApiOptions(command))
  .option(
    '--agent-listen <address>',
    'address for agents: ADDR:PORT; 0.0.0.0:7071 lets other nodes join',
    '127.0.0.1:7071',
  )
  .option('--node <name>', 'name of this node (default: the host name)')
  .option(
    '--mirror-device <device>',
    'device that sends copies to other nodes (default: the device of the default route)',
    mirrorDevice,
  )
  .addOption(HOOK_OPTION)
  .option('--bpffs <dir>', 'directory on a bpf file system', DEFAULT_BPFFS)
  .addOption(new Option('--log-level <level>', 'lowest level that is logged').choices(LOG_LEVELS).default('warn'))
  .showHelpAfterError('(--help shows all options)')
  .exitOverride(exitForUsage);

function mirrorDevice(value: string): string {
  if (value === 'lo') {
    throw new InvalidArgumentError('the loopback device reaches no other node.');
  }
  return value;
}

/** The mirror device. If there is none, a message explains this, and undefined is returned. */
function findMirrorDevice(flags: Flags): string | undefined {
  const device = flags.mirrorDevice ?? defaultRouteDevice(readFileSync('/proc/net/route', 'utf8'));
  if (device === undefined) {
    process.stderr.write(
      'note: this host has no default route, and lo is no mirror device: copies stay on this node ' +
        'until you name the device with --mirror-device\n',
    );
  }
  return device;
}

/**
 * Creates this node, its pool and its communication domain if they are missing, and returns a join
 * token.
 */
async function prepareNode(client: Client, node: string, agentData: string): Promise<string> {
  const missing = async (path: string) => {
    try {
      await client.request('GET', path);
      return false;
    } catch (error) {
      if (error instanceof ProblemError && error.exit === 'notFound') {
        return true;
      }
      throw error;
    }
  };
  if (await missing(`/nodes/${node}`)) {
    if (await missing(`/domains/${DEFAULT}`)) {
      await client.request('PUT', `/domains/${DEFAULT}`, { body: {} });
    }
    if (await missing(`/pools/${DEFAULT}`)) {
      await client.request('PUT', `/pools/${DEFAULT}`, { body: { domain: DEFAULT } });
    }
    await client.request('PUT', `/nodes/${node}`, { body: { pool: DEFAULT } });
    // A certificate of an earlier node of this name is not accepted for the new one.
    rmSync(join(agentData, 'node.crt'), { force: true });
  }
  const { body } = await client.request<{ token: string }>('POST', `/nodes/${node}/token`);
  return body.token;
}

/** Lines for a shell that show how to use the CLI with this controller. */
function usage(api: Api, tokenFile: string, node: string, agentData: string, bpffs: string): string {
  const { url, addresses, fingerprint } = api;
  const byTls = addresses.some((address) => address.startsWith('https:'));
  return `mirrorplane is up: node ${node}, API ${addresses.join(', ')}${byTls ? `\nfingerprint of its authority: ${fingerprint}` : ''}

  export MIRRORPLANE_URL=${url} MIRRORPLANE_TOKEN_FILE=${tokenFile}
  mirrorplane node list
  mirrorplane interface list
  mirrorplane policy create NAME --source ID --destination ID
  mirrorplane policy status NAME --watch

Ctrl-C ends controller and agent. Copying goes on until you remove it:
  mirrorplane agent --uninstall --data ${agentData} --bpffs ${bpffs}
`;
}

/** How the API is reached. */
interface Api {
  /** From this host, without TLS. */
  url: string;
  /** Where it listens. */
  addresses: readonly string[];
  fingerprint: string;
}

/**
 * Where the API listens. Without an address that this host reaches without TLS, there is a socket
 * in addition: the certificate of an operator need not have a name of this host.
 */
function listenAt(listen: readonly string[] | undefined, data: string): readonly string[] | undefined {
  const byTls = (text: string) => {
    const address = parseListen(text);
    return 'scheme' in address && address.scheme === 'https';
  };
  return listen?.every(byTls) ? [...listen, `unix:${join(data, 'up.sock')}`] : listen;
}

/** The URL of an address without TLS. */
function urlOf(addresses: readonly string[]): string {
  const address = addresses.find((one) => !one.startsWith('https:'))!;
  return address.startsWith('unix:') ? address : `http://${local(address.replace('http://', ''))}`;
}

/** The address to connect to, for a listening address. */
function local(listen: string): string {
  return listen.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:');
}

async function run(flags: Flags): Promise<void> {
  const log = createLog('agent', flags.logLevel);
  const bpffs = resolve(flags.bpffs);
  // The last two start decoders as nobody.
  await layDownRights(bpffs, [...AGENT_CAPABILITIES, 'CAP_SETUID', 'CAP_SETGID'], log);
  const data = resolve(flags.data);
  const agentData = join(data, 'agent');
  const node = flags.node ?? nodeNameOf(hostname());
  if (node === undefined) {
    throw new Error(`the host name "${hostname()}" is no name of a node: give one with --node`);
  }
  // The device of the default route is a guess. If it cannot be used, the status of the node
  // reports it.
  const { hook, mirrorDevice } = flags;
  const host = { bpffs, data: agentData, hook, mirrorDevice, datapath: () => kernelDatapath(bpffs, hook) };
  const datapath = await requireFit(host, log);
  const device = findMirrorDevice(flags);
  const closers = new Closers();
  const stop = new AbortController();
  const stopped = new Promise<void>((done) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        stop.abort(new Error('stopped'));
        done();
      });
    }
  });
  try {
    const { agentListen } = flags;
    const options = controllerOptionsOf(flags);
    const listen = listenAt(options.listen, data);
    const controller = await startController({
      data,
      agentListen,
      logger: createLog('controller', flags.logLevel),
      ...options,
      ...auditOptionsOf(flags),
      ...(listen && { listen }),
    });
    closers.add(() => controller.close());
    const { addresses } = controller;
    const url = urlOf(addresses);
    const fingerprint = new X509Certificate(readFileSync(join(data, 'ca.crt'))).fingerprint256;
    const tokenFile = join(data, 'admin-token');
    const client = new Client({ url, token: { kind: 'file', path: tokenFile, optional: false } });
    const token = await prepareNode(client, node, agentData);
    const agent = await startAgent({
      node,
      controller: `${local(agentListen).replace(/:\d+$/, '')}:${controller.agentPort}`,
      token,
      data: agentData,
      bpffs,
      datapath,
      log,
      signal: stop.signal,
      ...(device !== undefined && { mirrorDevice: device }),
    });
    closers.add(() => agent.close());
    process.stdout.write(usage({ url, addresses, fingerprint }, tokenFile, node, agentData, bpffs));
    await stopped;
  } finally {
    await closers.close();
  }
}

command.parse();
try {
  await run(command.opts<Flags>());
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  if (message !== 'stopped') {
    process.stderr.write(`error: ${message}\n`);
    process.exitCode = 1;
  }
}
