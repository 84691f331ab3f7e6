/**
 * Hosts of one machine: each has a network namespace and a mount namespace of its own, one address,
 * and a disk in memory. A bridge joins them. Nothing of the machine itself is changed, and all is
 * gone when its processes have ended.
 */
import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { until } from '@mirrorplane/base';

const run = promisify(execFile);

/** A process that ends when this one does, however it ends. */
export function spawnBound(argv: readonly string[], options: SpawnOptions): ChildProcess {
  return spawn('setpriv', ['--pdeathsig', 'KILL', ...argv], options);
}

/** A running namespace. */
async function holder(): Promise<ChildProcess> {
  const child = spawnBound(['unshare', '--net', '--mount', 'sleep', 'infinity'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const own = readlinkSync('/proc/self/ns/net');
  await until('a namespace', () => readlinkSync(`/proc/${child.pid}/ns/net`) !== own && isSleeping(child.pid!));
  return child;
}

/** Whether it has its namespaces: `unshare` has become `sleep`. */
function isSleeping(pid: number): boolean {
  return readlinkSync(`/proc/${pid}/exe`).endsWith('/sleep') || readlinkSync(`/proc/${pid}/exe`).includes('coreutils');
}

export class Host {
  readonly name: string;
  readonly address: string;
  /** The disk, as processes of the host see it. */
  readonly disk: string;
  readonly #holder: ChildProcess;

  private constructor(name: string, address: string, disk: string, holding: ChildProcess) {
    this.name = name;
    this.address = address;
    this.disk = disk;
    this.#holder = holding;
  }

  /** @param diskSize as mount(8) writes it, such as `64m` */
  static async start(network: Network, name: string, folder: string, diskSize: string): Promise<Host> {
    const holding = await holder();
    const number = network.next();
    const disk = path.join(folder, name);
    mkdirSync(disk);
    const host = new Host(name, `10.77.0.${number}`, disk, holding);
    await network.join(holding.pid!, `p${number}`);
    await host.run('ip', 'link', 'set', 'lo', 'up');
    await host.run('ip', 'address', 'add', `${host.address}/24`, 'dev', 'eth0');
    await host.run('ip', 'link', 'set', 'eth0', 'up');
    await host.run('mount', '-t', 'tmpfs', '-o', `size=${diskSize}`, 'tmpfs', disk);
    return host;
  }

  /** A file of the disk, as this process sees it. */
  path(...names: string[]): string {
    return path.join(`/proc/${this.#holder.pid}/root`, this.disk, ...names);
  }

  /** Starts a program on the host. */
  spawn(argv: readonly string[], options: SpawnOptions): ChildProcess {
    return spawnBound(['nsenter', '--target', String(this.#holder.pid), '--net', '--mount', ...argv], options);
  }

  /** Runs a command on the host. Returns what it prints. @throws Error if it fails */
  async run(...argv: string[]): Promise<string> {
    const enter = ['--target', String(this.#holder.pid), '--net', '--mount', ...argv];
    return (await run('nsenter', enter)).stdout;
  }

  /** Drops all that arrives from these hosts, until the returned function is called. */
  async deafTo(others: readonly Host[]): Promise<() => Promise<void>> {
    const name = `deaf${++rules}`;
    await this.run('nft', 'add', 'table', 'inet', name);
    await this.run('nft', `add chain inet ${name} c { type filter hook input priority 0; }`);
    for (const { address } of others) {
      await this.run('nft', `add rule inet ${name} c ip saddr ${address} counter drop`);
    }
    return async () => {
      await this.run('nft', 'delete', 'table', 'inet', name);
    };
  }

  /** The host sends so many kbit/s at most, until the returned function is called. What waits is late. */
  async slowNetwork(kbit: number): Promise<() => Promise<void>> {
    const rate = ['rate', `${kbit}kbit`, 'burst', '1600', 'limit', '60000'];
    await this.run('tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'tbf', ...rate);
    return async () => {
      await this.run('tc', 'qdisc', 'del', 'dev', 'eth0', 'root');
    };
  }

  /** Fills the disk to the last byte, until the returned function is called. */
  async fillDisk(): Promise<() => Promise<void>> {
    const file = path.join(this.disk, 'filled');
    await this.run('sh', '-c', `cat /dev/zero >${file} 2>/dev/null || true`);
    return async () => {
      await this.run('rm', '-f', file);
    };
  }

  end(): void {
    this.#holder.kill('SIGKILL');
  }
}

let rules = 0;

/** The bridge that joins the hosts. */
export class Network {
  readonly #holder: ChildProcess;
  #hosts = 0;

  private constructor(holding: ChildProcess) {
    this.#holder = holding;
  }

  static async start(): Promise<Network> {
    const network = new Network(await holder());
    await network.#ip('link', 'add', 'br0', 'type', 'bridge');
    await network.#ip('link', 'set', 'br0', 'up');
    return network;
  }

  /** Number of the next host. */
  next(): number {
    return ++this.#hosts;
  }

  async join(pid: number, port: string): Promise<void> {
    await this.#ip('link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid));
    await this.#ip('link', 'set', port, 'master', 'br0', 'up');
  }

  end(): void {
    this.#holder.kill('SIGKILL');
  }

  async #ip(...argv: string[]): Promise<void> {
    await run('nsenter', ['--target', String(this.#holder.pid), '--net', 'ip', ...argv]);
  }
}
