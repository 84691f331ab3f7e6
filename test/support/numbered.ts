/**
 * Numbered traffic that runs all the time, and what tcpdump sees of it: which numbers were copied,
 * and when.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import type { Lab } from '@mirrorplane/lab';
import { PYTHON } from './traffic.ts';

const SENDER = join(import.meta.dirname, 'numbered.py');
/** Datagrams a second of each flow. */
const RATE = 200;
/** Copies that have to be seen of a flow before it counts as going again. */
const SETTLED = 10;

/** A flow of numbered datagrams, identified by its port. */
export interface Flow {
  from: string;
  to: string;
  port: number;
  /** Host that gets the copies. */
  copies: string;
}

/** What became of the copies of a flow. */
export interface FlowGap {
  /** Originals that arrived and were not copied. */
  missing: number;
  /** Originals that were copied more than once. */
  duplicated: number;
  /**
   * Milliseconds from the first original that was not copied to the next copy; 0: none was left
   * out.
   */
  gapMs: number;
}

/**
 * Milliseconds within which a repair must happen: one second, and more if other processes use the
 * CPUs.
 */
export function repairLimit(): number {
  const running = Number(/^\S+ \S+ \S+ (\d+)\//.exec(readFileSync('/proc/loadavg', 'utf8'))?.[1] ?? 1);
  const load = Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]);
  return 1000 * Math.max(1, Math.max(running, load) / cpus().length);
}

/** Reads numbers and times out of a pcap stream. */
class Watcher {
  readonly #child: ChildProcess;
  #rest: Buffer = Buffer.alloc(0);
  #header = false;
  said = '';
  /** By port: number to the times at which it was seen. */
  readonly seen: Map<number, Map<number, number[]>>;

  constructor(lab: Lab, host: string, device: string, filter: string, before?: Watcher) {
    this.seen = before?.seen ?? new Map();
    const argv = ['tcpdump', '-n', '--immediate-mode', '-Z', 'root', '-U', '-s', '96', '-B', '8192', '-i', device];
    this.#child = lab.spawn(host, [...argv, '-w', '-', filter], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout?.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.said += chunk.toString();
    });
  }

  get ready(): boolean {
    return this.said.includes('listening on');
  }

  last(port: number): number {
    return Math.max(-1, ...(this.seen.get(port)?.keys() ?? []));
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
      return;
    }
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGINT');
    await closed;
  }

  #take(chunk: Buffer): void {
    let data = Buffer.concat([this.#rest, chunk]);
    if (!this.#header && data.length >= 24) {
      data = data.subarray(24);
      this.#header = true;
    }
    while (this.#header && data.length >= 16) {
      const length = data.readUInt32LE(8);
      if (data.length < 16 + length) {
        break;
      }
      this.#packet(data.readUInt32LE(0) * 1000 + data.readUInt32LE(4) / 1000, data.subarray(16, 16 + length));
      data = data.subarray(16 + length);
    }
    this.#rest = data;
  }

  #packet(at: number, frame: Buffer): void {
    const udp = 14 + (frame[14]! & 15) * 4;
    const port = frame.readUInt16BE(udp + 2);
    const number = frame.readUInt32BE(udp + 8);
    const numbers = this.seen.get(port) ?? new Map<number, number[]>();
    this.seen.set(port, numbers);
    numbers.set(number, [...(numbers.get(number) ?? []), at]);
  }
}

/** All flows of a test file, from `start` to `stop`. */
export class Numbered {
  readonly #lab: Lab;
  readonly flows: Record<string, Flow>;
  readonly #senders: ChildProcess[] = [];
  readonly #watchers = new Map<string, Watcher>();

  constructor(lab: Lab, flows: Record<string, Flow>) {
    this.#lab = lab;
    this.flows = flows;
  }

