/**
 * The table of every list: rows that are seen are drawn, the others are asked for when they come
 * near. The server sorts, filters and pages; this only shows. Readers are told the true number of
 * rows, and rows have the keys of an operator: arrows, page keys, Home, End, Enter, Space. It has
 * roles and no <table>, because rows that are not drawn have no place in one.
 */
import { Checkbox, Tooltip } from '@mantine/core';
import { useVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, memo, type ReactNode, useCallback, useEffect, useId, useRef, useState } from 'react';
import { text } from '../text/index.ts';
import classes from './table.module.css';
import { type Tail, useTail } from './table-tail.ts';

/** Pixels of a row: fixed, since measured heights make a virtual list flicker. */
const ROW_PX = 30;
/** Rows from the end of what is here at which the next page is asked for. */
const AHEAD = 40;

export interface Column<T> {
  key: string;
  header: string;
  /** Of a CSS grid: `120px`, `minmax(120px, 2fr)`. */
  width: string;
  /** The field that the server sorts by; without, the column cannot be sorted. */
  sort?: string;
  align?: 'end';
  cell(row: T): ReactNode;
}

/** Rows that can be chosen with a check box. */
export interface Choice<T> {
  chosen: ReadonlySet<string>;
  toggle(row: T): void;
  /** Why a row cannot be chosen; undefined: it can. */
  refused(row: T): string | undefined;
}

export interface TableProps<T> {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  /** How many there are in all; null: not known. */
  total: number | null;
  idOf(row: T): string;
  /** `-field` for descending. */
  sort?: string;
  onSort?(sort: string): void;
  onOpen?(row: T): void;
  /** Asked for when the end comes near. Undefined: this is all. */
  onMore?: (() => void) | undefined;
  choice?: Choice<T>;
  /** What stands there while there are no rows. */
  empty: ReactNode;
  /** Pixels; default: what the page leaves. */
  height?: number;
  /** Index of the row that is shown beside the table. */
  opened?: number | undefined;
  /** For a list that grows at its end. */
  tail?: Tail;
}

export function DataTable<T>(props: TableProps<T>): ReactNode {
  const { label, columns, rows, total, idOf, onMore, onOpen, choice, empty, height, opened, tail } = props;
  const box = useRef<HTMLDivElement>(null);
  const prefix = useId();
  const [at, setAt] = useState(0);
  const active = tail?.isOn ? rows.length - 1 : Math.min(at, rows.length - 1);
  const onScroll = useTail(box, rows, tail);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_PX,
    overscan: 6,
    getItemKey: useCallback((index: number) => idOf(rows[index]!), [idOf, rows]),
  });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (last >= rows.length - AHEAD) {
      onMore?.();
    }
  }, [last, rows.length, onMore]);

  const go = (to: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, to));
    if (next < rows.length - 1) {
      tail?.onLeave();
    }
    setAt(next);
    virtual.scrollToIndex(next);
  };
  const onLeave = tail?.onLeave;
  const choose = useCallback(
    (index: number) => {
      setAt(index);
      onLeave?.();
    },
    [onLeave],
  );
  const onKeyDown = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor((box.current?.clientHeight ?? 0) / ROW_PX) - 2);
    const places: Record<string, number> = {
      ArrowDown: active + 1,
      ArrowUp: active - 1,
      PageDown: active + page,
      PageUp: active - page,
      Home: 0,
      End: rows.length - 1,
    };
    const row = rows[active];
    const place = places[event.key];
    if (event.target !== box.current || row === undefined) {
      return;
    }
    if (place !== undefined) {
      event.preventDefault();
      go(place);
    } else if (event.key === 'Enter' && onOpen) {
      event.preventDefault();
      onOpen(row);
    } else if (event.key === ' ' && choice) {
      event.preventDefault();
      choice.toggle(row);
    }
  };
  const template = [...(choice ? ['32px'] : []), ...columns.map(({ width }) => width)].join(' ');
  const minWidth = template.split(' ').reduce((sum, part) => sum + Number(/(\d+)px/.exec(part)?.[1] ?? 0), 0);
  const rowId = (index: number) => `${prefix}-${index}`;
  const seen = items.some(({ index }) => index === active);
  return (
    <div
      ref={box}
      className={classes.box}
      role="grid"
      aria-label={label}
      aria-rowcount={total === null ? -1 : total + 1}
      aria-colcount={columns.length + (choice ? 1 : 0)}
      aria-multiselectable={choice ? true : undefined}
      aria-activedescendant={seen ? rowId(active) : undefined}
      tabIndex={0}
      onKeyDown={onKeyDown}
      onScroll={onScroll}
      style={height === undefined ? undefined : { height, flex: 'none' }}
    >
      <HeaderRow {...props} template={template} minWidth={minWidth} />
      {rows.length === 0 ? (
        <Nothing columns={columns.length + (choice ? 1 : 0)}>{empty}</Nothing>
      ) : (
        <div role="rowgroup" className={classes.rows} style={{ height: virtual.getTotalSize(), minWidth }}>
          {items.map(({ index, key, start }) => {
            const one = rows[index]!;
            return (
              <Row
                key={key}
                id={rowId(index)}
                index={index}
                top={start}
                template={template}
                columns={columns as readonly Column<unknown>[]}
                row={one}
                isActive={index === active}
                onClick={choose}
                onOpen={onOpen as ((row: unknown) => void) | undefined}
                choice={choice as Choice<unknown> | undefined}
                isChosen={choice ? choice.chosen.has(idOf(one)) : index === opened}
              />
            );
          })}
        </div>
      )}
    </div>
  );
}

