/** Requests of the API: made by the document, and then changed in one to three ways. */
import type { Random } from '../chaos/random.ts';
import type { Api, Operation, Parameter } from './openapi.ts';
import { type Learned, nameOf, oddText, twisted, valueFor } from './values.ts';

/** A request, before it is bytes. */
export interface FuzzRequest {
  operation: Operation;
  method: string;
  /** Path and query, as it is sent. */
  target: string;
  /** Name and value, in order. A name may come twice. */
  headers: [name: string, value: string][];
  body: Buffer | undefined;
  /** Whether the body is sent in chunks. */
  chunked: boolean;
  version: string;
}

/** The request as bytes. */
export function bytesOf({ method, target, headers, body, chunked, version }: FuzzRequest): Buffer {
  const all = [...headers];
  if (body !== undefined && !headers.some(([name]) => name.toLowerCase() === 'content-length')) {
    all.push(chunked ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(body.length)]);
  }
  const lines = all.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const head = Buffer.from(`${method} ${target} HTTP/${version}\r\n${lines}\r\n`);
  if (body === undefined) {
    return head;
  }
  const chunk = Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')]);
  return Buffer.concat([head, !chunked ? body : body.length > 0 ? chunk : Buffer.from('0\r\n\r\n')]);
}

/** A request that the document allows, most often. */
export function requestOf(
  operation: Operation,
  api: Api,
  { token, learned }: { token: string; learned: Learned },
  random: Random,
): FuzzRequest {
  const of = (place: Parameter['in']) =>
    operation.parameters.filter((one) => one.in === place && (one.required === true || random.chance(0.4)));
  const text = (parameter: Parameter) => textOf(parameter, api, random);
  const path = operation.path.replaceAll(/(\w+)\/\{\w+\}/g, (_all, kind: string) => {
    return `${kind}/${encodeURIComponent(nameOf(kind, random, learned))}`;
  });
  const query = of('query').map((one) => `${one.name}=${encodeURIComponent(text(one))}`);
  const [, kind = ''] = /(\w+)(\/\{\w+\})?$/.exec(operation.path) ?? [];
  const value = operation.body && valueFor(operation.body.schema, api, random, kind);
  return {
    operation,
    method: operation.method,
    target: query.length === 0 ? path : `${path}?${query.join('&')}`,
    headers: [
      ['Host', 'controller'],
      ['Connection', 'close'],
      ['Authorization', `Bearer ${token}`],
      ...of('header').map((one): [string, string] => [one.name, random.pick(['*', '"1"', '"7"'])]),
      ...(operation.body ? [['Content-Type', random.pick(operation.body.types)] as [string, string]] : []),
    ],
    body: operation.body && Buffer.from(JSON.stringify(value)),
    chunked: random.chance(0.2),
    version: '1.1',
  };
}

