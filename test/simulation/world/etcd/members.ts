/**
 * The members of an etcd cluster, and the way to them. All members have the same data. Requests and
 * answers are under way for a while, and may get lost; what was asked may be carried out long after
 * the one who has asked is dead, or has given up.
 */
import type { EtcdReceiver as Receiver, EtcdRunning as Running } from '@mirrorplane/controller/testing/control';
import { EtcdError } from '@mirrorplane/controller/testing/control';
import type { Process } from '../../core/process.ts';
import type { Random } from '../../core/random.ts';
import type { Scheduler } from '../../core/scheduler.ts';
import { type Change, EtcdData, Refusal } from './data.ts';
import { carryOut, watchAnswers, watchOf } from './messages.ts';

/** The longest time that requests of a dead process are under way, milliseconds. */
const LATE_MS = 2000;
/** Milliseconds between two looks whether a way is open again, and how many there are. */
const AGAIN = { ms: 700, times: 6 };
const UNAVAILABLE = 14;

export interface EtcdMembersOptions {
  scheduler: Scheduler;
  random: Random;
  /** Names of their hosts. */
  names: readonly string[];
  /** Whether two hosts do not reach each other. */
  isCut: (a: string, b: string) => boolean;
}

interface OpenWatch {
  process: Process;
  host: string;
  range: { key: string; end: string };
  receiver: Receiver;
  busyUntil: number;
  /** What is under way, in order, and how much of it has come. */
  queue: (() => void)[];
  come: number;
  ended: boolean;
}

export class EtcdMembers {
  readonly data: EtcdData<Process>;
  readonly names: readonly string[];
  /** The longest usual delay of a request or an answer, milliseconds. */
  delay = 2;
  /** Share of answers that get lost. */
  loss = 0.005;
  /** Called after each change. */
  changed: (change: Change<Process>) => void = () => {};
  readonly #options: EtcdMembersOptions;
  readonly #down = new Set<string>();
  readonly #watches = new Set<OpenWatch>();

  constructor(options: EtcdMembersOptions) {
    const { scheduler, names } = options;
    this.#options = options;
    this.names = names;
    this.data = new EtcdData<Process>({
      clock: () => scheduler.now,
      after: (ms, run) => void scheduler.after(ms, undefined, run),
      changed: (change) => {
        this.changed(change);
        for (const watch of this.#watches) {
          this.#tell(watch, change);
        }
      },
    });
  }

  /** A member ends, or comes back. Its watches end. */
  setDown(name: string, isDown: boolean): void {
    if (isDown) {
      this.#down.add(name);
      this.breakWatches((host) => host === name);
    } else {
      this.#down.delete(name);
    }
  }

  /** Forgets the past, and ends all watches: what they have not told yet is gone. */
  forget(): void {
    const { data } = this;
    if (data.revision > data.compacted) {
      data.compact(data.revision);
    }
    this.breakWatches();
  }

  /** Watches end as if their members had ended. */
  breakWatches(is: (host: string) => boolean = () => true): void {
    for (const watch of this.#watches) {
      if (is(watch.host)) {
        this.#endWatch(watch, new EtcdError(UNAVAILABLE, 'the watch was cut'));
      }
    }
  }

  /** A process begins a call at a member, as one of its steps. */
  call(process: Process, host: string, call: string, request: Buffer, receiver: Receiver): Running {
    return call === 'watch'
      ? this.#watch(process, host, request, receiver)
      : this.#ask(process, host, call, request, receiver);
  }

