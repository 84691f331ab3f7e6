/** Puts an agent together and runs it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Closers } from '@mirrorplane/base';
import type { AgentMessage } from '@mirrorplane/contract';
import manifest from '../package.json' with { type: 'json' };
import { Agent } from './agent.ts';
import type { Credentials } from './controller-link/connection.ts';
import { KnownControllers } from './controller-link/controllers.ts';
import { credentialsFit, EnrollmentError, enroll, loadCredentials } from './controller-link/enroll.ts';
import { EventRecorder } from './controller-link/event-outbox.ts';
import { LooksClient } from './controller-link/looks-client.ts';
import { Renewal, stateOf } from './controller-link/renewal.ts';
import { SyncClient, type SyncTiming } from './controller-link/sync.ts';
import type { Datapath } from './datapath/datapath.ts';
import type { HookChoice } from './datapath/kernel/hook-kind.ts';
import { announce } from './discovery/announce.ts';
import { named } from './discovery/declared.ts';
import { ForwardingTables } from './discovery/forwarding.ts';
import { KnownHostAddresses } from './discovery/host-addresses.ts';
import { Identities } from './discovery/identities.ts';
import { IdentityRecord } from './discovery/identity-record.ts';
import { NetlinkLinkSource } from './discovery/links.ts';
import { NeighbourRecord } from './discovery/neighbour-record.ts';
import { NextHops } from './discovery/neighbours.ts';
import { featureReader, HW_TC_OFFLOAD } from './discovery/offload.ts';
import { createProviders } from './discovery/providers.ts';
import { findUnderlay, KnownAddresses } from './discovery/underlay.ts';
import { FreedMemory } from './host/freed-memory.ts';
import { holdLock, holdPins } from './host/lock.ts';
import { ProgramFile } from './host/program-file.ts';
import type { Logger } from './log.ts';
import { LookFollower } from './looks/look-follower.ts';
import { RtClient } from './netlink/rt-client.ts';
import { RtSync } from './netlink/rt-sync.ts';
import { allStatistics, deviceStatistics } from './netlink/statistics.ts';
import { readLost } from './throttle/backlog-drops.ts';
import { speedOf } from './throttle/carrier-readings.ts';
import { Throttle } from './throttle/throttle.ts';
import { TrafficReader } from './traffic-reader.ts';
import { KeyFile } from './underlay/keys.ts';
import { Tunnels } from './underlay/tunnels.ts';

/** Files of the agent below its data folder, beside the credentials. */
export const STATE_FILES = {
  program: 'program.json',
  neighbours: 'neighbours.json',
  identities: 'identities.json',
  wireguard: 'wireguard.json',
  controllers: 'controllers.json',
} as const;

/** How to run an agent. */
export interface AgentOptions {
  /** Name of the node: 1 to 63 lower-case letters, digits and hyphens. */
  node: string;
  /** HOST:PORT of the controller's port for agents; several, where there are several controllers. */
  controller: string | readonly string[];
  /**
   * Join token. Needed only the first time. A token that was not used before makes the node enrol
   * again.
   */
  token?: string;
  /** Data folder. It is made if absent. */
  data: string;
  /** The mirror device, by name or alternative name. Without it, the node does not use ERSPAN. */
  mirrorDevice?: string;
  /** IPv4 address for ERSPAN. Default: the first one of global scope on the mirror device. */
  mirrorAddress?: string;
  /**
   * Capture unicast towards guests where it enters their bridge, before a firewall there can drop
   * it. Default true.
   */
  arrive?: boolean;
  /** Connection URI of libvirt. `auto`: the system's, if it exists. `off`: none. Default auto. */
  libvirt?: string;
  /**
   * Socket of the Open vSwitch database. `auto`: the usual one, if it exists. `off`: none. Default
   * auto.
   */
  openVswitch?: string;
  /** Folder of Proxmox VE. `auto`: the usual one, if it exists. `off`: none. Default auto. */
  proxmox?: string;
  /** Socket of Incus or LXD. `auto`: the usual one, if it exists. `off`: none. Default auto. */
  incus?: string;
  /**
   * Sockets and folders of container runtimes. `auto`: all usual ones that exist. `off`: none.
   * Default auto.
   */
  containers?: string;
  /** Distinguishes ids of Proxmox VE and of pods in different clusters. */
  identityScope?: string;
  /** Limit of copies of the node, Mbit/s. Default no limit. */
  maxRate?: number;
  /** The most routers between two nodes, 0 to 254. Default not known. */
  maxHops?: number;
  /** UDP port of encrypted copies. The next one is used too while keys change. Default WIREGUARD_PORT. */
  wireguardPort?: number;
  /** Throttle copies if service traffic needs the device that they leave by. Default true. */
  protect?: boolean;
  /**
   * Also throttle copies if packets are lost for lack of CPU time. Needs `protect`. Default false.
   */
  protectCpu?: boolean;
  /**
   * Speed of the mirror device, Mbit/s. Default: the speed of its link, or a speed learned from its
   * queue.
   */
  uplinkRate?: number;
  /**
   * How BPF programs are attached. `auto`: tcx if the kernel has it, else clsact filters. Default
   * auto.
   */
  hook?: HookChoice;
  /** Folder on a bpf file system for links, programs and maps. Default /sys/fs/bpf/mirrorplane. */
  bpffs?: string;
  log: Logger;
  /** The data path. Default: the one in the kernel. */
  datapath?: Datapath;
  /** Ends the wait for an unreachable controller during enrolment. */
  signal?: AbortSignal;
  /** Intervals of the connection, for tests. */
  timing?: Partial<SyncTiming>;
}

