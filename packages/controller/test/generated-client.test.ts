/**
 * A client generated from openapi.json: it compiles, it works, and its types refuse the same
 * requests as the controller.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import openapiTS, { astToString, type OpenAPI3 } from 'openapi-typescript';
import { Bench, temporaryFolder } from './harness.ts';

const run = promisify(execFile);
const ROOT = path.join(import.meta.dirname, '../../..');
const OPTIONS = ['--strict', '--target', 'esnext', '--module', 'nodenext', '--types', 'node', '--noEmit'];
const MORE = ['--skipLibCheck', '--allowImportingTsExtensions', '--erasableSyntaxOnly', '--verbatimModuleSyntax'];

test('a client that is generated of openapi.json compiles, and manages policies of a real controller', async (t) => {
  const bench = await Bench.start(t);
  const folder = temporaryFolder(t);
  const document = (await bench.get('/api/v1/openapi.json')).body as OpenAPI3;
  writeFileSync(path.join(folder, 'api.d.ts'), astToString(await openapiTS(document, { defaultNonNullable: false })));
  copyFileSync(path.join(import.meta.dirname, 'generated-client/program.ts'), path.join(folder, 'program.ts'));
  writeFileSync(path.join(folder, 'package.json'), '{"type": "module"}');
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  const check = run(process.execPath, [compiler, ...OPTIONS, ...MORE, 'program.ts'], { cwd: folder });
  await check.catch(({ stdout }: { stdout: string }) => assert.fail(`the client does not compile:\n${stdout}`));

  const env = { ...process.env, URL: `http://${bench.controller.addresses[0]}`, TOKEN: bench.token };
  const { stdout } = await run(process.execPath, ['program.ts'], { cwd: folder, env });
  assert.deepEqual(JSON.parse(stdout), {
    created: [201, 'virtual', 100],
    again: 'ALREADY_EXISTS',
    patched: [25, 'all'],
    policies: ['ids-web'],
    state: ['waiting', ['DESTINATION_ABSENT', 'SOURCE_ABSENT']],
    none: [404, 'NOT_FOUND'],
    events: ['policyCreated ids-web', 'policyChanged ids-web'],
    sideways: ['POLICY_DIRECTION_INVALID direction'],
    unknown: ['FIELD_UNKNOWN percnt'],
    colour: ['FIELD_UNKNOWN colour'],
    nowhere: ['FIELD_INVALID destination'],
    odd: ['FIELD_INVALID'],
    deleted: 204,
  });
});
