/** Each policy once: known traffic, three independent counts, one row. */
import { until } from '@mirrorplane/base';
import type { PolicyStatus } from '@mirrorplane/contract';
import type { Lab } from '../lab.ts';

import type { Scenario } from './scenarios.ts';

const PINGS = 100;
/**
 * Two sizes of payload: small, and near the MTU, where the copy still has to fit with its ERSPAN
 * headers.
 */
const SIZES = [56, 1400];

/**
 * The counts of a scenario: `sent` by tcpdump at the source, `copied` by the data plane, `received`
 * by tcpdump at the destination.
 */
export interface Row {
  policy: string;
  type: string;
  sent: number;
  copied: number;
  received: number;
  agree: boolean;
}

/** The status of a policy. Throws if the API returns none. */
export async function policyStatus(lab: Lab, name: string): Promise<PolicyStatus> {
  const { status, body } = await lab.api('GET', `/api/v1/policies/${name}/status`);
  if (status !== 200) {
    throw new Error(`status of policy ${name}: HTTP ${status} ${JSON.stringify(body)}`);
  }
  return body as PolicyStatus;
}

/** Waits until a policy is active. Throws with its reasons after 20 s. */
export async function waitActive(lab: Lab, name: string, signal?: AbortSignal): Promise<void> {
  let last: PolicyStatus | undefined;
  try {
    await until(
      `policy ${name} active`,
      async () => {
        last = await policyStatus(lab, name);
        return last.state === 'active';
      },
      { limitMs: 20_000, signal },
    );
  } catch (error) {
    signal?.throwIfAborted();
    throw new Error(`${(error as Error).message}: ${last?.state} ${JSON.stringify(last?.reasons)}`);
  }
}

/** Runs the traffic of a scenario and counts it in three places. */
export async function showOnce(lab: Lab, scenario: Scenario, signal?: AbortSignal): Promise<Row> {
  const { policy, source, destination } = scenario;
  const expected = PINGS * SIZES.length * 2;
  const before = (await policyStatus(lab, policy.name)).totals.copied.packets;
  const [atSource, atDestination] = await Promise.all([
    lab.capture(source.host, source.device, { filter: source.filter }),
    lab.capture(destination.host, destination.device, { filter: destination.filter }),
  ]);
  for (const size of SIZES) {
    signal?.throwIfAborted();
    const argv = ['ping', '-q', '-c', String(PINGS), '-i', '0.01', '-s', String(size), lab.address(scenario.to)];
    await lab.exec(scenario.from, argv);
  }
  let copied = 0;
  const counted = async () => {
    copied = (await policyStatus(lab, policy.name)).totals.copied.packets - before;
    return copied >= expected;
  };
  // A count that is too low is no error here: the row shows it as a difference.
  await Promise.allSettled([
    until('counters', counted, { limitMs: 5000, signal }),
    atSource.waitFor(expected),
    atDestination.waitFor(expected),
  ]);
  const [sent, received] = await Promise.all([atSource.stop(), atDestination.stop()]);
  return {
    policy: policy.name,
    type: scenario.type,
    sent: sent.packets,
    copied,
    received: received.packets,
    agree: sent.packets === expected && copied === expected && received.packets === expected,
  };
}
