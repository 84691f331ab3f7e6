/** Values: those that a schema allows, those that nobody should send, and the latter in place of the former. */
import type { Random } from '../chaos/random.ts';
import type { Api, Schema } from './openapi.ts';

const INTERFACES = ['web-1/0', 'web-2/0', 'ids-1/0', 'uplink'];
/** Names of the cluster that the requests are about, and such that are nowhere. */
export const NAMES = ['blue', 'east', 'west', 'node-1', 'node-2', 'p1', 'p2', ...INTERFACES];

/** Names that suit a field or a part of a path. */
const NAMES_OF: Readonly<Record<string, readonly string[]>> = {
  policies: ['p1', 'p2', 'p3'],
  interfaces: INTERFACES,
  sources: ['web-1/0', 'web-2/0'],
  destination: ['ids-1/0', 'uplink'],
  nodes: ['node-1', 'node-2'],
  node: ['node-1', 'node-2'],
  pools: ['east', 'west'],
  pool: ['east', 'west'],
  domains: ['blue', 'green'],
  domain: ['blue', 'green'],
};

/** Names that the controller has chosen, as ids of looks, by the last part of their list's path. */
export type Learned = Map<string, string[]>;

/** A name, which most often suits the field or the part of a path before it. */
export function nameOf(place: string, random: Random, learned?: Learned): string {
  const suiting = learned?.get(place) ?? (Object.hasOwn(NAMES_OF, place) ? NAMES_OF[place]! : NAMES);
  return random.pick(random.chance(0.9) ? suiting : NAMES);
}

/** Texts that are names to one part of a system and something else to another. */
const TEXTS: readonly string[] = [
  '',
  ' ',
  '0',
  '-1',
  '100',
  '1e2',
  '0x10',
  'null',
  'true',
  'NaN',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '../../etc/passwd',
  'a/../b',
  '.',
  '..',
  'a\0b',
  'a\nb',
  'a\r\nX-Injected: 1',
  '\u001b[2J\u001b]0;title\u0007',
  '\u009b2J',
  '\u007f',
  '\u202eevil\u2066',
  '\ufeffblue',
  'bl\u00fce',
  'blu\u0308e',
  'ﬁ',
  'K',
  'ſ',
  'web\u200b-1/0',
  '𝓫𝓵𝓾𝓮',
  '\ud800',
  '👩‍👩‍👧‍👧',
  "' OR 1=1 --",
  '<script>alert(1)</script>',
  '{{7*7}}',
  '$(id)',
  '%s%n%x',
  '"',
  '\\',
  'W/"1"',
];

const NUMBERS: readonly number[] = [
  0,
  -0,
  -1,
  1,
  0.005,
  0.01,
  33.333,
  99.99,
  99.999,
  100,
  100.01,
  1023,
  1024,
  1025,
  4094,
  4095,
  65_536,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 53 + 2,
  2 ** 63,
  1e21,
  1e308,
  -1e308,
  5e-324,
];

/**
 * A value that the schema allows, most often.
 * @param field the name of the field
 * @param depth levels that are left
 */
export function valueFor(schema: Schema, api: Api, random: Random, field = '', depth = 8): unknown {
  const found = api.resolve(schema);
  const { enum: choices, anyOf, oneOf, examples = [], default: usual } = found;
  const options = anyOf ?? oneOf;
  if (depth === 0) {
    return null;
  }
  if (found.const !== undefined) {
    return found.const;
  }
  if (choices) {
    return random.pick(choices);
  }
  if (options) {
    return valueFor(random.pick(options), api, random, field, depth - 1);
  }
  if (examples.length > 0 && random.chance(0.3)) {
    return structuredClone(random.pick(examples));
  }
  if (usual !== undefined && random.chance(0.3)) {
    return usual;
  }
  return ofType(found, api, random, field, depth);
}

