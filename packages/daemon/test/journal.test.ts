/** Lines of pino as the journal wants them: sd-daemon(3) has the level in front. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { journalLine, visible } from '../src/journal.ts';
import { logOptions } from '../src/log.ts';

/** What a logger writes, line by line. */
function logged(write: (log: ReturnType<typeof pino>) => void): string {
  let text = '';
  write(
    pino(logOptions('x', 'trace'), {
      write: (line: string) => {
        text += journalLine(line);
      },
    }),
  );
  return text;
}

test('every level has the number that syslog gives it', () => {
  const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
  const text = logged((log) => {
    for (const level of levels) {
      log[level](level);
    }
  });
  assert.equal(text, '<7>trace\n<7>debug\n<6>info\n<4>warn\n<3>error\n<2>fatal\n');
});

test('the context follows the message, an error with its stack in lines of the same level', () => {
  assert.equal(
    logged((log) => log.info({ node: 'n-1', ports: [1, 2] }, 'agent connected')),
    '<6>agent connected [node:n-1 ports:[1,2]]\n',
  );
  const lines = logged((log) => log.error({ err: new Error('no room') }, 'planning failed')).split('\n');
  assert.equal(lines[0], '<3>planning failed [err:no room]');
  assert.match(lines[1]!, /^<3> {4}at /);
});

test('a line break within a message begins no line of another level', () => {
  assert.equal(
    logged((log) => log.info('one\n<0>two')),
    '<6>one <0>two\n',
  );
});

test('a name with control characters is seen as it is, in both forms of a log', () => {
  const name = 'tap\u001b[2J\u009b2J\u202e';
  const line = logged((log) => log.info({ name }, 'device found'));
  assert.equal(visible(line), '<6>device found [name:tap\\u001b[2J\\u009b2J\\u202e]\n');
  let json = '';
  pino(logOptions('x', 'trace'), { write: (text: string) => (json += visible(text)) }).info({ name }, 'device found');
  assert.equal(JSON.parse(json).name, name);
  assert.doesNotMatch(json, /[^\P{Cc}\n]|\u202e/u);
});
