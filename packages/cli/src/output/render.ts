/** Prints the output of a command in the chosen format. */

import { printable } from '@mirrorplane/base';
import { jsonText, withoutControls } from '@mirrorplane/contract/json-text';
import { Document, visit } from 'yaml';
import type { Context } from '../context.ts';
import type { Kind } from '../resources.ts';
import type { Format } from './format.ts';
import { harmless } from './terminal.ts';

/** Data as JSON or YAML. `line`: one line of JSON, or one of several YAML documents. */
export function renderData(data: unknown, format: 'json' | 'yaml', line = false): string {
  if (format === 'json') {
    return `${jsonText(data, line ? undefined : 2)}\n`;
  }
  return `${line ? '---\n' : ''}${toYaml(data)}`;
}

/** A line of white space only. The library loses its blanks in a block of lines. */
const BLANK_LINE = /(^|\n)[ \t]+(\n|$)/;

/**
 * YAML without anchors and folded lines, so that two outputs can be compared by diff. A text with
 * control characters other than line ends is in double quotes, with `\x1b` or `\u009b` for them.
 */
export function toYaml(data: unknown): string {
  const document = new Document(data, { aliasDuplicateObjects: false });
  visit(document, {
    Scalar: (_key, node) => {
      if (typeof node.value === 'string' && (harmless(node.value) !== node.value || BLANK_LINE.test(node.value))) {
        node.type = 'QUOTE_DOUBLE';
      }
    },
  });
  return withoutControls(document.toString({ lineWidth: 0 }));
}

/**
 * A resource or a list, as the API sent it, with the `kind` that `apply` needs. An interface
 * already has a `kind`: vm, nfv or edge.
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

/** Prints `data` as JSON or YAML, or as the text of `text` for people. */
export function show(context: Context, data: unknown, text: () => string): void {
  context.print(render(context.format, data, text));
}

/**
 * `data` in a format. `line` as for `renderData`. With `name`, data without a name is printed as
 * text.
 */
export function render(format: Format, data: unknown, text: () => string, line = false): string {
  if (format === 'json' || format === 'yaml') {
    return renderData(data, format, line);
  }
  return (format === 'name' ? namesOf(data) : undefined) ?? text();
}

/** Names, one a line, for scripts. Interfaces and events have their id. */
function namesOf(data: unknown): string | undefined {
  const { items = Array.isArray(data) ? data : [data] } = data as { items?: unknown };
  const names = (items as { id?: unknown; name?: unknown }[]).map(({ id, name }) => id ?? name);
  if (names.includes(undefined)) {
    return undefined;
  }
  return names.map((name) => `${printable(String(name))}\n`).join('');
}

/** The outcome for one resource of a command. */
export interface Outcome {
  kind: string;
  name: string;
  result: 'created' | 'changed' | 'unchanged' | 'deleted' | 'enabled' | 'disabled' | 'revoked' | 'unchecked' | 'absent';
  dryRun: boolean;
  /** Why the resource was not checked. Only with `unchecked`. */
  reason?: string;
}

/** A kind in words: `JoinToken` is a join token. */
function kindWords(kind: string): string {
  return kind.replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase();
}

/** One outcome as a line. */
export function outcomeText(outcome: Outcome): string {
  const subject = `${kindWords(outcome.kind)} ${outcome.name}`;
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

/** Prints outcomes: one line each, or one list. */
export function showOutcomes(context: Context, outcomes: readonly Outcome[]): void {
  show(context, outcomes, () => outcomes.map(outcomeText).join(''));
}
