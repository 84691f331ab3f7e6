/** Tables for terminals and pipes: aligned columns, two spaces between them, no box drawing. */
import { styleText } from 'node:util';
import { printable } from '@mirrorplane/base';

export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red';

/** A cell with a colour. Plain strings and numbers are cells too. Numbers are aligned right. */
export interface StyledCell {
  text: string;
  style: Style | undefined;
}
export type Cell = string | number | StyledCell;

export interface Column {
  title: string;
  /** Default `left`. Columns of numbers need `right`, so that the header is above them. */
  align?: 'left' | 'right';
}

export interface TableOptions {
  color?: boolean;
  /** Indentation of every line. Default none. */
  indent?: string;
}

/**
 * Lays out rows under a header. Every line ends with a newline. Without rows, only the header is
 * returned.
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  options: TableOptions = {},
): string {
  const texts = [columns.map((column) => column.title), ...rows.map((row) => row.map(cellText))];
  const widths = columns.map((_, at) => Math.max(...texts.map((row) => textWidth(row[at] ?? ''))));
  const lines = texts.map((row, line) =>
    columns
      .map((column, at) => {
        const text = row[at] ?? '';
        const gap = ' '.repeat(widths[at]! - textWidth(text));
        const cell = line === 0 ? undefined : rows[line - 1]![at];
        const style = line === 0 ? 'dim' : typeof cell === 'object' ? cell.style : undefined;
        const shown = paint(text, style, options.color ?? false);
        return column.align === 'right' ? gap + shown : shown + gap;
      })
      .join('  ')
      .trimEnd(),
  );
  const indent = options.indent ?? '';
  return lines.map((line) => `${indent}${line}\n`).join('');
}

/** Lays out `name: value` lines with aligned values. */
export function renderFields(fields: readonly (readonly [string, Cell])[], color = false): string {
  const width = Math.max(0, ...fields.map(([name]) => name.length)) + 2;
  return fields
    .map(([name, cell]) => {
      const text = paint(cellText(cell), typeof cell === 'object' ? cell.style : undefined, color);
      return `${`${name}:`.padEnd(width)}${text}`.trimEnd().concat('\n');
    })
    .join('');
}

/** Colours a text where `color` is true. */
export function paint(text: string, style: Style | undefined, color: boolean): string {
  return color && style ? styleText(style, text, { validateStream: false }) : text;
}

/**
 * Columns that a text takes in a terminal: wide East Asian characters and emoji count twice, marks
 * not at all.
 */
export function textWidth(text: string): number {
  let width = 0;
  for (const char of text) {
    if (/\p{Mark}|\u200d|\ufe0f/u.test(char)) {
      continue;
    }
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
        char,
      )
        ? 2
        : 1;
  }
  return width;
}

function cellText(cell: Cell): string {
  if (typeof cell === 'object') {
    return printable(cell.text);
  }
  return typeof cell === 'number' ? String(cell) : printable(cell);
}
