/** Modules that a command loads at its start. Each module makes every command slower. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

const MAIN = new URL('../src/main.ts', import.meta.url).pathname;

/** Prints the address of every module that is loaded. */
const HOOKS = `data:text/javascript,
  import { registerHooks } from 'node:module';
  registerHooks({
    load(url, context, next) {
      process._rawDebug('loaded ' + url);
      return next(url, context);
    },
  });`;

test('a command loads no schemas and no HTTP client before it needs them', () => {
  const argv = ['--import', HOOKS.replaceAll('\n', ''), MAIN, 'version'];
  const loaded = execFileSync('/bin/sh', ['-c', '"$0" "$@" 2>&1', process.execPath, ...argv], { encoding: 'utf8' });
  const modules = [...loaded.matchAll(/^loaded (.*)$/gm)].map(([, url]) => url!);
  assert.ok(modules.some((url) => url.endsWith('/cli/src/program.ts')));
  assert.deepEqual(
    modules.filter((url) => /node_modules\/(?!commander|yaml)|^node:https?$/.test(url)),
    [],
  );
});
