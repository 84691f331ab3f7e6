/** Stands in for the library `ws` at the side that dials. */
import { simulation } from '../core/simulation.ts';
import { VirtualSocket } from '../world/socket.ts';

export type { RawData } from 'ws';

export class WebSocket extends VirtualSocket {
  /** @param options.cert what the simulated agent shows in place of a certificate */
  constructor(_url: string, { cert }: { cert: string }) {
    const running = simulation();
    super(running.scheduler.current!);
    running.dial(this, cert);
  }
}
