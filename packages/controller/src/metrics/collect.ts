/** Collects the current values of the metrics from their owners. */
import { readdirSync } from 'node:fs';
import { type CaptureCounts, COPY_REFUSALS, type Count, PolicyState, type PolicyStatus } from '@mirrorplane/contract';
import type { PolicyOutline } from '@mirrorplane/planner';
import manifest from '../../package.json' with { type: 'json' };
import { nodeProblems } from '../reports/found-problems.ts';
import type { LiveNode } from '../reports/live-node.ts';
import type { Services } from '../services.ts';
import type { StoreState } from '../store/store.ts';
import type { MetricKey } from './catalogue.ts';
import type { Labels } from './exposition.ts';

/** Adds to a series. A new series begins at 0. */
export type Add = (metric: MetricKey, value: number, labels?: Labels) => void;

/** What a scraper asks for. */
export interface Wanted {
  /** Names of the policies. Undefined: all. */
  policies?: ReadonlySet<string> | undefined;
  /**
   * Source by source, as long as the policies have no more sources than this together. With more of
   * them, each policy is one series.
   */
  sources: number;
}

/** Collects all metrics, one policy or node at each step. */
export function* collect(services: Services, wanted: Wanted, add: Add): Generator<undefined> {
  collectController(services, add);
  yield* collectPolicies(services, wanted, add);
  // A node that is made again between two steps would come twice in the living map.
  for (const name of [...services.view.all('nodes').keys()]) {
    const pool = services.view.get('nodes', name)?.value.pool;
    if (pool !== undefined) {
      collectNode({ name, pool, node: services.live.get(name) }, services, add);
      yield;
    }
  }
}

function* collectPolicies({ view, statuses }: Services, wanted: Wanted, add: Add): Generator<undefined> {
  const isWanted = (name: string) => wanted.policies?.has(name) ?? true;
  const sources = [...view.all('policies').values()].reduce(
    (sum, { value }) => sum + (isWanted(value.name) ? value.sources.length : 0),
    0,
  );
  const isEach = sources <= wanted.sources;
  add('policySources', sources);
  add('policySourcesSummed', isEach ? 0 : sources);
  for (const status of isEach ? statuses.whole(isWanted) : yield* statuses.refresh()) {
    const { name: policy } = status;
    if (!isWanted(policy)) {
      continue;
    }
    collectPolicy(status, add);
    if ('sources' in status) {
      collectSources(status as PolicyStatus, add);
    } else if (status.countersAt !== null) {
      collectCapture(status.totals, { policy, source: '', direction: '' }, add);
    }
    const maxRate = view.get('policies', policy)?.value.maxRate;
    if (maxRate !== undefined) {
      add('policyMaxRate', (maxRate * 1_000_000) / 8, { policy });
    }
    yield;
  }
}

function collectController(services: Services, add: Add): void {
  const { refusals, events, authority } = services;
  add('buildInfo', 1, { version: manifest.version });
  for (const { request, reason, count } of refusals.counts()) {
    add('requestsRefused', count, { request, reason });
  }
  const { kinds, missed, duplicated } = events.totals;
  for (const [kind, count] of kinds) {
    add('events', count, { kind });
  }
  add('moves', kinds.get('interfaceMigrated') ?? 0);
  add('movesMissed', missed);
  add('movesDoubled', duplicated);
  add('certificateEnd', authority.endsAt / 1000, { certificate: 'authority' });
  if (authority.serverEndsAt !== undefined) {
    add('certificateEnd', authority.serverEndsAt / 1000, { certificate: 'agents' });
  }
  const api = services.certificate?.endsAt;
  if (api !== undefined) {
    add('certificateEnd', api / 1000, { certificate: 'api' });
  }
  collectControllers(services, add);
  collectAudit(services, add);
  collectProcess(services, add);
}

function collectControllers({ leadership }: Services, add: Add): void {
  const gone = leadership?.controllers.gone() ?? [];
  const stopped = gone.filter(({ stoppedAt }) => stoppedAt !== undefined).length;
  add('controllers', leadership?.controllers.all().length ?? 1, { state: 'running' });
  add('controllers', stopped, { state: 'stopped' });
  add('controllers', gone.length - stopped, { state: 'lost' });
  if (leadership) {
    add('leaderTerm', leadership.term);
  }
}

/** Members of the store. They are asked before the rest is collected, because that takes time. */
export function collectStore({ members }: StoreState, add: Add): void {
  for (const answers of members.length > 0 ? [true, false] : []) {
    add('storeMembers', members.filter((one) => one.answers === answers).length, { answers: `${answers}` });
  }
}

function collectAudit({ audit, auditCheck, syslog }: Services, add: Add): void {
  add('auditLines', audit.end.seq);
  add('auditUnsigned', audit.end.unsigned);
  add('auditFailures', audit.failures);
  if (auditCheck.last) {
    add('auditFault', auditCheck.last.verdict.fault ? 1 : 0);
  }
  if (syslog) {
    add('auditSyslog', syslog.counts.sent, { outcome: 'sent' });
    add('auditSyslog', syslog.counts.lost, { outcome: 'lost' });
  }
}

