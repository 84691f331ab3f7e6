/** Two agents that report copies of one policy every second, as fast as they are told to. */
import type { TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { type CounterReport, ERSPAN_OVERHEAD, erspanDeliveryId, terminationId, ZERO } from '@mirrorplane/contract';
import { type Bench, type TestAgent, vmDevice } from './harness.ts';

/** Bytes of each packet. */
export const FRAME = 1000;

/**
 * Packets a second: matched by the source, dropped of those for the budget, and lost of what is
 * sent.
 */
export interface Pace {
  matched: number;
  throttled?: number;
  lost?: number;
}

/** A policy `p` from web-1/0 on node-1 to ids-1/0 on node-2, and its traffic. */
export class Traffic {
  pace: Pace;
  readonly agents: TestAgent[] = [];
  #uid = '';
  readonly #began = performance.now();
  #at = this.#began;
  readonly #sums = { matched: 0, throttled: 0, lost: 0 };

  private constructor(pace: Pace) {
    this.pace = pace;
  }

  static async start(t: TestContext, bench: Bench, pace: Pace): Promise<Traffic> {
    const traffic = new Traffic(pace);
    await bench.cluster('node-1', 'node-2');
    await bench.declare('web-1/0', 'ids-1/0');
    for (const node of ['node-1', 'node-2']) {
      const agent = await bench.connect(await bench.credentials(node));
      agent.hello(node);
      traffic.agents.push(agent);
    }
    traffic.agents[0]!.inventory(vmDevice('web-1/0', 7));
    traffic.agents[1]!.inventory(vmDevice('ids-1/0', 8));
    const policy = { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' };
    traffic.#uid = (await bench.must('POST', '/api/v1/policies', policy)).uid;
    await until('both have their programs', () =>
      traffic.agents.every(({ program }) => program !== undefined && program.deliveries.length > 0),
    );
    const timer = setInterval(() => traffic.#report(), 1000);
    t.after(() => clearInterval(timer));
    traffic.#report();
    return traffic;
  }

  #report(): void {
    const now = performance.now();
    const seconds = (now - this.#at) / 1000;
    this.#at = now;
    const { matched, throttled = 0, lost = 0 } = this.pace;
    this.#sums.matched += matched * seconds;
    this.#sums.throttled += throttled * seconds;
    this.#sums.lost += lost * seconds;
    const [sender, receiver] = this.agents as [TestAgent, TestAgent];
    for (const [agent, report] of [
      [sender, this.#sent()],
      [receiver, this.#arrived()],
    ] as const) {
      agent.send({ type: 'counters', reading: { run: 'r', readAt: now - this.#began }, report });
    }
  }

  #sent(): CounterReport {
    const [matched, throttled] = [count(this.#sums.matched), count(this.#sums.throttled)];
    const copied = count(matched.packets - throttled.packets);
    const counts = {
      ...{ matched, sampledOut: ZERO, copied, truncated: ZERO },
      ...{ dropped: { overBudget: throttled }, skipped: {} },
    };
    const sent = { packets: copied.packets, bytes: copied.packets * (FRAME + ERSPAN_OVERHEAD) };
    const capture = { policy: this.#uid, source: 'web-1/0', direction: 'outbound' as const, counts };
    const delivery = { delivery: erspanDeliveryId(this.#uid, 'node-2'), policy: this.#uid, sent };
    return { ...NOTHING, captures: [capture], deliveries: [delivery] };
  }

  #arrived(): CounterReport {
    const { matched, throttled, lost } = this.#sums;
    const delivered = count(Math.floor(matched) - Math.floor(throttled) - Math.floor(lost));
    const ends = { termination: terminationId(this.#uid, 'node-1'), policy: this.#uid, node: 'node-1' };
    const counts = { received: delivered, delivered, relayed: ZERO, dropped: {} };
    return { ...NOTHING, terminations: [{ ...ends, ...counts }] };
  }
}

const NOTHING: CounterReport = {
  epoch: 'e',
  captures: [],
  deliveries: [],
  terminations: [],
  peers: [],
  unknownErspan: 0,
};

function count(packets: number) {
  return { packets: Math.floor(packets), bytes: Math.floor(packets) * FRAME };
}