function Nothing({ columns, children }: { columns: number; children: ReactNode }): ReactNode {
  return (
    <div role="rowgroup">
      <div role="row" tabIndex={-1} className={classes.empty}>
        <div role="gridcell" tabIndex={-1} aria-colspan={columns}>
          {children}
        </div>
      </div>
    </div>
  );
}

function HeaderRow<T>({
  columns,
  choice,
  sort = '',
  onSort,
  template,
  minWidth,
}: TableProps<T> & { template: string; minWidth: number }): ReactNode {
  const [field, descending] = sort.startsWith('-') ? [sort.slice(1), true] : [sort, false];
  return (
    <div role="rowgroup" className={classes.head} style={{ minWidth }}>
      <div role="row" tabIndex={-1} aria-rowindex={1} className={classes.row} style={{ gridTemplateColumns: template }}>
        {choice && (
          <div role="columnheader" tabIndex={-1} className={classes.cell}>
            <span className="hidden-text">{text.table.chosen}</span>
          </div>
        )}
        {columns.map((column) => {
          const by = column.sort;
          const isSorted = by !== undefined && by === field;
          const order = descending ? 'descending' : 'ascending';
          return (
            <div
              key={column.key}
              role="columnheader"
              tabIndex={-1}
              className={classes.cell}
              data-align={column.align}
              aria-sort={isSorted ? order : undefined}
            >
              {by !== undefined && onSort ? (
                <button
                  type="button"
                  className={classes.sort}
                  onClick={() => onSort(isSorted && !descending ? `-${by}` : by)}
                >
                  {column.header}
                  <span aria-hidden="true">{isSorted ? (descending ? ' ▾' : ' ▴') : ''}</span>
                </button>
              ) : (
                column.header
              )}
            </div>
          );
        })}
      </div>
    </div>
  );
}

interface RowProps {
  id: string;
  index: number;
  top: number;
  template: string;
  columns: readonly Column<unknown>[];
  row: unknown;
  isActive: boolean;
  onClick(index: number): void;
  onOpen: ((row: unknown) => void) | undefined;
  choice: Choice<unknown> | undefined;
  isChosen: boolean;
}

const Row = memo(function Row(props: RowProps): ReactNode {
  const { id, index, top, template, columns, row, isActive, onClick, onOpen, choice, isChosen } = props;
  const refused = choice?.refused(row);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid has the keys for all its rows
    <div
      id={id}
      role="row"
      tabIndex={-1}
      aria-rowindex={index + 2}
      aria-selected={choice || isChosen ? isChosen : undefined}
      aria-disabled={refused === undefined ? undefined : true}
      className={classes.row}
      data-active={isActive || undefined}
      style={{ gridTemplateColumns: template, transform: `translateY(${top}px)` }}
      onClick={() => onClick(index)}
      onDoubleClick={() => onOpen?.(row)}
    >
      {choice && (
        <div role="gridcell" tabIndex={-1} className={classes.cell}>
          <Tooltip label={refused} disabled={refused === undefined} multiline maw={360}>
            <Checkbox
              tabIndex={-1}
              checked={isChosen}
              disabled={refused !== undefined}
              onChange={() => choice.toggle(row)}
              aria-label={text.table.choose}
            />
          </Tooltip>
        </div>
      )}
      {columns.map(({ key, align, cell }) => (
        <div key={key} role="gridcell" tabIndex={-1} className={classes.cell} data-align={align}>
          {cell(row)}
        </div>
      ))}
    </div>
  );
});
