/**
 * Transactions that SQLite has acknowledged are there after a loss of power, for any fate of
 * unsynced writes.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'node:test';
import { afterPowerLoss, type DiskEvent, recordDisk } from '../../../../test/support/power-loss.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { temporaryFolder } from '../harness.ts';

/** Number of power losses. `make soak` sets a higher one. */
const LOSSES = process.env.SOAK ? 2000 : 40;
const SEED = Number(process.env.SEED ?? 1 + Math.floor(Math.random() * 1e6));
/** Enough for a checkpoint, after which the write-ahead log begins again. */
const TRANSACTIONS = 250;

/** Numbers from 0 to 1, always the same for one seed (Park and Miller). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** The number of the last transaction that was acknowledged before an event. */
function acknowledged(events: readonly DiskEvent[], count: number): number {
  const said = events.slice(0, count).flatMap((event) => (event.type === 'said' ? [event.text] : []));
  return Number(said.join('').trimEnd().split('\n').at(-1));
}

/** Opens the files after the loss. Returns the number of the newest transaction, or the error. */
async function examine(folder: string): Promise<number | string> {
  const file = path.join(folder, 'store.db');
  try {
    const store = openSqliteStore(file, { keepRevisions: 16 });
    const { entries, revision } = await store.range('');
    await store.close();
    const db = new DatabaseSync(file);
    const { integrity_check } = db.prepare('PRAGMA integrity_check').get() as { integrity_check: string };
    db.close();
    if (integrity_check !== 'ok') {
      return integrity_check;
    }
    const values = new Map(entries.map(({ key, value }) => [key, value]));
    const [left, right] = [Number(values.get('left') ?? 0), Number(values.get('right') ?? 0)];
    if (left !== right || left !== revision) {
      return `half a transaction: ${left}, ${right}, revision ${revision}`;
    }
    const lost = Array.from({ length: left }, (_, i) => i + 1).filter((number) => !values.has(`row/${number}`));
    return lost.length > 0 ? `rows ${lost} of ${left} are lost` : left;
  } catch (error) {
    return String(error);
  }
}

test(`SQLite: after each of ${LOSSES} losses of power every acknowledged transaction is there, and none is half done`, async (t) => {
  t.diagnostic(`seed ${SEED}`);
  const random = seeded(SEED);
  const base = temporaryFolder(t);
  const folder = path.join(base, 'data');
  mkdirSync(folder);
  const writer = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    path.join(import.meta.dirname, 'writer.ts'),
  ];
  const events = recordDisk(
    [...writer, path.join(folder, 'store.db'), String(TRANSACTIONS), '8000'],
    folder,
    path.join(base, 'trace'),
  );
  assert.equal(acknowledged(events, events.length), TRANSACTIONS);
  const carried = events.filter((event) => event.type === 'write' && event.name === 'store.db').length;
  assert.ok(carried > 100, `${carried} pages were carried into the database`);
  const found = path.join(base, 'found');
  let more = 0;
  for (let loss = 0; loss < LOSSES; loss++) {
    // Some losses while the file is made, most of them later. Unsynced writes are gone, there, or
    // half there.
    const count = Math.floor(random() * (loss % 6 === 0 ? 60 : events.length));
    const survival = [0, 1, 0.5, 0.9][Math.floor(random() * 4)]!;
    afterPowerLoss(events, count, found, { random, survival });
    const newest = await examine(found);
    const least = acknowledged(events, count);
    assert.equal(
      typeof newest,
      'number',
      `seed ${SEED}, event ${count} of ${events.length}, survival ${survival}: ${newest}`,
    );
    assert.ok(
      Number(newest) >= least && Number(newest) <= least + 1,
      `acknowledged ${least}, found ${newest}, event ${count}`,
    );
    more += Number(newest) - least;
  }
  t.diagnostic(`${events.length} events; ${more} of ${LOSSES} times the transaction under way was there too`);

  // Checks the check itself: with a disk that only pretends to sync, transactions must be missing
  // or damaged.
  let noticed = 0;
  for (let loss = 0; loss < 20; loss++) {
    const count = Math.floor((0.3 + 0.7 * random()) * events.length);
    afterPowerLoss(events, count, found, { random, survival: 0.5, honest: false });
    if (!existsSync(path.join(found, 'store.db'))) {
      noticed++;
    } else {
      const newest = await examine(found);
      if (typeof newest === 'string' || newest < acknowledged(events, count)) {
        noticed++;
      }
    }
  }
  assert.equal(noticed, 20, 'losses on a disk that does not sync are noticed');
});
