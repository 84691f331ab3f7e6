/**
 * A policy as it is typed: what is sent, what has changed, and what is kept when someone else was
 * faster.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  applyCommand,
  callOf,
  changedFields,
  createCommand,
  type Draft,
  EMPTY,
  fieldOf,
  parseIds,
  rebase,
  specOf,
  yamlOf,
} from '../src/form/draft.ts';

const draft = (part: Partial<Draft> = {}): Draft => ({
  ...EMPTY,
  name: 'ids-web',
  sources: ['web-1/0', 'web-2/0'],
  destination: 'ids-1/0',
  ...part,
});

test('a field that is empty is not sent, and a percent that was removed is refused by the rules', () => {
  assert.deepEqual(specOf(draft()), {
    name: 'ids-web',
    description: '',
    sources: ['web-1/0', 'web-2/0'],
    destination: 'ids-1/0',
    direction: 'all',
    percent: 100,
    enabled: true,
  });
  assert.equal(specOf(draft({ percent: '' })).percent, -1);
  assert.equal(specOf(draft({ vlanId: 100 })).vlanId, 100);
});

test('the order of sources is no change, and another source is one', () => {
  assert.deepEqual(changedFields(draft(), draft({ sources: ['web-2/0', 'web-1/0'] })), []);
  assert.deepEqual(changedFields(draft(), draft({ sources: ['web-1/0'], percent: 5 })), ['sources', 'percent']);
});

test('after a conflict, what was typed stands on top of what someone else has saved', () => {
  const before = draft();
  const mine = draft({ percent: 10, sources: ['web-1/0', 'db-1/0'] });
  const theirs = draft({ percent: 50, description: 'night', sources: ['web-1/0', 'web-2/0', 'app-1/0'] });
  assert.deepEqual(
    rebase(before, mine, theirs),
    draft({ percent: 10, description: 'night', sources: ['web-1/0', 'app-1/0', 'db-1/0'] }),
  );
});

test('a pasted list has commas, lines or spaces between its ids, and gives each id once', () => {
  assert.deepEqual(parseIds(' web-1/0, web-2/0\nweb-1/0;db-1/0 '), ['web-1/0', 'web-2/0', 'db-1/0']);
  assert.deepEqual(parseIds('  \n'), []);
});

test('a refusal of sources[3] is about the sources', () => {
  assert.equal(fieldOf('sources[3]'), 'sources');
  assert.equal(fieldOf('edge.node'), undefined);
});

test('document, command and call leave defaults out, and quote what a shell or YAML would read otherwise', () => {
  const odd = draft({ description: "it's: #1", percent: 12.5, enabled: false });
  assert.equal(
    yamlOf(odd),
    [
      'kind: Policy',
      'name: "ids-web"',
      'description: "it\'s: #1"',
      'sources:',
      '  - "web-1/0"',
      '  - "web-2/0"',
      'destination: "ids-1/0"',
      'percent: 12.5',
      'enabled: false',
    ].join('\n'),
  );
  assert.equal(
    createCommand(odd),
    'mirrorplane policy create ids-web --source web-1/0 web-2/0 --destination ids-1/0 --percent 12.5 ' +
      `--description 'it'\\''s: #1' --disabled`,
  );
  assert.match(applyCommand(odd), /^mirrorplane apply -f - <<'EOF'\nkind: Policy\n/);
  assert.match(callOf(odd, 17), /^PUT \/api\/v1\/policies\/ids-web\n.*\nIf-Match: "17"\n\n\{/s);
  assert.match(callOf(odd), /\nIf-None-Match: \*\n/);
});
