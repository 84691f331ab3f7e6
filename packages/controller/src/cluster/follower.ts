/**
 * A controller that does not lead. It plans nothing and writes nothing. It hands connections on to
 * the leader, and takes its place away when it is dead.
 */
import { Closers } from '@mirrorplane/base';
import type { Logger } from '@mirrorplane/daemon';
import type { ProxyHeader } from '../auth/proxies.ts';
import type { ListenAddress } from '../listen.ts';
import { openApiCertificate, type TlsOptions } from '../tls/open.ts';
import type { KnownLeader } from './candidate.ts';
import type { ControllerRecord } from './controllers.ts';
import { FollowedAuthority } from './credentials.ts';
import { Doors } from './doors.ts';
import { LeaderLink } from './link.ts';
import { openTunnel } from './tunnel.ts';
import type { TunnelledClient } from './tunnelled.ts';

export interface FollowerOptions {
  data: string;
  listen: readonly ListenAddress[];
  agentListen: { host: string; port: number };
  tls: TlsOptions;
  trustedProxies: readonly string[];
  proxyHeader: ProxyHeader;
  /** This controller, as others see it. Undefined until its ports are known. */
  self: () => ControllerRecord;
  /** Takes the place of a leader away if `isDead` when etcd has answered. Rejects if it does not answer. */
  depose: (term: number, isDead: () => boolean) => Promise<boolean>;
  /** Whether etcd answers this controller. */
  reachesEtcd: () => Promise<boolean>;
  /** Milliseconds for which at least a leader has not reached etcd. Undefined: it is not known. */
  silenceOf: (leader: KnownLeader) => Promise<number | undefined>;
  clock: () => number;
  log: Logger;
}

/**
 * Milliseconds in which changes of the lead are counted, how many of them are usual, and the
 * patience that each more of them adds: where nobody can lead for long, the place does not go from
 * one to the next.
 */
const CHANGES = { withinMs: 20_000, usual: 3, patienceMs: 2000 } as const;
/** Milliseconds between two looks for the authority, which the first leader makes. */
const AUTHORITY_MS = 500;

export class Follower {
  readonly #options: FollowerOptions;
  readonly #closers = new Closers();
  readonly #authority: FollowedAuthority;
  readonly #doors: Doors;
  #leader: KnownLeader | undefined;
  #link: LeaderLink | undefined;
  #isDeposing = false;
  /** When others have begun to lead, newest last, on the monotonic clock. */
  #changes: number[] = [];
  /** Term of the leader of which the log has that it could not be deposed. */
  #warned = 0;
  /** The opening of addresses that waited for the authority. */
  #opening: Promise<void> | undefined;
  #closed = false;

  private constructor(options: FollowerOptions) {
    this.#options = options;
    const { log, trustedProxies, proxyHeader } = options;
    this.#authority = new FollowedAuthority(options.data, options.clock);
    this.#doors = new Doors({ log, trustedProxies, proxyHeader, tunnel: (...client) => this.#tunnel(...client) });
  }

