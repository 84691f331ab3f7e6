/** Which nodes take part in the test of a policy, and which probes they make. Pure. */
import { randomBytes } from 'node:crypto';
import {
  type PolicyStatus,
  PROBE_PREFIX,
  PROBE_SIZES,
  type ProbeSize,
  TEST_LIMITS,
  type TestTask,
} from '@mirrorplane/contract';
import { ProblemError } from '../problems/problems.ts';

/** The probes of one node with sources, from the smallest. */
export interface SourceNode {
  node: string;
  probes: readonly { probe: string; size: ProbeSize }[];
}

/** One test. */
export interface TestPlan {
  /** New for each test. */
  test: string;
  /** uid of the policy. */
  policy: string;
  sources: readonly SourceNode[];
  /** The node of the destination. */
  to: string;
  untested: readonly string[];
}

/**
 * @param random so many random bytes
 * @throws ProblemError where the policy has no way now that a probe could take
 */
export function planTest(status: PolicyStatus, random: (bytes: number) => Buffer = randomBytes): TestPlan {
  const { uid, name, state, destination, sources, reasons } = status;
  const why = reasons[0]?.message;
  if (state === 'pendingApproval') {
    throw notTestable(name, 'it waits for consent');
  }
  if (state === 'disabled' || state === 'ending') {
    throw notTestable(name, `it is disabled: run "mirrorplane policy enable ${name}" first`);
  }
  const ends = new Set(destination.devices.map(({ node }) => node));
  if (ends.size === 0) {
    throw notTestable(name, why ?? `its destination "${destination.interface}" has no device now`);
  }
  if (ends.size > 1) {
    throw notTestable(name, `its destination "${destination.interface}" is migrating: try again in a moment`);
  }
  const nodes = [...new Set(sources.flatMap(({ devices }) => devices.map(({ node }) => node)))].sort();
  if (nodes.length === 0) {
    throw notTestable(name, why ?? 'none of its sources has a device now');
  }
  return {
    test: random(8).toString('hex'),
    policy: uid,
    sources: nodes.slice(0, TEST_LIMITS.nodes).map((node) => sourceNode(node, random)),
    to: [...ends][0]!,
    untested: nodes.slice(TEST_LIMITS.nodes),
  };
}

function notTestable(name: string, why: string): ProblemError {
  return new ProblemError('POLICY_NOT_TESTABLE', `the policy "${name}" cannot be tested: ${why}`);
}

/** All probes of a node have one source address, so that a switch learns few. */
function sourceNode(node: string, random: (bytes: number) => Buffer): SourceNode {
  const source = `${PROBE_PREFIX}${random(3).toString('hex')}`;
  const used = new Set<string>();
  const next = (): string => {
    const probe = `${PROBE_PREFIX}${random(3).toString('hex')}${source}`;
    return used.has(probe) ? next() : probe;
  };
  return {
    node,
    probes: PROBE_SIZES.map((size) => {
      const probe = next();
      used.add(probe);
      return { probe, size };
    }),
  };
}

/**
 * What a node does for a test. Undefined: nothing.
 * @param making whether probes are made already; before, the node of the destination only expects
 *   them
 */
export function taskOf(plan: TestPlan, node: string, making: boolean): Omit<TestTask, 'endsInMs'> | undefined {
  const mine = plan.sources.find((source) => source.node === node);
  const makes = making && mine ? [...mine.probes] : [];
  const remote = plan.sources.filter((source) => source.node !== plan.to);
  const expects = node === plan.to ? remote.flatMap(({ probes }) => probes.map(({ probe }) => probe)) : [];
  return makes.length + expects.length > 0 ? { test: plan.test, policy: plan.policy, makes, expects } : undefined;
}
