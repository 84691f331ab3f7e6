/** An LXD of a test's own: in its namespaces and its folder, with containers that need no image. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
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
export const noLxd = ['/usr/bin/lxd', '/usr/bin/lxc', '/bin/busybox'].find((path) => !existsSync(path)) ?? false;

// LXD looks for bridges in /sys, which shows the network namespace that it was mounted in; cgroups
// are mounted below it.
const SCRIPT = `set -e
mkdir "$1/cgroup" "$1/run"
mount --rbind /sys/fs/cgroup "$1/cgroup"
mount -t sysfs none /sys
mount --rbind "$1/cgroup" /sys/fs/cgroup
mount --bind "$1/run" /run
echo ready
exec sleep infinity`;

/** One host with LXD, and a bridge `br0`. */
export class LxdHost implements ProbePlace {
  readonly name: string;
  readonly folder: string;
  readonly #holder: ChildProcess;
  readonly #projects = new Set<string>();
  #daemon: ChildProcess | undefined;

  /** @param folder for its state; is there */
  constructor(t: Pick<TestContext, 'after'>, namespace: Namespace, folder: string) {
    this.name = namespace.name;
    this.folder = folder;
    t.after(() => this.#end());
    namespace.ip('link', 'set', 'lo', 'up');
    namespace.ip('link', 'add', 'br0', 'type', 'bridge');
    namespace.ip('link', 'set', 'br0', 'up');
    const argv = [`--net=/run/netns/${this.name}`, '--', 'unshare', '--mount', 'sh', '-c', SCRIPT, 'sh', folder];
    this.#holder = spawn('nsenter', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  }

  /** Arguments of `nsenter` that lead to it. */
  get enter(): string[] {
    return ['--target', String(this.#holder.pid), '--net', '--mount'];
  }

  get socket(): string {
    return join(this.folder, 'lxd/unix.socket');
  }

  /** Starts LXD; after a stop again. Resolves when it answers. */
  async start(): Promise<void> {
    if (this.#daemon === undefined) {
      await new Promise((resolve) => this.#holder.stdout!.once('data', resolve));
    }
    const argv = [...this.enter, '--', 'lxd', '--group', 'root'];
    this.#daemon = spawn('nsenter', argv, { stdio: 'ignore', env: this.#environment() });
    const answers = () =>
      this.lxc('list').then(
        () => true,
        () => false,
      );
    await until('LXD answers', answers, { limitMs: LIMIT });
  }

  /** Kills LXD; its instances run on. */
  async stop(): Promise<void> {
    await endChild(this.#daemon);
  }

  /** Runs lxc, and gives what it prints. */
  async lxc(...args: string[]): Promise<string> {
    const options = { timeout: LIMIT, env: this.#environment() };
    const asked = run('nsenter', [...this.enter, '--', 'lxc', ...args], options);
    // It reads a configuration there where it can.
    asked.child.stdin?.end();
    return (await asked).stdout;
  }

  /** Makes a container that sleeps, with a NIC on the bridge. */
  async create(name: string, project = 'default'): Promise<void> {
    this.#projects.add(project);
    const at = ['--project', project];
    await this.lxc('init', '--empty', name, ...at, '--storage', 'default', '--config', 'security.privileged=true');
    await this.lxc('config', 'device', 'add', name, 'eth0', 'nic', 'nictype=bridged', 'parent=br0', ...at);
    const folder = project === 'default' ? name : `${project}_${name}`;
    const root = join(this.folder, 'lxd/storage-pools/default/containers', folder, 'rootfs');
    for (const part of ['bin', 'sbin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp']) {
      mkdirSync(join(root, part), { recursive: true });
    }
    copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
    symlinkSync('busybox', join(root, 'bin/sh'));
    writeFileSync(join(root, 'sbin/init'), '#!/bin/sh\nexec /bin/busybox sleep 1000\n');
    chmodSync(join(root, 'sbin/init'), 0o755);
  }

  #environment(): NodeJS.ProcessEnv {
    return { ...process.env, LXD_DIR: join(this.folder, 'lxd'), LXD_CONF: join(this.folder, 'client') };
  }

  async #end(): Promise<void> {
    try {
      for (const project of this.#projects) {
        await this.lxc('stop', '--all', '--force', '--project', project).catch(() => undefined);
      }
      await this.lxc('query', '--request', 'PUT', '/internal/shutdown').catch(() => undefined);
    } finally {
      await endChild(this.#daemon);
      await endChild(this.#holder);
    }
  }
}
