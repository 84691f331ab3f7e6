/** `mirrorplane events`: past events, and new ones as they come. */
import type { Event, EventGap, EventList } from '@mirrorplane/contract';
import { type Command, InvalidArgumentError } from 'commander';
import { type Context, contextOf } from '../context.ts';
import { collectIds, integerUpTo, moment, positiveInteger } from '../options.ts';
import { eventLine, eventTable } from '../output/events.ts';
import { render, show } from '../output/render.ts';
import { whileUnavailable } from '../watch.ts';

interface EventsOptions {
  follow?: boolean;
  /** The command ends after this number of followed events. Implies `follow`. */
  count?: number;
  after?: number;
  limit?: number;
  since?: string;
  kind?: string[];
  object?: string;
}

const PATH = '/events';
/** Number of past events that are shown, and below it the number with `--follow`. */
const SHOWN = 100;
const SHOWN_BEFORE = 10;
/** The most events in one answer of the controller. */
const MOST = 1000;

function eventId(text: string): number {
  if (!/^\d{1,15}$/.test(text)) {
    throw new InvalidArgumentError('use the id of an event, or 0 for all.');
  }
  return Number(text);
}

/** Adds `events`. */
export function addEventsCommand(program: Command): void {
  program
    .command('events')
    .description('show events, the newest last: changes, migrations, repairs, refusals, and who caused them')
    .option('--follow', 'print new events as they happen, until Ctrl-C')
    .option('--count <number>', 'follow, and stop after this number of events', positiveInteger)
    .option('--after <id>', 'only events after this id; 0: all stored events', eventId)
    .option(
      '--limit <number>',
      `largest number of past events, 1 to ${MOST} (default: ${SHOWN}, ${SHOWN_BEFORE} with --follow)`,
      integerUpTo(MOST),
    )
    .option('--since <time>', 'only events since this time: an age such as 10m, 2h or 1d, or an ISO 8601 time', moment)
    .option('--kind <kinds...>', 'only events of these kinds', collectIds)
    .option('--object <kind/name>', 'only events about this object, for example policy/ids-all or interface/web-1/0')
    .action(async (options: EventsOptions, command: Command) => {
      const context = contextOf(command);
      const filter = { kind: options.kind?.join(','), object: options.object };
      if (options.follow || options.count !== undefined) {
        await follow(context, options, filter);
      } else {
        const limit = options.limit ?? (options.since === undefined ? SHOWN : MOST);
        const list = await read(context, options, limit, filter);
        if (options.since !== undefined && list.items.length === limit) {
          context.note(`there may be more events: ${limit} are shown (--limit)\n`);
        }
        show(context, list, () => eventTable(list.items, context.color));
      }
    });
}

type Filter = Record<'kind' | 'object', string | undefined>;

async function read(
  context: Context,
  { after, since }: Pick<EventsOptions, 'after' | 'since'>,
  limit: number,
  filter: Filter,
): Promise<EventList> {
  const query = { ...filter, limit: String(limit), after: after?.toString(), since };
  return (await context.client.request<EventList>('GET', PATH, { query })).body;
}

/**
 * Follows events. If the controller goes away, the command waits for it, and the stream continues
 * after the last printed event.
 */
async function follow(context: Context, { after, limit, count, since }: EventsOptions, filter: Filter): Promise<void> {
  const print = (event: Event) => {
    context.print(render(context.format, event, () => eventLine(event, context.color), true));
  };
  let last: string | undefined;
  if (after === undefined) {
    const before = limit ?? (since === undefined ? SHOWN_BEFORE : MOST);
    const list = await read(context, { since }, before, filter);
    list.items.forEach(print);
    last = String(list.last);
  } else {
    last = String(after);
  }
  let left = count;
  const stop = new AbortController();
  await whileUnavailable(context, stop, (heard) =>
    context.client.stream(`${PATH}/stream`, { query: filter, lastEventId: last, signal: stop.signal }, (message) => {
      if (stop.signal.aborted) {
        return;
      }
      heard();
      last = message.id;
      if (message.data === '') {
        return;
      }
      if (message.name === 'gap') {
        return context.note(gapText(JSON.parse(message.data) as EventGap));
      }
      print(JSON.parse(message.data) as Event);
      if (left !== undefined && --left === 0) {
        stop.abort();
      }
    }),
  );
}

function gapText({ after, resumed }: EventGap): string {
  return resumed < after
    ? 'the controller has a new event log: reading continues with its first event\n'
    : `the events from ${after + 1} to ${resumed} are no longer stored\n`;
}
