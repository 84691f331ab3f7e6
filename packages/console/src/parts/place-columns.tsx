/** Columns that tables of interfaces have in common: which one, and where it is. */
import { Link } from '@tanstack/react-router';
import { Data } from './marks.tsx';
import type { Column } from './table.tsx';

/** The id of an interface, which leads to its page. @param least pixels */
export function idColumn<T extends { id: string }>(header: string, least: number): Column<T> {
  return {
    key: 'id',
    header,
    width: `minmax(${least}px,1fr)`,
    sort: 'id',
    cell: ({ id }) => (
      <Link to="/interfaces/$id" params={{ id }} tabIndex={-1} translate="no">
        {id}
      </Link>
    ),
  };
}

/** The node where it is. @param least pixels */
export function nodeColumn<T extends { node?: string | undefined }>(header: string, least: number): Column<T> {
  return {
    key: 'node',
    header,
    width: `minmax(${least}px,1fr)`,
    sort: 'node',
    cell: ({ node }) => <Data>{node}</Data>,
  };
}