function collectProcess({ loopDelay }: Services, add: Add): void {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  add('processCpu', (user + system) / 1_000_000);
  add('processMemory', rss);
  add('processHeap', heapUsed);
  const delay = loopDelay.seconds;
  if (delay) {
    add('loopDelayMedian', delay.p50);
    add('loopDelayP99', delay.p99);
    add('loopDelayMax', delay.max);
  }
  add('processStart', Math.round(performance.timeOrigin) / 1000);
  try {
    add('processFds', readdirSync('/proc/self/fd').length);
  } catch {
    // Without /proc, the value stays unknown.
  }
}

function collectPolicy(status: Omit<PolicyOutline, 'places' | 'sourcesAt'>, add: Add): void {
  const policy = status.name;
  for (const state of PolicyState.options) {
    add('policyState', state === status.state ? 1 : 0, { policy, state });
  }
  for (const { code } of status.reasons) {
    add('policyReasons', 1, { policy, code });
  }
  for (const path of status.paths) {
    collectPath(path, { policy, from: path.from, to: path.to }, add);
  }
  addCount(add, ['deliveredPackets', 'deliveredBytes'], status.delivered, { policy });
  add('feedback', status.feedback?.packets ?? 0, { policy });
}

function collectSources({ name: policy, sources }: PolicyStatus, add: Add): void {
  for (const source of sources) {
    for (const direction of ['inbound', 'outbound'] as const) {
      const counts = source[direction];
      if (counts) {
        collectCapture(counts, { policy, source: source.interface, direction }, add);
      }
    }
  }
}

function collectCapture(counts: CaptureCounts, labels: Labels, add: Add): void {
  for (const [outcome, reason, count] of outcomes(counts)) {
    addCount(add, ['policyPackets', 'policyBytes'], count, { ...labels, outcome, reason });
  }
  addCount(add, ['truncatedPackets', 'truncatedBytes'], counts.truncated, labels);
  for (const [reason, count] of Object.entries(counts.skipped)) {
    add('policySkipped', count.packets, { ...labels, reason });
  }
}

/** The outcomes of matched packets. Each packet has exactly one outcome. */
function* outcomes(counts: CaptureCounts): Generator<[outcome: string, reason: string, Count]> {
  yield ['sampled_out', '', counts.sampledOut];
  yield ['copied', '', counts.copied];
  for (const [reason, count] of Object.entries(counts.dropped)) {
    if (count) {
      yield ['dropped', reason, count];
    }
  }
}

function collectPath(path: PolicyStatus['paths'][number], labels: Labels, add: Add): void {
  addCount(add, ['pathSentPackets', 'pathSentBytes'], path.sentInner, labels);
  addCount(add, [undefined, 'pathSentOuterBytes'], path.sent, labels);
  addCount(add, ['pathReceivedPackets', 'pathReceivedBytes'], path.received, labels);
  addCount(add, ['pathDeliveredPackets', 'pathDeliveredBytes'], path.delivered, labels);
  addCount(add, ['pathRelayedPackets', 'pathRelayedBytes'], path.relayed, labels);
  addCount(add, ['pathMissing', undefined], path.missing, labels);
  if (path.lost !== null) {
    add('pathLost', path.lost, labels);
  }
}

/** An unknown count gets no series. */
function addCount(
  add: Add,
  [packets, bytes]: readonly [MetricKey | undefined, MetricKey | undefined],
  count: Count | null | undefined,
  labels: Labels,
): void {
  if (count && packets) {
    add(packets, count.packets, labels);
  }
  if (count && bytes) {
    add(bytes, count.bytes, labels);
  }
}

interface NamedNode {
  name: string;
  pool: string;
  node: LiveNode | undefined;
}

function collectNode({ name, pool, node }: NamedNode, { view, live }: Services, add: Add): void {
  const program = view.get('programs', name)?.value.revision;
  const { agentVersion = '', kernel = '', hook = '' } = node ?? {};
  add('nodeInfo', 1, { node: name, pool, agent_version: agentVersion, kernel, hook });
  add('nodeConnected', node?.connected ? 1 : 0, { node: name });
  add('nodePending', program !== undefined && node?.appliedRevision !== program ? 1 : 0, { node: name });
  for (const { device, bytesPerSecond } of node?.budgets ?? []) {
    if (bytesPerSecond > 0) {
      add('nodeBudget', bytesPerSecond, { node: name, device });
    }
  }
  addTime(add, 'nodeLastSeen', node?.lastSeenAt, name);
  addTime(add, 'nodeCertificateEnd', node?.certificateEndsAt, name);
  for (const { code } of node ? nodeProblems(node, live.now()) : []) {
    add('nodeProblems', 1, { node: name, code });
  }
  const { peers, unknownErspan = 0 } = node?.counters ?? {};
  if (peers) {
    add('unknownErspan', unknownErspan, { node: name });
    for (const { address: sender, ...refused } of peers) {
      for (const reason of COPY_REFUSALS) {
        add('refusedErspan', refused[reason], { node: name, sender, reason });
      }
    }
  }
}

/** @param at ISO 8601; undefined: unknown */
function addTime(add: Add, metric: MetricKey, at: string | undefined, node: string): void {
  if (at !== undefined) {
    add(metric, Date.parse(at) / 1000, { node });
  }
}
