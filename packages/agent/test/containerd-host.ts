/**
 * A containerd of a test's own, with its CRI: in its namespaces and its folder, with a sandbox
 * image made here.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { until } from '@mirrorplane/base';
import { type Pod, removePodSandbox, runPodSandbox } from './cri-client.ts';
import { endChild } from './end-child.ts';
import type { Namespace, ProbePlace } from './namespace.ts';

const run = promisify(execFile);
/** Milliseconds: room for a loaded machine. */
const LIMIT = 60_000;
const IMAGE = 'local.test/pause:1';

/** Why these tests cannot run here; false where they can. */
export const noContainerd =
  ['/usr/bin/containerd', '/usr/sbin/runc', '/usr/lib/cni/bridge', '/bin/busybox'].find((path) => !existsSync(path)) ??
  false;

// Network plugins look into /sys, which shows the network namespace that it was mounted in; cgroups
// are mounted below it. /run is a folder of the test, so that the socket can be reached from
// outside.
const SCRIPT = `set -e
mount --rbind /sys/fs/cgroup "$1/cgroup"
mount -t sysfs none /sys
mount --rbind "$1/cgroup" /sys/fs/cgroup
mount --bind "$1/run" /run
mount -t tmpfs none /var/lib
echo ready
exec sleep infinity`;

/** One host with containerd. Pods are on the bridge `cni0`. */
export class ContainerdHost implements ProbePlace {
  readonly name: string;
  readonly folder: string;
  readonly #holder: ChildProcess;
  readonly #sandboxes = new Set<string>();
  #daemon: ChildProcess | undefined;

  /** @param folder for its state; is there */
  constructor(t: Pick<TestContext, 'after'>, namespace: Namespace, folder: string) {
    this.name = namespace.name;
    this.folder = folder;
    t.after(() => this.#end());
    namespace.ip('link', 'set', 'lo', 'up');
    for (const part of ['cgroup', 'run/netns', 'cni', 'image']) {
      mkdirSync(join(folder, part), { recursive: true });
    }
    const argv = [`--net=/run/netns/${this.name}`, '--', 'unshare', '--mount', 'sh', '-c', SCRIPT, 'sh', folder];
    this.#holder = spawn('nsenter', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    const network = { type: 'bridge', bridge: 'cni0', ipam: { type: 'host-local', subnet: '192.0.2.0/24' } };
    writeFileSync(
      join(folder, 'cni/10-test.conflist'),
      JSON.stringify({ cniVersion: '0.4.0', name: 'test', plugins: [network] }),
    );
    writeFileSync(join(folder, 'config.toml'), configuration(folder));
  }

  /** Arguments of `nsenter` that lead to it. */
  get enter(): string[] {
    return ['--target', String(this.#holder.pid), '--net', '--mount'];
  }

  get socket(): string {
    return join(this.folder, 'run/containerd/containerd.sock');
  }

  /** Starts containerd. Resolves when it can make pods. */
  async start(): Promise<void> {
    await new Promise((resolve) => this.#holder.stdout!.once('data', resolve));
    const argv = [...this.enter, '--', 'containerd', '--config', join(this.folder, 'config.toml')];
    this.#daemon = spawn('nsenter', argv, { stdio: 'ignore' });
    const answers = () =>
      this.#ctr('version').then(
        () => true,
        () => false,
      );
    await until('containerd answers', answers, { limitMs: LIMIT });
    await this.#ctr('--namespace', 'k8s.io', 'images', 'import', '--snapshotter', 'native', image(this.folder));
  }

  /** Makes a pod as a kubelet does. Gives the id of its sandbox. */
  async runPod(pod: Pod): Promise<string> {
    const id = await runPodSandbox(this.socket, pod);
    this.#sandboxes.add(id);
    return id;
  }

  /** Removes a pod. */
  async removePod(id: string): Promise<void> {
    await removePodSandbox(this.socket, id);
    this.#sandboxes.delete(id);
  }

  async #ctr(...args: string[]): Promise<string> {
    return (await run('nsenter', [...this.enter, '--', 'ctr', ...args], { timeout: LIMIT })).stdout;
  }

  async #end(): Promise<void> {
    try {
      for (const id of this.#sandboxes) {
        await this.removePod(id);
      }
    } finally {
      await endChild(this.#daemon);
      await endChild(this.#holder);
    }
  }
}

function configuration(folder: string): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = "${folder}/lib"
[${cri}]
sandbox_image = "${IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true
disable_cgroup = true
[${cri}.cni]
bin_dir = "/usr/lib/cni"
conf_dir = "${folder}/cni"
[${cri}.containerd]
snapshotter = "native"
`;
}

/** An image that sleeps, in the format of `docker save`. Gives the file. */
function image(folder: string): string {
  const at = (name: string) => join(folder, 'image', name);
  const hash = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
  copyFileSync('/bin/busybox', at('busybox'));
  execFileSync('tar', ['-C', at(''), '-cf', at('layer.tar'), 'busybox']);
  const config = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Entrypoint: ['/busybox', 'sleep', '1000'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${hash(readFileSync(at('layer.tar')))}`] },
    history: [{}],
  });
  const file = `${hash(config)}.json`;
  writeFileSync(at(file), config);
  writeFileSync(at('manifest.json'), JSON.stringify([{ Config: file, RepoTags: [IMAGE], Layers: ['layer.tar'] }]));
  execFileSync('tar', ['-C', at(''), '-cf', at('image.tar'), file, 'layer.tar', 'manifest.json']);
  return at('image.tar');
}
