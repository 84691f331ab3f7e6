/** The filter of a list: words that an item has to contain, and `KEY:VALUE`. */
import { refuseField } from '../problems/problems.ts';
import type { ListSpec } from './list-spec.ts';

type Filterable<T> = Pick<ListSpec<T>, 'key' | 'texts' | 'text' | 'filter'>;

/** Words of a filter at most. */
const MAX_WORDS = 16;

/** A filter in its parts. */
interface Words {
  /** That are looked for as they are, in lower case. */
  plain: string[];
  /** The others: `KEY:VALUE`. They are a filter themselves. */
  keyed: string;
}

/** @throws ProblemError where it is no filter */
export function wordsOf<T>(spec: Filterable<T>, text: string): Words {
  filterOf(spec, text);
  const words = matchesOf(text);
  const isKeyed = ([, quoted, , word]: RegExpExecArray) => quoted === undefined && KEYED.test(word!);
  return {
    plain: words.filter((one) => !isKeyed(one)).map(([, quoted, , word]) => quoted ?? word!),
    keyed: words
      .filter(isKeyed)
      .map(([word]) => word)
      .join(' '),
  };
}

const KEYED = /^([a-z]+):(.*)$/;

function matchesOf(text: string): RegExpExecArray[] {
  return [...text.toLowerCase().matchAll(/"([^"]*)("?)|(\S+)/g)];
}

/** @returns whether an item is wanted @throws ProblemError where a key is unknown */
export function filterOf<T>(spec: Filterable<T>, text: string): (item: T) => boolean {
  const words = matchesOf(text);
  if (words.some(([, quoted, end]) => quoted !== undefined && end === '')) {
    refuseField('filter', 'a double quote is not closed: put another one behind the last word, or remove it');
  }
  if (words.length > MAX_WORDS) {
    refuseField('filter', `the filter has more than ${MAX_WORDS} words: use fewer`);
  }
  const conditions = words.map(([, quoted, , word]) =>
    quoted === undefined ? conditionOf(spec, word!) : has(spec, quoted),
  );
  return (item) => conditions.every((condition) => condition(item));
}

function conditionOf<T>(spec: Filterable<T>, word: string): (item: T) => boolean {
  const [, key, value] = KEYED.exec(word) ?? [];
  if (key === undefined || value === undefined) {
    return has(spec, word);
  }
  const found = Object.entries(spec.filter).find(([name]) => name.toLowerCase() === key);
  if (!found) {
    const known = Object.keys(spec.filter);
    const keys = known.length === 0 ? 'this list has no keys' : `use ${known.join(', ')}`;
    refuseField(
      'filter',
      `"${key}" is not a key of the filter: ${keys}; to look for the word, write "${word}" in double quotes`,
    );
  }
  return (item) => found[1](item, value);
}

function has<T>({ key, texts, text: kept }: Filterable<T>, word: string): (item: T) => boolean {
  if (kept) {
    return (item) => kept(item).includes(word);
  }
  return (item) => {
    if (key(item).toLowerCase().includes(word)) {
      return true;
    }
    for (const text of texts(item)) {
      if (text?.toLowerCase().includes(word)) {
        return true;
      }
    }
    return false;
  };
}

/** Whether a value of an item is the one that is asked for. */
export function isValue(value: string | undefined, wanted: string): boolean {
  return value?.toLowerCase() === wanted;
}

/** Whether `yes` or `no` is asked for. */
export function isYes(value: boolean, wanted: string): boolean {
  return value ? wanted === 'yes' : wanted === 'no';
}
