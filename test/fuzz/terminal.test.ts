/**
 * What agents, guests and operators choose reaches no terminal as a control sequence: every command
 * that shows it, in every format.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { ROOT } from '../../packaging/paths.ts';
import { AgentConnection, enrol } from './agent.ts';
import { Target } from './target.ts';

/** It clears the screen in three ways, sets the title, hides what follows, and turns the text. */
const EVIL = 'evil\u001b[2J\u009b2J\u001bc\u001b]0;t\u0007\u001b[8m\r\u007f\u202e';
const CONTROLS = /[^\P{Cc}\n]|[\u202a-\u202e\u2066-\u2069]/u;
const FORMATS = ['table', 'wide', 'json', 'yaml', 'name'];

let target: Target;
let agent: AgentConnection;
before(async () => {
  target = await Target.start();
  agent = await AgentConnection.open(target.agentPort, '/sync', await enrol(target, 'node-1'));
  const send = (message: object) => agent.send(JSON.stringify(message));
  const underlay = { device: 'e\u001b[2J\u009b', address: '10.0.0.1', mtu: 1600 };
  send({ type: 'hello', protocol: 1, node: 'node-1', agentVersion: EVIL, kernel: EVIL, underlay });
  const device = {
    name: 't\u001b[2J\u009b2J',
    ifindex: 7,
    mac: EVIL,
    mtu: 1500,
    up: true,
    linkType: EVIL,
    altNames: [EVIL],
    warning: EVIL,
  };
  const identity = { kind: 'vm', id: 'evil-1/0', name: EVIL, network: EVIL, provider: 'alias' };
  const other = { name: 'u\u009b2J', ifindex: 8, identityError: EVIL, notMirrorable: { guest: EVIL } };
  send({
    type: 'inventory',
    underlay,
    devices: [
      { ...device, identity },
      { ...device, ...other },
    ],
  });
  send({ type: 'status', appliedRevision: 1, captures: [], problems: [{ code: EVIL, message: EVIL }] });
  const event = { seq: 1, at: new Date().toISOString(), kind: 'repaired', cause: 'agent', message: EVIL, code: EVIL };
  send({ type: 'events', epoch: 'e', events: [event] });
  await until('the event is there', async () => (await target.text('/api/v1/events?kind=repaired')).includes('evil'));
  await target.must('POST', '/api/v1/policies', {
    name: 'p1',
    description: EVIL,
    sources: ['evil-1/0', 'web-1/0'],
    destination: 'ids-1/0',
  });
});
after(async () => {
  agent?.end();
  await target?.close();
});

/** Runs a command. @returns all that it prints */
function run(...args: string[]): Promise<string> {
  const env = { ...process.env, MIRRORPLANE_URL: `http://127.0.0.1:${target.port}`, MIRRORPLANE_TOKEN: target.token };
  return new Promise((resolve) => {
    execFile(join(ROOT, 'bin/mirrorplane'), args, { env, timeout: 60_000 }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
}

/** Commands that show what others chose, and whether it has to be seen in each of them. */
const COMMANDS: string[][] = [
  ['node', 'list'],
  ['node', 'show', 'node-1'],
  ['interface', 'list'],
  ['interface', 'show', 'evil-1/0'],
  ['policy', 'list'],
  ['policy', 'show', 'p1'],
  ['policy', 'status', 'p1'],
  ['events'],
];

for (const command of COMMANDS) {
  test(`mirrorplane ${command.join(' ')} shows names of others without control characters`, async () => {
    const shown = await Promise.all(FORMATS.map((format) => run(...command, '-o', format)));
    for (const [at, text] of shown.entries()) {
      assert.doesNotMatch(text, CONTROLS, `${FORMATS[at]}: ${JSON.stringify(text.slice(0, 500))}`);
      assert.notEqual(text, '');
    }
    assert.match(shown[2]!, /evil/, 'the name is seen');
  });
}

test('errors quote arguments and refusals without control characters', async () => {
  const commands = [
    ['policy', 'show', EVIL],
    ['policy', 'create', EVIL, '--source', EVIL, '--destination', EVIL],
    ['interface', 'show', EVIL],
    [EVIL],
    ['policy', `--${EVIL}`],
    ['apply', '-f', `/${EVIL}`],
    ['--url', EVIL, 'policy', 'list'],
    ['events', '--object', EVIL],
  ];
  for (const text of await Promise.all(commands.map((command) => run(...command)))) {
    assert.notEqual(text, '');
    assert.doesNotMatch(text, CONTROLS, JSON.stringify(text));
  }
});
