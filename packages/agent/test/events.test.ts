/**
 * Events of an agent on their way to the controller: numbered, repeated, dropped when there are too
 * many.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import { AgentMessage, type EventsMessage, MAX_EVENTS_MESSAGE } from '@mirrorplane/contract';
import { type AgentEventDraft, EventRecorder } from '../src/controller-link/event-outbox.ts';

const event = (number: number): AgentEventDraft => ({
  kind: 'repaired',
  cause: 'agent',
  message: `repair ${number}`,
});

/** A connection that a test opens and closes, and what went over it. */
class TestOutlet {
  connected = false;
  messages: EventsMessage[] = [];
  send(message: EventsMessage) {
    assert.equal(AgentMessage.safeParse(message).success, true);
    this.messages.push(message);
  }
  /** Connects as the sync client does: the greeting goes first. */
  open(recorder: EventRecorder) {
    this.connected = true;
    for (const message of recorder.greeting()) {
      this.send(message);
    }
  }
  /** Numbers of the events that came, in order. */
  get numbers() {
    return this.messages.flatMap(({ events }) => events.map(({ seq }) => seq));
  }
}

function recording(limit?: number) {
  const recorder = new EventRecorder({ clock: () => Date.UTC(2026, 0, 1), ...(limit !== undefined && { limit }) });
  const outlet = new TestOutlet();
  recorder.connect(outlet);
  return { recorder, outlet };
}

test('events from a time without a connection go out with the next connection, numbered from 1', async () => {
  const { recorder, outlet } = recording();
  for (let number = 1; number <= 3; number++) {
    recorder.tell(event(number));
  }
  await tick();
  assert.equal(outlet.messages.length, 0);
  outlet.open(recorder);
  assert.deepEqual(outlet.numbers, [1, 2, 3]);
  assert.deepEqual(outlet.messages[0]?.events[0], { seq: 1, at: '2026-01-01T00:00:00.000Z', ...event(1) });
  assert.equal(outlet.messages[0]?.epoch, recorder.epoch);
});

test('events during a connection go out once, and events of one moment go together', async () => {
  const { recorder, outlet } = recording();
  outlet.open(recorder);
  recorder.tell(event(1));
  recorder.tell(event(2));
  await tick();
  recorder.tell(event(3));
  await tick();
  assert.deepEqual(
    outlet.messages.map(({ events }) => events.map(({ seq }) => seq)),
    [[1, 2], [3]],
  );
});

test('an event from just before a connection opened is sent on it once', async () => {
  const { recorder, outlet } = recording();
  recorder.tell(event(1));
  outlet.open(recorder);
  await tick();
  assert.deepEqual(outlet.numbers, [1]);
});

test('only events without an acknowledgement are sent again on the next connection', async () => {
  const { recorder, outlet } = recording();
  outlet.open(recorder);
  for (let number = 1; number <= 4; number++) {
    recorder.tell(event(number));
  }
  await tick();
  recorder.taken({ epoch: recorder.epoch, seq: 2 });
  recorder.taken({ epoch: 'that of another start', seq: 4 });
  assert.equal(recorder.waiting, 2);
  outlet.connected = false;
  recorder.tell(event(5));
  await tick();
  outlet.open(recorder);
  assert.deepEqual(outlet.numbers, [1, 2, 3, 4, 3, 4, 5]);
  recorder.taken({ epoch: recorder.epoch, seq: 5 });
  recorder.taken({ epoch: recorder.epoch, seq: 1 });
  assert.deepEqual(recorder.greeting(), []);
});

test('when too many wait the oldest are dropped, and the gap in the numbers shows how many', () => {
  const { recorder } = recording(10);
  for (let number = 1; number <= 25; number++) {
    recorder.tell(event(number));
  }
  assert.equal(recorder.waiting, 10);
  const [message] = recorder.greeting();
  assert.deepEqual([message?.events[0]?.seq, message?.events.at(-1)?.seq], [16, 25]);
});

test('many events go in several messages, each as large as the controller takes', () => {
  const { recorder } = recording();
  for (let number = 1; number <= MAX_EVENTS_MESSAGE + 1; number++) {
    recorder.tell(event(number));
  }
  assert.deepEqual(
    recorder.greeting().map(({ events }) => events.length),
    [MAX_EVENTS_MESSAGE, 1],
  );
});

test('another start of the agent has another epoch', () => {
  assert.notEqual(new EventRecorder().epoch, new EventRecorder().epoch);
});

test('an event that the controller would not take is never sent, and leaves a gap in the numbers', async () => {
  const invalid: string[] = [];
  const recorder = new EventRecorder({ onInvalid: ({ kind }, problem) => invalid.push(`${kind} ${problem}`) });
  const outlet = new TestOutlet();
  recorder.connect(outlet);
  recorder.tell(event(1));
  recorder.tell({ ...event(2), duplicated: -5 });
  recorder.tell(event(3));
  outlet.open(recorder);
  assert.deepEqual(outlet.numbers, [1, 3]);
  assert.equal(invalid.length, 1);
  assert.match(invalid[0]!, /repaired.*duplicated/s);
});