  /**
   * Listens where the controller listens. An address with TLS comes later where there is no
   * authority yet.
   * @returns the follower, and its addresses with their real ports
   * @throws Error if an address cannot be used
   */
  static async open(options: FollowerOptions) {
    const follower = new Follower(options);
    try {
      return { follower, ...(await follower.#open()) };
    } catch (error) {
      await follower.close();
      throw error;
    }
  }

  async #open(): Promise<{ listen: ListenAddress[]; agentPort: number }> {
    const { listen, agentListen } = this.#options;
    const agentPort = await this.#doors.openAgents(agentListen);
    const certificate = await this.#certificate();
    const opened: ListenAddress[] = [];
    for (const address of listen) {
      const waits = 'scheme' in address && address.scheme === 'https' && certificate === undefined;
      opened.push(waits ? address : await this.#doors.openApi(address, certificate));
    }
    if (certificate === undefined) {
      this.#openLater(listen.filter((address) => 'scheme' in address && address.scheme === 'https'));
    }
    return { listen: opened, agentPort };
  }

  /** Another one leads now, or nobody. */
  follow(leader: KnownLeader | undefined): void {
    const { log, self } = this.#options;
    const before = this.#link;
    if (leader !== undefined && this.#leader !== undefined) {
      // One that was cut off from etcd learns it here.
      before?.tellDeposed(leader.term);
    }
    before?.close();
    this.#link = undefined;
    this.#leader = leader;
    this.#doors.cut();
    const { id, agents } = self();
    if (leader === undefined || leader.id === id || this.#closed) {
      return;
    }
    log.info({ leader: leader.controller, term: leader.term }, 'another controller leads');
    if (leader.agents === undefined || leader.agents === agents) {
      log.warn(
        { leader: leader.agents },
        'the leader has no address, or that of this controller: an earlier run of this one is followed by another leader within seconds; if that does not happen, give each controller its own --advertise',
      );
      return;
    }
    const { term } = leader;
    const now = performance.now();
    this.#changes = [...this.#changes.filter((at) => now - at < CHANGES.withinMs), now];
    this.#link = new LeaderLink({
      leader: leader.agents,
      term,
      id,
      tls: () => this.#authority.connectionOptions(),
      reachesEtcd: this.#options.reachesEtcd,
      silence: () => this.#options.silenceOf(leader),
      patienceMs: Math.max(0, this.#changes.length - CHANGES.usual) * CHANGES.patienceMs,
      broken: (why, isDead) => void this.#depose(term, why, isDead),
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#link?.close();
    // The leader of this process listens where doors are being opened.
    await this.#opening;
    await this.#doors.close();
    await this.#closers.close();
  }

  async #depose(term: number, why: string, isDead: () => boolean): Promise<void> {
    const { log, depose } = this.#options;
    const leader = this.#leader;
    if (this.#isDeposing || leader?.term !== term) {
      return;
    }
    this.#isDeposing = true;
    try {
      if (await depose(term, isDead)) {
        log.warn({ leader: leader.controller, term, why }, 'the leader is dead: its place was taken away');
      }
    } catch (error) {
      // It is tried again soon.
      const level = this.#warned === term ? 'debug' : 'warn';
      this.#warned = term;
      log[level]({ err: error, why }, 'the leader seems dead, and etcd does not answer');
    } finally {
      this.#isDeposing = false;
    }
  }

  async #tunnel(client: TunnelledClient, signal: AbortSignal) {
    const leader = this.#leader;
    if (leader?.agents === undefined || leader.agents === this.#options.self().agents) {
      throw new Error('no controller leads');
    }
    const tls = await this.#authority.connectionOptions();
    if (tls === undefined) {
      throw new Error('there is no authority in the data directory');
    }
    return openTunnel(leader.agents, tls, client, signal);
  }

  /** The certificate of the API. Undefined: no address has TLS, or there is no authority yet. */
  async #certificate() {
    if ((await this.#authority.open()) === undefined) {
      return undefined;
    }
    const authority = async () => {
      const now = await this.#authority.open();
      if (now === undefined) {
        throw new Error('there is no authority in the data directory');
      }
      return now;
    };
    const { listen, tls, data, log, clock } = this.#options;
    // Events of certificates are the leader's. Here the log has them.
    const events = { note: async () => undefined };
    const certificate = await openApiCertificate({ listen, tls, authority, data, events, log, clock });
    this.#closers.add(() => certificate?.close());
    return certificate;
  }

  #openLater(addresses: readonly ListenAddress[]): void {
    if (addresses.length === 0) {
      return;
    }
    this.#options.log.info('the API listens by TLS when the authority of the cluster has come from the leader');
    const timer = setInterval(() => {
      this.#opening ??= this.#tryOpen(addresses, () => clearInterval(timer)).finally(() => {
        this.#opening = undefined;
      });
    }, AUTHORITY_MS).unref();
    this.#closers.add(() => clearInterval(timer));
  }

  async #tryOpen(addresses: readonly ListenAddress[], begins: () => void): Promise<void> {
    const certificate = await this.#certificate().catch(() => undefined);
    if (certificate === undefined || this.#closed) {
      return;
    }
    begins();
    for (const address of addresses) {
      await this.#doors
        .openApi(address, certificate)
        .catch((error: unknown) => this.#options.log.error({ err: error }, 'the API does not listen'));
    }
  }
}
