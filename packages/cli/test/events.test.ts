/** `mirrorplane events`. */
import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { Event, EventList } from '@mirrorplane/contract';
import { parse, parseAllDocuments } from 'yaml';
import { type SseMessage, SseParser } from '../src/sse.ts';
import { CLUSTER } from './cluster.ts';
import { Controller } from './controller.ts';
import { run } from './run.ts';

const POLICY = { name: 'ids-all', sources: ['web-1/0'], destination: 'ids-1/0' };

describe('events', () => {
  const controller = new Controller();

  before(async () => {
    await controller.start();
    assert.equal((await controller.run(['apply', '-f', '-'], { input: CLUSTER })).code, 0);
    await controller.api('POST', '/policies', POLICY);
    await assert.rejects(controller.api('POST', '/policies', { ...POLICY, name: 'other' }), /POLICY_SOURCE_IN_USE/);
  });
  after(() => controller.close());

  it('are listed with what happened, to what, and who caused it', async () => {
    const { code, stdout } = await controller.run(['events']);
    assert.equal(code, 0);
    assert.match(stdout, /^TIME +KIND +OBJECT +CAUSED BY +WHAT\n/);
    assert.match(stdout, /Z +controllerStarted +controller +controller +the controller was started\n/);
    assert.match(
      stdout,
      /policyCreated +policy\/ids-all +operator admin +the policy was created: 1 source to ids-1\/0/,
    );
    assert.match(
      stdout,
      /requestRefused +policy\/other +operator admin +the policy is refused: .*\[POLICY_INVALID\]\n/,
    );
  });

  it('are what the API sends, as JSON and YAML, and can be chosen', async () => {
    const all = await controller.json<EventList>('events', '--after', '0');
    assert.deepEqual([all.items[0]?.id, all.oldest], [1, 1]);
    const { items } = await controller.json<EventList>(
      'events',
      '--object',
      'policy/ids-all',
      '--kind',
      'policyCreated',
    );
    assert.deepEqual(
      items.map(({ kind, object }) => [kind, object.name]),
      [['policyCreated', 'ids-all']],
    );
    const yaml = await controller.run([
      'events',
      '--limit',
      '1',
      '--kind',
      'policyCreated,requestRefused',
      '-o',
      'yaml',
    ]);
    assert.equal((parse(yaml.stdout) as EventList).items[0]?.kind, 'requestRefused');
    const wrong = await controller.run(['events', '--kind', 'nonsense']);
    assert.equal(wrong.code, 3);
    assert.equal((await controller.run(['events', '--after', '-1'])).code, 2);
  });

  it('are followed as they come: those before, then each in one line, and SIGINT ends it with 0', async () => {
    let changed = false;
    const { code, stdout } = await controller.run(
      ['events', '--follow', '--limit', '2', '--kind', 'policyCreated,policyChanged'],
      {
        interruptWhen: (text) => {
          if (!changed && text.includes('policyCreated')) {
            changed = true;
            void controller.api('PATCH', '/policies/ids-all', { percent: 50 });
          }
          return text.includes('percent 100 to 50');
        },
      },
    );
    assert.equal(code, 0);
    const lines = stdout.trimEnd().split('\n');
    assert.equal(lines.length, 2);
    assert.match(lines[1]!, /^\S+Z +policyChanged +policy\/ids-all +operator admin +the policy was changed: percent/);
    const yaml = await controller.run(['events', '--count', '2', '--after', '0', '-o', 'yaml']);
    const documents = parseAllDocuments(yaml.stdout).map((document) => (document.toJS() as Event).id);
    assert.deepEqual(documents, [1, 2]);
  });

  it('are followed through a kill and a start of the controller, each once and none left out', async () => {
    const { last } = await controller.json<EventList>('events');
    const percents = [10, 20, 30, 40];
    const work = async () => {
      await controller.api('PATCH', '/policies/ids-all', { percent: percents[0] });
      await controller.api('PATCH', '/policies/ids-all', { percent: percents[1] });
      await controller.stop('SIGKILL');
      await controller.start();
      await controller.api('PATCH', '/policies/ids-all', { percent: percents[2] });
      await controller.api('PATCH', '/policies/ids-all', { percent: percents[3] });
    };
    let working: Promise<void> | undefined;
    const { code, stdout, stderr } = await controller.run(
      ['events', '--follow', '--after', String(last - 1), '-o', 'json'],
      {
        interruptWhen: (text) => {
          // The first line shows that it follows.
          if (text !== '') {
            working ??= work();
          }
          return text.includes('30 to 40');
        },
      },
    );
    await working;
    assert.equal(code, 0, stderr);
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Event);
    assert.deepEqual(
      events.map(({ id }) => id),
      events.map((_, index) => last + index),
    );
    const changes = events.slice(1).filter(({ kind }) => kind === 'policyChanged');
    assert.deepEqual(
      changes.map(({ message }) => Number(message.split(' ').at(-1))),
      percents,
    );
    assert.equal(events.filter(({ kind }) => kind === 'controllerStarted').length, 1);
    assert.equal(stderr.match(/cannot be reached/g)?.length, 1, stderr);
  });
});

describe('events that are followed', () => {
  it('show what is not kept any more, and go on after the id that came last, even one without data', async () => {
    const asked: (string | undefined)[] = [];
    const event = (id: number) => {
      const about = { kind: 'controller', name: 'controller' };
      return JSON.stringify({
        id,
        at: 'now',
        kind: 'controllerStarted',
        object: about,
        message: `m${id}`,
        cause: about,
      });
    };
    const answers = [
      (response: ServerResponse) =>
        response.end(`: hello\n\nevent: gap\nid: 7\ndata: {"after":3,"resumed":7}\n\nid: 9\n\n`),
      (response: ServerResponse) => response.end(`id: 10\ndata: ${event(10)}\n\nid: 11\nda`),
      (response: ServerResponse) => response.write(`id: 11\ndata: ${event(11)}\n\n`),
    ];
    const server = createServer((request, response) => {
      asked.push(request.headers['last-event-id'] as string | undefined);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      answers[asked.length - 1]?.(response);
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const { code, stdout, stderr } = await run(['events', '--after', '3', '--count', '2', '-o', 'json'], {
        env: { MIRRORPLANE_URL: url, MIRRORPLANE_TOKEN: 'secret' },
      });
      assert.equal(code, 0, stderr);
      assert.deepEqual(asked, ['3', '9', '10']);
      assert.deepEqual(
        stdout
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line).message),
        ['m10', 'm11'],
      );
      assert.match(stderr, /the events from 4 to 7 are no longer stored/);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('are read in whatever pieces they come', () => {
    const text = 'retry: 5\nid: 1\n\nid: 2\ndata: a\ndata: b\n\n: comment\n\nevent: gap\ndata:c\nid: 3\n\ndata: open';
    const whole: SseMessage[] = [];
    new SseParser((message) => whole.push(message)).add(text);
    const pieces: SseMessage[] = [];
    const parser = new SseParser((message) => pieces.push(message));
    for (const char of text) {
      parser.add(char);
    }
    assert.deepEqual(pieces, whole);
    assert.deepEqual(whole, [
      { name: 'message', data: '', id: '1' },
      { name: 'message', data: 'a\nb', id: '2' },
      { name: 'gap', data: 'c', id: '3' },
    ]);
  });
});
