/** What the address of a page of lists says. */

/** Sorting, filter and kinds of a list. */
export interface ListSearch {
  sort?: string;
  q?: string;
}
