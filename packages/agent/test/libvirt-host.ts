/**
 * A libvirt of a test's own, with QEMU: in its namespaces and its folder, away from the machine's.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { until } from '@mirrorplane/base';
import { Namespace } from './namespace.ts';
import { ip, temporaryFolder } from './support.ts';

const run = promisify(execFile);
/** Room for a loaded machine: libvirt asks QEMU first what it can do. */
const READY_MS = 60_000;

/** Why these tests cannot run here; false where they can. */
export const noLibvirt =
  ['/usr/sbin/libvirtd', '/usr/bin/virsh', '/usr/bin/qemu-system-x86_64'].find((path) => !existsSync(path)) ?? false;

// What comes behind this line is private to libvirtd and what it starts. It knows its default user
// before it reads its configuration, so there must be one.
const SCRIPT = `set -e
mount --bind "$1/run" /run
mount --bind "$1/var" /var
mount --bind "$1/etc" /etc/libvirt
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
hostname "$2"
exec libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirtd.pid`;

let made = 0;

/** The connection URI of the libvirt in this folder. */
export function libvirtUri(folder: string): string {
  return `qemu+unix:///system?socket=${join(folder, 'run/libvirt/libvirt-sock')}`;
}

/**
 * One host with libvirt. Bridges `br0` and `br1` are there, and the network `blue` of libvirt on
 * `br1`.
 */
export class LibvirtHost {
  readonly namespace: Pick<Namespace, 'name' | 'ip'>;
  readonly folder: string;
  readonly #name = `host-${made++}`;
  #daemon: ChildProcess | undefined;

  /** @param place where it shall run. Default: a namespace of its own, with bridges */
  constructor(t: Pick<TestContext, 'after'>, place?: { namespace: Pick<Namespace, 'name' | 'ip'>; folder: string }) {
    // First what runs goes, then what it runs in.
    t.after(() => this.#end());
    this.namespace = place?.namespace ?? new Namespace(t);
    this.folder = place?.folder ?? temporaryFolder(t);
    for (const folder of ['run', 'var/lib', 'var/log', 'var/cache', 'etc']) {
      mkdirSync(join(this.folder, folder), { recursive: true });
    }
    symlinkSync('/run', join(this.folder, 'var/run'));
    const write = (file: string, lines: string[]) =>
      writeFileSync(join(this.folder, file), lines.map((line) => `${line}\n`).join(''));
    const uuid = `00000000-0000-4000-8000-${made.toString().padStart(12, '0')}`;
    write('etc/libvirtd.conf', [`host_uuid = "${uuid}"`, 'auth_unix_rw = "none"', 'auth_unix_ro = "none"']);
    write('etc/qemu.conf', [
      'user = "root"',
      'group = "root"',
      'dynamic_ownership = 0',
      'security_driver = "none"',
      'cgroup_controllers = []',
      'namespaces = []',
      'stdio_handler = "file"',
    ]);
    write('passwd', ['root:x:0:0::/root:/bin/sh', 'libvirt-qemu:x:64055:64055::/:/bin/false']);
    write('group', ['root:x:0:', 'kvm:x:64056:', 'libvirt-qemu:x:64055:']);
    for (const bridge of place ? [] : ['br0', 'br1']) {
      this.namespace.ip('link', 'add', bridge, 'type', 'bridge');
      this.namespace.ip('link', 'set', bridge, 'up');
    }
  }

  /** The connection URI of this libvirt. */
  get uri(): string {
    return libvirtUri(this.folder);
  }

  /** Starts libvirtd; after a stop again. Resolves when it answers. */
  async start(): Promise<void> {
    const argv = ['netns', 'exec', this.namespace.name, 'unshare', '--mount', '--uts', 'sh', '-c', SCRIPT];
    const daemon = spawn('ip', [...argv, 'sh', this.folder, this.#name], { stdio: 'ignore' });
    this.#daemon = daemon;
    await until(
      'libvirt answers',
      () => {
        if (daemon.exitCode !== null) {
          throw new Error(`libvirtd has ended with ${daemon.exitCode}`);
        }
        return this.virsh('list').then(
          () => true,
          () => false,
        );
      },
      { limitMs: READY_MS },
    );
  }

  /** Ends libvirtd; its guests run on. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) {
      return;
    }
    const ended = new Promise((resolve) => daemon.once('exit', resolve));
    daemon.kill(signal);
    await ended;
  }

  /** Runs virsh against this libvirt, and gives what it prints. */
  async virsh(...args: string[]): Promise<string> {
    return (await run('virsh', ['--quiet', '--connect', this.uri, ...args])).stdout;
  }

  /** Defines a domain, or a network, from its XML. */
  async define(what: 'define' | 'net-define' | 'create', xml: string): Promise<void> {
    const file = join(this.folder, `${what}.xml`);
    writeFileSync(file, xml);
    await this.virsh(what, file);
  }

  async #end(): Promise<void> {
    await this.stop('SIGKILL');
    for (const pid of this.#guests()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        // It may have ended since.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') {
          throw error;
        }
      }
    }
    await until('the guests have ended', () => this.#guests().length === 0);
  }

  /** pids of QEMU in the namespace. */
  #guests(): number[] {
    const pids = ip('netns', 'pids', this.namespace.name).split('\n').filter(Boolean).map(Number);
    return pids.filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('qemu-system');
      } catch {
        return false;
      }
    });
  }
}

/**
 * The XML of a domain whose guest stays in the BIOS: what matters here is its state, and its
 * devices.
 * @param more.boot what it boots from: `network` makes it send DHCP requests, again and again.
 *   Default: nothing
 */
export function domainXml(
  name: string,
  uuid: string,
  nics: string,
  { metadata = '', boot = '' }: { metadata?: string; boot?: string } = {},
): string {
  return `<domain type='qemu'>
  <name>${name}</name><uuid>${uuid}</uuid>
  <metadata>${metadata}</metadata>
  <memory unit='MiB'>${boot ? 64 : 16}</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>${boot}</os><features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    ${nics}
    <memballoon model='none'/>
  </devices>
</domain>`;
}
