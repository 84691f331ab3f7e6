/** The lines of every daemon have one form. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { logOptions } from '../src/log.ts';

test('a line has its level by name, the time as ISO 8601, the daemon, its fields and the message, and nothing of the host', () => {
  let line = '';
  const log = pino(logOptions('agent', 'info'), {
    write: (text: string) => {
      line += text;
    },
  });
  log.debug('too low');
  log.warn({ device: 'tap3', err: new Error('no such device') }, 'capture refused');
  const { time, err, ...rest } = JSON.parse(line);
  assert.deepEqual(rest, { level: 'warn', daemon: 'agent', device: 'tap3', msg: 'capture refused' });
  assert.equal(new Date(time).toISOString(), time);
  assert.equal(err.message, 'no such device');
});
