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

test('the controller serves the same document', async (t) => {
  const bench = await Bench.start(t);
  assert.deepEqual((await bench.get('/api/v1/openapi.json')).body, openapiDocument());
});
