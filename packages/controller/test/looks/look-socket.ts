/** The connection by which an agent tells what looks see. */
import type { TestContext } from 'node:test';
import { WebSocket } from 'ws';
import type { Bench } from '../harness.ts';

export class LookSocket {
  readonly #socket: WebSocket;
  closed: { code: number } | undefined;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('close', (code) => {
      this.closed = { code };
    });
  }

  /** @throws Error with the HTTP status if the controller refuses it */
  static async open(t: TestContext, bench: Bench, node: string): Promise<LookSocket> {
    const { key, certificate, authority } = bench.credentialsOf(node);
    const tls = { cert: certificate, key, ca: authority, servername: 'controller' };
    const socket = new WebSocket(`wss://127.0.0.1:${bench.controller.agentPort}/looks`, tls);
    t.after(() => socket.terminate());
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('unexpected-response', (_request, response) => {
        reject(new Error(`status ${response.statusCode}`));
        response.destroy();
      });
      socket.on('error', reject);
    });
    return new LookSocket(socket);
  }

  send(data: Uint8Array | string): void {
    this.#socket.send(data);
  }
}
