/** An agent with a valid certificate that sends whatever it likes. */
import { generateKeyPairSync } from 'node:crypto';
import { request } from 'node:https';
import { certificateRequest } from '@mirrorplane/agent/testing';
import { type JoinToken, parseJoinToken } from '@mirrorplane/contract';
import { WebSocket } from 'ws';
import type { Target } from './target.ts';

/** What an agent needs to connect, in PEM. */
export interface Credentials {
  key: string;
  certificate: string;
  authority: string;
}

/** A POST on the agents' port, without a certificate. @returns status and text of the answer */
export function postToAgents(port: number, path: string, body: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, method: 'POST', rejectUnauthorized: false, agent: false };
    const asked = request({ ...options, timeout: 20_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (data: string) => {
        text += data;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', reject);
    });
    asked.on('timeout', () => asked.destroy(new Error('no answer within 20 s')));
    asked.on('error', reject);
    asked.end(body);
  });
}

/** Registers an agent for a node. */
export async function enrol(target: Target, node: string): Promise<Credentials> {
  const { token } = (await target.must('POST', `/api/v1/nodes/${node}/token`)) as { token: string };
  const { secret }: JoinToken = parseJoinToken(token);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const csr = certificateRequest(node, privateKey, publicKey);
  const body = JSON.stringify({ node, secret, csr });
  const { status, text } = await postToAgents(target.agentPort, '/enroll', body);
  if (status !== 200) {
    throw new Error(`/enroll: ${status} ${text}`);
  }
  return { key, ...(JSON.parse(text) as Omit<Credentials, 'key'>) };
}

/** A connection of an agent. */
export class AgentConnection {
  readonly socket: WebSocket;
  /** Set when the controller has closed it. */
  closed: { code: number; reason: Buffer } | undefined;
  /** HTTP status of a refused connection. */
  refused: number | undefined;

  private constructor(port: number, path: string, { key, certificate, authority }: Credentials) {
    const tls = { key, cert: certificate, ca: authority, servername: 'controller' };
    this.socket = new WebSocket(`wss://127.0.0.1:${port}${path}`, tls);
    this.socket.on('close', (code, reason) => {
      this.closed = { code, reason };
    });
    this.socket.on('error', () => undefined);
  }

  /** Connects. `refused` is set, or the connection is open. */
  static open(port: number, path: string, credentials: Credentials): Promise<AgentConnection> {
    const connection = new AgentConnection(port, path, credentials);
    return new Promise((resolve) => {
      connection.socket.once('open', () => resolve(connection));
      connection.socket.once('unexpected-response', (_request, response) => {
        connection.refused = response.statusCode ?? 0;
        response.destroy();
        resolve(connection);
      });
      connection.socket.once('close', () => resolve(connection));
    });
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  send(data: string | Buffer): void {
    if (this.isOpen) {
      this.socket.send(data);
    }
  }

  /** Ends it without a word. */
  end(): void {
    this.socket.terminate();
  }
}