  #ask(process: Process, host: string, call: string, request: Buffer, receiver: Receiver): Running {
    const { scheduler, random } = this.#options;
    let ended = false;
    const answer = (give: () => void) => {
      // An answer that is cut off comes never: the one who has asked gives up.
      if (!this.#isCut(process, host)) {
        scheduler.after(this.#lag(), process, () => {
          if (!ended) {
            ended = true;
            give();
          }
        });
      }
    };
    const fail = (status: number, why: string) => answer(() => receiver.done(new EtcdError(status, `${host}: ${why}`)));
    this.#arrive(process, host, AGAIN.times, () => {
      if (this.#down.has(host)) {
        fail(UNAVAILABLE, 'connect ECONNREFUSED');
        return;
      }
      let bytes: Buffer;
      try {
        bytes = carryOut(this.data, call, request, process);
      } catch (error) {
        if (!(error instanceof Refusal)) {
          throw error;
        }
        fail(error.status, error.message);
        return;
      }
      if (random.chance(this.loss)) {
        fail(UNAVAILABLE, 'the call was cut');
        return;
      }
      answer(() => {
        receiver.message(bytes);
        receiver.done();
      });
    });
    return {
      end: () => {
        ended = true;
      },
    };
  }

  /** Runs something when a request has come: never, if the way stays closed. */
  #arrive(process: Process, host: string, times: number, run: () => void): void {
    const { scheduler, random } = this.#options;
    scheduler.after(this.#lag(), undefined, () => {
      if (this.#isCut(process, host)) {
        if (times > 0) {
          scheduler.after(AGAIN.ms, undefined, () => this.#arrive(process, host, times - 1, run));
        }
        return;
      }
      // What a dead process has asked for may come when another one has taken its place.
      const late = !process.alive && random.chance(0.7) ? random.between(0, LATE_MS) : 0;
      scheduler.after(late, undefined, run);
    });
  }

  #watch(process: Process, host: string, request: Buffer, receiver: Receiver): Running {
    const { key, end, from } = watchOf(request);
    const watch: OpenWatch = {
      process,
      host,
      range: { key, end },
      receiver,
      busyUntil: 0,
      queue: [],
      come: 0,
      ended: false,
    };
    // A connection stays while the way is closed, and brings the request later.
    this.#arrive(process, host, Number.POSITIVE_INFINITY, () => {
      if (watch.ended) {
        return;
      }
      if (this.#down.has(host)) {
        this.#endWatch(watch, new EtcdError(UNAVAILABLE, `${host}: connect ECONNREFUSED`));
        return;
      }
      this.#deliver(watch, () => receiver.message(watchAnswers.created(this.data.revision)));
      const changes = this.data.since(from);
      if (changes === undefined) {
        this.#deliver(watch, () => receiver.message(watchAnswers.compacted(this.data.revision, this.data.compacted)));
        return;
      }
      for (const change of changes) {
        this.#tell(watch, change);
      }
      this.#watches.add(watch);
    });
    return {
      end: () => {
        watch.ended = true;
        this.#watches.delete(watch);
      },
    };
  }

  #tell(watch: OpenWatch, change: Change<Process>): void {
    const bytes = watchAnswers.change(change, watch.range);
    if (bytes) {
      this.#deliver(watch, () => watch.receiver.message(bytes));
    }
  }

  #endWatch(watch: OpenWatch, error: EtcdError): void {
    this.#watches.delete(watch);
    const { scheduler } = this.#options;
    scheduler.after(this.#lag(), watch.process, () => {
      if (!watch.ended) {
        watch.ended = true;
        watch.receiver.done(error);
      }
    });
  }

  /** In order. While the way is closed, it waits. */
  #deliver(watch: OpenWatch, give: () => void): void {
    const { scheduler } = this.#options;
    watch.busyUntil = Math.max(watch.busyUntil, scheduler.now + this.#lag());
    watch.queue.push(give);
    scheduler.after(watch.busyUntil - scheduler.now, watch.process, () => {
      watch.come++;
      this.#drain(watch);
    });
  }

  #drain(watch: OpenWatch): void {
    const { process, host } = watch;
    while (watch.come > 0 && !watch.ended) {
      if (this.#isCut(process, host)) {
        this.#options.scheduler.after(AGAIN.ms, process, () => this.#drain(watch));
        return;
      }
      watch.come--;
      watch.queue.shift()!();
    }
  }

  #isCut(process: Process, host: string): boolean {
    return this.#options.isCut(process.name, host);
  }

  #lag(): number {
    const { random } = this.#options;
    return random.between(0, random.chance(0.03) ? 20 * this.delay : this.delay);
  }
}
