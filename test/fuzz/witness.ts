/**
 * Another client of the controller, on a thread of its own: how long its requests take while others
 * are fuzzing.
 */
import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/** What the witness saw. Times in milliseconds. */
export interface Testimony {
  requests: number;
  median: number;
  worst: number;
  /** What went wrong, one text for each request. */
  failures: string[];
}

interface Options {
  port: number;
  token: string;
}

/** Milliseconds between requests. */
const PAUSE_MS = 20;
/** Milliseconds that a request may take, on a busy machine. */
const LIMIT_MS = 15_000;
const PATHS = ['/api/v1/policies?limit=10', '/api/v1/nodes', '/readyz', '/api/v1/interfaces?sort=-name'];

/** Begins to ask. */
export class Witness {
  readonly #worker: Worker;

  constructor(options: Options) {
    this.#worker = new Worker(import.meta.filename, { workerData: { port: options.port, token: options.token } });
    // It does not keep a process alive whose test has failed.
    this.#worker.unref();
  }

  /** Ends it. @returns what it saw */
  async end(): Promise<Testimony> {
    this.#worker.ref();
    const told = new Promise<Testimony>((resolve, reject) => {
      this.#worker.once('message', resolve);
      this.#worker.once('error', reject);
    });
    this.#worker.postMessage('end');
    const testimony = await told;
    await this.#worker.terminate();
    return testimony;
  }
}

/** Asks once, on a connection of its own. @returns the status */
function ask({ port, token }: Options, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    const asked = request({ host: '127.0.0.1', port, path, headers, agent: false, timeout: LIMIT_MS }, (response) => {
      response.once('end', () => resolve(response.statusCode ?? 0));
      response.once('error', reject);
      response.resume();
    });
    asked.once('timeout', () => asked.destroy(new Error(`no answer within ${LIMIT_MS} ms`)));
    asked.once('error', reject);
    asked.end();
  });
}

async function watch(options: Options): Promise<void> {
  const times: number[] = [];
  const failures: string[] = [];
  let ended = false;
  parentPort!.once('message', () => {
    ended = true;
  });
  for (let at = 0; !ended; at++) {
    const path = PATHS[at % PATHS.length]!;
    const began = performance.now();
    const status = await ask(options, path).catch((error: Error) => error.message);
    times.push(performance.now() - began);
    if (status !== 200) {
      failures.push(`${path}: ${status}`);
    }
    await pause(PAUSE_MS);
  }
  times.sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)] ?? 0;
  parentPort!.postMessage({ requests: times.length, median, worst: times.at(-1) ?? 0, failures } satisfies Testimony);
}

if (!isMainThread) {
  await watch(workerData as Options);
}
