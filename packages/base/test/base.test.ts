/** The tools of `base`: coalesced and serial work, durable files, closing, waiting with a limit. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  atMost,
  Closers,
  Coalesced,
  draftOf,
  piecesInTurns,
  replaceFile,
  replaceFileSync,
  Serial,
  until,
} from '../src/index.ts';

/** A promise that the test resolves. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

test('requests that come while work runs are answered by one more run, which sees what came before it', async () => {
  const gates = [gate(), gate(), gate()];
  const seen: string[] = [];
  let state = 'a';
  const work = new Coalesced(async () => {
    seen.push(state);
    await gates[seen.length - 1]!.opened;
  });
  const first = work.request();
  state = 'b';
  const others = [work.request(), work.request()];
  state = 'c';
  gates[0]!.open();
  gates[1]!.open();
  await Promise.all([first, ...others]);
  assert.deepEqual(seen, ['a', 'c']);
  assert.equal(work.busy, false);
  gates[2]!.open();
  await work.request();
  assert.deepEqual(seen, ['a', 'c', 'c']);
});

test('work that throws rejects the request, and the next request runs it again', async () => {
  let runs = 0;
  const work = new Coalesced(async () => {
    if (++runs === 1) {
      throw new Error('not now');
    }
  });
  await assert.rejects(work.request(), /not now/);
  await work.request();
  assert.equal(runs, 2);
});

test('a run begins no sooner than the pause after the end of the last one, and serves all who ask until then', async () => {
  const begun: number[] = [];
  const ended: number[] = [];
  const took: number[] = [];
  let isAsked = false;
  const slow = gate();
  const work = new Coalesced(
    async () => {
      begun.push(performance.now());
      await slow.opened;
      ended.push(performance.now());
    },
    {
      pauseMs: (tookMs) => {
        took.push(tookMs);
        return 50;
      },
    },
  );
  const first = work.request();
  setTimeout(slow.open, 20);
  await first;
  const asked = [work.request(), work.request()];
  assert.deepEqual([begun.length, work.busy], [1, true]);
  setTimeout(() => {
    isAsked = true;
    asked.push(work.request());
  }, 10);
  await until('the run after the pause', () => begun.length > 1);
  await Promise.all(asked);
  assert.equal(isAsked, true);
  assert.equal(begun.length, 2);
  // Timers may be a millisecond early. The pause is told how long each run took, the slow one at
  // least as long as its gate.
  assert.ok(begun[1]! - ended[0]! > 45, `${begun[1]! - ended[0]!} ms`);
  assert.ok(took.length === 2 && took[0]! > 15, `${took} ms`);
});

test('a run that hurries does not wait for the end of the pause, and serves those that wait', async () => {
  let runs = 0;
  const work = new Coalesced(
    async () => {
      runs++;
    },
    { pauseMs: () => 3_600_000 },
  );
  await work.request();
  const waits = work.request();
  assert.equal(runs, 1);
  await work.hurry();
  await waits;
  assert.equal(runs, 2);
  void work.request();
  assert.deepEqual([runs, work.busy], [2, true], 'the next one waits again');
  await work.close();
});

test('a run that can wait does so until another one is hurried, which serves both', async () => {
  let runs = 0;
  const work = new Coalesced(async () => {
    runs++;
  });
  const waits = work.requestWithin(3_600_000);
  void work.request();
  assert.deepEqual([runs, work.busy], [0, true]);
  await work.hurry();
  await waits;
  assert.equal(runs, 1);
  await work.requestWithin(1);
  assert.equal(runs, 2);
});

test('a run that could wait follows the one under way without waiting', async () => {
  const end = gate();
  let runs = 0;
  const work = new Coalesced(async () => {
    runs++;
    await end.opened;
  });
  void work.request();
  const next = work.requestWithin(3_600_000);
  end.open();
  await next;
  assert.equal(runs, 2);
});

test('a run that hurries while another one is under way does not wait for the pause behind that one', async () => {
  const end = gate();
  let runs = 0;
  const work = new Coalesced(
    async () => {
      runs++;
      await end.opened;
    },
    { pauseMs: () => 3_600_000 },
  );
  void work.request();
  const hurried = work.hurry();
  end.open();
  await hurried;
  assert.equal(runs, 2);
});

test('closed, no further run begins, not even one that waits for its pause', async () => {
  const first = gate();
  let runs = 0;
  const work = new Coalesced(
    async () => {
      runs++;
      await first.opened;
    },
    { pauseMs: () => 3_600_000 },
  );
  const asked = work.request();
  void work.request();
  first.open();
  await until('the pause', () => runs === 1 && work.busy);
  await work.close();
  await asked;
  await work.request();
  assert.equal(runs, 1);
});

test('work is done in the order of the calls, also after a failure', async () => {
  const serial = new Serial();
  const order: number[] = [];
  const slow = gate();
  const first = serial.run(async () => {
    await slow.opened;
    order.push(1);
    throw new Error('first');
  });
  const second = serial.run(() => order.push(2));
  slow.open();
  await assert.rejects(first, /first/);
  assert.equal(await second, 2);
  await serial.settled();
  assert.deepEqual(order, [1, 2]);
});

for (const [name, replace] of [
  ['replaceFile', replaceFile],
  ['replaceFileSync', replaceFileSync],
] as const) {
  test(`${name} replaces a file as a whole with the permissions that are asked for, and leaves no draft`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-base-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'file');
    writeFileSync(file, 'a longer text that was there before');
    await replace(file, 'new');
    assert.equal(readFileSync(file, 'utf8'), 'new');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    await replace(file, 'open', { mode: 0o644 });
    assert.equal(statSync(file).mode & 0o777, 0o644);
    assert.equal(existsSync(draftOf(file)), false);
    // A folder cannot be replaced by a file: the draft goes, the folder stays.
    await assert.rejects(async () => replace(folder, 'no'), /EISDIR|EEXIST|ENOTEMPTY/);
    assert.equal(existsSync(draftOf(folder)), false);
    assert.equal(readFileSync(file, 'utf8'), 'open');
  });
}

test('until returns the found value, also 0 and the empty text, and names the missing value at its limit', async () => {
  let looks = 0;
  assert.equal(await until('a number', () => (++looks < 3 ? undefined : 0)), 0);
  assert.equal(looks, 3);
  assert.equal(await until('a text', () => ''), '');
  await assert.rejects(
    until('the end', () => false, { limitMs: 20 }),
    /^Error: the end: not after 20 ms$/,
  );
  await assert.rejects(
    until('the signal', () => null, { signal: AbortSignal.abort(new Error('stopped')) }),
    /stopped/,
  );
});

test('atMost ends with the promise or with the limit, and never rejects', async () => {
  await atMost(Promise.reject(new Error('no matter')), 3_600_000);
  await atMost(new Promise(() => {}), 5);
});

test('resources are closed in the reverse order of opening, each of them once', async () => {
  const closed: string[] = [];
  const closers = new Closers();
  closers.add(() => closed.push('store'));
  closers.add(() => {
    closed.push('socket');
    throw new Error('socket');
  });
  await assert.rejects(closers.close(), /socket/);
  assert.deepEqual(closed, ['socket', 'store']);
  await assert.rejects(closers.close(), /socket/);
  assert.deepEqual(closed, ['socket', 'store']);
});

test('pieces that take long come in their order, and others have their turn between them', async () => {
  let turns = 0;
  let isOver = false;
  const count = () => {
    turns++;
    if (!isOver) {
      setImmediate(count);
    }
  };
  setImmediate(count);
  function* pieces() {
    for (let piece = 0; piece < 4; piece++) {
      for (const ends = performance.now() + 6; performance.now() < ends; ) {
        // Takes its time.
      }
      yield piece;
    }
  }
  const seen: number[] = [];
  for await (const piece of piecesInTurns(pieces())) {
    seen.push(piece);
  }
  isOver = true;
  assert.deepEqual(seen, [0, 1, 2, 3]);
  assert.ok(turns >= 3, `${turns} turns of others`);
});

test('a file is written in parts as it is in one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-base-'));
  try {
    const file = join(folder, 'file');
    await replaceFile(file, ['a\n', '', 'b\n'.repeat(70_000)]);
    assert.equal(readFileSync(file, 'utf8'), `a\n${'b\n'.repeat(70_000)}`);
    assert.equal(existsSync(draftOf(file)), false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