/** A running agent. */
export interface RunningAgent {
  readonly agent: Agent;
  /** Stops the agent and leaves the data plane running. Idempotent. */
  close(): Promise<void>;
}

/** Reads the tables by a socket of their own, in the present network namespace. */
function openForwarding(log: Logger, closers: Closers): ForwardingTables {
  const client = new RtSync();
  client.open();
  closers.add(() => client.close());
  const forwarding = new ForwardingTables({ client, log });
  closers.add(() => forwarding.close());
  return forwarding;
}

/** Milliseconds after which a start is over: its programs are loaded, and the controller has been heard. */
const SETTLED_MS = 10_000;

/** Where links, programs and maps are pinned, unless told otherwise. */
export const DEFAULT_BPFFS = '/sys/fs/bpf/mirrorplane';

/** UDP port of encrypted copies, unless told otherwise. WireGuard of others often has 51820. */
export const WIREGUARD_PORT = 51_850;

/** The version of this agent. */
export const AGENT_VERSION: string = manifest.version;

/** The data path in the kernel. Loaded late, because a test with another data path needs no BPF. */
export async function kernelDatapath(bpffs: string, hook: HookChoice = 'auto'): Promise<Datapath> {
  const { createKernelDatapath } = await import('./datapath/kernel/index.ts');
  return createKernelDatapath({ bpffs, hook });
}

/**
 * Starts an agent. It enrols if needed, takes over or installs the data plane, and applies the last
 * program. Then it follows controller and node until `close()`.
 * @throws Error with a remedy, if the node or the token is unsuitable
 */
