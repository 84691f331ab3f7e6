/** Lines of aligned columns: numbers to the right, text to the left. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => String(row[i] ?? '').length)));
  const right = head.map((_, i) => rows.some((row) => typeof row[i] === 'number'));
  const line = (cells: readonly (string | number)[]) =>
    cells
      .map((cell, i) => (right[i] ? String(cell).padStart(widths[i]!) : String(cell).padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)].join('\n');
}
