/** Tests of policies: one of a policy at a time, and few in all. The last result of each is kept. */
import {
  type ControllerMessage,
  type PolicyStatus,
  type PolicyTest,
  TEST_LIMITS,
  type TestReportMessage,
} from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import { HeldPlaces } from '../auth/fair-share.ts';
import { ProblemError } from '../problems/problems.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { RunningTest } from './running-test.ts';
import { rowsOf, worstOf } from './test-judge.ts';
import { planTest, taskOf } from './test-plan.ts';

/** Milliseconds between two looks at a running test. */
const TICK_MS = 50;
/** Results that are kept: those of the policies that were tested last. */
const KEPT = 1000;

interface PolicyTestsParts {
  live: Pick<LiveNodes, 'get'>;
  /** Sends a message to the agent of a node, if it is connected. */
  send: (node: string, message: ControllerMessage) => void;
  /** Milliseconds since 1970. */
  clock: () => number;
  log: Logger;
}

/** Runs tests. */
export class PolicyTests {
  readonly #parts: PolicyTestsParts;
  readonly #running = new Set<RunningTest>();
  /** By uid of the policy. */
  readonly #results = new Map<string, PolicyTest>();
  /** By uid: when the last test ended, on a clock that does not jump. */
  readonly #endedAt = new Map<string, number>();
  readonly #endings = new Set<() => void>();
  readonly #places = new HeldPlaces({ each: TEST_LIMITS.testsOfUser, total: TEST_LIMITS.tests });

  constructor(parts: PolicyTestsParts) {
    this.#parts = parts;
  }

  /** The result of the last test of a policy, since the controller has started. */
  resultOf(uid: string): PolicyTest | undefined {
    return this.#results.get(uid);
  }

  /**
   * Tests a policy. Resolves within TEST_LIMITS.ms.
   * @param by who asks for it
   * @param isAllowed whether they may still do so: else the test ends at once
   * @throws ProblemError where it cannot be tested now
   */
  async run(status: PolicyStatus, by: string, isAllowed = () => true): Promise<PolicyTest> {
    const { clock, live } = this.#parts;
    const beganAt = clock();
    const plan = planTest(status);
    this.#refuseTooMany(status, by);
    const isConnected = (node: string) => live.get(node)?.connected ?? false;
    const running = new RunningTest(plan, isConnected, () => performance.now());
    this.#running.add(running);
    const giveBack = this.#places.take(by);
    try {
      await this.#follow(running, isAllowed);
    } finally {
      this.#running.delete(running);
      giveBack();
      this.#tell(running);
    }
    const rows = rowsOf({
      plan: running.plan,
      destination: status.destination.interface,
      answerOf: (node) => {
        const { connected = false, underlay } = live.get(node) ?? {};
        return { ...running.answerOf(node), connected, underlay };
      },
    });
    const result: PolicyTest = {
      policy: status.name,
      destination: status.destination.interface,
      by,
      beganAt: new Date(beganAt).toISOString(),
      endedAt: new Date(clock()).toISOString(),
      outcome: worstOf(rows),
      rows,
      untested: [...running.plan.untested],
    };
    this.#keep(status.uid, result);
    return result;
  }

  /** A node has said something of a test. */
  report(node: string, message: TestReportMessage): void {
    for (const running of this.#running) {
      if (running.plan.test === message.test && running.nodes.has(node)) {
        running.report(node, message);
      }
    }
  }

  /** The agent of a node has connected: it has no tests yet. */
  joined(node: string): void {
    if ([...this.#running].some(({ nodes }) => nodes.has(node))) {
      this.#send(node);
    }
  }

  /** Ends all running tests. */
  close(): void {
    for (const end of this.#endings) {
      end();
    }
  }

  #refuseTooMany({ uid, name }: PolicyStatus, by: string): void {
    if ([...this.#running].some(({ plan }) => plan.policy === uid)) {
      throw new ProblemError('TESTS_EXCEEDED', `the policy "${name}" is being tested: wait until this test has ended`);
    }
    const endedAt = this.#endedAt.get(uid);
    if (endedAt !== undefined && performance.now() - endedAt < TEST_LIMITS.pauseMs) {
      const seconds = TEST_LIMITS.pauseMs / 1000;
      throw new ProblemError('TESTS_EXCEEDED', `the policy "${name}" was tested a moment ago: wait ${seconds} seconds`);
    }
    const full = this.#places.whyNot(by);
    if (full) {
      const count = full === 'each' ? `${TEST_LIMITS.testsOfUser} policies are` : `${TEST_LIMITS.tests} policies are`;
      const whose = full === 'each' ? ' for you' : '';
      throw new ProblemError('TESTS_EXCEEDED', `${count} being tested${whose}: wait a few seconds`);
    }
  }

  /** Resolves when nothing more is to be expected of a test, or it has run long enough. */
  async #follow(running: RunningTest, isAllowed: () => boolean): Promise<void> {
    this.#tell(running);
    await new Promise<void>((resolve) => {
      const limit = performance.now() + TEST_LIMITS.ms;
      const end = () => {
        clearInterval(timer);
        this.#endings.delete(end);
        resolve();
      };
      const timer = setInterval(() => {
        if (!isAllowed()) {
          end();
        } else if (!running.making && running.isReady) {
          running.make();
          this.#tell(running);
        } else if ((running.making && running.isDone) || performance.now() >= limit) {
          end();
        }
      }, TICK_MS);
      this.#endings.add(end);
    });
  }

  #tell({ nodes }: RunningTest): void {
    for (const node of nodes) {
      this.#send(node);
    }
  }

  /** Sends a node all its tests. */
  #send(node: string): void {
    const tasks = [...this.#running].flatMap(({ plan, making }) => {
      const task = taskOf(plan, node, making);
      return task ? [{ ...task, endsInMs: TEST_LIMITS.ms }] : [];
    });
    this.#parts.send(node, { type: 'tests', tasks });
  }

  #keep(uid: string, result: PolicyTest): void {
    this.#results.delete(uid);
    this.#results.set(uid, result);
    this.#endedAt.set(uid, performance.now());
    if (this.#results.size > KEPT) {
      const oldest = this.#results.keys().next().value!;
      this.#results.delete(oldest);
      this.#endedAt.delete(oldest);
    }
    const { policy, outcome, by } = result;
    this.#parts.log.info({ policy, outcome, by }, 'policy tested');
  }
}
