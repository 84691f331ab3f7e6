/** Policies through the HTTP API, as an operator's tool would use it. */
import assert from 'node:assert/strict';
import { until } from '@mirrorplane/base';
import type { CaptureCounts, Policy, PolicyInput, PolicyStatus, Problem } from '@mirrorplane/contract';
import type { Lab } from '@mirrorplane/lab';

/**
 * Milliseconds until a status must have come true: counters come every second, devices and programs
 * at once.
 */
const STATUS_MS = 20_000;

/** Creates a policy once the controller knows its interfaces. Throws where the API refuses. */
export async function createPolicy(lab: Lab, input: PolicyInput): Promise<Policy> {
  for (const id of [...input.sources, input.destination]) {
    const path = `/api/v1/interfaces/${encodeURIComponent(id)}`;
    await until(`interface ${id}`, async () => (await lab.api('GET', path)).status === 200);
  }
  const { status, body } = await lab.api('POST', '/api/v1/policies', input);
  assert.equal(status, 201, `POST policy ${input.name}: ${JSON.stringify(body)}`);
  return body as Policy;
}

/** Deletes a policy. */
export async function deletePolicy(lab: Lab, name: string): Promise<void> {
  const { status, body } = await lab.api('DELETE', `/api/v1/policies/${name}`);
  assert.equal(status, 204, `DELETE policy ${name}: ${JSON.stringify(body)}`);
}

/** Asks for a policy that must be refused. Returns the problem document. */
export async function refusedPolicy(lab: Lab, input: unknown, query = ''): Promise<Problem> {
  const { status, headers, body } = await lab.api('POST', `/api/v1/policies${query}`, input);
  assert.equal(status, 422, `expected a refusal: ${JSON.stringify(body)}`);
  assert.match(String(headers['content-type']), /^application\/problem\+json/);
  return body as Problem;
}

/** The refusals as `CODE field`, in the order of the document. */
export function refusals(problem: Problem): string[] {
  return problem.errors.map(({ code, field }) => `${code} ${field}`);
}

/** The status of a policy now. */
export async function policyStatus(lab: Lab, name: string): Promise<PolicyStatus> {
  const { status, body } = await lab.api('GET', `/api/v1/policies/${name}/status`);
  assert.equal(status, 200, `status of policy ${name}: ${JSON.stringify(body)}`);
  return body as PolicyStatus;
}

/**
 * Waits until the status of a policy is as wanted, and returns it. Throws with the last one after
 * `limitMs`.
 */
export async function statusEventually(
  lab: Lab,
  name: string,
  what: string,
  wanted: (status: PolicyStatus) => boolean,
  limitMs = STATUS_MS,
): Promise<PolicyStatus> {
  let last: PolicyStatus | undefined;
  try {
    await until(
      `policy ${name}: ${what}`,
      async () => {
        last = await policyStatus(lab, name);
        return wanted(last);
      },
      { limitMs },
    );
  } catch (error) {
    throw new Error(`${(error as Error).message}; last status: ${JSON.stringify(last)}`);
  }
  return last!;
}

/** Waits until a policy is active. */
export function activeEventually(lab: Lab, name: string): Promise<PolicyStatus> {
  return statusEventually(lab, name, 'active', ({ state }) => state === 'active');
}

/**
 * Waits until a node's kernel runs a newer program than `since`, and its newest. Returns that
 * revision.
 */
export async function programEventually(lab: Lab, node: string, since: number): Promise<number> {
  let revision = 0;
  await until(
    `program of ${node} newer than ${since}`,
    async () => {
      const { programRevision = 0, appliedRevision = -1 } = (await lab.api('GET', `/api/v1/nodes/${node}`)).body;
      revision = appliedRevision;
      return programRevision > since && appliedRevision === programRevision;
    },
    { limitMs: STATUS_MS },
  );
  return revision;
}

