/** A minimal Debian, booted with its own systemd in separate namespaces. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import type { RunOptions } from '@mirrorplane/lab';
import { run, start } from '@mirrorplane/lab/testing';

const BOOT = join(import.meta.dirname, 'boot.sh');
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'mirrorplane');

/**
 * Packages that ours need and a minimal Debian lacks. Nothing else is installed: no npm, no
 * compiler, no iproute2.
 */
const PACKAGES = ['systemd', 'systemd-sysv', 'dbus', 'libelf1', 'zlib1g', 'libstdc++6', 'passwd', 'mount'];
const SUITE = 'bookworm';

/** A smallest Debian as an archive; made once, kept for all tests. */
async function rootArchive(): Promise<string> {
  const archive = join(CACHE, `root-${SUITE}-${process.arch}.tar`);
  if (existsSync(archive)) {
    return archive;
  }
  mkdirSync(CACHE, { recursive: true });
  const part = join(CACHE, `part-${process.pid}.tar`);
  const include = `--include=${PACKAGES.join(',')}`;
  await run(['mmdebstrap', '--variant=minbase', include, SUITE, part], { timeoutMs: 900_000 });
  renameSync(part, archive);
  return archive;
}

/** A booted host. */
export class FreshHost {
  /** Its root, as this host sees it. */
  readonly root: string;
  readonly #cgroup: string;
  readonly #children: ChildProcess[] = [];
  /** Process 1 of the host, as this host numbers it. */
  #init = 0;

  private constructor(root: string) {
    this.root = root;
    this.#cgroup = `mirrorplane-test-${process.pid}`;
  }

  /** Makes a host and waits until its systemd is up. The caller closes it. */
  static async boot(): Promise<FreshHost> {
    const archive = await rootArchive();
    const host = new FreshHost(mkdtempSync(join(tmpdir(), 'mirrorplane-root-')));
    try {
      await run(['tar', '-xf', archive, '-C', host.root, '--numeric-owner']);
      // The host ends with this process, after any kind of end.
      const boot = ['setpriv', '--pdeathsig', 'KILL', BOOT, host.root, host.#cgroup];
      const child = start(boot, { stdio: ['ignore', 'ignore', 'inherit'] });
      host.#children.push(child);
      await until(
        'a host with systemd',
        async () => {
          // Before that it is the shell of boot.sh and what that starts.
          const [pid] = childrenOf(child.pid!);
          if (pid === undefined || !commandOf(pid).startsWith('/lib/systemd/systemd')) {
            return false;
          }
          host.#init = pid;
          const { stdout } = await host.run(['systemctl', 'is-system-running'], { check: false });
          return /^(running|degraded)/.test(stdout);
        },
        { limitMs: 60_000 },
      );
      return host;
    } catch (error) {
      await host.close();
      throw error;
    }
  }

  /** Runs a command of the host. */
  run(argv: string[], options: RunOptions = {}) {
    const env = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'LC_ALL=C.UTF-8'];
    return run(['nsenter', '-t', String(this.#init), '-a', '-r', '-w', ...env, ...argv], options);
  }

  /** Runs a command of this host in the network of that one. */
  inNetwork(argv: string[], options: RunOptions = {}) {
    return run(['nsenter', '-t', String(this.#init), '-n', ...argv], options);
  }

  /**
   * Adds a guest: a network namespace at the far end of a veth pair, whose near end is a port of
   * `bridge`.
   * @param address IPv4 address with prefix length; undefined: none
   */
  async addGuest(name: string, bridge: string, address?: string): Promise<Guest> {
    const sleeper = start(['nsenter', '-t', String(this.#init), '-n', 'unshare', '-n', 'sleep', 'infinity'], {
      stdio: 'ignore',
    });
    this.#children.push(sleeper);
    const guest = new Guest(sleeper.pid!, this.#children);
    await until(`guest ${name}`, () => commandOf(sleeper.pid!).startsWith('sleep'), { limitMs: 5000 });
    const tap = `tap-${name}`;
    await this.inNetwork(['ip', 'link', 'add', tap, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', `${sleeper.pid}`]);
    await this.inNetwork(['ip', 'link', 'set', tap, 'alias', `mirrorplane:kind=vm;id=${name}`]);
    await this.inNetwork(['ip', 'link', 'set', tap, 'master', bridge, 'up']);
    await guest.run(['ip', 'link', 'set', 'eth0', 'up']);
    if (address !== undefined) {
      await guest.run(['ip', 'address', 'add', address, 'dev', 'eth0']);
    }
    return guest;
  }

  /** Ends everything that runs on the host, and removes it. */
  async close(): Promise<void> {
    for (const child of this.#children) {
      child.kill('SIGKILL');
    }
    await Promise.all(
      this.#children.map((child) => child.exitCode === null && child.signalCode === null && once(child, 'exit')),
    );
    for (const base of ['.', ...readdirSync('/sys/fs/cgroup')]) {
      const folder = join('/sys/fs/cgroup', base, this.#cgroup);
      if (!existsSync(folder)) {
        continue;
      }
      // The last process of the host may still be on its way out.
      await until(`no process in ${folder}`, async () => {
        await run(['find', folder, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', '+'], { check: false });
        return !existsSync(folder);
      });
    }
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Children of a process. None if it has ended. */
function childrenOf(pid: number): number[] {
  const text = readIfThere(`/proc/${pid}/task/${pid}/children`).trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

function commandOf(pid: number): string {
  return readIfThere(`/proc/${pid}/cmdline`);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** A guest of a host. */
export class Guest {
  readonly #pid: number;
  readonly #children: ChildProcess[];

  constructor(pid: number, children: ChildProcess[]) {
    this.#pid = pid;
    this.#children = children;
  }

  /** Runs a command of this host in the network of the guest. */
  run(argv: string[]) {
    return run(['nsenter', '-t', String(this.#pid), '-n', ...argv]);
  }

  /** Starts a script of Python in the network of the guest, and waits for its first line. */
  async start(script: string, ...args: string[]): Promise<Running> {
    const argv = ['-t', String(this.#pid), '-n', 'python3', script, ...args];
    const child = spawn('nsenter', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.push(child);
    const running = new Running(child);
    await until(`${script} started`, () => running.said.includes('\n'));
    return running;
  }
}

/** A script that runs until its standard input ends. */
export class Running {
  readonly #child: ChildProcess;
  said = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.on('data', (chunk: Buffer) => {
      this.said += chunk.toString();
    });
  }

  /** Ends it. Returns its last line. */
  async end(): Promise<string> {
    this.#child.stdin!.end();
    await once(this.#child, 'close');
    return this.said.trim().split('\n').at(-1)!;
  }
}

/** Paths below a folder of a host, without what every run of dpkg and every service leaves. */
export function filesOf(root: string): string[] {
  const passing = /^(var\/(cache|log|lib\/dpkg|lib\/systemd|tmp)|run|tmp|proc|sys|dev|etc\/.*-$)/;
  const found: string[] = [];
  const visit = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (passing.test(path)) {
        continue;
      }
      found.push(path);
      if (entry.isDirectory()) {
        visit(path);
      }
    }
  };
  visit('');
  return found.sort();
}
