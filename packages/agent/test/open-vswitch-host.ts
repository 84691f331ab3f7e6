/**
 * An Open vSwitch of a test's own, in user space: in a namespace and a folder, away from the
 * machine's.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '@mirrorplane/base';
import { endChild } from './end-child.ts';
import type { Namespace } from './namespace.ts';

const run = promisify(execFile);
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';
/** Milliseconds: room for a loaded machine. */
const LIMIT = 60_000;

/** Why these tests cannot run here; false where they can. */
export const noOpenVswitch =
  ['/usr/sbin/ovs-vswitchd', '/usr/sbin/ovsdb-server'].find((path) => !existsSync(path)) ?? false;

/** The database and the switch. */
export class OpenVswitchHost {
  readonly #namespace: Pick<Namespace, 'name'>;
  readonly #folder: string;
  #database: ChildProcess | undefined;
  #switch: ChildProcess | undefined;

  /** @param folder for database, sockets and logs; is made */
  constructor(namespace: Pick<Namespace, 'name'>, folder: string) {
    this.#namespace = namespace;
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  get socket(): string {
    return join(this.#folder, 'db.sock');
  }

  /** Starts both. The bridge `br-int` is there then. */
  async start(): Promise<void> {
    await run('ovsdb-tool', ['create', join(this.#folder, 'conf.db'), SCHEMA]);
    await this.startDatabase();
    await this.vsctl('--no-wait', 'init');
    this.startSwitch();
    await this.vsctl('add-br', 'br-int', '--', 'set', 'bridge', 'br-int', 'datapath_type=netdev');
  }

  async startDatabase(): Promise<void> {
    const file = join(this.#folder, 'conf.db');
    this.#database = this.#spawn(['ovsdb-server', file, `--remote=punix:${this.socket}`, ...this.#common('ovsdb')]);
    const answers = () =>
      run('ovsdb-client', ['list-dbs', `unix:${this.socket}`]).then(
        () => true,
        () => false,
      );
    await until('the database answers', answers, { limitMs: LIMIT });
  }

  startSwitch(): void {
    this.#switch = this.#spawn(['ovs-vswitchd', `unix:${this.socket}`, ...this.#common('switch')]);
  }

  /** Runs ovs-vsctl; waits until the switch has done it, unless told otherwise. */
  async vsctl(...args: string[]): Promise<string> {
    return (await run('ovs-vsctl', [`--db=unix:${this.socket}`, '--timeout=60', ...args])).stdout;
  }

  stopDatabase(): Promise<void> {
    return endChild(this.#database);
  }

  stopSwitch(): Promise<void> {
    return endChild(this.#switch);
  }

  async stop(): Promise<void> {
    await this.stopSwitch();
    await this.stopDatabase();
  }

  #common(name: string): string[] {
    return [
      `--unixctl=${join(this.#folder, `${name}.ctl`)}`,
      '--no-chdir',
      `--log-file=${join(this.#folder, `${name}.log`)}`,
    ];
  }

  #spawn(argv: string[]): ChildProcess {
    const env = { ...process.env, OVS_RUNDIR: this.#folder, OVS_LOGDIR: this.#folder, OVS_DBDIR: this.#folder };
    return spawn('nsenter', [`--net=/run/netns/${this.#namespace.name}`, '--', ...argv], { stdio: 'ignore', env });
  }
}
