/**
 * One of several controllers over etcd: follows until it leads. When it does not lead any more, its
 * process has to end, and its service manager starts it again as a follower.
 */
import { hostname } from 'node:os';
import { createLog } from '@mirrorplane/daemon';
import manifest from '../package.json' with { type: 'json' };
import { Candidate } from './cluster/candidate.ts';
import { Controllers, newControllerId } from './cluster/controllers.ts';
import { Follower, type FollowerOptions } from './cluster/follower.ts';
import { Leadership } from './cluster/leadership.ts';
import { Runs } from './cluster/runs.ts';
import { type Controller, type ControllerOptions, prepareFolder, startController } from './controller.ts';
import { FollowedFiles } from './followed-files.ts';
import { warmUp } from './http/app.ts';
import { formatListen, type ListenAddress, parseListen, parseTcp, requireSecure } from './listen.ts';
import { steadyClock } from './steady-clock.ts';
import type { Hold } from './store/etcd/hold.ts';
import { Stopping } from './store/etcd/stopping.ts';
import type { EtcdStoreOptions } from './store/etcd.ts';

export interface ClusteredOptions extends ControllerOptions {
  etcd: Omit<EtcdStoreOptions, 'onLost'>;
  /**
   * HOST:PORT where agents and other controllers reach the port for agents. Default: the host of
   * `agentListen`, or the name of this host.
   */
  advertise?: string;
  /** This one leads now. */
  leads?: (controller: Controller) => void;
}

/** A controller that follows or leads. */
export interface Clustered {
  addresses: string[];
  agentPort: number;
  /** The controller, if this one leads. */
  leading: () => Controller | undefined;
  /** Milliseconds since the current planning began. 0 without one. */
  planningFor: () => number;
  close(): Promise<void>;
}

/** Milliseconds until the place of a leader that is gone is free, if no follower takes it away. */
const LEASE_MS = 10_000;

/**
 * Starts a controller that follows until it leads.
 * @throws Error with a message for the operator if the folder or an address cannot be used
 */
export async function startClustered(options: ClusteredOptions): Promise<Clustered> {
  const listen = (options.listen ?? ['127.0.0.1:7070']).map(parseListen);
  const agentListen = parseTcp(options.agentListen ?? '0.0.0.0:7071');
  if (!options.insecureHttp) {
    requireSecure(listen);
  }
  const { clock = Date.now, steady = steadyClock } = options;
  const stopping = new Stopping();
  const etcd = { ...options.etcd, stopping };
  const log = options.logger ?? createLog('controller', 'info');
  prepareFolder(options.data);
  const id = newControllerId();
  const runs = await Runs.begin(options.data, id);
  let agents = '';
  const record = () => ({ id, host: hostname(), version: manifest.version, startedAt, agents });
  const startedAt = new Date(clock()).toISOString();
  let candidate: Candidate | undefined;
  let files: FollowedFiles;
  const { follower, ...opened } = await openOrEnd(runs, {
    data: options.data,
    listen,
    agentListen,
    tls: options.tls ?? {},
    trustedProxies: options.trustedProxies ?? [],
    proxyHeader: options.proxyHeader ?? 'x-forwarded',
    self: record,
    depose: async (term, isDead) => files.canLead && candidate!.depose(term, isDead),
    reachesEtcd: () => candidate!.reachesEtcd(),
    silenceOf: (leader) => candidate!.silenceOf(leader),
    clock,
    log,
  });
  agents = options.advertise ?? advertised(agentListen.host, opened.agentPort);
  const controllers = new Controllers(etcd, record(), log);
  controllers.open();
  files = new FollowedFiles({
    data: options.data,
    etcd,
    log,
    changed: () => {
      void controllers.tell(files.problem);
      candidate?.look();
    },
  });
  files.open();
  await warmUp();
  const failed = (error: Error) => {
    log.fatal({ err: error }, 'the controller cannot go on');
    options.failed?.(error);
  };
  let controller: Controller | undefined;
  let starting: Promise<void> | undefined;
  let closed = false;
  const lead = async (hold: Hold) => {
    log.info({ term: hold.term }, 'this controller leads');
    await files.close();
    const beforeListening = async () => {
      // Clients wait at the follower meanwhile.
      await hold.formerIsUnsure();
      await follower.close();
    };
    const leadership = new Leadership({ hold, controllers, beforeListening });
    const started = await startController({
      ...options,
      listen: opened.listen.map(formatListen),
      agentListen: formatTcp(agentListen.host, opened.agentPort),
      etcd: { ...etcd, hold },
      leadership,
      clock,
      steady,
      logger: log,
    });
    controller = started;
    // `close` waits for this start, and closes what it has started.
    if (!closed) {
      options.leads?.(started);
    }
  };
  candidate = new Candidate({
    etcd,
    self: { id, agents },
    leaseMs: etcd.leaseMs ?? LEASE_MS,
    log,
    canLead: () => files.canLead,
    changed: (leader) => {
      const isOver = runs.areOver(leader?.id);
      follower.follow(isOver ? undefined : leader);
      if (isOver) {
        void candidate!.succeed(leader!);
      }
    },
    won: (hold) => {
      starting = lead(hold).catch(async (error: Error) => {
        // Another one can try at once.
        await hold.release();
        failed(error);
      });
    },
    lost: failed,
  });
  candidate.open();
  log.info({ addresses: opened.listen.map(formatListen), agents, id }, 'controller follows');
  const close = async () => {
    closed = true;
    stopping.begin();
    await candidate.withdraw();
    await starting;
    await controller?.close();
    await candidate.close();
    await files.close();
    await follower.close();
    await controllers.close();
    runs.close();
  };
  return {
    addresses: opened.listen.map(formatListen),
    agentPort: opened.agentPort,
    leading: () => controller,
    planningFor: () => controller?.planningFor() ?? 0,
    close,
  };
}

async function openOrEnd(runs: Runs, options: FollowerOptions) {
  return Follower.open(options).catch((error: unknown) => {
    runs.close();
    throw error;
  });
}

function advertised(host: string, port: number): string {
  return formatTcp(host === '0.0.0.0' || host === '::' ? hostname() : host, port);
}

function formatTcp(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

export type { ListenAddress };
