/** Files that nobody should write: each is refused with a message, soon, and leaves the terminal alone. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseDocuments } from '../src/documents.ts';
import { CliError } from '../src/exit.ts';
import { errorText } from '../src/output/errors.ts';
import { renderData } from '../src/output/render.ts';
import { harmless } from '../src/output/terminal.ts';

/** Each of these took longer than a minute, or does so where a parser compares all with all. */
const options = { timeout: 30_000 };
/** The random cases of `make test` are always the same. `make fuzz` tries more, and others. */
const RANDOM = process.env.FUZZ_RUNS ? { numRuns: Number(process.env.FUZZ_RUNS) } : { numRuns: 300, seed: 1 };
const CONTROLS = /[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069]/u;

/** The refusal of a text. @throws AssertionError if it is accepted, or fails in another way */
function refusal(text: string): string {
  try {
    parseDocuments(text, 'f');
  } catch (error) {
    assert.ok(error instanceof CliError && error.exit === 'usage', String((error as Error).stack));
    return error.message;
  }
  return assert.fail(`${text.slice(0, 100)} is accepted`);
}

const lines = (count: number, line: (at: number) => string) => Array.from({ length: count }, (_, at) => line(at));
const LAUGHS = lines(
  9,
  (at) => `${'abcdefghi'[at]}: &${'abcdefghi'[at]} [${Array(9).fill(at ? `*${'abcdefghi'[at - 1]}` : 'ha')}]`,
);

const CASES: [what: string, text: string, message: RegExp][] = [
  ['60,000 keys', lines(60_000, (at) => `k${at}: 0`).join('\n'), /it has no "kind"/],
  ['60,000 keys in braces', `{${lines(60_000, (at) => `k${at}: 0`)}}`, /it has no "kind"/],
  ['a set of 30,000 keys', `!!set {${lines(30_000, (at) => `k${at}`)}}`, /it has no "kind"/],
  ['a key that is given twice', '{kind: Domain, name: a, name: b}', /"name" is given twice/],
  ['a mapping as a key', '{[a, "\u001b[2J"]: b}', /a key is no text/],
  ['as many levels as a stack has', '['.repeat(200_000), /more than 12 levels/],
  ['levels of mappings', `${lines(3000, (at) => `${' '.repeat(at)}a:`).join('\n')}`, /more than 12 levels/],
  ['13 levels', `${'['.repeat(13)}${']'.repeat(13)}`, /more than 12 levels/],
  ['aliases of aliases', LAUGHS.join('\n'), /alias/],
  ['a value that contains itself', 'kind: Domain\nname: d\ndescription: &x {y: *x}', /more than 12 levels/],
  ['a list that contains itself', '&a [*a]', /more than 12 levels/],
  ['200,000 entries', '-\n'.repeat(200_000), /entry 1: this is not a mapping/],
  ['20,000 errors', 'a: "\\q"\n'.repeat(20_000), /Invalid escape sequence/],
  ['16 million empty lines', '\n'.repeat(16_000_000), /more than 1000000 lines: divide it/],
  ['an endless text', `"${'a\n'.repeat(500_000)}`, /Missing closing/],
  ['a NUL', 'kind: Domain\0\nname: a\n', /"Domain\\u0000" is not known/],
  ['a kind of escapes', 'kind: "\\e[2J\\x9b2J"\nname: a', /is not known/],
  ['escapes in an error of the parser', 'kind: [\u001b[2J\u009b: {', /Missing/],
  [
    'escapes in a name',
    '{kind: Domain, name: "a\u009b\u202e"}\n---\n{kind: Domain, name: "a\u009b\u202e"}',
    /is already in/,
  ],
];

describe('a file', () => {
  for (const [what, text, message] of CASES) {
    it(`with ${what} is refused`, options, async () => {
      const refused = refusal(text);
      assert.match(refused, message);
      const shown = harmless(await errorText(new CliError('usage', refused)));
      assert.doesNotMatch(shown, CONTROLS);
      assert.ok(shown.length < 1000, shown);
    });
  }

  it('may have a mark of its encoding, and lines that end as on Windows', () => {
    const [document] = parseDocuments('\ufeffkind: Domain\r\nname: a\r\ndescription: b\r\n', 'f');
    assert.deepEqual([document!.name, document!.spec], ['a', { description: 'b' }]);
  });

  it('with a field named __proto__ has it, and changes nothing else', () => {
    const [document] = parseDocuments('{"kind": "Policy", "name": "a", "__proto__": {"enabled": false}}', 'f');
    assert.deepEqual(Object.keys(document!.spec).sort(), ['__proto__', 'name']);
    assert.equal(document!.spec.enabled, undefined);
  });

  it('of any text is read or refused', () => {
    const token = fc.constantFrom(
      ...[
        'kind',
        ': ',
        'Policy',
        '\n',
        '  ',
        '- ',
        '[',
        ']',
        '{',
        '}',
        ', ',
        '"',
        "'",
        '&a ',
        '*a',
        '!!',
        '|',
        '>',
        '#',
      ],
      ...['---\n', '? ', '<<: ', '%', '\t', '\0', '\r', '\u001b[2J', '\u009b', '\ufeff', '\\', '@', '1e9', '~', 'é'],
    );
    fc.assert(
      fc.property(fc.array(token, { maxLength: 40 }), (tokens) => {
        try {
          parseDocuments(tokens.join(''), 'f', 'Policy');
        } catch (error) {
          assert.ok(error instanceof CliError && error.exit === 'usage', String((error as Error).stack));
        }
      }),
      RANDOM,
    );
  });
});

describe('output', () => {
  it('in JSON and YAML can be read again, and controls no terminal', () => {
    const odd = fc.array(
      fc.constantFrom('a', ' ', '\n', '\t', ':', '#', '\u001b[2J', '\u009b', '\u007f', '\u202e', '"', '- '),
    );
    const text = odd.map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('name', 'message', 'x'), text), text, (some, key) => {
        const data = { kind: 'Domain', name: 'd', deep: { ...some, [`k${key}`]: [key] } };
        for (const format of ['json', 'yaml'] as const) {
          const shown = renderData(data, format);
          assert.doesNotMatch(shown, CONTROLS);
          const [{ spec } = { spec: {} }] = parseDocuments(shown, 'f');
          assert.deepEqual(spec, { deep: { ...data.deep } });
        }
      }),
      RANDOM,
    );
  });
});

describe('what is printed', () => {
  it('keeps our colours, and no other sequence', () => {
    assert.equal(harmless('\x1b[32mok\x1b[39m\x1b[H\x1b[K\n\x1b[J'), '\x1b[32mok\x1b[39m\x1b[H\x1b[K\n\x1b[J');
    assert.equal(harmless('\x1b[8mhidden\x1b[2J\r\x07'), '\ufffd[8mhidden\ufffd[2J\ufffd\ufffd');
  });
});
