/** Do the numbers of the API add up, and do they say what the captures saw? */
import type { CaptureCounts, PolicyStatus } from '@mirrorplane/contract';
import { END_HOSTS, FLOWS, passages } from './flows.ts';
import type { Round } from './oracle.ts';
import type { Timeline } from './timeline.ts';
import { type Spec, vmOf, type World } from './world.ts';

/** What is compared at a moment of rest. */
export interface Books {
  at: number;
  statuses: PolicyStatus[];
}

const DIRECTIONS = ['inbound', 'outbound'] as const;
/** Standard deviations that a drawn share may be off: once in 10^9. */
const SIGMAS = 6;

const dropped = (counts: CaptureCounts, unit: 'packets' | 'bytes') =>
  Object.values(counts.dropped).reduce((sum, count) => sum + (count?.[unit] ?? 0), 0);

/**
 * Sums within one status: each packet that matched ended somewhere, and the totals are the sums of
 * their parts.
 */
export function sumProblems(status: PolicyStatus): string[] {
  const problems: string[] = [];
  const parts = status.sources.flatMap((source) =>
    DIRECTIONS.flatMap((direction) => {
      const counts = source[direction];
      return counts ? [{ what: `${source.interface} ${direction}`, counts }] : [];
    }),
  );
  for (const unit of ['packets', 'bytes'] as const) {
    for (const { what, counts } of [...parts, { what: 'totals', counts: status.totals }]) {
      const sum = counts.sampledOut[unit] + counts.copied[unit] + dropped(counts, unit);
      if (sum !== counts.matched[unit]) {
        problems.push(`${status.name} ${what}: matched ${counts.matched[unit]} ${unit}, but the parts make ${sum}`);
      }
    }
    for (const { from, to, sent, received, delivered } of status.paths) {
      if (!sent || !received || !delivered) {
        continue;
      }
      const way = `${status.name} ${from} to ${to}`;
      const numbers = `${sent[unit]} ${unit} sent, ${received[unit]} received, ${delivered[unit]} delivered`;
      if (delivered[unit] > received[unit] || received[unit] > sent[unit]) {
        problems.push(`${way}: ${numbers}`);
      }
    }
  }
  return problems;
}

/** Counters of a policy that has stayed the same policy never run backwards. */
export function backwards(before: PolicyStatus, after: PolicyStatus): string[] {
  const problems: string[] = [];
  for (const source of after.sources) {
    const old = before.sources.find((one) => one.interface === source.interface);
    for (const direction of DIRECTIONS) {
      const [a, b] = [old?.[direction], source[direction]];
      if (!a) {
        continue;
      }
      for (const field of ['matched', 'sampledOut', 'copied', 'truncated'] as const) {
        // A number that was known and is not any more is no number that ran backwards.
        if (b && b[field].packets < a[field].packets) {
          const numbers = `from ${a[field].packets} to ${b[field].packets}`;
          problems.push(`${after.name} ${source.interface} ${direction}: ${field} fell ${numbers}`);
        }
      }
    }
  }
  return problems;
}

/**
 * Compares counters between two moments of rest with the packet captures, for periods without a
 * change.
 */
export function compareBooks(before: Books, after: Books, world: World, round: Round, timeline: Timeline): string[] {
  const problems: string[] = [];
  for (const status of after.statuses) {
    problems.push(...sumProblems(status));
    const old = before.statuses.find(({ uid }) => uid === status.uid);
    if (old) {
      problems.push(...backwards(old, status));
    }
    const spec = world.policies[status.name];
    if (!spec || !old) {
      continue;
    }
    const context = { before, after, world, round, timeline };
    problems.push(...compareSources(spec, old, status, context), ...compareDelivery(spec, old, status, context));
  }
  return problems;
}

interface Context {
  before: Books;
  after: Books;
  world: World;
  round: Round;
  timeline: Timeline;
}

