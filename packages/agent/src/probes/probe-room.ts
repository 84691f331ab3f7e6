/**
 * The probes of this node: makes what the controller asks for, and reports what became of it. A test
 * ends when the controller leaves it out, or by its time.
 */
import type { ProbeCounts, TestReportMessage, TestsMessage, TestTask } from '@mirrorplane/contract';
import type { Datapath, HookCapture } from '../datapath/datapath.ts';
import { type Logger, reason } from '../log.ts';

/** Milliseconds between two readings during a test. */
const READ_INTERVAL_MS = 100;

/** The part of the sync client that reports need. */
interface Link {
  readonly connected: boolean;
  send(message: TestReportMessage): void;
}

interface Running {
  task: TestTask;
  /** Milliseconds of `performance.now()`. */
  endsAt: number;
  made: Set<string>;
  /** Why a probe could not be made, by its name. */
  problems: Map<string, string>;
  /** The last report, to send only changes. */
  sent: string;
}

export interface ProbeRoomParts {
  datapath: Pick<Datapath, 'expectProbes' | 'makeProbe' | 'readProbes'>;
  log: Logger;
}

/** Holds the tests of a node. */
export class ProbeRoom {
  readonly #parts: ProbeRoomParts;
  readonly #tests = new Map<string, Running>();
  #captures: readonly HookCapture[] = [];
  #link: Link | undefined;
  #timer: NodeJS.Timeout | undefined;
  #turning: Promise<void> | undefined;
  /** Another turn is due after this one. */
  #again = false;

  constructor(parts: ProbeRoomParts) {
    this.#parts = parts;
  }

  /** Sets the controller link for reports. */
  connect(link: Link): void {
    this.#link = link;
  }

  /** Captures have been applied. Those that are refused are left out. */
  applied(captures: readonly HookCapture[], refused: readonly { id: string }[]): void {
    const ids = new Set(refused.map(({ id }) => id));
    this.#captures = captures.filter(({ id, ifindex, standby }) => ifindex !== 0 && !standby && !ids.has(id));
  }

  /** All tests of this node from now on. */
  take({ tasks }: TestsMessage): void {
    const ids = new Set(tasks.map(({ test }) => test));
    for (const id of this.#tests.keys()) {
      if (!ids.has(id)) {
        this.#tests.delete(id);
      }
    }
    for (const task of tasks) {
      const known = this.#tests.get(task.test);
      const endsAt = performance.now() + task.endsInMs;
      this.#tests.set(task.test, { made: new Set(), problems: new Map(), sent: '', ...known, task, endsAt });
    }
    this.#timer ??= setInterval(() => this.#turn(), READ_INTERVAL_MS);
    this.#turn();
  }

  /** Resolves when the data plane has forgotten all probes. */
  async close(): Promise<void> {
    this.#tests.clear();
    this.#turn();
    while (this.#turning !== undefined) {
      await this.#turning;
    }
    clearInterval(this.#timer);
  }

  /** Does what is due, one turn after another. */
  #turn(): void {
    this.#again = this.#turning !== undefined;
    this.#turning ??= this.#work()
      .catch((error: unknown) => this.#parts.log.warn({ reason: reason(error) }, 'probes could not be read'))
      .finally(() => {
        this.#turning = undefined;
        if (this.#again) {
          this.#turn();
        }
      });
  }

  async #work(): Promise<void> {
    const now = performance.now();
    for (const [id, { endsAt }] of this.#tests) {
      if (now >= endsAt) {
        this.#tests.delete(id);
      }
    }
    const { datapath } = this.#parts;
    await datapath.expectProbes([...this.#tests.values()].flatMap(({ task }) => namesOf(task)));
    if (this.#tests.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    for (const running of this.#tests.values()) {
      await this.#make(running);
    }
    const counts = await datapath.readProbes();
    for (const running of this.#tests.values()) {
      this.#report(running, counts);
    }
  }

  async #make({ task, made, problems }: Running): Promise<void> {
    for (const { probe, size } of task.makes.filter((one) => !made.has(one.probe))) {
      made.add(probe);
      const capture = longestCapture(this.#captures, task.policy);
      if (capture === undefined) {
        problems.set(probe, 'no capture of the policy is in force');
        continue;
      }
      const { ifindex, hook, mtu = 1500 } = capture;
      try {
        await this.#parts.datapath.makeProbe({ name: probe, ifindex, hook, size, mtu });
      } catch (error) {
        problems.set(probe, reason(error));
      }
    }
  }

  #report(running: Running, all: ReadonlyMap<string, ProbeCounts>): void {
    const { task, problems } = running;
    const probes = namesOf(task).flatMap((probe) => {
      const counts = all.get(probe);
      const problem = problems.get(probe);
      return counts ? [{ probe, counts, ...(problem !== undefined && { problem }) }] : [];
    });
    const message: TestReportMessage = { type: 'testReport', test: task.test, probes };
    const text = JSON.stringify(message);
    if (text !== running.sent && this.#link?.connected) {
      running.sent = text;
      this.#link.send(message);
    }
  }
}

function namesOf({ makes, expects }: TestTask): string[] {
  return [...new Set([...makes.map(({ probe }) => probe), ...expects])];
}

/** The capture of a policy at the device with the largest MTU. */
function longestCapture(captures: readonly HookCapture[], policy: string): HookCapture | undefined {
  const ofPolicy = captures.filter((capture) => capture.policy === policy);
  return ofPolicy.sort((a, b) => (b.mtu ?? 0) - (a.mtu ?? 0) || (a.id < b.id ? -1 : 1))[0];
}
