/** Common rules of all routes: methods, query parameters, pages. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Bench, refusals } from './harness.ts';

test('a method that a path does not take is answered with 405, and Allow names those that it takes', async (t) => {
  const bench = await Bench.start(t);
  const cases = [
    ['POST', '/api/v1/domains/blue', 'GET, HEAD, PUT, DELETE'],
    ['DELETE', '/api/v1/policies', 'GET, HEAD, POST'],
    ['OPTIONS', '/api/v1/policies/p', 'GET, HEAD, PUT, PATCH, DELETE'],
    ['PATCH', '/api/v1/policies/p/status', 'GET, HEAD'],
    ['GET', '/api/v1/nodes/node-1/token', 'POST'],
    ['DELETE', '/api/v1/openapi.json', 'GET, HEAD'],
    ['POST', '/healthz', 'GET, HEAD'],
  ] as const;
  for (const [method, url, allow] of cases) {
    const reply = await bench.request(method, url);
    const found = [reply.status, reply.body.code, reply.headers.allow];
    assert.deepEqual(found, [405, 'METHOD_NOT_ALLOWED', allow], `${method} ${url}`);
  }
  const nowhere = await bench.request('POST', '/api/v1/polices');
  assert.deepEqual([nowhere.status, nowhere.headers.allow], [404, undefined]);
  const head = await bench.request('HEAD', '/api/v1/policies');
  assert.equal(head.status, 200);
});

test('every route refuses a query parameter that it does not know, and names it', async (t) => {
  const bench = await Bench.start(t);
  const { paths } = (await bench.get('/api/v1/openapi.json')).body as { paths: Record<string, object> };
  let asked = 0;
  for (const [path, operations] of Object.entries(paths)) {
    const url = path.replace('{number}', '1').replace(/\{\w+\}/g, 'x');
    for (const method of Object.keys(operations)) {
      const reply = await bench.request(method.toUpperCase(), `${url}?colour=red`);
      // A parameter that is required and missing is refused as well.
      const unknown = refusals(reply).filter((refusal) => refusal.startsWith('FIELD_UNKNOWN'));
      assert.deepEqual([reply.status, unknown], [400, ['FIELD_UNKNOWN colour']], `${method} ${url}`);
      asked++;
    }
  }
  assert.ok(asked > 25);
  const close = await bench.get('/api/v1/events?limt=3');
  assert.match(close.body.detail, /"limt" is not known: did you mean "limit"\?/);
  assert.match((await bench.get('/healthz?colour=red')).body.detail, /"colour" is not known: there are none/);
  assert.equal((await bench.get('/healthz')).status, 200);
});

test('a list comes in pages, each item once, also if items are deleted in between', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster();
  const ids = ['a', 'b', 'c/0', 'c/1', 'd'];
  await bench.declare(...ids);
  const whole = await bench.get('/api/v1/interfaces');
  assert.deepEqual([itemsOf(whole), whole.body.continue], [ids, undefined]);
  const first = await bench.get('/api/v1/interfaces?limit=2');
  assert.deepEqual(itemsOf(first), ['a', 'b']);
  await bench.must('DELETE', '/api/v1/interfaces/b');
  const second = await bench.get(`/api/v1/interfaces?limit=2&kind=vm&continue=${first.body.continue}`);
  assert.deepEqual(itemsOf(second), ['c/0', 'c/1']);
  const last = await bench.get(`/api/v1/interfaces?limit=2&continue=${second.body.continue}`);
  assert.deepEqual([itemsOf(last), last.body.continue], [['d'], undefined]);
  const exact = await bench.get(`/api/v1/interfaces?limit=1&continue=${second.body.continue}`);
  assert.deepEqual([itemsOf(exact), exact.body.continue], [['d'], undefined]);
});

function itemsOf({ body }: { body: { items: { id: string }[] } }): string[] {
  return body.items.map(({ id }) => id);
}

test('every list can be had in pages', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2');
  await bench.must('PUT', '/api/v1/domains/green', {});
  await bench.must('PUT', '/api/v1/pools/west', { domain: 'green' });
  await bench.declare('a', 'b', 'c');
  for (const [name, source] of ['pa', 'qb'].map((text) => [text[0], text[1]])) {
    await bench.must('POST', '/api/v1/policies', { name, sources: [source], destination: 'c' });
  }
  for (const list of ['policies', 'policies/status', 'interfaces', 'nodes', 'pools', 'domains']) {
    const whole = (await bench.get(`/api/v1/${list}`)).body.items;
    assert.ok(whole.length >= 2, list);
    const names: string[] = [];
    let next = '';
    for (let page = 0; page < whole.length; page++) {
      const { body } = await bench.get(`/api/v1/${list}?limit=1${next}`);
      names.push(...body.items.map((item: { id?: string; name: string }) => item.id ?? item.name));
      next = `&continue=${body.continue}`;
      assert.equal(body.continue === undefined, page === whole.length - 1, list);
    }
    assert.deepEqual(
      names,
      whole.map((item: { id?: string; name: string }) => item.id ?? item.name),
      list,
    );
  }
});

test('a page that is none is refused: limit out of range, continue from elsewhere', async (t) => {
  const bench = await Bench.start(t);
  for (const limit of ['0', '1001', 'x', '1.5']) {
    assert.deepEqual(refusals(await bench.get(`/api/v1/nodes?limit=${limit}`)), ['FIELD_INVALID limit']);
  }
  assert.deepEqual(refusals(await bench.get('/api/v1/nodes?continue=node-1!')), ['FIELD_INVALID continue']);
});
