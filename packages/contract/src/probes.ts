/** Probes: frames that nobody has sent, made for the test of a policy, and counted apart at each hop. */
import * as z from 'zod';
import { boundedList, Id, Text, Word } from './bounds.ts';
import { Count, DROP_REASONS, TERMINATION_DROP_REASONS } from './counters.ts';

/**
 * Sizes of probes, from the smallest.
 * - `small`: a frame of 64 bytes.
 * - `full`: a frame as long as the MTU of a source's device allows. It is no TCP, so it cannot be
 *   divided.
 * - `super`: a TCP super-packet of 64 KiB, with segments as long as that MTU allows.
 */
export const PROBE_SIZES = ['small', 'full', 'super'] as const;
export const ProbeSize = z.enum(PROBE_SIZES).meta({
  id: 'ProbeSize',
  description:
    'small: a frame of 64 bytes. full: a frame as long as the MTU of a source allows. super: a TCP super-packet of 64 KiB.',
});
export type ProbeSize = z.infer<typeof ProbeSize>;

/** Bounds of tests. */
export const TEST_LIMITS = {
  /** Tests in the cluster at a time; of one policy, one. */
  tests: 8,
  /** Tests of one user at a time. */
  testsOfUser: 4,
  /** Nodes with sources that one test has at most: the first ones by name. */
  nodes: 40,
  /** Milliseconds until a test ends in any case. */
  ms: 10_000,
  /** Milliseconds from the end of one test of a policy to its next one. */
  pauseMs: 2000,
} as const;

/** Probes that a node has at a time, at most. */
export const MAX_PROBES = TEST_LIMITS.tests * TEST_LIMITS.nodes * PROBE_SIZES.length;

/** First bytes of both Ethernet addresses of a probe: locally administered, and two letters of ours. */
export const PROBE_PREFIX = '024d50';

/** The name of a probe: destination and source address of its Ethernet header in hexadecimal. */
export const ProbeName = z.string().regex(/^024d50[0-9a-f]{6}024d50[0-9a-f]{6}$/, 'this is no name of a probe');

/** What one node does for a test. */
export const TestTask = z.object({
  test: Word,
  policy: Id.meta({ description: 'uid of the policy.' }),
  makes: boundedList(z.object({ probe: ProbeName, size: ProbeSize }), PROBE_SIZES.length).meta({
    description: 'Probes that this node makes, once.',
  }),
  expects: boundedList(ProbeName, TEST_LIMITS.nodes * PROBE_SIZES.length).meta({
    description: 'Probes that come to this node.',
  }),
  endsInMs: z.number().int().min(0).max(TEST_LIMITS.ms).meta({ description: 'Then the node forgets the test.' }),
});
export type TestTask = z.infer<typeof TestTask>;

/** All tests of a node. A test that is not in it has ended. Level-triggered: sent again it changes nothing. */
export const TestsMessage = z.object({
  type: z.literal('tests'),
  tasks: boundedList(TestTask, TEST_LIMITS.tests),
});
export type TestsMessage = z.infer<typeof TestsMessage>;

/** What became of a probe on one node, as in the counters of captures, deliveries and terminations. */
export const ProbeCounts = z.object({
  made: Count,
  copied: Count,
  truncated: Count,
  sent: Count,
  dropped: z.partialRecord(z.enum(DROP_REASONS), Count),
  received: Count,
  delivered: Count,
  refused: z.partialRecord(z.enum(TERMINATION_DROP_REASONS), Count),
});
export type ProbeCounts = z.infer<typeof ProbeCounts>;

/** What a node knows of the probes of a test. Sent when it expects them, and after every change. */
export const TestReportMessage = z.object({
  type: z.literal('testReport'),
  test: Word,
  probes: boundedList(
    z.object({ probe: ProbeName, counts: ProbeCounts, problem: Text.optional() }),
    (TEST_LIMITS.nodes + 1) * PROBE_SIZES.length,
  ).meta({ description: 'problem: why the node could not make the probe.' }),
});
export type TestReportMessage = z.infer<typeof TestReportMessage>;

/** Bytes of the frame of a `super` probe: the longest IP packet and its Ethernet header. */
export const SUPER_PROBE_BYTES = 65_549;
