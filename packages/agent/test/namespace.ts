/** A network namespace of a test's own, with the discovery running inside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { ip } from './support.ts';

let made = 0;

/** A namespace that goes with the test. `ip` runs inside. */
export class Namespace {
  readonly name = `mpagent-${process.pid}-${made++}`;

  constructor(t: Pick<TestContext, 'after'>) {
    ip('netns', 'add', this.name);
    t.after(() => ip('netns', 'del', this.name));
    // No router solicitations and the like: only what a test does shall happen.
    this.run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
  }

  ip(...args: string[]): string {
    return ip('-n', this.name, ...args);
  }

  run(...argv: string[]): string {
    return ip('netns', 'exec', this.name, ...argv);
  }
}

/** Where a probe runs: a network namespace, or what `nsenter` enters instead. */
export interface ProbePlace {
  name: string;
  /** Arguments of `nsenter`. Default: the network namespace of this name. */
  enter?: readonly string[];
}

/** The probe inside a namespace. */
export class Probe<T extends object> {
  readonly lines: Partial<T>[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(t: Pick<TestContext, 'after'>, { name, enter }: ProbePlace, ...args: string[]) {
    const probe = new URL('probe.ts', import.meta.url).pathname;
    const argv = [...(enter ?? [`--net=/run/netns/${name}`]), '--', process.execPath, probe, ...args];
    this.#child = spawn('nsenter', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve));
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.lines.push(JSON.parse(line)));
    t.after(() => this.stop());
  }

  /** Waits until a newest line with this key passes the check, and gives it. */
  async see<K extends keyof T>(
    what: string,
    key: K,
    check: (value: T[K]) => boolean = () => true,
    limit = 10_000,
  ): Promise<T[K]> {
    const found = () => {
      const value = this.lines.findLast((line) => line[key] !== undefined)?.[key];
      return value !== undefined && check(value) ? value : undefined;
    };
    return until(what, found, { limitMs: limit });
  }

  say(text: string): void {
    this.#child.stdin?.write(text);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#child.kill(signal);
    await this.#ended;
  }
}
