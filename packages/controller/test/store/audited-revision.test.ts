/** The highest revision that an audit log names, as a restore takes it. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { HighestRevision } from '../../src/backup/audited-revision.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

test('the revision of an entry counts, and no number of another meaning', () => {
  const found = new HighestRevision();
  const lines = [
    { revision: 7, resource: 'policies/p' },
    { revision: 5, changes: [{ field: 'settings', after: { revision: 900 } }] },
    { detail: '"revision":800', revision: 2 ** 60 },
    { revision: '700' },
  ].map((line) => JSON.stringify(line));
  found.add('audit.log.1', base64(`${lines.join('\n')}\n{"revision":600`));
  assert.equal(found.highest, 7);
  // The rest of a line may come in the next piece, but not in another file.
  found.add('audit.log.1', base64('}\n{"revi'));
  assert.equal(found.highest, 600);
  found.add('audit.log', base64('sion":1000}\nno JSON\nnull\n{"revision":601}\n'));
  assert.equal(found.highest, 601);
  found.add('events.log', base64('{"revision":5000}\n'));
  assert.equal(found.highest, 601);
});
