/** A controller as it is shipped, on a host of its own. */
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { callApi, type Reply } from '../../../packages/controller/test/api-call.ts';
import { MIRRORPLANE } from './command.ts';
import { Daemon } from './daemon.ts';
import { Host, type Network } from './hosts.ts';

/** As mount(8) writes it. */
const DISK = '64m';
/** Milliseconds after which a client gives up. Longer than a controller takes for an answer. */
const ANSWER_MS = 15_000;

export interface ControllerParts {
  name: string;
  folder: string;
  logs: string;
  /** More options of the command. */
  options: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** The file with the token of clients, which is good for all controllers. */
  tokenFile: string;
}

export class ControllerHost {
  readonly daemon: Daemon;
  readonly host: Host;

  /** The file with the token of clients. */
  readonly tokenFile: string;

  private constructor(host: Host, daemon: Daemon, tokenFile: string) {
    this.host = host;
    this.daemon = daemon;
    this.tokenFile = tokenFile;
  }

  static async make(network: Network, parts: ControllerParts): Promise<ControllerHost> {
    const { name, folder, logs, options, env = {}, tokenFile } = parts;
    const host = await Host.start(network, name, folder, DISK);
    const argv = [
      ...[MIRRORPLANE, 'controller', '--data', path.join(host.disk, 'data')],
      ...['--listen', `unix:${path.join(host.disk, 'api.sock')}`, '--agent-listen', `${host.address}:7071`, ...options],
    ];
    return new ControllerHost(host, new Daemon(host, name, argv, path.join(logs, `${name}.log`), env), tokenFile);
  }

  get socket(): string {
    return this.host.path('api.sock');
  }

  /** @throws NoAnswerError if no whole answer came */
  call(method: string, url: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    const authorized = { ...this.authorization(), ...headers };
    return callApi({ socketPath: this.socket, method, url, body, headers: authorized, timeoutMs: ANSWER_MS });
  }

  /** A change that has to succeed. */
  async must(method: string, url: string, body?: unknown): Promise<Reply['body']> {
    const reply = await this.call(method, url, body);
    if (reply.status >= 300) {
      throw new Error(`${method} ${url}: ${JSON.stringify(reply)}`);
    }
    return reply.body;
  }

  /** Keeps the token that the first start has made for the clients of all controllers. */
  keepToken(): void {
    copyFileSync(this.host.path('data', 'admin-token'), this.tokenFile);
  }

  authorization(): Record<string, string> {
    return existsSync(this.tokenFile) ? { authorization: `Bearer ${readFileSync(this.tokenFile, 'utf8').trim()}` } : {};
  }

  async end(): Promise<void> {
    this.daemon.signal('SIGCONT');
    await this.daemon.kill(false);
    this.host.end();
  }
}
