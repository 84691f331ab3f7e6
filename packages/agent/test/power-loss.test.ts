/**
 * After a loss of power, the stored program of an agent is complete, and not older than the
 * acknowledged one.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { afterPowerLoss, recordDisk } from '../../../test/support/power-loss.ts';
import { ProgramFile } from '../src/host/program-file.ts';
import { programOf } from './program-writer.ts';
import { temporaryFolder } from './support.ts';

const SAVES = 20;

test('a stored program survives the loss of power at any moment: the one that was acknowledged last, or the next', async (t) => {
  const base = temporaryFolder(t);
  const folder = join(base, 'data');
  mkdirSync(folder);
  const writer = [process.execPath, join(import.meta.dirname, 'program-writer.ts'), join(folder, 'program.json')];
  const events = recordDisk([...writer, String(SAVES)], folder, join(base, 'trace'));
  const found = join(base, 'found');
  let noticed = 0;
  for (let count = 0; count <= events.length; count++) {
    const said = events.slice(0, count).flatMap((event) => (event.type === 'said' ? [Number(event.text)] : []));
    const least = said.at(-1) ?? 0;
    for (const survival of [0, 0.5, 1]) {
      afterPowerLoss(events, count, found, { random: Math.random, survival });
      const program = await new ProgramFile(join(found, 'program.json')).load();
      const revision = program?.revision ?? 0;
      assert.ok(
        revision === least || revision === least + 1,
        `acknowledged ${least}, found ${revision}, event ${count}`,
      );
      if (program) {
        assert.deepEqual(program, programOf(revision));
      }
    }
    // Checks the check itself: a disk that only pretends to sync loses the program.
    afterPowerLoss(events, count, found, { random: Math.random, survival: 0.5, honest: false });
    const lost = await new ProgramFile(join(found, 'program.json')).load().then(
      (program) => (program?.revision ?? 0) < least,
      () => true,
    );
    if (lost) {
      noticed++;
    }
  }
  assert.ok(
    noticed > events.length / 2,
    `${noticed} of ${events.length} losses on a disk that does not sync were noticed`,
  );
});
