/**
 * The test bed: a lab of two nodes without switch and daemons, the data plane of both, and a
 * mirrored VM.
 *
 *   web-1 (source) <--traffic--> web-2        both on node-1
 *   fw-1   on node-1 receives copies of a local mirror
 *   ids-1  on node-2 receives copies that go there in ERSPAN
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import { createLab, type Lab } from '@mirrorplane/lab';
import { NodeDatapath } from './node-datapath.ts';

/** A capture agent on a busy machine takes long until its ring is empty. */
const QUIET_LIMIT_MS = 60_000;

export const SOURCE = 'web-1';
export const PEER = 'web-2';
export const LOCAL_DESTINATION = 'fw-1';
export const REMOTE_DESTINATION = 'ids-1';
export const SOURCE_NODE = 'node-1';
export const DESTINATION_NODE = 'node-2';

/** Packets and bytes as a device counts them: a TCP super-packet is one packet. */
export interface DeviceCount {
  packets: number;
  bytes: number;
}

export interface DeviceCounts {
  received: DeviceCount;
  sent: DeviceCount;
}

/** A command that runs. */
export interface Served {
  pid: number;
  /** Kills it and waits for its end. */
  stop: () => Promise<void>;
}

export class Bed {
  readonly lab: Lab;
  /** Ends the bench: running commands are killed, and throw. */
  readonly signal: AbortSignal;
  /** For files of this run. */
  readonly folder: string;
  readonly source: NodeDatapath;
  readonly destination: NodeDatapath;
  #underlayMtu: number;

  private constructor(
    lab: Lab,
    signal: AbortSignal,
    folder: string,
    source: NodeDatapath,
    destination: NodeDatapath,
    underlayMtu: number,
  ) {
    this.lab = lab;
    this.signal = signal;
    this.folder = folder;
    this.source = source;
    this.destination = destination;
    this.#underlayMtu = underlayMtu;
  }

