/** What `apply` would change, field by field. */
import { isDeepStrictEqual } from 'node:util';
import { printable } from '@mirrorplane/base';
import { dryRunOf } from './apply.ts';
import type { Context } from './context.ts';
import type { Document } from './documents.ts';
import { toYaml } from './output/render.ts';
import { paint } from './output/table.ts';
import { type Kind, specOf } from './resources.ts';

/** A field that differs. A value is undefined where the field is absent. */
export interface Change {
  field: string;
  before: unknown;
  after: unknown;
}

/** The differences between one resource and its document. */
export interface Difference {
  kind: Kind;
  name: string;
  result: 'created' | 'changed';
  changes: Change[];
}

/** The documents that differ from the cluster. @throws as `applyDocuments` if one is refused */
export async function differences(context: Context, documents: readonly Document[]): Promise<Difference[]> {
  const found: Difference[] = [];
  for (const { document, result, before, after } of await dryRunOf(context, documents)) {
    if (result === 'unchanged') {
      continue;
    }
    const { kind, name } = document;
    const was = before === undefined || result === 'created' ? {} : specOf(kind, before);
    // An unchecked resource is taken to become as its document says.
    const will = after === undefined ? document.spec : specOf(kind, after);
    const fields = [...new Set([...Object.keys(was), ...Object.keys(will)])].filter((field) => field !== 'name');
    const changes = fields
      .map((field) => ({ field, before: was[field], after: will[field] }))
      .filter((change) => !isDeepStrictEqual(change.before, change.after));
    if (before !== undefined && changes.length === 0) {
      continue;
    }
    found.push({ kind, name, result: before === undefined ? 'created' : 'changed', changes });
  }
  return found;
}

/** The differences in the form of diff(1): `-` is the current value, `+` that of the document. */
export function diffText(found: readonly Difference[], color: boolean): string {
  return found
    .map(({ kind, name, result, changes }) => {
      const head = `${kind.toLowerCase()} ${name}${result === 'created' ? ' (new)' : ''}\n`;
      return printable(head.trimEnd()).concat('\n', changes.map((change) => changeText(change, color)).join(''));
    })
    .join('');
}

function changeText({ field, before, after }: Change, color: boolean): string {
  if (Array.isArray(before) && Array.isArray(after)) {
    const gone = before.filter((entry) => !after.includes(entry));
    const come = after.filter((entry) => !before.includes(entry));
    if (gone.length + come.length > 0) {
      return `   ${field}:\n${marked('-', '  ', gone, color)}${marked('+', '  ', come, color)}`;
    }
  }
  const text = (value: unknown) => (value === undefined ? undefined : { [field]: value });
  return marked('-', '', text(before), color) + marked('+', '', text(after), color);
}

function marked(sign: '-' | '+', indent: string, value: unknown, color: boolean): string {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) {
    return '';
  }
  return toYaml(value)
    .trimEnd()
    .split('\n')
    .map((line) => `${paint(`${sign}  ${indent}${printable(line)}`, sign === '-' ? 'red' : 'green', color)}\n`)
    .join('');
}
