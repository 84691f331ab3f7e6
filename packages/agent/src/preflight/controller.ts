/**
 * Checks whether the controller is reachable. This never fails a host, because an agent waits for
 * its controller.
 */
import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import { parseController } from '../controller-link/enroll.ts';
import { reason } from '../log.ts';
import { type Check, ok, warning } from './check.ts';

/** The longest time of an answer, milliseconds. */
const TIMEOUT_MS = 3000;

export interface ControllerFacts {
  /** HOST:PORT. */
  controller: string;
  /** Address of the name. Undefined: the name is unknown. */
  address: string | undefined;
  /** Why there is no address or no connection. Undefined: a connection was made. */
  refused: string | undefined;
}

/** Looks up the name, and opens a TCP connection without sending data. */
export async function readController(controller: string): Promise<ControllerFacts> {
  const { host, port } = parseController(controller);
  try {
    const { address } = await lookup(host);
    return { controller, address, refused: await connectTo(address, port) };
  } catch (error) {
    return { controller, address: undefined, refused: reason(error) };
  }
}

/** Why no connection can be made. Undefined: it can. */
function connectTo(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: TIMEOUT_MS });
    const end = (refused: string | undefined) => {
      socket.destroy();
      resolve(refused);
    };
    socket.once('connect', () => end(undefined));
    socket.once('timeout', () => end(`no answer within ${TIMEOUT_MS / 1000} s`));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}

/** One result for all: a warning where one of them cannot be reached. */
export function judgeControllers(all: readonly ControllerFacts[]): Check {
  const checks = all.map(judgeController);
  const [first, ...more] = checks.filter(({ state }) => state !== 'ok');
  if (first === undefined) {
    return ok('controller', checks.map(({ found }) => found).join('; '));
  }
  return { ...first, found: [first, ...more].map(({ found }) => found).join('; ') };
}

export function judgeController({ controller, address, refused }: ControllerFacts): Check {
  if (address === undefined) {
    const remedy = 'correct --controller, the DNS or /etc/hosts';
    return warning('controller', `the host of ${controller} cannot be resolved: ${refused}`, remedy);
  }
  if (refused === undefined) {
    return ok('controller', `${controller} can be reached`);
  }
  return warning(
    'controller',
    `${controller} (${address}) cannot be reached: ${refused}`,
    'start the controller with --agent-listen on an address that this node can reach, and allow TCP in firewalls',
  );
}
