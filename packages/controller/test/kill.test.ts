/**
 * A controller is killed during many writes: acknowledged changes are there, and no change is half
 * done.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import { callApi, type Reply } from './api-call.ts';
import { temporaryFolder } from './harness.ts';

/** Number of kills. `make soak` sets a higher one. */
const KILLS = Number(process.env.KILLS ?? 5);
const SEED = Number(process.env.SEED ?? 1 + Math.floor(Math.random() * 1e6));
const MAIN = path.join(import.meta.dirname, '../src/main.ts');
const WRITERS = 6;

type Body = Reply['body'];

/** Numbers from 0 to 1, always the same for one seed (Park and Miller). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/**
 * The expected policy: the last acknowledged fields. If an answer is missing, one of two states is
 * expected.
 */
interface Expected {
  /** Undefined: there is none. */
  description: string | undefined;
  revision: number;
  /** A change without an answer, which may have happened. Null: a deletion. */
  perhaps?: string | null;
}

class Cluster {
  readonly #folder: string;
  readonly #socket: string;
  #child: ChildProcess | undefined;
  #log = '';

  constructor(folder: string) {
    this.#folder = folder;
    this.#socket = path.join(folder, 'api.sock');
  }

  get data(): string {
    return path.join(this.#folder, 'data');
  }

  async start(): Promise<void> {
    this.#log = '';
    const args = [MAIN, '--data', this.data, '--listen', `unix:${this.#socket}`, '--agent-listen', '127.0.0.1:0'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.on('data', (chunk: Buffer) => {
      this.#log += chunk;
    });
    this.#child = child;
    await until(
      'the controller answers',
      async () => {
        assert.equal(child.exitCode, null, this.#log);
        return (await this.call('GET', '/readyz'))?.status === 200;
      },
      { limitMs: 60_000 },
    );
  }

  async kill(): Promise<void> {
    const child = this.#child!;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
    assert.ok(!/"level":"(error|fatal)"/.test(this.#log), this.#log);
  }

  end(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Undefined where no whole answer came. */
  async call(
    method: string,
    url: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Reply | undefined> {
    let token = '';
    try {
      token = readFileSync(path.join(this.data, 'admin-token'), 'utf8').trim();
    } catch {
      // The first start makes it.
    }
    const authorized = { authorization: `Bearer ${token}`, ...headers };
    const call = { socketPath: this.#socket, method, url, body, headers: authorized };
    return callApi(call).catch(() => undefined);
  }

  async must(method: string, url: string, body?: unknown): Promise<Body> {
    const reply = await this.call(method, url, body);
    assert.ok(reply && reply.status < 300, `${method} ${url}: ${JSON.stringify(reply)}`);
    return reply.body;
  }
}

/**
 * Writes its own policies until `stopped`, one request at a time. All writers also write one common
 * policy, by entity tag.
 */
async function write(
  cluster: Cluster,
  writer: number,
  expected: Map<string, Expected>,
  wins: Set<number>,
  random: () => number,
  stopped: () => boolean,
): Promise<void> {
  for (let n = 0; !stopped(); n++) {
    const name = `p-${writer}-${Math.floor(random() * 3)}`;
    const now = expected.get(name) ?? { description: undefined, revision: 0 };
    const description = `${writer}.${n}.${Math.floor(random() * 1e9)}`;
    const url = `/api/v1/policies/${name}`;
    const removes = now.description !== undefined && random() < 0.3;
    expected.set(name, { ...now, perhaps: removes ? null : description });
    let reply: Reply | undefined;
    if (removes) {
      reply = await cluster.call('DELETE', url);
    } else if (now.description !== undefined) {
      reply = await cluster.call('PATCH', url, { description });
    } else {
      const input = { name, description, sources: [`s-${name}`], destination: 'ids' };
      reply = await cluster.call('POST', '/api/v1/policies', input);
    }
    if (reply === undefined) {
      return;
    }
    assert.ok(reply.status < 300, `${name}: ${JSON.stringify(reply)}`);
    expected.set(
      name,
      removes ? { description: undefined, revision: 0 } : { description, revision: reply.body.revision },
    );

    const race = await cluster.call('GET', '/api/v1/policies/race');
    if (race === undefined) {
      return;
    }
    const change = { description: `${race.etag} by ${writer}` };
    const raced = await cluster.call('PATCH', '/api/v1/policies/race', change, { 'if-match': race.etag! });
    if (raced === undefined) {
      return;
    }
    assert.ok(raced.status === 200 || raced.status === 412, JSON.stringify(raced));
    if (raced.status === 200) {
      const before = Number(race.etag!.slice(1, -1));
      assert.ok(!wins.has(before), `two writers have changed revision ${before}`);
      wins.add(before);
    }
  }
}

/** Keys of the store under a prefix, with their values, read by SQLite without the controller. */
function keysOf(db: DatabaseSync, prefix: string): Map<string, { value: Body; modified: number }> {
  const rows = db.prepare('SELECT key, value, modified FROM entries WHERE key GLOB ?').all(`${prefix}*`);
  return new Map(
    rows.map((row) => [
      String(row.key).slice(prefix.length),
      { value: JSON.parse(String(row.value)), modified: Number(row.modified) },
    ]),
  );
}

/**
 * Checks the files of a killed controller. Returns the revisions of the last changes of policies.
 */
function assertWhole(data: string): number[] {
  const db = new DatabaseSync(path.join(data, 'store.db'));
  try {
    assert.deepEqual({ ...db.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' });
    const uids = new Set([...keysOf(db, 'policies/').values()].map(({ value }) => value.uid));
    const sources = [...keysOf(db, 'policies/').values()].flatMap(({ value }) => value.sources as string[]);
    assert.equal(new Set(sources).size, sources.length, 'a source belongs to one policy');
    assert.equal(uids.size, keysOf(db, 'policies/').size);
    const changes = db.prepare("SELECT DISTINCT revision FROM log WHERE key GLOB 'policies/*'").all();
    return changes.map(({ revision }) => Number(revision));
  } finally {
    db.close();
  }
}

/** Lines of a log that are whole. */
function linesOf(file: string): Body[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return [JSON.parse(line)];
      } catch {
        return [];
      }
    });
}

/** Revisions of the changes in the audit log. */
function audited(data: string): number[] {
  return linesOf(path.join(data, 'audit.log'))
    .filter(({ outcome }) => outcome === 'done')
    .map(({ revision }) => revision);
}

/** Revisions of the changes in the event log. */
function told(data: string): number[] {
  return linesOf(path.join(data, 'events.log'))
    .filter(({ event, revision }) => event && revision !== undefined)
    .map(({ revision }) => revision);
}

test(`after each of ${KILLS} kills of a controller that ${WRITERS} write to, all that it acknowledged is there, and nothing half done`, async (t) => {
  t.diagnostic(`seed ${SEED}`);
  const random = seeded(SEED);
  const cluster = new Cluster(temporaryFolder(t));
  t.after(() => cluster.end());
  await cluster.start();
  await cluster.must('PUT', '/api/v1/domains/blue', {});
  await cluster.must('PUT', '/api/v1/pools/east', { domain: 'blue' });
  for (const node of ['node-1', 'node-2']) {
    await cluster.must('PUT', `/api/v1/nodes/${node}`, { pool: 'east' });
  }
  const names = Array.from({ length: WRITERS }, (_, writer) => [0, 1, 2].map((n) => `p-${writer}-${n}`)).flat();
  for (const id of ['ids', 's-race', ...names.map((name) => `s-${name}`)]) {
    await cluster.must('PUT', `/api/v1/interfaces/${id}`, { kind: 'vm', pool: 'east' });
  }
  await cluster.must('POST', '/api/v1/policies', { name: 'race', sources: ['s-race'], destination: 'ids' });
  const expected = new Map<string, Expected>();
  const wins = new Set<number>();
  let acknowledged = 0;
  let unanswered = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    let stopped = false;
    const writing = Promise.all(
      Array.from({ length: WRITERS }, (_, writer) => write(cluster, writer, expected, wins, random, () => stopped)),
    );
    await delay(20 + random() * 400);
    await cluster.kill();
    stopped = true;
    await writing;
    const changes = assertWhole(cluster.data);
    await cluster.start();
    const { items } = await cluster.must('GET', '/api/v1/policies');
    const found = new Map<string, Body>(items.map((policy: Body) => [policy.name, policy]));
    for (const [name, { description, revision, perhaps }] of expected) {
      const policy = found.get(name);
      if (perhaps !== undefined) {
        unanswered++;
        const either = [description, perhaps === null ? undefined : perhaps];
        assert.ok(either.includes(policy?.description), `${name}: ${JSON.stringify([policy, either])}`);
      } else {
        acknowledged++;
        assert.equal(policy?.description, description, `${name} as acknowledged`);
        if (policy) {
          assert.equal(policy.revision, revision);
        }
      }
      expected.set(name, { description: policy?.description, revision: policy?.revision ?? 0 });
    }
    // Every change that happened has one line in the audit log and one event, acknowledged or not.
    for (const [log, all] of Object.entries({ 'the audit log': audited(cluster.data), events: told(cluster.data) })) {
      const revisions = new Set(all);
      assert.equal(revisions.size, all.length, `a revision is in ${log} once`);
      assert.deepEqual(
        changes.filter((revision) => !revisions.has(revision)),
        [],
        `changes that are missing in ${log}`,
      );
    }
    for (const name of found.keys()) {
      assert.ok(name === 'race' || expected.has(name), `nobody asked for ${name}`);
    }
  }
  t.diagnostic(`policies compared: ${acknowledged} as acknowledged, ${unanswered} unanswered; ${wins.size} races won`);
});