function compareSources(spec: Spec, old: PolicyStatus, status: PolicyStatus, context: Context): string[] {
  const { before, after, world, round, timeline } = context;
  if (!spec.enabled) {
    return [];
  }
  return spec.sources.flatMap((id) => {
    if (!timeline.isSteady(spec.name, id, before.at, after.at)) {
      return [];
    }
    const host = vmOf(id);
    if (world.hidden.includes(host ?? '') || world.hidden.includes(vmOf(spec.destination) ?? '')) {
      return [];
    }
    // There was other traffic beside the numbered flows.
    if (host !== undefined && (round.others.get(host) ?? 0) > 0) {
      return [];
    }
    const source = status.sources.find((one) => one.interface === id)!;
    const was = old.sources.find((one) => one.interface === id);
    return DIRECTIONS.flatMap((direction) => {
      const counts = source[direction];
      if (spec.direction !== 'all' && spec.direction !== direction) {
        return [];
      }
      const seen = passed(id, direction, context);
      if (seen === undefined) {
        return [];
      }
      const what = `${spec.name} ${id} ${direction}`;
      const range = seen.min === seen.max ? `${seen.min}` : `${seen.min} to ${seen.max}`;
      if (!counts) {
        return seen.min === 0 ? [] : [`${what}: ${range} frames passed, and no number is known`];
      }
      const delta = (field: 'matched' | 'sampledOut') =>
        counts[field].packets - (was?.[direction]?.[field].packets ?? 0);
      const problems: string[] = [];
      const [matched, left] = [delta('matched'), delta('sampledOut')];
      if (matched < seen.min || matched > seen.max) {
        problems.push(`${what}: ${matched} matched, ${range} frames passed`);
      }
      const share = spec.percent / 100;
      const spread = SIGMAS * Math.sqrt(matched * share * (1 - share)) + (share === 1 || share === 0 ? 0 : 1);
      if (Math.abs(matched - left - share * matched) > spread) {
        problems.push(`${what}: ${left} of ${matched} sampled out at ${spec.percent} %`);
      }
      return problems;
    });
  });
}

/**
 * Where nothing about a policy changed, every copy that was made was sent, received and delivered.
 */
function compareDelivery(spec: Spec, old: PolicyStatus, status: PolicyStatus, context: Context): string[] {
  const { before, after, timeline, round } = context;
  if (!spec.sources.every((id) => timeline.isSteady(spec.name, id, before.at, after.at))) {
    return [];
  }
  const problems: string[] = [];
  const copied = status.totals.copied.packets - old.totals.copied.packets;
  // A super-packet may leave in more segments than it came in.
  const talked = spec.sources.some((id) => (round.others.get(vmOf(id) ?? '') ?? 0) > 0);
  if (!talked && status.delivered && old.delivered) {
    const delivered = status.delivered.packets - old.delivered.packets;
    if (copied !== delivered) {
      problems.push(`${spec.name}: ${copied} copied, ${delivered} delivered`);
    }
  }
  for (const path of status.paths) {
    const was = old.paths.find(({ from, to }) => from === path.from && to === path.to);
    const [sent, received, delivered] = (['sent', 'received', 'delivered'] as const).map((field) =>
      path[field] ? path[field].packets - (was?.[field]?.packets ?? 0) : undefined,
    );
    if (sent === undefined || received === undefined || delivered === undefined) {
      continue;
    }
    if (sent !== received || received !== delivered) {
      const numbers = `${sent} sent, ${received} received, ${delivered} delivered`;
      problems.push(`${spec.name} ${path.from} to ${path.to}: ${numbers} while nothing changed`);
    }
  }
  return problems;
}

/** How many frames passed, at least and at most. */
interface Passed {
  min: number;
  max: number;
}

/**
 * Number of frames of the round that passed an interface. Undefined if copies among them cannot be
 * distinguished from originals. A frame with a moving sender or receiver may be captured or not,
 * because a new port is not watched in its first moments.
 */
function passed(
  source: string,
  direction: string,
  { before, after, world, round, timeline }: Context,
): Passed | undefined {
  // While a VM moves, a bridge may flood frames for it. They reach other VMs, and are captured
  // there.
  const flooded = timeline.hasExcuse(before.at, after.at);
  const host = vmOf(source);
  const receivesCopies = Object.values(world.policies).some(({ destination }) => destination === source);
  if (flooded && (host === undefined || receivesCopies)) {
    return undefined;
  }
  const flows = new Set(
    FLOWS.filter((flow) =>
      passages(flow, world).some((passage) => passage.source === source && passage.direction === direction),
    ).map(({ id }) => id),
  );
  const count = { min: 0, max: 0 };
  for (const sightings of round.frames.values()) {
    const flow = FLOWS[sightings[0]!.flow]!;
    const at = host ?? (direction === 'outbound' ? flow.from : flow.to);
    if (!(flooded || flows.has(flow.id)) || !END_HOSTS.includes(at)) {
      continue;
    }
    const isPassed = sightings.some((seen) => seen.host === at && seen.out === (direction === 'outbound'));
    const excuse = timeline.excuseFor([flow.from, flow.to], sightings[0]!.at);
    // What is for an address that another guest had a moment ago may be counted as the other's,
    // where it arrives (ADR 0024).
    if (isPassed || (excuse && direction === 'inbound')) {
      count.max++;
    }
    if (isPassed && !excuse) {
      count.min++;
    }
  }
  return count;
}