function ofType(schema: Schema, api: Api, random: Random, field: string, depth: number): unknown {
  const { type, properties = {}, required = [], items, minItems = 0 } = schema;
  switch (type) {
    case 'object': {
      const wanted = Object.entries(properties).filter(([name]) => required.includes(name) || random.chance(0.5));
      return Object.fromEntries(wanted.map(([name, of]) => [name, valueFor(of, api, random, name, depth - 1)]));
    }
    case 'array':
      return Array.from({ length: minItems + random.int(3) }, () =>
        valueFor(items ?? {}, api, random, field, depth - 1),
      );
    case 'integer':
    case 'number':
      return numberOf(schema, random);
    case 'boolean':
      return random.chance(0.5);
    case 'string':
      return schema.format === 'date-time' ? '2026-01-31T12:00:00Z' : nameOf(field, random);
    default:
      return random.pick([null, 1, 'text', {}]);
  }
}

function numberOf({ type, minimum = 0, maximum = 1000 }: Schema, random: Random): number {
  const value = minimum + random.next() * (Math.min(maximum, minimum + 10_000) - minimum);
  return type === 'integer' ? Math.floor(value) : Math.round(value * 100) / 100;
}

/** A text that nobody should send. */
export function oddText(random: Random): string {
  switch (random.int(4)) {
    case 0:
      return random.pick(NAMES).normalize(random.pick(['NFC', 'NFD', 'NFKD'])) + random.pick(TEXTS);
    case 1:
      return 'x'.repeat(random.pick([63, 64, 128, 129, 512, 513, 1025, 5000]));
    case 2:
      return random.pick(['\u009b', '\u00e9', '𝓫', '\n', '"']).repeat(random.pick([40, 200, 2000]));
    default:
      return random.pick(TEXTS);
  }
}

/** A value that nobody should send, of any type and of any size that a body may have. */
export function oddValue(random: Random): unknown {
  const kind = random.int(100);
  if (kind < 35) {
    return oddText(random);
  }
  if (kind < 60) {
    return random.pick(NUMBERS);
  }
  if (kind < 90) {
    return random.pick<unknown>([null, true, false, [], {}, [[]], [null], { __proto__: null }, [{}], '']);
  }
  return largeValue(random);
}

function largeValue(random: Random): unknown {
  switch (random.int(6)) {
    case 0:
      return 'x'.repeat(random.pick([70_000, 900_000]));
    case 1:
      return Array.from({ length: random.pick([1024, 1025, 16_384, 16_385, 60_000]) }, (_, at) => `vm-${at}/0`);
    case 2:
      return Array.from({ length: random.pick([1025, 16_384]) }, () => random.pick<unknown>([null, 1, {}, 'a', '']));
    case 3:
      return Object.fromEntries(Array.from({ length: random.pick([65, 64, 20_000]) }, (_, at) => [`k${at}`, at]));
    case 4:
      return Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`${at}${'y'.repeat(12_000)}`, null]));
    default:
      return nested(random.pick([11, 12, 13, 1000, 4000]), random.chance(0.5));
  }
}

function nested(levels: number, asLists: boolean): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) {
    value = asLists ? [value] : { a: value };
  }
  return value;
}

/** The places of a value, from the whole to its leaves. */
function placesOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  const inner = typeof value === 'object' && value !== null ? Object.entries(value).slice(0, 50) : [];
  return [path, ...inner.flatMap(([key, at]) => placesOf(at, [...path, key]))];
}

/** The value with one place changed: replaced, removed, given twice, or with a field too many. */
export function twisted(value: unknown, random: Random): unknown {
  const places = placesOf(value);
  const path = random.pick(places);
  if (path.length === 0) {
    return random.chance(0.5) ? oddValue(random) : withField(value, random);
  }
  const copy = structuredClone(value) as Record<string, unknown>;
  const parent = path.slice(0, -1).reduce<Record<string, unknown>>((at, key) => at[key] as never, copy);
  const key = path.at(-1)!;
  const way = random.int(10);
  if (Array.isArray(parent) && way < 3) {
    parent.splice(Number(key), way === 0 ? 1 : 0, ...(way === 0 ? [] : [parent[Number(key)]]));
  } else if (way === 3) {
    delete parent[key];
  } else if (way === 4) {
    parent[key] = String(parent[key]);
  } else if (way === 5) {
    parent[key] = withField(parent[key], random);
  } else {
    parent[key] = oddValue(random);
  }
  return copy;
}

/** The object with a field that its schema does not know. */
function withField(value: unknown, random: Random): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [value];
  }
  return Object.fromEntries([...Object.entries(value), [oddText(random), oddValue(random)]]);
}