  /** Starts senders and captures, and waits until every flow is copied. */
  async start(): Promise<void> {
    const flows = Object.values(this.flows);
    for (const host of new Set(flows.flatMap(({ to, copies }) => [to, copies]))) {
      await this.watch(host);
    }
    for (const host of new Set(flows.flatMap(({ from, to }) => [from, to]))) {
      this.send(host);
    }
    await until(
      'all flows to be copied',
      () => flows.every(({ port, copies }) => this.#watchers.get(copies)!.last(port) >= SETTLED),
      { limitMs: 20_000 },
    );
  }

  /** Starts the sender of a host. */
  send(host: string): void {
    const flows = Object.values(this.flows);
    const listen = flows.filter(({ to }) => to === host).map(({ port }) => String(port));
    const targets = flows.filter(({ from }) => from === host);
    const argv = [PYTHON, SENDER, String(RATE), ...listen, '--'];
    argv.push(...targets.map(({ to, port }) => `${this.#lab.address(to)}:${port}`));
    this.#senders.push(this.#lab.spawn(host, argv, { stdio: 'ignore' }));
  }

  /** Captures at a host, and starts again if its device was made again. */
  async watch(host: string): Promise<void> {
    const before = this.#watchers.get(host);
    await before?.stop();
    const ports = Object.values(this.flows).map(({ port }) => port);
    const filter = `udp and dst portrange ${Math.min(...ports)}-${Math.max(...ports)}`;
    const watcher = new Watcher(this.#lab, host, 'eth0', filter, before);
    this.#watchers.set(host, watcher);
    await until(`tcpdump in ${host}`, () => watcher.ready);
  }

  async stop(): Promise<void> {
    for (const sender of this.#senders) {
      sender.kill('SIGKILL');
    }
    await Promise.all([...this.#watchers.values()].map((watcher) => watcher.stop()));
  }

  /** Number of copies of a flow that were seen so far. */
  copied(name: string): number {
    const { port, copies } = this.flows[name]!;
    return this.#watchers.get(copies)!.seen.get(port)?.size ?? 0;
  }

  /** Number of originals of a flow that have arrived so far. */
  arrived(name: string): number {
    const { port, to } = this.flows[name]!;
    return this.#watchers.get(to)!.seen.get(port)?.size ?? 0;
  }

  /** Waits until so many more copies of every one of these flows have come. */
  async moreCopies(names: readonly string[], count = SETTLED, limitMs = 20_000): Promise<void> {
    const before = names.map((name) => this.copied(name));
    await until(
      `copies of ${names.join(', ')}`,
      () => names.every((name, i) => this.copied(name) >= before[i]! + count),
      { limitMs },
    );
  }

  /**
   * Does something, waits until `repaired` says so and all flows are copied again, and tells what
   * was left out meanwhile.
   * @param names flows that have to be copied again. Default all
   */
  async during(
    act: () => unknown,
    options: { repaired?: () => boolean | Promise<boolean>; names?: readonly string[]; limitMs?: number } = {},
  ): Promise<Record<string, FlowGap>> {
    const names = options.names ?? Object.keys(this.flows);
    const start = new Map(names.map((name) => [name, this.#last(name)]));
    await act();
    await until('repair', options.repaired ?? (() => true), { limitMs: options.limitMs ?? 20_000 });
    const due = new Map(names.map((name) => [name, this.#last(name)]));
    await until(
      `copies of ${names.join(', ')} again`,
      () => names.every((name) => this.#watcher(name).last(this.flows[name]!.port) > due.get(name)! + SETTLED),
      { limitMs: options.limitMs ?? 20_000 },
    );
    return Object.fromEntries(names.map((name) => [name, this.#gap(name, start.get(name)!)]));
  }

  #watcher(name: string): Watcher {
    return this.#watchers.get(this.flows[name]!.copies)!;
  }

  /** Newest number of a flow that has arrived. */
  #last(name: string): number {
    const { port, to } = this.flows[name]!;
    return this.#watchers.get(to)!.last(port);
  }

  #gap(name: string, after: number): FlowGap {
    const { port, to } = this.flows[name]!;
    const originals = this.#watchers.get(to)!.seen.get(port)!;
    const copies = this.#watcher(name).seen.get(port)!;
    const end = Math.min(this.#last(name), this.#watcher(name).last(port));
    let missing = 0;
    let duplicated = 0;
    let gapMs = 0;
    let since: number | undefined;
    for (let number = after + 1; number <= end; number++) {
      const times = copies.get(number);
      const arrived = originals.get(number)?.[0];
      if (times !== undefined) {
        if (since !== undefined) {
          gapMs = Math.max(gapMs, times[0]! - since);
        }
        since = undefined;
        if (times.length > 1) {
          duplicated++;
        }
      } else if (arrived !== undefined) {
        missing++;
        since ??= arrived;
      }
    }
    return { missing, duplicated, gapMs: Math.round(gapMs) };
  }
}

/** Gaps as one line, for people. */
export function shown(gaps: Record<string, FlowGap>): string {
  return Object.entries(gaps)
    .map(([name, { missing, duplicated, gapMs }]) => `${name} ${missing} missing ${duplicated} duplicated ${gapMs} ms`)
    .join(', ');
}
