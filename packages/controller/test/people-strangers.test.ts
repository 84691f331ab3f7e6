/** Strangers who guess passwords: they come in nowhere, and keep nobody out. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { Bench } from './harness.ts';
import { Guessers, makeUser, nobody, SESSION, signIn } from './people-client.ts';

/** Wrong passwords, and the addresses of the loopback network that they come from. */
const GUESSES = 10_000;
const ADDRESSES = 200;
/** Tries under way at a time. */
const AT_A_TIME = 32;

test('10,000 wrong passwords from 200 addresses keep the owner out of nothing', async (t) => {
  const bench = await Bench.start(t);
  const password = await makeUser(bench, 'alice');
  await signIn(bench, { user: 'alice', password });
  const guessers = new Guessers(bench);
  t.after(() => guessers.close());
  const answers = new Map<number, number>();
  let guess = 0;
  const work = async () => {
    while (guess < GUESSES) {
      guess++;
      const address = `127.1.${(guess % ADDRESSES) >> 4}.${(guess % ADDRESSES) % 16 || 16}`;
      const status = await guessers.try(address, { user: 'alice', password: `wrong password ${guess}` });
      answers.set(status, (answers.get(status) ?? 0) + 1);
    }
  };
  const attack = Promise.all(Array.from({ length: AT_A_TIME }, work));
  let signedIn = 0;
  let over = false;
  void attack.finally(() => {
    over = true;
  });
  do {
    const before = guess;
    await signIn(bench, { user: 'alice', password });
    signedIn++;
    await until('more guesses', () => over || guess >= before + 200, { limitMs: 60_000 });
  } while (!over);
  await attack;
  assert.ok(signedIn > 0);
  assert.equal(answers.get(201), undefined);
  assert.deepEqual([...answers.keys()].sort(), [401, 429]);
  assert.ok(answers.get(401)! <= 40, `${answers.get(401)} passwords were looked at`);
  // From an address that the owner has never used, the account has no tries left now.
  assert.equal(await guessers.try('127.9.9.9', { user: 'alice', password }), 429);
  // The audit log has the refusals summed up, and not as many lines as guesses.
  const { items } = (await bench.get('/api/v1/audit?filter=action:signIn%20outcome:refused&limit=1000')).body;
  assert.ok(items.length > 0 && items.length < 20, `${items.length} lines`);
  const other = await bench.post(SESSION, { user: 'nobody', password }, nobody);
  assert.equal(other.status, 401, 'a known address still has tries of its own for others');
});
