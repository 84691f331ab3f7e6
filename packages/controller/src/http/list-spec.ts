/** How a list can be sorted and filtered. */

/** What a list can be sorted by. Null and undefined come last. */
export type Sortable = string | number | null | undefined;

/** How a list can be read. */
export interface ListSpec<T> {
  /**
   * Name of the field that is unique and never changes, and its value. A list has this order by
   * itself.
   */
  keyName: 'name' | 'id';
  key(item: T): string;
  /** Other fields that it can be sorted by. */
  sort: Readonly<Record<string, (item: T) => Sortable>>;
  /** Where words of the filter are looked for, beside the key. */
  texts(item: T): Iterable<string | undefined>;
  /** All of that and the key as one text in lower case, where it is kept. */
  text?: (item: T) => string;
  /** What `KEY:VALUE` in the filter asks for. The value is in lower case. */
  filter: Readonly<Record<string, (item: T, value: string) => boolean>>;
}
