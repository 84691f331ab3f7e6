/** Policies in a few fields each, however many sources they have. */
import { MAX_SUMMARY_ITEMS, type PolicyStatus, type PolicySummary } from '@mirrorplane/contract';
import type { PolicyOutline } from '@mirrorplane/planner';
import type { History } from '../history/history.ts';
import { healthOf, hopRates, ratesOf, sparklineOf } from '../history/rates.ts';
import type { Track } from '../history/track.ts';
import type { KeptStatuses } from '../planning/kept-statuses.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { Stored, View } from '../store/view.ts';
import { declaredEnds } from './display-names.ts';

/** Codes of reasons that mean that a node is behind. */
const BEHIND: ReadonlySet<string> = new Set(['NODE_PENDING', 'NODE_DISCONNECTED', 'ENDING_UNCONFIRMED']);

/** Between two words. Nobody looks for it. */
const TEXT_END = '\0';
/** A record is not changed, so that its words are kept. */
const wordsOfRecords = new WeakMap<PolicyRecord, string>();

function keptWordsOf(record: PolicyRecord): string {
  const words = wordsOfRecords.get(record) ?? wordsOf(record, record.sources);
  wordsOfRecords.set(record, words);
  return words;
}

function wordsOf({ name, description, destination, createdBy }: PolicyRecord, sources: readonly string[]): string {
  return [name, description, destination, createdBy ?? '', ...sources].join(TEXT_END).toLowerCase();
}

/** What is shown of one policy beside its summary. */
type PolicyDetail = Pick<PolicyStatus, 'totals' | 'delivered' | 'lost' | 'feedback' | 'countersAt' | 'stale'> & {
  paths: (PolicyStatus['paths'][number] & { rates: ReturnType<typeof hopRates> })[];
};

interface Parts {
  view: View;
  history: History;
  statuses: KeptStatuses;
}

/**
 * A policy and its status. Of many policies, few are shown: a summary is made each time that it is
 * asked for.
 */
export class PolicyEntry {
  readonly record: PolicyRecord;
  /** What one may see of its sources. */
  readonly sources: readonly string[];
  readonly #revision: number;
  readonly #outline: PolicyOutline;
  readonly #parts: Pick<Parts, 'view' | 'history'>;
  readonly #isPart: boolean;

  /** @param part what one may see of its sources. Undefined: all of it */
  constructor(
    stored: Stored<PolicyRecord>,
    outline: PolicyOutline,
    parts: Pick<Parts, 'view' | 'history'>,
    part?: readonly string[],
  ) {
    this.record = stored.value;
    this.#revision = stored.revision;
    this.#outline = outline;
    this.#parts = parts;
    this.sources = part ?? stored.value.sources;
    this.#isPart = part !== undefined;
  }

