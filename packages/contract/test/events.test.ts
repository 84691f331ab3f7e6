/** Shapes of events. */
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  AgentEventKind,
  AgentMessage,
  ControllerMessage,
  EVENT_KINDS,
  Event,
  parseEventObject,
} from '@mirrorplane/contract';

const event = {
  id: 1,
  at: '2026-01-01T00:00:00.000Z',
  kind: 'nodeConnected',
  object: { kind: 'node', name: 'node-1' },
  message: 'connected',
  cause: { kind: 'agent', name: 'node-1' },
};

test('the kinds of events are a closed list of different names, and agents tell of some of them', () => {
  assert.equal(new Set(EVENT_KINDS).size, EVENT_KINDS.length);
  for (const kind of EVENT_KINDS) {
    assert.match(kind, /^[a-z]+[A-Za-z]*$/);
  }
  for (const kind of AgentEventKind.options) {
    assert.ok((EVENT_KINDS as readonly string[]).includes(kind), kind);
  }
  assert.equal(Event.safeParse(event).success, true);
  assert.equal(Event.safeParse({ ...event, kind: 'somethingElse' }).success, false);
});

test('an event needs an object and a cause', () => {
  assert.equal(Event.safeParse({ ...event, object: undefined }).success, false);
  assert.equal(Event.safeParse({ ...event, cause: { kind: 'nobody', name: 'x' } }).success, false);
});

test('an object is read as KIND/NAME, and an id with a slash stays whole', () => {
  assert.deepEqual(parseEventObject('policy/ids-all'), { kind: 'policy', name: 'ids-all' });
  assert.deepEqual(parseEventObject('interface/web-1/0'), { kind: 'interface', name: 'web-1/0' });
  for (const text of ['policy', 'policy/', '/ids', 'planet/mars', '']) {
    assert.equal(parseEventObject(text), undefined, text);
  }
});

test('events of an agent and the answer to them are messages; a message without events is none', () => {
  const one = { seq: 1, at: event.at, kind: 'repaired', cause: 'agent', message: 'x', count: 2 };
  const message = (events: object[]) => AgentMessage.safeParse({ type: 'events', epoch: 'e', events });
  assert.equal(message([one]).success, true);
  assert.equal(message([]).success, false);
  assert.equal(message([{ ...one, kind: 'nodeConnected' }]).success, false);
  assert.equal(ControllerMessage.safeParse({ type: 'eventsTaken', epoch: 'e', seq: 1 }).success, true);
});
