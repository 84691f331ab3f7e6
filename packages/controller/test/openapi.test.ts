/** That the committed openapi.json is what the routes give. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { openapiDocument, openapiText } from '../src/http/openapi.ts';
import { ROUTES } from '../src/http/routes.ts';
import { Bench } from './harness.ts';

test('the committed openapi.json is what the routes give', () => {
  const file = path.join(import.meta.dirname, '../../../docs/reference/openapi.json');
  const remedy = 'write it anew: node packages/controller/src/http/openapi.ts --write docs/reference/openapi.json';
  assert.equal(readFileSync(file, 'utf8'), openapiText(), remedy);
});

test('every reference in the document leads somewhere, and every component is used', () => {
  const document = openapiDocument();
  const text = JSON.stringify(document);
  const used = new Set([...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name));
  const { schemas } = document.components as { schemas: object };
  assert.deepEqual([...used].sort(), Object.keys(schemas).sort());
  assert.ok(!text.includes('$defs'));
});

test('every operation has its own id, and every variable of a path its parameter', () => {
  const { paths } = openapiDocument() as { paths: Record<string, Record<string, Operation>> };
  const ids = new Set<string>();
  for (const [url, operations] of Object.entries(paths)) {
    for (const { operationId, parameters = [] } of Object.values(operations)) {
      ids.add(operationId);
      const named = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => `{${name}}`);
      assert.deepEqual(named, url.match(/\{\w+\}/g) ?? [], url);
    }
  }
  assert.equal(ids.size, ROUTES.length);
});

interface Operation {
  operationId: string;
  parameters?: { name: string; in: string }[];
}

test('the examples of the document make a cluster, in the order in which its parts need each other', async (t) => {
  const bench = await Bench.start(t);
  const { schemas } = openapiDocument().components as { schemas: Record<string, { examples?: object[] }> };
  const example = (name: string, index = 0) => schemas[name]!.examples![index]!;
  await bench.must('PUT', '/api/v1/domains/dc-1', example('DomainSpec'));
  await bench.must('PUT', '/api/v1/pools/pool-a', example('PoolSpec'));
  await bench.must('PUT', '/api/v1/nodes/node-1', example('NodeSpec'));
  await bench.must('PUT', '/api/v1/interfaces/edge-1', example('InterfaceSpec'));
  for (const id of ['web-1/0', 'web-2/0', 'ids-1/0', 'db-1/0']) {
    await bench.must('PUT', `/api/v1/interfaces/${encodeURIComponent(id)}`, example('InterfaceSpec', 1));
  }
  await bench.must('POST', '/api/v1/policies', example('PolicySpec'));
  await bench.must('POST', '/api/v1/policies', example('PolicySpec', 1));
  await bench.must('PUT', '/api/v1/policies/ids-web', example('PolicyReplacement'));
  const paused = await bench.must('PATCH', '/api/v1/policies/ids-web', example('PolicyPatch'));
  assert.equal(paused.enabled, false);
  const slower = await bench.must('PATCH', '/api/v1/policies/ids-web', example('PolicyPatch', 1));
  assert.deepEqual([slower.percent, slower.enabled], [12.5, false]);
});

test('the controller serves the same document', async (t) => {
  const bench = await Bench.start(t);
  assert.deepEqual((await bench.get('/api/v1/openapi.json')).body, openapiDocument());
});
