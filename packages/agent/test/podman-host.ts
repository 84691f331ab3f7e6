/**
 * A Podman of a test's own: in its namespaces and its folder, with containers that need no image.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { until } from '@mirrorplane/base';
import { endChild } from './end-child.ts';
import type { Namespace, ProbePlace } from './namespace.ts';

const run = promisify(execFile);
/** Milliseconds: room for a loaded machine. */
const LIMIT = 60_000;

/** Why these tests cannot run here; false where they can. */
export const noPodman = ['/usr/bin/podman', '/usr/bin/crun', '/bin/busybox'].find((path) => !existsSync(path)) ?? false;

// crun takes the unified hierarchy alone. Podman and its network plugins write below /run and
// /var/lib.
const SCRIPT = `umount --lazy /sys/fs/cgroup 2>/dev/null
set -e
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run
mount -t tmpfs none /var/lib
echo ready
exec sleep infinity`;

/** One host with Podman. */
export class PodmanHost implements ProbePlace {
  readonly name: string;
  readonly folder: string;
  readonly #holder: ChildProcess;
  #service: ChildProcess | undefined;

  /** @param folder for its containers; is there */
  constructor(t: Pick<TestContext, 'after'>, namespace: Namespace, folder: string) {
    this.name = namespace.name;
    this.folder = folder;
    t.after(() => this.#end());
    mkdirSync(join(folder, 'rootfs/bin'), { recursive: true });
    copyFileSync('/bin/busybox', join(folder, 'rootfs/bin/busybox'));
    symlinkSync('busybox', join(folder, 'rootfs/bin/sleep'));
    // /sys follows the network namespace that it is mounted in, so it is entered without `ip netns
    // exec`.
    const argv = [`--net=/run/netns/${this.name}`, '--', 'unshare', '--mount', 'sh', '-c', SCRIPT];
    this.#holder = spawn('nsenter', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  }

  /** Arguments of `nsenter` that lead to it. */
  get enter(): string[] {
    return ['--target', String(this.#holder.pid), '--net', '--mount'];
  }

  get socket(): string {
    return join(this.folder, 'podman.sock');
  }

  /** Waits until it can be entered. */
  async ready(): Promise<void> {
    await new Promise((resolve) => this.#holder.stdout!.once('data', resolve));
  }

  /** Begins to serve the API. */
  async serve(): Promise<void> {
    // A socket left by an earlier service would look like an answer.
    rmSync(this.socket, { force: true });
    const service = this.#argv('system', 'service', '--time', '0', `unix://${this.socket}`);
    this.#service = spawn('nsenter', service, { stdio: 'ignore' });
    await until('podman serves', () => existsSync(this.socket), { limitMs: LIMIT });
  }

  /** Ends serving the API; containers run on. */
  async stopServing(): Promise<void> {
    await endChild(this.#service);
  }

  /** Runs podman, and gives what it prints. */
  async podman(...args: string[]): Promise<string> {
    return (await run('nsenter', this.#argv(...args), { timeout: LIMIT })).stdout;
  }

  /** Starts a container that sleeps. */
  async start(name: string, ...options: string[]): Promise<void> {
    const limits = ['--cgroups=disabled', '--ulimit=nofile=1024:1024', '--ulimit=nproc=1000:1000'];
    const root = join(this.folder, 'rootfs');
    await this.podman('run', '--detach', '--name', name, ...limits, ...options, '--rootfs', root, '/bin/sleep', '1000');
  }

  #argv(...args: string[]): string[] {
    const at = (name: string) => join(this.folder, name);
    const places = ['--root', at('root'), '--runroot', at('run'), '--network-config-dir', at('net')];
    const without = ['--cgroup-manager=cgroupfs', '--events-backend=none', '--storage-driver=vfs'];
    return [...this.enter, '--', 'podman', ...places, ...without, ...args];
  }

  async #end(): Promise<void> {
    try {
      // Podman refuses to remove a container that another one needs. Before the second round, the
      // other one has been removed.
      for (const strict of [false, true]) {
        await this.podman('rm', '--all', '--force', '--time', '0').catch((error) => strict && Promise.reject(error));
      }
    } finally {
      await this.stopServing();
      await endChild(this.#holder);
    }
  }
}
