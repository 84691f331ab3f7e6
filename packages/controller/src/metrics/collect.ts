/** Collects the current values of the metrics from their owners. */
import { readdirSync } from 'node:fs';
import { type CaptureCounts, COPY_REFUSALS, type Count, PolicyState, type PolicyStatus } from '@mirrorplane/contract';
import manifest from '../../package.json' with { type: 'json' };
import { nodeProblems } from '../reports/found-problems.ts';
import type { LiveNode } from '../reports/live-node.ts';
import type { Services } from '../services.ts';
import type { MetricKey } from './catalogue.ts';

type Labels = Readonly<Record<string, string>>;
/** Adds to a series. A new series begins at 0. */
export type Add = (metric: MetricKey, value: number, labels?: Labels) => void;

/** Collects all metrics. */
export function collect(services: Services, add: Add): void {
  collectController(services, add);
  for (const status of services.statuses.whole()) {
    collectPolicy(status, add);
    const maxRate = services.view.get('policies', status.name)?.value.maxRate;
    if (maxRate !== undefined) {
      add('policyMaxRate', (maxRate * 1_000_000) / 8, { policy: status.name });
    }
  }
  for (const [name, { value }] of services.view.all('nodes')) {
    collectNode({ name, pool: value.pool, node: services.live.get(name) }, services, add);
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
  collectAudit(services, add);
  collectProcess(add);
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

function collectProcess(add: Add): void {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  add('processCpu', (user + system) / 1_000_000);
  add('processMemory', rss);
  add('processHeap', heapUsed);
  add('processStart', Math.round(performance.timeOrigin) / 1000);
  try {
    add('processFds', readdirSync('/proc/self/fd').length);
  } catch {
    // Without /proc, the value stays unknown.
  }
}

function collectPolicy(status: PolicyStatus, add: Add): void {
  const policy = status.name;
  for (const state of PolicyState.options) {
    add('policyState', state === status.state ? 1 : 0, { policy, state });
  }
  for (const { code } of status.reasons) {
    add('policyReasons', 1, { policy, code });
  }
  for (const source of status.sources) {
    for (const direction of ['inbound', 'outbound'] as const) {
      const counts = source[direction];
      if (counts) {
        collectCapture(counts, { policy, source: source.interface, direction }, add);
      }
    }
  }
  for (const path of status.paths) {
    collectPath(path, { policy, from: path.from, to: path.to }, add);
  }
  addCount(add, ['deliveredPackets', 'deliveredBytes'], status.delivered, { policy });
  add('feedback', status.feedback?.packets ?? 0, { policy });
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
