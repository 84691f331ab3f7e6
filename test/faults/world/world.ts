/** Three members of etcd and controllers, or one controller with its store in a file. */
import { cpSync, globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { until } from '@mirrorplane/base';
import { Agents } from './agents.ts';
import { ControllerHost } from './controller.ts';
import { logFolder } from './daemon.ts';
import { Etcd } from './etcd.ts';
import { Network } from './hosts.ts';
import { Observer } from './observer.ts';

/** `etcd`, `file`: one controller, and where its store is. `several`: three controllers over etcd. */
export type WorldKind = 'etcd' | 'file' | 'several';
export const WORLD_KINDS = ['etcd', 'several', 'file'] as const;

type Parts = 'kind' | 'folder' | 'etcd' | 'observer' | 'controllers' | 'agents';

export class World {
  readonly kind: WorldKind;
  readonly folder: string;
  readonly etcd: Etcd | undefined;
  readonly observer: Observer | undefined;
  readonly controllers: readonly ControllerHost[];
  /** Undefined with a file: there is nothing that could be compared with their programs. */
  readonly agents: Agents | undefined;
  readonly #network: Network;

  private constructor(parts: Pick<World, Parts>, network: Network) {
    this.kind = parts.kind;
    this.folder = parts.folder;
    this.etcd = parts.etcd;
    this.observer = parts.observer;
    this.controllers = parts.controllers;
    this.agents = parts.agents;
    this.#network = network;
  }

  static async start(kind: WorldKind): Promise<World> {
    const folder = mkdtempSync(path.join(tmpdir(), 'mirrorplane-faults-'));
    const logs = logFolder(path.join(folder, 'logs'));
    const network = await Network.start();
    const etcd = kind !== 'file' ? await Etcd.start(network, folder, logs) : undefined;
    const observer = etcd && (await Observer.start(network, etcd, folder));
    const options = etcd ? ['--etcd', etcd.endpoints.join(), '--etcd-insecure-http'] : [];
    const tokenFile = path.join(folder, 'token');
    const controllers: ControllerHost[] = [];
    for (let number = 1; number <= (kind === 'several' ? 3 : 1); number++) {
      const name = `controller-${number}`;
      const env = clockVariables(path.join(folder, name, 'clock'));
      controllers.push(await ControllerHost.make(network, { name, folder, logs, options, env, tokenFile }));
    }
    const agents = etcd && (await Agents.make(network, { folder, logs, controllers }));
    const world = new World({ kind, folder, etcd, observer, controllers, agents }, network);
    const [first, ...others] = controllers as [ControllerHost, ...ControllerHost[]];
    await world.setClock(first, 0);
    first.daemon.start();
    await ready(first);
    first.keepToken();
    for (const other of others) {
      await world.setClock(other, 0);
      copyData(first, other);
      other.daemon.start();
    }
    await world.ready();
    return world;
  }

  /** Waits until each controller says that it is ready. */
  async ready(): Promise<void> {
    await Promise.all(this.controllers.map(ready));
  }

  /** The controller that leads, as etcd's own client says. Undefined: nobody does now, or it is not known. */
  async leader(): Promise<ControllerHost | undefined> {
    if (this.etcd === undefined) {
      return this.controllers[0];
    }
    const text = await this.etcd.ctl('get', '/mirrorplane/leader', '--print-value-only').catch(() => '');
    const [, pid] = /process (\d+)/.exec(text) ?? [];
    return this.controllers.find(({ daemon }) => daemon.isProcess(Number(pid)));
  }

  /** The controller's clock is so many seconds ahead. Processes of other hosts do not see it. */
  async setClock({ host }: ControllerHost, seconds: number): Promise<void> {
    writeFileSync(host.path('clock'), `${seconds < 0 ? '' : '+'}${seconds}\n`);
  }

  /** Ends all processes, and removes all files. */
  async end(): Promise<void> {
    await this.agents?.end();
    for (const controller of this.controllers) {
      await controller.end();
    }
    this.observer?.end();
    await this.etcd?.end();
    this.#network.end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function ready(controller: ControllerHost): Promise<void> {
  const { name } = controller.daemon;
  const isReady = async () => (await controller.call('GET', '/readyz').catch(() => undefined))?.status === 200;
  await until(`${name} is ready`, isReady, { limitMs: 60_000, pauseMs: 20 });
}

/** What an operator copies to another controller, as docs/operate.md says. */
function copyData(from: ControllerHost, to: ControllerHost): void {
  cpSync(from.host.path('data'), to.host.path('data'), { recursive: true });
}

/** Variables that let libfaketime set the clock of a process. The steady clock stays as it is. */
function clockVariables(file: string): NodeJS.ProcessEnv {
  const [library] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1');
  if (library === undefined) {
    throw new Error('libfaketime is missing: run "make deps"');
  }
  return {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_CACHE_DURATION: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
    FAKETIME_NO_CACHE: '0',
  };
}