/** The revision of the program that a node's kernel runs. */
export async function programRevision(lab: Lab, node: string): Promise<number> {
  return (await lab.api('GET', `/api/v1/nodes/${node}`)).body.appliedRevision ?? 0;
}

/** Creates a policy, waits until it is active, runs `work`, and deletes it whatever happened. */
export async function withPolicy<T>(lab: Lab, input: PolicyInput, work: () => Promise<T>): Promise<T> {
  await createPolicy(lab, input);
  try {
    await activeEventually(lab, input.name);
    return await work();
  } finally {
    await deletePolicy(lab, input.name);
  }
}

/**
 * Waits until the counters show at least so many matched and delivered packets, and both ends of
 * each path have reported the same of it: nodes report at different moments. Returns the status.
 * @param before a status of which what was lost on a path stays lost
 */
export function countedEventually(
  lab: Lab,
  name: string,
  matched: number,
  delivered: number = matched,
  before?: PolicyStatus,
): Promise<PolicyStatus> {
  const onTheWay = ({ sent, received }: PolicyStatus['paths'][number]) =>
    received === null ? Number.POSITIVE_INFINITY : (sent?.packets ?? Number.NaN) - received.packets;
  const lostBefore = ({ from, to }: PolicyStatus['paths'][number]) => {
    const path = before?.paths.find((one) => one.from === from && one.to === to);
    return path ? Math.max(0, onTheWay(path)) : 0;
  };
  return statusEventually(
    lab,
    name,
    `matched ${matched}, delivered ${delivered}`,
    (status) =>
      status.totals.matched.packets >= matched &&
      (status.delivered?.packets ?? -1) >= delivered &&
      status.paths.every((path) => onTheWay(path) <= lostBefore(path)),
  );
}

/** Packets of counters, without bytes and without reasons of 0. */
export function packets(counts: CaptureCounts | undefined) {
  if (counts === undefined) {
    return undefined;
  }
  const { matched, sampledOut, copied, truncated } = counts;
  const by = (reasons: Partial<Record<string, { packets: number }>>) =>
    Object.fromEntries(Object.entries(reasons).flatMap(([name, c]) => (c?.packets ? [[name, c.packets]] : [])));
  return {
    matched: matched.packets,
    sampledOut: sampledOut.packets,
    copied: copied.packets,
    truncated: truncated.packets,
    dropped: by(counts.dropped),
    skipped: by(counts.skipped),
  };
}

/** What `packets` gives where each of `n` packets was copied whole. */
export function allCopied(n: number) {
  return { matched: n, sampledOut: 0, copied: n, truncated: 0, dropped: {}, skipped: {} };
}

/**
 * Asserts that the sums of a status close: per source and direction, in total, and on every path
 * between nodes.
 */
export function assertSumsClose(status: PolicyStatus): void {
  const closes = (counts: CaptureCounts, what: string) => {
    for (const unit of ['packets', 'bytes'] as const) {
      const dropped = Object.values(counts.dropped).reduce((sum, count) => sum + (count?.[unit] ?? 0), 0);
      const sum = counts.sampledOut[unit] + counts.copied[unit] + dropped;
      assert.equal(counts.matched[unit], sum, `${what}: matched = sampledOut + copied + dropped, in ${unit}`);
    }
  };
  closes(status.totals, 'totals');
  let matched = 0;
  for (const { interface: id, inbound, outbound } of status.sources) {
    for (const [direction, counts] of Object.entries({ inbound, outbound })) {
      if (counts === undefined) {
        continue;
      }
      closes(counts, `${id} ${direction}`);
      matched += counts.matched.packets;
    }
  }
  assert.equal(status.totals.matched.packets, matched, 'the totals are the sums over sources and directions');
  for (const { from, to, sent, received, delivered } of status.paths) {
    assert.deepEqual(received, delivered, `${from} to ${to}: all that was received was delivered`);
    assert.equal(sent?.packets, received?.packets, `${from} to ${to}: all that was sent was received`);
  }
}
