/**
 * The longest stretches of work of a controller, from a profile of its CPU (`make scale PROFILE=`).
 * A stretch ends where the thread is idle, or another call of the event loop begins: as long, nothing
 * else is answered. usage: stretches.ts FILE [FROM UNTIL [MOST]], seconds of the profile
 */
import { readFileSync } from 'node:fs';

interface Frame {
  id: number;
  callFrame: { functionName: string; url: string; lineNumber: number };
  children?: number[];
}

/** As `node --cpu-prof` writes it: a sample each millisecond, and the microseconds between two. */
export interface CpuProfile {
  nodes: Frame[];
  samples: number[];
  timeDeltas: number[];
}

export interface Stretch {
  /** Seconds after the begin of the profile. */
  at: number;
  /** Milliseconds by the clock, without collections of garbage. */
  ms: number;
  /** Milliseconds in each function of the product, and in what it called. */
  within: ReadonlyMap<string, number>;
}

const GARBAGE = '(garbage collector)';

/** All stretches, the longest first. Time that others had the CPU in is a part of them. */
export function stretchesOf({ nodes, samples, timeDeltas }: CpuProfile): Stretch[] {
  const frames = new Map(nodes.map((frame) => [frame.id, frame]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const all: (Stretch & { within: Map<string, number> })[] = [];
  let [now, call]: [number, number | undefined] = [0, undefined];
  for (const [index, sample] of samples.entries()) {
    const ms = (timeDeltas[index + 1] ?? 0) / 1000;
    const stack = stackOf(sample, parents);
    const name = frames.get(sample)!.callFrame.functionName;
    now += ms;
    if (name === GARBAGE) {
      continue;
    }
    const root = stack.at(-2);
    if (root === undefined || name === '(idle)' || name === '(program)') {
      call = undefined;
      continue;
    }
    if (root !== call) {
      all.push({ at: now / 1000, ms: 0, within: new Map() });
      call = root;
    }
    const stretch = all.at(-1)!;
    stretch.ms += ms;
    for (const place of new Set(stack.flatMap((id) => placeOf(frames.get(id)!)))) {
      stretch.within.set(place, (stretch.within.get(place) ?? 0) + ms);
    }
  }
  return all.sort((a, b) => b.ms - a.ms);
}

/** A frame and those that have called it, up to the root. */
function stackOf(id: number, parents: ReadonlyMap<number, number>): number[] {
  const stack: number[] = [];
  for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
    stack.push(at);
  }
  return stack;
}

function placeOf({ callFrame: { functionName, url, lineNumber } }: Frame): string[] {
  const at = url.indexOf('/packages/');
  const file = url.slice(at + '/packages/'.length).replace('/src/', '/');
  return at < 0 ? [] : [`${functionName || '(nameless)'} ${file}:${lineNumber + 1}`];
}

/** A stretch in a line: what took a third of it or more, the outermost first. */
function lineOf({ at, ms, within }: Stretch): string {
  const parts = [...within].filter(([, part]) => part > ms / 3).sort(([, a], [, b]) => b - a);
  const places = parts.map(([place, part]) => `${place} ${part.toFixed(0)}`);
  return `${ms.toFixed(0).padStart(6)} ms at ${at.toFixed(1)} s: ${places.join(' > ')}`;
}

if (import.meta.main) {
  const [file, from = '0', until = 'Infinity', most = '20'] = process.argv.slice(2);
  const profile = JSON.parse(readFileSync(file!, 'utf8')) as CpuProfile;
  const stretches = stretchesOf(profile).filter(({ at }) => at >= Number(from) && at <= Number(until));
  const over = [10, 50, 100].map((ms) => `${stretches.filter((one) => one.ms > ms).length} above ${ms} ms`);
  console.log(`${stretches.length} stretches: ${over.join(', ')}`);
  for (const stretch of stretches.slice(0, Number(most))) {
    console.log(lineOf(stretch));
  }
}
