/** Agents of all nodes, as one process on a host of its own. */
import path from 'node:path';
import { until } from '@mirrorplane/base';
import type { AgentReport } from '../agents/report.ts';
import type { ControllerHost } from './controller.ts';
import { Daemon } from './daemon.ts';
import { Host, type Network } from './hosts.ts';

const MAIN = path.resolve(import.meta.dirname, '../agents/main.ts');
/** As mount(8) writes it. */
const DISK = '16m';

export class Agents {
  /** All that they have said, in order. */
  readonly reports: AgentReport[] = [];
  readonly host: Host;
  readonly #controllers: string;
  readonly #log: string;
  #daemon: Daemon | undefined;

  private constructor(host: Host, controllers: string, log: string) {
    this.host = host;
    this.#controllers = controllers;
    this.#log = log;
  }

  /** @param controllers all that they know. @param logs folder of the logs */
  static async make(
    network: Network,
    { folder, logs, controllers }: { folder: string; logs: string; controllers: readonly ControllerHost[] },
  ): Promise<Agents> {
    const addresses = controllers.map(({ host }) => `${host.address}:7071`).join();
    return new Agents(await Host.start(network, 'agents', folder, DISK), addresses, path.join(logs, 'agents.log'));
  }

  /** Starts them, and waits until each has a program. @param tokens join tokens by node */
  async start(tokens: Readonly<Record<string, string>>): Promise<void> {
    const nodes = Object.entries(tokens).map(([node, token]) => `${node}=${token}`);
    const argv = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN, this.host.disk, this.#controllers];
    const onLine = (line: string) => this.reports.push(JSON.parse(line));
    this.#daemon = new Daemon(this.host, 'agents', [...argv, ...nodes], this.#log, {}, onLine);
    this.#daemon.start();
    const has = (node: string) => this.reports.some((one) => one.node === node && one.kind === 'program');
    await until('each agent has a program', () => Object.keys(tokens).every(has), { limitMs: 60_000 });
  }

  /** The running process. */
  get daemon(): Daemon {
    return this.#daemon!;
  }

  async end(): Promise<void> {
    await this.#daemon?.kill(false);
    this.host.end();
  }
}