function textOf({ name, schema }: Parameter, api: Api, random: Random): string {
  const value = valueFor(schema, api, random, name);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** One way to change a request. */
type Way = (request: FuzzRequest, random: Random) => void;

const TYPES = [
  'application/yaml',
  'text/plain',
  'application/json; charset=utf-16',
  'application/json;charset=utf-8',
  'APPLICATION/JSON',
  'application/merge-patch+json',
  'application/json, text/html',
  'multipart/form-data; boundary=x',
  'application/x-www-form-urlencoded',
  '',
  '/',
  ';;;',
];

const TAGS = ['*', 'W/"1"', '"1", "2"', '1', '""', '"', ',,,', '"\u00ff"', '* , *', `"${'9'.repeat(3000)}"`];

const AUTHORIZATIONS = [
  '',
  'Bearer',
  'Bearer ',
  'Bearer x',
  'Basic YTpi',
  'bearer  x',
  'Bearer \u00e9',
  'Digest a="b"',
];

const PARTS = [
  '%00',
  '%zz',
  '%',
  '%c0%af',
  '%e9',
  '%9b2J',
  '%1b%5b2J',
  '..',
  '%2e%2e%2f',
  '%2f',
  '%ff%fe',
  '\u00e9',
  '|',
];

/** Bodies that are no JSON, or JSON that few parsers agree on. */
const BODIES = [
  '',
  ' ',
  '{',
  '}',
  '[',
  'nul',
  '{"a":1}{"a":1}',
  '{"name":"a","name":"b"}',
  '{"__proto__":{"enabled":false},"constructor":{"prototype":{"x":1}}}',
  '"text"',
  '1e400',
  '-',
  '\ufeff{}',
  '{"a":\u00001}',
  '{"percent":1e-400}',
  '{"percent":00}',
  "{'a':1}",
  '// x\n{}',
  `${'['.repeat(300_000)}`,
  `${'{"a":'.repeat(150_000)}1`,
  `"${'\\u001b'.repeat(100_000)}`,
  `{"x":${'9'.repeat(500_000)}}`,
];

const setHeader = (request: FuzzRequest, name: string, value: string) => {
  request.headers = [...request.headers.filter(([one]) => one !== name), [name, value]];
};

const addQuery = (request: FuzzRequest, ...parameters: string[]) => {
  request.target += (request.target.includes('?') ? '&' : '?') + parameters.join('&');
};

const QUERY_WAYS: readonly Way[] = [
  // A parameter that is known, twice or with an odd value.
  (request, random) => {
    const known = request.operation.parameters.filter((one) => one.in === 'query');
    const name = known.length > 0 ? random.pick(known).name : 'limit';
    const times = random.pick([1, 1, 2, 3, 200]);
    addQuery(request, ...Array.from({ length: times }, () => `${name}=${encodeText(oddText(random).slice(0, 600))}`));
  },
  (request, random) =>
    addQuery(request, `limit=${random.pick(['0', '-1', '1001', '1e3', '0x10', '', '1,2', ' 5', 'Infinity'])}`),
  (request, random) => addQuery(request, `continue=${cursor(random)}`),
  (request, random) =>
    addQuery(
      request,
      `sort=${random.pick(['', '-', '--name', 'constructor', '-__proto__', 'name,name', 'NAME', 'x'])}`,
    ),
  (request, random) => addQuery(request, `filter=${encodeText(filterText(random))}`),
  (request, random) => addQuery(request, `${encodeText(oddText(random).slice(0, 300))}=1`),
  (request, random) => addQuery(request, ...Array.from({ length: random.pick([20, 2000]) }, (_, at) => `a${at}`)),
  (request, random) =>
    addQuery(request, random.pick(['__proto__=1', 'constructor[x]=1', '&&&', '=', '=1', '%zz=1', '?', 'a=%', '#x'])),
];

const HEADER_WAYS: readonly Way[] = [
  (request, random) => setHeader(request, 'Content-Type', random.pick(TYPES)),
  (request, random) => setHeader(request, 'Authorization', random.pick(AUTHORIZATIONS)),
  (request, random) => setHeader(request, random.pick(['If-Match', 'If-None-Match']), random.pick(TAGS)),
  (request, random) =>
    setHeader(request, 'Last-Event-ID', random.pick(['-1', 'x', '1e99', '', '9'.repeat(400), '0x1'])),
  // Any header twice: equal, or with another value.
  (request, random) => {
    const [name, value] = random.pick(request.headers);
    request.headers.push([name, random.chance(0.5) ? value : 'x']);
  },
  (request, random) => {
    const name = random.pick([
      'Cookie',
      'Origin',
      'Sec-Fetch-Site',
      'X-Forwarded-Host',
      'X-Mirrorplane-CSRF',
      'Accept',
      'X',
    ]);
    request.headers.push([name, headerText(oddText(random))]);
  },
  (request, random) => {
    const count = random.pick([20, 100, 500, 3000]);
    request.headers.push(...Array.from({ length: count }, (_, at): [string, string] => [`X-${at}`, '']));
  },
  (request, random) => request.headers.push(['X-Long', 'x'.repeat(random.pick([100, 8000, 15_000, 100_000]))]),
  (request, random) => request.headers.push(random.pick(ODD_HEADERS)),
];

/** Headers that change how a message is read. */
const ODD_HEADERS: readonly [string, string][] = [
  ['Expect', '100-continue'],
  ['Expect', 'x'],
  ['Upgrade', 'websocket'],
  ['Upgrade', 'h2c'],
  ['Transfer-Encoding', 'gzip'],
  ['Transfer-Encoding', 'chunked, identity'],
  ['Content-Length', '-1'],
  ['Content-Length', '0'],
  ['Content-Length', '99999999999999999999'],
  ['Content-Encoding', 'gzip'],
  ['Host', ''],
  ['Host', 'a\u0001b'],
  ['Bad Name', 'x'],
  ['', 'x'],
  ['X\u0000', 'x'],
  ['X-Folded', 'a\r\n b'],
  ['X-Bare', 'a\rb'],
  ['Range', 'bytes=0-'],
  ['Accept-Encoding', 'gzip;q=x'],
];

const OTHER_WAYS: readonly Way[] = [
  (request, random) => {
    request.target = request.target.replace(/(\/)[^/?]*(\?|$)/, (_all, slash, end) => {
      return `${slash}${encodeText(oddText(random)).slice(0, 2000)}${end}`;
    });
  },
  (request, random) => {
    request.target = request.target.replace(/(\?|$)/, `/${random.pick(PARTS)}$1`);
  },
  (request, random) => {
    const targets = [
      '*',
      'http://x/api/v1/policies',
      '//',
      '/',
      'x',
      '/api/v1/%2e%2e/audit',
      `/${'a'.repeat(15_000)}`,
      '/assets/..%2f..%2fx',
    ];
    request.target = random.pick(targets);
  },
  (request, random) => {
    request.method = random.pick([
      'GET',
      'HEAD',
      'POST',
      'PUT',
      'PATCH',
      'DELETE',
      'OPTIONS',
      'TRACE',
      'CONNECT',
      'QUERY',
      'get',
      'PROPFIND',
      'X',
      'G\u00c9T',
    ]);
  },
  (request, random) => {
    request.version = random.pick(['1.0', '0.9', '2.0', '1.2', '9', '1.1\u0000', '']);
  },
  (request, random) => {
    request.body = Buffer.from(random.pick(BODIES));
  },
  (request, random) => {
    const bytes = Buffer.from(request.body ?? '{}');
    if (bytes.length > 0) {
      bytes[random.int(bytes.length)] = random.int(256);
    }
    request.body = bytes;
  },
  (request, random) => {
    const size = random.pick([1 << 20, (1 << 20) + 1, 5 << 20]);
    request.body = Buffer.alloc(size, ' ');
    request.body[0] = 0x7b;
    request.body[size - 1] = 0x7d;
  },
  (request, random) => {
    // As JSON, with another encoding than UTF-8.
    request.body = Buffer.from(request.body?.toString() ?? '{}', random.pick(['utf16le', 'latin1']));
  },
];

/** Changes a request in one to three ways, most often the value of its body. */
export function mutate(request: FuzzRequest, random: Random): void {
  for (let count = random.pick([1, 1, 1, 2, 3]); count > 0; count--) {
    const kind = random.int(10);
    if (kind < 7 && request.operation.body) {
      twistBody(request, random);
    } else {
      random.pick(random.pick([QUERY_WAYS, QUERY_WAYS, HEADER_WAYS, OTHER_WAYS]))(request, random);
    }
  }
}

function twistBody(request: FuzzRequest, random: Random): void {
  try {
    request.body = Buffer.from(JSON.stringify(twisted(JSON.parse(String(request.body)), random)));
  } catch {
    // It is no JSON any more, or too deep to be written. It stays as it is.
  }
}

/** A place in a list, which is none or was changed. */
function cursor(random: Random): string {
  const places: unknown[] = [
    { sort: 'name', after: 'a' },
    { sort: 'name', after: '\u001b[2J' },
    { sort: '-name', walk: 'x', at: 0 },
    { sort: 'type', walk: '__proto__', at: 2 ** 52 },
    { sort: 'id', after: 1 },
    { sort: 'name', after: 'a', more: 1 },
    null,
    [],
  ];
  return random.pick([
    Buffer.from(JSON.stringify(random.pick(places))).toString('base64url'),
    'AAAA',
    '',
    'x'.repeat(512),
    '%00',
    encodeText(oddText(random).slice(0, 100)),
  ]);
}

function filterText(random: Random): string {
  return random.pick([
    'kind:',
    'constructor:x',
    '__proto__:x',
    ':',
    '"',
    '"unterminated',
    'a '.repeat(17),
    'x'.repeat(513),
    'state:active state:failed',
    '\u001b[31m',
    '(a+)+$',
    'İ'.repeat(200),
    oddText(random),
  ]);
}

/** Percent-encoded, also where a text is not well-formed. */
function encodeText(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

/** Without what would end the header. */
function headerText(text: string): string {
  return text.toWellFormed().replaceAll(/[\r\n\0]/g, ' ');
}