  /** The same for who may see a part of its sources. */
  partOf(sources: readonly string[]): PolicyEntry {
    return new PolicyEntry({ value: this.record, revision: this.#revision }, this.#outline, this.#parts, sources);
  }

  get name(): string {
    return this.record.name;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Number of its reasons. */
  get reasonCount(): number {
    return this.#isPart ? 0 : this.#outline.reasons.length;
  }

  get state(): PolicySummary['state'] {
    return this.#outline.state;
  }

  /** Nodes of its sources and its destination. */
  get nodes(): readonly string[] {
    return this.#isPart ? [] : this.#outline.places;
  }

  get health(): PolicySummary['health'] {
    return this.#isPart ? UNKNOWN.health : healthOf(this.#track, this.#outline);
  }

  get rates(): PolicySummary['rates'] {
    return this.#isPart ? UNKNOWN.rates : ratesOf(this.#track);
  }

  /** Codes of its first reasons, as the summary has them. */
  get reasons(): PolicySummary['reasons'] {
    return this.#isPart ? [] : this.#outline.reasons.slice(0, MAX_SUMMARY_ITEMS);
  }

  /** Display name of its destination. */
  get destinationName(): string {
    const { record } = this;
    return declaredEnds(record, this.#parts.view)(record.destination)?.name ?? '';
  }

  /** All words of it in lower case, apart from each other. */
  get text(): string {
    const { record, sources } = this;
    const words = this.#isPart ? wordsOf(record, sources) : keptWordsOf(record);
    return [words, this.destinationName.toLowerCase(), ...this.nodes.map((name) => name.toLowerCase())].join(TEXT_END);
  }

  get waitsForConsent(): boolean {
    return isWaiting(this.record);
  }

  get summary(): PolicySummary {
    // What waits for consent names interfaces of others to who sees the summary.
    const { sources, destination, allowFeedback: _, approval: __, change: ___, ...record } = this.record;
    const summary: PolicySummary = {
      ...record,
      destination: { id: destination, name: this.destinationName },
      sourceCount: sources.length,
      ...(this.waitsForConsent && { waitsForConsent: true }),
      revision: this.#revision,
      ...stateOf(this.#outline),
      health: this.health,
      rates: this.rates,
      sparkline: sparklineOf(this.#track, 'copied'),
    };
    return this.#isPart ? summaryOfPart(summary, this.sources.length) : summary;
  }

  /** What is shown of one policy alone. */
  get detail(): PolicyDetail {
    return detailOf(this.#outline, this.#track);
  }

  /** Copies that its destination was given. Null: not known. */
  get delivered(): PolicyStatus['delivered'] {
    return this.#outline.delivered;
  }

  /** What was delivered over the last minutes. */
  get sparkline(): (number | null)[] {
    return sparklineOf(this.#track, 'delivered');
  }

  get #track(): Track | undefined {
    return this.#parts.history.policy(this.record.uid);
  }
}

/** One policy, with its status as it is now. */
export function policyEntry(name: string, parts: Parts): PolicyEntry | undefined {
  const stored = parts.view.get('policies', name);
  return stored && new PolicyEntry(stored, parts.statuses.outline(stored), parts);
}

/** All policies, with the statuses as they were made last. */
export function policyEntries(parts: Parts): PolicyEntry[] {
  return parts.statuses.kept().flatMap((outline) => {
    const stored = parts.view.get('policies', outline.name);
    return stored ? [new PolicyEntry(stored, outline, parts)] : [];
  });
}

/** What is not said of a part. */
const UNKNOWN: Pick<PolicySummary, 'health' | 'rates'> = {
  health: { state: 'unknown', reasons: [] },
  rates: { copied: null, delivered: null, dropped: null, lost: null },
};

function isWaiting({ approval, change }: Pick<PolicyRecord, 'approval' | 'change'>): boolean {
  return change !== undefined || approval?.state === 'pending';
}

/**
 * What is shown of a policy to who may see a part of its sources: nothing that names or counts the
 * others, or says how much they send.
 * @param sourceCount number of the sources that one may see
 */
export function summaryOfPart(summary: PolicySummary, sourceCount: number): PolicySummary {
  return {
    ...summary,
    sourceCount,
    reasons: [],
    reasonCount: 0,
    pending: [],
    ...UNKNOWN,
    sparkline: summary.sparkline.map(() => null),
  };
}

function stateOf({
  state,
  reasons,
}: PolicyOutline): Pick<PolicySummary, 'state' | 'reasons' | 'reasonCount' | 'pending'> {
  const behind = reasons.flatMap(({ code, node }) => (node !== undefined && BEHIND.has(code) ? [node] : []));
  return {
    state,
    reasons: reasons.slice(0, MAX_SUMMARY_ITEMS),
    reasonCount: reasons.length,
    pending: [...new Set(behind)].slice(0, MAX_SUMMARY_ITEMS),
  };
}

function detailOf(status: PolicyOutline, track: Track | undefined): PolicyDetail {
  const { totals, delivered, lost, feedback, countersAt, stale } = status;
  const paths = status.paths.map((path) => ({ ...path, rates: hopRates(track, path) }));
  return { totals, delivered, lost, ...(feedback && { feedback }), countersAt, stale, paths };
}
