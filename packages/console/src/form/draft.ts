/**
 * A policy as it is typed: what of it is sent, what has changed, and what others call the same.
 * Pure.
 */
import type { Policy, PolicySpec } from '../api/types.ts';

/** The fields of the form. A number that is not typed yet, or was removed, is ''. */
export interface Draft {
  name: string;
  description: string;
  sources: readonly string[];
  destination: string;
  direction: string;
  percent: number | '';
  vlanId: number | '';
  maxRate: number | '';
  allowFeedback: boolean;
  enabled: boolean;
  /** ISO 8601. Empty: it does not end by itself. */
  endsAt: string;
}
export type Field = keyof Draft;

export const EMPTY: Draft = {
  name: '',
  description: '',
  sources: [],
  destination: '',
  direction: 'all',
  percent: 100,
  vlanId: '',
  maxRate: '',
  allowFeedback: false,
  enabled: true,
  endsAt: '',
};
export const FIELDS = Object.keys(EMPTY) as Field[];

/** The step of the form that has each field, from 1. */
export const STEP_OF: Record<Field, 1 | 2 | 3 | 4> = {
  sources: 1,
  destination: 2,
  direction: 3,
  percent: 3,
  vlanId: 3,
  maxRate: 3,
  allowFeedback: 3,
  name: 4,
  description: 4,
  enabled: 4,
  endsAt: 4,
};

/** The field that a refusal is about: `sources[3]` is about `sources`. */
export function fieldOf(path: string): Field | undefined {
  const [name] = /^\w+/.exec(path) ?? [];
  return FIELDS.find((field) => field === name);
}

/** The form of a policy that exists. */
export function draftOf(policy: Policy): Draft {
  const { name, description, sources, destination, direction, percent, enabled } = policy;
  const { vlanId = '', maxRate = '', allowFeedback = false, endsAt = '' } = policy;
  return {
    name,
    description,
    sources,
    destination,
    direction,
    percent,
    vlanId,
    maxRate,
    allowFeedback,
    enabled,
    endsAt,
  };
}

/**
 * What is sent. A percent that was removed is sent as what no policy can have, so that its field is
 * named.
 */
export function specOf(draft: Draft): Required<Pick<PolicySpec, 'sources' | 'destination'>> & PolicySpec {
  const { vlanId, maxRate, allowFeedback, percent, sources, endsAt, ...rest } = draft;
  return {
    ...rest,
    sources: [...sources],
    percent: percent === '' ? -1 : percent,
    ...(vlanId !== '' && { vlanId }),
    ...(maxRate !== '' && { maxRate }),
    ...(allowFeedback && { allowFeedback }),
    ...(endsAt !== '' && { endsAt }),
  } as never;
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** The fields in which two drafts differ. The order of sources means nothing. */
export function changedFields(a: Draft, b: Draft): Field[] {
  return FIELDS.filter((field) =>
    field === 'sources' ? !same(a.sources.toSorted(), b.sources.toSorted()) : !same(a[field], b[field]),
  );
}

/**
 * What was typed, on top of what another person has saved meanwhile. Of sources, what was added and
 * removed is kept.
 */
export function rebase(before: Draft, mine: Draft, theirs: Draft): Draft {
  const next: Draft = { ...theirs };
  for (const field of changedFields(before, mine)) {
    (next as unknown as Record<Field, unknown>)[field] = mine[field];
  }
  const removed = new Set(before.sources.filter((id) => !mine.sources.includes(id)));
  const kept = theirs.sources.filter((id) => !removed.has(id));
  const added = mine.sources.filter((id) => !before.sources.includes(id) && !kept.includes(id));
  return { ...next, sources: [...kept, ...added] };
}

/** Ids of a pasted list: separated by white space, commas or semicolons; each once. */
export function parseIds(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((id) => id !== ''))];
}

/** The fields of a policy in words of JSON, which YAML reads too. Defaults are left out. */
function lines(draft: Draft): [string, unknown][] {
  const spec: Partial<Record<Field, unknown>> = specOf(draft) as never;
  return FIELDS.filter((field) => field in spec && (field === 'sources' || !same(spec[field], EMPTY[field]))).map(
    (field) => [field, spec[field]],
  );
}

/** The policy as a document for `mirrorplane apply`. */
export function yamlOf(draft: Draft): string {
  const text = lines(draft).map(([field, value]) => {
    if (Array.isArray(value) && value.length > 0) {
      return `${field}:\n${value.map((id) => `  - ${JSON.stringify(id)}`).join('\n')}`;
    }
    return `${field}: ${JSON.stringify(value)}`;
  });
  return ['kind: Policy', ...text].join('\n');
}

/** A word of a shell. */
function quoted(word: string): string {
  return /^[\w./:@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The command that creates the policy. */
export function createCommand(draft: Draft): string {
  const { name, sources, destination, direction, percent, vlanId, maxRate, allowFeedback, description, enabled } =
    draft;
  const words = ['mirrorplane', 'policy', 'create', name, '--source', ...sources, '--destination', destination];
  const option = (given: boolean, ...more: string[]) => given && words.push(...more);
  option(direction !== 'all', '--direction', direction);
  option(percent !== 100, '--percent', String(percent));
  option(vlanId !== '', '--vlan-id', String(vlanId));
  option(maxRate !== '', '--max-rate', String(maxRate));
  option(allowFeedback, '--allow-feedback');
  option(description !== '', '--description', description);
  option(!enabled, '--disabled');
  return words.map(quoted).join(' ');
}

/** The command that saves the policy, whatever it was. */
export function applyCommand(draft: Draft): string {
  return `mirrorplane apply -f - <<'EOF'\n${yamlOf(draft)}\nEOF`;
}

/**
 * The call of the API that saves the policy. `revision`: only where it is still the one that was
 * read.
 */
export function callOf(draft: Draft, revision?: number): string {
  const condition = revision === undefined ? 'If-None-Match: *' : `If-Match: "${revision}"`;
  const body = JSON.stringify(Object.fromEntries(lines(draft)), null, 2);
  return `PUT /api/v1/policies/${draft.name}\nContent-Type: application/json\n${condition}\n\n${body}`;
}