export async function startAgent(options: AgentOptions): Promise<RunningAgent> {
  const { log, node, data } = options;
  const bpffs = options.bpffs ?? DEFAULT_BPFFS;
  await mkdir(data, { recursive: true, mode: 0o700 });
  const closers = new Closers();
  try {
    closers.add(await holdLock(data));
    if (options.datapath === undefined || options.bpffs !== undefined) {
      closers.add(await holdPins(bpffs));
    }
    const given = typeof options.controller === 'string' ? [options.controller] : options.controller;
    const controllers = await KnownControllers.load({ given, file: join(data, STATE_FILES.controllers), log });
    closers.add(() => controllers.settled());
    const { credentials, joinsAgain } = await obtainCredentials(options, controllers);
    const datapath = options.datapath ?? (await kernelDatapath(bpffs, options.hook));
    closers.add(() => datapath.close());
    await datapath.open();
    const client = new RtClient();
    closers.add(() => client.close());
    const links = new NetlinkLinkSource({ log });
    closers.add(() => links.close());
    await links.open();
    const record = await NeighbourRecord.load(join(data, STATE_FILES.neighbours));
    const nextHops = new NextHops({ client, record, log });
    closers.add(() => nextHops.close());
    const forwarding = options.arrive === false ? undefined : openForwarding(log, closers);
    const identities = new Identities({
      providers: createProviders(options),
      record: await IdentityRecord.load(join(data, STATE_FILES.identities), log),
    });
    closers.add(() => identities.close());
    identities.open(links.links());
    const throttle = options.protect === false ? undefined : createThrottle(options, datapath, links, closers);
    const addresses = new KnownAddresses(client);
    links.on('addresses', () => addresses.forget());
    const own = new KnownHostAddresses();
    closers.add(() => own.close());
    links.on('network', () => own.forget());
    links.on('regular', () => {
      addresses.forget();
      own.forget();
    });
    const addressesOf = (ifindex: number) => addresses.of(ifindex);
    const underlayOptions = { device: options.mirrorDevice, address: options.mirrorAddress };
    const tunnels = options.mirrorDevice === undefined ? undefined : await createTunnels(options, client, closers);
    const events = new EventRecorder({
      onInvalid: ({ kind }, problem) => log.error({ event: kind, problem }, 'event not told'),
    });
    const agent = new Agent({
      node,
      version: AGENT_VERSION,
      links,
      nextHops,
      identities,
      ...(forwarding && { forwarding }),
      hostAddresses: () => own.current(),
      ...(options.maxRate !== undefined && { maxRate: options.maxRate }),
      ...(options.maxHops !== undefined && { maxHops: options.maxHops }),
      statistics: (ifindex) => deviceStatistics(client, ifindex),
      ...(throttle && { throttle }),
      traffic: createTraffic(options, links, closers),
      ...(tunnels && { tunnels }),
      underlay: () => findUnderlay(addressesOf, underlayOptions, links.links()),
      offloads: featureReader(HW_TC_OFFLOAD),
      announce,
      datapath,
      programs: new ProgramFile(join(data, STATE_FILES.program)),
      events,
      log,
    });
    closers.add(() => agent.close());
    await agent.start();
    throttle?.start();
    const connect = (credentials: Credentials) => {
      const sync = new SyncClient({
        controller: controllers,
        credentials,
        greeting: () => renewal.greet(agent.greeting()).map((message) => withTerm(message, controllers)),
        log,
        ...(options.timing !== undefined && { timing: options.timing }),
      });
      closers.add(() => sync.close());
      const channel = new LooksClient({ controller: () => controllers.current, credentials, log });
      closers.add(() => channel.close());
      const looks = new LookFollower({
        room: agent.looks,
        names: agent.lookNames,
        channel,
        refused: (refused) => sync.send({ type: 'looksRefused', refused }),
        log,
      });
      const renewed = (newer: Credentials) => {
        sync.use(newer);
        channel.use(newer);
      };
      const renewal: Renewal = new Renewal({ node, credentials, data, log, link: sync, renewed });
      closers.add(() => renewal.close());
      sync.on('program', (program) => agent.take(program));
      sync.on('programDifference', (difference) => agent.programs.takeDifference(difference));
      sync.on('partsWanted', () => agent.programs.tellParts());
      sync.on('eventsTaken', (taken) => events.taken(taken));
      sync.on('countersSaved', (saved) => agent.countersSaved(saved));
      sync.on('reporting', (reporting) => agent.report(reporting));
      sync.on('tests', (tests) => agent.probes.take(tests));
      sync.on('certificate', (certificate) => renewal.take(certificate));
      sync.on('authority', (authorities) => renewal.follow(authorities));
      sync.on('outdated', ({ controller, term, known }) => {
        const why = `its term is ${term}, and the agent knows the leader of term ${known}`;
        events.tell({
          kind: 'leaderRefused',
          cause: 'agent',
          message: `the controller at ${controller} was refused: ${why}`,
        });
      });
      sync.on('dismissed', () => agent.dismiss());
      sync.on('looks', (orders) => looks.follow(orders));
      sync.on('connected', () => {
        looks.greeting();
        renewal.look();
      });
      agent.connect(sync);
      sync.start();
      renewal.start();
    };
    if (joinsAgain) {
      const ending = new AbortController();
      const joining = joinAgain(options, { stored: credentials, controllers }, ending.signal)
        .then((newer) => (ending.signal.aborted ? undefined : connect(newer)))
        .catch(() => undefined);
      closers.add(() => {
        ending.abort();
        return joining;
      });
    } else {
      connect(credentials);
    }
    const memory = new FreedMemory();
    links.on('change', () => memory.changed());
    links.on('regular', () => memory.look());
    const settled = setTimeout(() => memory.started(), SETTLED_MS).unref();
    closers.add(() => clearTimeout(settled));
    log.info({ node, version: AGENT_VERSION, controller: options.controller }, 'agent started');
    return { agent, close: () => closers.close() };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

/** Speeds that the operator has set, Mbit/s by device. */
function ratesOf({ mirrorDevice, uplinkRate }: AgentOptions, links: NetlinkLinkSource): Record<string, number> {
  const [device] = mirrorDevice === undefined ? [] : named(links.links(), mirrorDevice);
  const name = device?.name ?? mirrorDevice;
  return name !== undefined && uplinkRate !== undefined ? { [name]: uplinkRate } : {};
}

async function createTunnels(
  { data, wireguardPort: port = WIREGUARD_PORT, log }: AgentOptions,
  client: RtClient,
  closers: Closers,
): Promise<Tunnels> {
  const keys = new KeyFile(join(data, STATE_FILES.wireguard));
  const tunnels = new Tunnels({ client, keys, port, log });
  closers.add(() => tunnels.close());
  await tunnels.open();
  return tunnels;
}

function createTraffic(options: AgentOptions, links: NetlinkLinkSource, closers: Closers): TrafficReader {
  const client = new RtClient();
  closers.add(() => client.close());
  return new TrafficReader({
    statistics: () => allStatistics(client),
    speedOf: (link) => speedOf(link, links.links(), ratesOf(options, links)),
    throttled: options.protect !== false,
    links: () => links.links(),
  });
}

function createThrottle(
  options: AgentOptions,
  datapath: Datapath,
  links: NetlinkLinkSource,
  closers: Closers,
): Throttle {
  const client = new RtClient();
  closers.add(() => client.close());
  const { protectCpu = false, log } = options;
  const rates = ratesOf(options, links);
  const lost = protectCpu && { lost: readLost };
  const throttle = new Throttle({ datapath, client, links: () => links.links(), rates, ...lost, log });
  closers.add(() => throttle.close());
  return throttle;
}

/**
 * The credentials of an earlier start, or new ones. A node that has never enrolled must enrol
 * first.
 */
async function obtainCredentials(options: AgentOptions, controllers: KnownControllers): Promise<Membership> {
  const { data, node, token } = options;
  const stored = await loadCredentials(data, node);
  if (stored !== undefined) {
    return { credentials: stored, joinsAgain: !credentialsFit(stored, token) };
  }
  if (token === undefined) {
    throw new EnrollmentError(
      `node ${node} has not joined yet: create a token with "mirrorplane node token ${node}", and give it with --token-file`,
    );
  }
  return { credentials: await joinCluster(options, { token, controllers }, options.signal), joinsAgain: false };
}

interface Membership {
  credentials: Credentials;
  /**
   * The credentials have ended, or another token is given. The node enrols again after its data
   * path is in force.
   */
  joinsAgain: boolean;
}

/** Adds the highest term that the agent knows to its hello. */
function withTerm(message: AgentMessage, { term }: KnownControllers): AgentMessage {
  return message.type === 'hello' ? { ...message, term } : message;
}

/** With what a node joins. */
interface Joining {
  token: string;
  controllers: KnownControllers;
}

/**
 * Enrols, and tries again while no controller can be reached. @throws EnrollmentError if one
 * refuses
 */
async function joinCluster(
  options: AgentOptions,
  { token, controllers }: Joining,
  signal?: AbortSignal,
): Promise<Credentials> {
  const { data, node, log } = options;
  for (let wait = 200; ; wait = Math.min(wait * 2, 10_000)) {
    const controller = controllers.current;
    try {
      const credentials = await enroll({ node, controller, token, data });
      log.info({ node, controller }, 'joined');
      return credentials;
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof EnrollmentError) {
        throw error;
      }
      log.warn({ controller, err: error }, 'joining failed, trying again');
      if (controllers.next()) {
        continue;
      }
      controllers.again();
      await delay(wait, undefined, signal ? { signal } : {}).catch(() => undefined);
      signal?.throwIfAborted();
    }
  }
}

/**
 * Enrols again with a token that was not used before. If there is no such token, or the controller
 * refuses it, the stored credentials are used. Copies are made in any case, and the agent tries to
 * connect with the stored credentials.
 */
async function joinAgain(
  options: AgentOptions,
  { stored, controllers }: { stored: Credentials; controllers: KnownControllers },
  signal: AbortSignal,
): Promise<Credentials> {
  const { token, log, node } = options;
  const ended = stateOf(stored.certificate, new Date()) === 'ended';
  if (token === undefined) {
    return stored;
  }
  log.info(`joining again: the ${ended ? 'stored certificate has ended' : 'token is a new one'}`);
  try {
    return await joinCluster(options, { token, controllers }, signal);
  } catch (error) {
    signal.throwIfAborted();
    const remedy = `create a new token with "mirrorplane node token ${node}"`;
    log.error({ err: error }, `the token is refused; the agent uses the stored certificate: ${remedy}`);
    return stored;
  }
}
