/** What a command prints on stdout, in the format that the operator chose. */
import { stringify } from 'yaml';
import type { Context } from '../context.ts';
import type { Kind } from '../resources.ts';
import type { Format } from './format.ts';
import { printable } from './table.ts';

/** Data in a machine format. `line`: one line of JSON, or one YAML document of many. */
export function renderData(data: unknown, format: 'json' | 'yaml', line = false): string {
  if (format === 'json') {
    return `${line ? JSON.stringify(data) : JSON.stringify(data, null, 2)}\n`;
  }
  return `${line ? '---\n' : ''}${toYaml(data)}`;
}

/** YAML without anchors and folded lines, so that a diff of two outputs shows what differs. */
export function toYaml(data: unknown): string {
  return stringify(data, { aliasDuplicateObjects: false, lineWidth: 0 });
}

/**
 * A resource, or a list of them, as the API sent it, with the kind that `apply` needs to know. An interface has a kind of
 * its own there: vm, nfv or edge.
 */
export function withKind<T extends object>(kind: Kind, data: T): T {
  if (kind === 'Interface') {
    return data;
  }
  const { items } = data as { items?: unknown };
  return Array.isArray(items)
    ? { ...data, items: items.map((item: object) => ({ kind, ...item })) }
    : { kind, ...data };
}

/** Prints `data` as JSON or YAML, or what `text` makes of it for people. */
export function show(context: Context, data: unknown, text: () => string): void {
  context.print(render(context.format, data, text));
}

/** `data` in a format. `line` as for `renderData`. What has no name is text where names are asked for. */
export function render(format: Format, data: unknown, text: () => string, line = false): string {
  if (format === 'json' || format === 'yaml') {
    return renderData(data, format, line);
  }
  return (format === 'name' ? namesOf(data) : undefined) ?? text();
}

/** A name a line, for scripts. Interfaces and events go by their id. */
function namesOf(data: unknown): string | undefined {
  const { items = Array.isArray(data) ? data : [data] } = data as { items?: unknown };
  const names = (items as { id?: unknown; name?: unknown }[]).map(({ id, name }) => id ?? name);
  if (names.includes(undefined)) {
    return undefined;
  }
  return names.map((name) => `${printable(String(name))}\n`).join('');
}

/** What became of one resource of a command that takes several. */
export interface Outcome {
  kind: string;
  name: string;
  result: 'created' | 'changed' | 'unchanged' | 'deleted' | 'enabled' | 'disabled' | 'unchecked' | 'absent';
  dryRun: boolean;
  /** Why it was not checked; only with `unchecked`. */
  reason?: string;
}

/** One outcome as a line. */
export function outcomeText(outcome: Outcome): string {
  const subject = `${outcome.kind.toLowerCase()} ${outcome.name}`;
  if (outcome.result === 'unchecked') {
    return `${subject} not checked: ${outcome.reason}\n`;
  }
  if (outcome.result === 'absent') {
    return `${subject} is not there\n`;
  }
  if (outcome.result === 'unchanged') {
    return `${subject} unchanged\n`;
  }
  return outcome.dryRun ? `${subject} would be ${outcome.result}\n` : `${subject} ${outcome.result}\n`;
}

/** Prints outcomes: a line each, or one list. */
export function showOutcomes(context: Context, outcomes: readonly Outcome[]): void {
  show(context, outcomes, () => outcomes.map(outcomeText).join(''));
}