  /**
   * Makes the bed, runs `work` with it, and always removes it afterwards.
   * @param qemu VMs that are QEMU machines. Default none.
   */
  static async with<T>(
    labName: string,
    signal: AbortSignal,
    work: (bed: Bed) => Promise<T>,
    qemu: string[] = [],
  ): Promise<T> {
    const underlayMtu = 1500;
    const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-bench-'));
    let lab: Lab | undefined;
    const datapaths: NodeDatapath[] = [];
    try {
      lab = await createLab({ name: labName, bare: true, switch: false, nodes: 2, underlayMtu, qemu, signal });
      for (const node of [SOURCE_NODE, DESTINATION_NODE]) {
        datapaths.push(await NodeDatapath.open(lab, node));
      }
      const [source, destination] = datapaths as [NodeDatapath, NodeDatapath];
      const bed = new Bed(lab, signal, folder, source, destination, underlayMtu);
      await bed.resolveUnderlay();
      await bed.#limitBuffers();
      return await work(bed);
    } finally {
      await Promise.allSettled(datapaths.map((datapath) => datapath.close()));
      await lab?.down();
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /**
   * Runs a command in a host's namespace to its end, and returns its output.
   * @throws Error if it fails
   */
  async run(host: string, argv: string[], what: 'stdout' | 'with stderr' = 'stdout'): Promise<string> {
    this.signal.throwIfAborted();
    const child = this.lab.spawn(host, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    const kill = () => child.kill('SIGKILL');
    this.signal.addEventListener('abort', kill, { once: true });
    try {
      const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended(child)]);
      this.signal.throwIfAborted();
      if (code !== 0) {
        throw new Error(`${argv.join(' ')}: exit status ${code}: ${(err || out).trim().slice(-500)}`);
      }
      return what === 'stdout' ? out : out + err;
    } finally {
      this.signal.removeEventListener('abort', kill);
    }
  }

  /** Runs lines of `ip -batch` in a host. @throws Error with the first line that fails */
  async batch(host: string, lines: readonly string[]): Promise<void> {
    this.signal.throwIfAborted();
    await this.lab.exec(host, ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
  }

  /** Starts a command that runs until `stop` is called, and waits until `ready` returns true. */
  async serve(host: string, argv: string[], ready: (pid: number) => Promise<boolean>): Promise<Served> {
    const child = this.lab.spawn(host, argv, { stdio: 'ignore' });
    const end = ended(child);
    const stop = async () => {
      child.kill('SIGKILL');
      await end;
    };
    try {
      await until(
        `${argv[0]} is ready`,
        async () => {
          if (child.exitCode !== null) {
            throw new Error(`${argv.join(' ')}: ended with status ${child.exitCode}`);
          }
          return ready(child.pid!);
        },
        { signal: this.signal },
      );
      return { pid: child.pid!, stop };
    } catch (error) {
      await stop();
      throw error;
    }
  }

  /** True once a socket is bound to this port in a host. */
  async bound(host: string, protocol: 'tcp' | 'udp', port: number): Promise<boolean> {
    const table = await this.run(host, ['cat', `/proc/net/${protocol}`, `/proc/net/${protocol}6`]).catch(() =>
      this.run(host, ['cat', `/proc/net/${protocol}`]),
    );
    return table.includes(`:${port.toString(16).toUpperCase().padStart(4, '0')} `);
  }

  /** Packets that the NIC of a VM has received and sent. */
  async nic(vm: string): Promise<DeviceCounts> {
    return this.device(vm, this.lab.vm(vm).guestDevice);
  }

  /** Packets that a device of a host has received and sent. */
  async device(host: string, device: string): Promise<DeviceCounts> {
    return this.devices(host, [device]);
  }

  /** The sums over devices of a host. @throws Error if one is not there */
  async devices(host: string, devices: readonly string[]): Promise<DeviceCounts> {
    const table = await this.run(host, ['cat', '/proc/net/dev']);
    const lines = new Map(table.split('\n').map((row) => row.trim().split(':') as [string, string]));
    const sums = { received: { bytes: 0, packets: 0 }, sent: { bytes: 0, packets: 0 } };
    for (const device of devices) {
      const fields = lines.get(device)?.trim().split(/\s+/).map(Number);
      if (fields === undefined) {
        throw new Error(`${host} has no device ${device}`);
      }
      sums.received.bytes += fields[0]!;
      sums.received.packets += fields[1]!;
      sums.sent.bytes += fields[8]!;
      sums.sent.packets += fields[9]!;
    }
    return sums;
  }

  /**
   * Waits until a device receives nothing more, because the last packets are still in queues when
   * the sender ends.
   * @param rest milliseconds without a packet. Default 0: two looks.
   */
  async quiet(host: string, device: string, rest = 0): Promise<void> {
    let last = -1;
    let since = performance.now();
    await until(
      `${host} receives no more`,
      async () => {
        const { received } = await this.device(host, device);
        if (received.packets !== last) {
          last = received.packets;
          since = performance.now();
          return false;
        }
        return performance.now() - since >= rest;
      },
      { signal: this.signal, limitMs: QUIET_LIMIT_MS },
    );
  }

  /**
   * Sets the CPU that processes received packets of a host's device. Undefined: the CPU of the
   * sender.
   */
  async setReceiveCpu(host: string, device: string, cpu: number | undefined): Promise<void> {
    const file = `/sys/class/net/${device}/queues/rx-0/rps_cpus`;
    const mask = cpu === undefined ? '0' : (1 << cpu).toString(16);
    // Unlike nsenter, this shows the namespace's own devices in /sys.
    const command = ['ip', 'netns', 'exec', this.lab.ns(host), 'sh', '-c', `echo ${mask} >${file}`];
    await this.run(host, command);
  }

  /** The ifindex of a device on a node. */
  async ifindex(node: string, device: string): Promise<number> {
    return (await this.#link(node, device)).ifindex;
  }

  async #link(host: string, device: string): Promise<{ ifindex: number; address: string }> {
    return JSON.parse(await this.run(host, ['ip', '-json', 'link', 'show', 'dev', device]))[0];
  }

  /** Makes neighbours permanent, so that no run waits for ARP. */
  async resolveUnderlay(): Promise<void> {
    for (const [node, other] of [
      [SOURCE_NODE, DESTINATION_NODE],
      [DESTINATION_NODE, SOURCE_NODE],
    ] as const) {
      const { underlayAddress } = this.lab.node(other);
      const neighbour = [underlayAddress, 'lladdr', await this.mac(other, 'underlay0'), 'dev', 'underlay0'];
      await this.run(node, ['ip', 'neigh', 'replace', ...neighbour, 'nud', 'permanent']);
    }
  }

  /**
   * Limits socket buffers to 2 MB, so that the length of queues does not depend on the machine's
   * memory.
   */
  async #limitBuffers(): Promise<void> {
    for (const vm of [SOURCE, PEER].filter((name) => !this.lab.isMachine(name))) {
      const settings = ['net.ipv4.tcp_rmem=4096 131072 2000000', 'net.ipv4.tcp_wmem=4096 16384 2000000'];
      await this.run(vm, ['sysctl', '--quiet', '--write', ...settings]);
    }
  }

  /** The MAC of a device of a host. */
  async mac(host: string, device: string): Promise<string> {
    return (await this.#link(host, device)).address;
  }

  /** Sets the MTU of the underlay, in bytes, from end to end. */
  async setUnderlayMtu(mtu: number): Promise<void> {
    if (mtu === this.#underlayMtu) {
      return;
    }
    const nodes = [SOURCE_NODE, DESTINATION_NODE];
    for (const node of nodes) {
      await this.run('fabric', ['ip', 'link', 'set', `u-${node}`, 'mtu', String(mtu)]);
      await this.run(node, ['ip', 'link', 'set', 'underlay0', 'mtu', String(mtu)]);
    }
    await this.run('fabric', ['ip', 'link', 'set', 'under', 'mtu', String(mtu)]);
    this.#underlayMtu = mtu;
  }
}

async function text(stream: NodeJS.ReadableStream | null): Promise<string> {
  let all = '';
  for await (const chunk of stream ?? []) {
    all += chunk;
  }
  return all;
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? (signal ? 128 : 1)));
  });
}
