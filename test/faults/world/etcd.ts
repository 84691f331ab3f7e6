/** An etcd cluster of three members, each on a host of its own. */

import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { until } from '@mirrorplane/base';
import type { Random } from '../../chaos/random.ts';
import { Daemon } from './daemon.ts';
import { Host, type Network } from './hosts.ts';

/** Room for some files of etcd's log, which are 64 MB each, and for its database twice. */
const DISK = '500m';
/** Bytes that the database of a member may have: one fault fills it. */
const QUOTA = 32 * 2 ** 20;
/** Elections are shorter than etcd's default: all is on one machine. */
const FLAGS = ['--log-level=warn', '--logger=zap', '--heartbeat-interval=50', '--election-timeout=500'];

export class Etcd {
  readonly members: readonly Daemon[];
  readonly endpoints: readonly string[];

  private constructor(members: readonly Daemon[]) {
    this.members = members;
    this.endpoints = members.map(({ host }) => clientUrl(host));
  }

  /** @param logs folder of the logs */
  static async start(network: Network, folder: string, logs: string): Promise<Etcd> {
    const hosts: Host[] = [];
    for (const name of ['etcd-1', 'etcd-2', 'etcd-3']) {
      hosts.push(await Host.start(network, name, folder, DISK));
    }
    const cluster = hosts.map((host) => `${host.name}=${peerUrl(host)}`).join(',');
    const etcd = new Etcd(
      hosts.map((host) => {
        const argv = [
          ...['etcd', `--name=${host.name}`, `--data-dir=${path.join(host.disk, 'data')}`],
          ...[`--listen-client-urls=${clientUrl(host)}`, `--advertise-client-urls=${clientUrl(host)}`],
          ...[`--listen-peer-urls=${peerUrl(host)}`, `--initial-advertise-peer-urls=${peerUrl(host)}`],
          ...[`--initial-cluster=${cluster}`, `--quota-backend-bytes=${QUOTA}`, ...FLAGS],
        ];
        return new Daemon(host, host.name, argv, path.join(logs, `${host.name}.log`));
      }),
    );
    for (const member of etcd.members) {
      member.start();
    }
    await until('etcd answers', () => etcd.ctl('endpoint', 'health').catch(() => undefined), { limitMs: 60_000 });
    return etcd;
  }

  /** Runs etcdctl, which is not ours, on the host of a member. Returns what it prints. */
  async ctl(...argv: string[]): Promise<string> {
    return this.members[0]!.host.run(...this.ctlCommand(argv));
  }

  /** The words that run etcdctl. */
  ctlCommand(argv: readonly string[]): string[] {
    return ['env', 'ETCDCTL_API=3', 'etcdctl', `--endpoints=${this.endpoints}`, ...argv];
  }

  /** The member that leads, as etcdctl says. */
  async leader(): Promise<Daemon> {
    return until('etcd has a leader', async () => {
      const text = await this.ctl('endpoint', 'status', '--write-out=json').catch(() => '[]');
      const states = JSON.parse(text) as Status[];
      const leading = states.find(({ Status }) => Status.leader === Status.header.member_id);
      return this.members.find(({ host }) => clientUrl(host) === leading?.Endpoint);
    });
  }

  /** Fills the database to its quota, until the returned function is called. Etcd refuses all writes then. */
  async fillDatabase(): Promise<() => Promise<void>> {
    const big = 'x'.repeat(100_000);
    const put = (number: number) =>
      this.ctl('put', `/other/${number}`, big).then(
        () => true,
        () => false,
      );
    for (let number = 1; number < (2 * QUOTA) / big.length && (await put(number)); number++) {
      // Until etcd refuses one.
    }
    return async () => {
      const answer = await this.ctl('del', '--prefix', '/other/', '--write-out=json');
      const { revision } = JSON.parse(answer).header as { revision: number };
      await this.ctl('compact', '--physical', String(Math.max(1, revision - 500))).catch(() => undefined);
      await this.ctl('defrag');
      await this.ctl('alarm', 'disarm');
    };
  }

  /** Writes keys of others, so that revisions grow. */
  async putSome(): Promise<void> {
    for (let number = 1; number <= 3; number++) {
      await this.ctl('put', `/other/some-${number}`, 'x');
    }
  }

  /** Drops all that was before a revision. */
  async compact(revision: number): Promise<void> {
    await this.ctl('compact', String(revision));
  }

  /** Another member leads. */
  async moveLeader(random: Random): Promise<void> {
    const leader = await this.leader();
    // Numbers of members are larger than those that JSON can have here.
    const text = await this.ctl('member', 'list', '--write-out=json');
    const { members } = JSON.parse(text.replace(/"ID":(\d+)/g, '"ID":"$1"')) as MemberList;
    const { ID } = random.pick(members.filter(({ name }) => name !== leader.host.name));
    const id = BigInt(ID).toString(16);
    await leader.host.run(
      'env',
      'ETCDCTL_API=3',
      'etcdctl',
      `--endpoints=${clientUrl(leader.host)}`,
      'move-leader',
      id,
    );
  }

  /** Etcd answers nobody without a password, until the returned function is called. */
  async askForPassword(): Promise<() => Promise<void>> {
    const user = 'root:unknown';
    for (const argv of [
      ['user', 'add', user],
      ['role', 'add', 'root'],
      ['user', 'grant-role', 'root', 'root'],
    ]) {
      // They are there, if it was asked for before.
      await this.ctl(...argv).catch(() => undefined);
    }
    await this.ctl('auth', 'enable');
    return async () => {
      await this.ctl(`--user=${user}`, 'auth', 'disable');
    };
  }

  async end(): Promise<void> {
    for (const member of this.members) {
      member.signal('SIGCONT');
      await member.kill(false);
      member.host.end();
    }
  }
}

interface MemberList {
  members: { ID: string; name: string }[];
}

interface Status {
  Endpoint: string;
  Status: { leader: number; header: { member_id: number } };
}

const clientUrl = ({ address }: Host) => `http://${address}:2379`;
const peerUrl = ({ address }: Host) => `http://${address}:2380`;

export const execute = promisify(execFile);
