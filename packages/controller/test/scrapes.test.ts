/** Many scrapes at once, of one user and of several. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { MOST_OF_USER, Scrapes } from '../src/auth/scrapes.ts';

test('a user has few scrapes at once, another one has places of its own, and one that ends gives its place back', async () => {
  const scrapes = new Scrapes();
  let running = 0;
  const scrape = async () => {
    assert.equal(++running, 1, 'one after the other');
    await new Promise(setImmediate);
    running--;
    return { contentType: 'text/plain', text: Readable.from(['a', 'b']) };
  };
  const open = await Promise.all(Array.from({ length: MOST_OF_USER }, () => scrapes.run('one', scrape)));
  await assert.rejects(scrapes.run('one', scrape), /4 scrapes of yours are under way/);
  await scrapes.run('other', scrape);
  // One whose reader has gone, and one that was read.
  open[0]!.text.destroy();
  await once(open[0]!.text, 'close');
  const next = await scrapes.run('one', scrape);
  await assert.rejects(scrapes.run('one', scrape), /under way/);
  assert.deepEqual(await next.text.toArray(), ['a', 'b']);
  const fails = async () => {
    throw new Error('no memory');
  };
  await assert.rejects(scrapes.run('one', fails), /no memory/);
  await scrapes.run('one', scrape);
  await assert.rejects(scrapes.run('one', scrape), /under way/);
});

test('a scrape that nobody reads gives its place back', async () => {
  const scrapes = new Scrapes(20);
  const scrape = async () => ({ contentType: 'text/plain', text: Readable.from(['a']) });
  for (let count = 0; count < MOST_OF_USER; count++) {
    await scrapes.run('one', scrape);
  }
  const again = () => scrapes.run('one', scrape).catch(() => undefined);
  await until('a place', again, { limitMs: 5000 });
});
