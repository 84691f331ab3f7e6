/**
 * A real controller in a real folder, a client of its API, and agents that connect to it over TLS.
 */
import '../src/auth/reflect.ts';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import {
  type AgentMessage,
  type AuthorityMessage,
  type CaptureStatus,
  type CertificateMessage,
  type ControllerMessage,
  type CounterReading,
  type Device,
  type LookOrder,
  type NodeProgram,
  type Problem,
  parseJoinToken,
  type ReportingMessage,
  type TestsMessage,
} from '@mirrorplane/contract';
import { heldParts, withDifference } from '@mirrorplane/contract/program-difference';
import { createLog } from '@mirrorplane/daemon';
import * as x509 from '@peculiar/x509';
import { WebSocket } from 'ws';
import { type Controller, type ControllerOptions, startController } from '../src/index.ts';
import { assertDocumented } from './documented.ts';

/** A folder that is removed with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'mirrorplane-controller-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

// biome-ignore lint/suspicious/noExplicitAny: what a test reads from an answer, it asserts.
type Body = any;

export interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  body: Body;
}

export interface RequestOptions {
  headers?: Record<string, string>;
  token?: string | undefined;
}

export class Bench {
  readonly data: string;
  controller!: Controller;
  /** Milliseconds that the controller's clock is ahead. */
  ahead = 0;
  readonly #agents: TestAgent[] = [];
  readonly #credentials = new Map<string, Credentials>();
  readonly #options: Partial<ControllerOptions>;

  private constructor(data: string, options: Partial<ControllerOptions>) {
    this.data = data;
    this.#options = options;
  }

  /**
   * @param ahead milliseconds that the controller's clock is ahead
   * @param options of the controller
   */
  static async start(t: TestContext, ahead = 0, options: Partial<ControllerOptions> = {}): Promise<Bench> {
    const bench = new Bench(temporaryFolder(t), options);
    bench.ahead = ahead;
    t.after(() => bench.stop());
    await bench.restart();
    return bench;
  }

  /** The client of a controller that another process runs in this folder. */
  static at(data: string, controller: Pick<Controller, 'addresses' | 'agentPort'>): Bench {
    const bench = new Bench(data, {});
    bench.controller = { ...controller, planningFor: () => 0, close: async () => undefined };
    return bench;
  }

  async stop(): Promise<void> {
    for (const agent of this.#agents.splice(0)) {
      agent.close();
    }
    await this.controller?.close();
  }

  /** Closes a running controller, and starts one in the same folder. */
  async restart(): Promise<void> {
    await this.controller?.close();
    this.controller = await startController({
      data: this.data,
      listen: ['127.0.0.1:0'],
      agentListen: '127.0.0.1:0',
      logger: createLog('controller', process.env.V ? 'debug' : 'silent'),
      clock: () => Date.now() + this.ahead,
      ...this.#options,
    });
  }

  get token(): string {
    return readFileSync(path.join(this.data, 'admin-token'), 'utf8').trim();
  }

  /** One request. `body` is sent as JSON, or unchanged if it is text. */
  async request(method: string, url: string, body?: unknown, options: RequestOptions = {}): Promise<Reply> {
    const [host, port] = this.controller.addresses[0]!.split(':');
    const token = 'token' in options ? options.token : this.token;
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const headers = {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(text !== undefined && { 'content-type': 'application/json' }),
      ...options.headers,
    };
    const request = httpRequest({ host, port, method, path: url, headers, agent: false });
    request.end(text);
    const reply = await readReply(request);
    assertDocumented(method, url, reply);
    return reply;
  }

  get(url: string): Promise<Reply> {
    return this.request('GET', url);
  }

  put(url: string, body: unknown, options?: RequestOptions): Promise<Reply> {
    return this.request('PUT', url, body, options);
  }

  post(url: string, body?: unknown, options?: RequestOptions): Promise<Reply> {
    return this.request('POST', url, body, options);
  }

  /** A change that has to succeed. */
  async must(method: string, url: string, body?: unknown): Promise<Body> {
    const reply = await this.request(method, url, body);
    assert.ok(reply.status < 300, `${method} ${url}: ${reply.status} ${reply.text}`);
    return reply.body;
  }

  /** Host of the port for agents: a controller of another process may have an address of its own. */
  get #host(): string {
    const [host] = this.controller.addresses[0]?.split(':') ?? [];
    return host?.startsWith('127.') ? host : '127.0.0.1';
  }

  /** One domain, one pool, and these nodes in it. */
  async cluster(...nodes: string[]): Promise<void> {
    await this.must('PUT', '/api/v1/domains/blue', {});
    await this.must('PUT', '/api/v1/pools/east', { domain: 'blue' });
    for (const node of nodes) {
      await this.must('PUT', `/api/v1/nodes/${node}`, { pool: 'east' });
    }
  }

  /** A cluster of these nodes, whose agents are connected and have said hello. */
  async agents<N extends string[]>(...nodes: N): Promise<{ [K in keyof N]: TestAgent }> {
    await this.cluster(...nodes);
    const agents: TestAgent[] = [];
    for (const node of nodes) {
      const agent = await this.connect(await this.credentials(node));
      agent.hello(node);
      agents.push(agent);
    }
    return agents as { [K in keyof N]: TestAgent };
  }

  /** Declares VM interfaces of pool east. */
  async declare(...ids: string[]): Promise<void> {
    for (const id of ids) {
      await this.must('PUT', `/api/v1/interfaces/${encodeURIComponent(id)}`, { kind: 'vm', pool: 'east' });
    }
  }

  async joinToken(node: string): Promise<string> {
    return (await this.must('POST', `/api/v1/nodes/${node}/token`)).token;
  }

  /** POST /enroll, without looking at the controller's certificate. */
  enroll(body: unknown): Promise<Reply> {
    return this.agentRequest('/enroll', body);
  }

  /** A request to the agents' port, without looking at the controller's certificate. */
  async agentRequest(path: string, body: unknown, { key, certificate }: Partial<Credentials> = {}): Promise<Reply> {
    const text = JSON.stringify(body);
    const request = httpsRequest({
      host: this.#host,
      port: this.controller.agentPort,
      method: 'POST',
      path,
      rejectUnauthorized: false,
      ...(certificate && { key, cert: certificate }),
      agent: false,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
    });
    request.end(text);
    return readReply(request);
  }

  /** Enrols an agent for a node. */
  async credentials(node: string): Promise<Credentials> {
    const { secret } = parseJoinToken(await this.joinToken(node));
    const { csr, key } = await certificateRequest(node);
    const reply = await this.enroll({ node, secret, csr });
    assert.equal(reply.status, 200, reply.text);
    const credentials = { key, ...reply.body };
    this.#credentials.set(node, credentials);
    return credentials;
  }

  /** The credentials that a node got last. */
  credentialsOf(node: string): Credentials {
    return this.#credentials.get(node)!;
  }

  /** Connects an agent; resolves when the socket is open. */
  async connect(credentials: Partial<Credentials>, from?: string): Promise<TestAgent> {
    const agent = new TestAgent(this.controller.agentPort, credentials, this.#host, from);
    this.#agents.push(agent);
    await agent.opened;
    return agent;
  }
}

async function readReply(request: ReturnType<typeof httpRequest>): Promise<Reply> {
  const [response] = await once(request, 'response');
  let text = '';
  for await (const chunk of response) {
    text += chunk;
  }
  const isJson = /[/+]json\b/.test(response.headers['content-type'] ?? '');
  return {
    status: response.statusCode,
    headers: response.headers,
    text,
    body: isJson && text !== '' ? JSON.parse(text) : undefined,
  };
}

export interface Credentials {
  key: string;
  certificate: string;
  authority: string;
}

/** A key and a certificate request for a name. */
export async function certificateRequest(name: string): Promise<{ csr: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: algorithm,
  });
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { csr: request.toString('pem'), key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') };
}

/** The other end of the sync protocol, over mutual TLS. */
export class TestAgent {
  readonly socket: WebSocket;
  /** Programs that it was sent whole. */
  readonly programs: NodeProgram[] = [];
  /** The program that it has: the last whole one, with the differences that it was sent. */
  has: NodeProgram | undefined;
  /** Types of the messages that have to do with programs, and bytes of all of them. */
  readonly kinds: string[] = [];
  bytes = 0;
  /** It confirms each program as running in the kernel, and captures this. */
  confirms = true;
  captures: CaptureStatus[] = [];
  /** Numbers of events that the controller has acknowledged. */
  readonly eventsTaken: number[] = [];
  /** Tests as the controller has sent them. */
  readonly tests: TestsMessage[] = [];
  /** Readings of counters that the controller has saved. */
  readonly countersSaved: CounterReading[] = [];
  /** How it was asked to report. */
  readonly reporting: ReportingMessage[] = [];
  /** Lists of looks that came. */
  readonly looks: LookOrder[][] = [];
  /** Certificates that the controller has sent. */
  readonly certificates: CertificateMessage[] = [];
  /** Authorities that it was told to trust. */
  readonly authorities: AuthorityMessage[] = [];
  readonly opened: Promise<void>;
  closed: { code: number; reason: string } | undefined;

  constructor(
    port: number,
    { certificate, key, authority }: Partial<Credentials>,
    host = '127.0.0.1',
    localAddress?: string,
  ) {
    const own = { ...(certificate && { cert: certificate, key }), ...(localAddress && { localAddress }) };
    const tls = { ...own, ca: authority, servername: 'controller' };
    this.socket = new WebSocket(`wss://${host}:${port}/sync`, tls);
    this.socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as ControllerMessage;
      if (message.type === 'program' || message.type === 'programDifference' || message.type === 'partsWanted') {
        this.kinds.push(message.type);
        this.bytes += String(data).length;
        this.#take(message);
      } else if (message.type === 'eventsTaken') {
        this.eventsTaken.push(message.seq);
      } else if (message.type === 'tests') {
        this.tests.push(message);
      } else if (message.type === 'looks') {
        this.looks.push(message.looks);
      } else if (message.type === 'certificate') {
        this.certificates.push(message);
      } else if (message.type === 'authority') {
        this.authorities.push(message);
      } else if (message.type === 'reporting') {
        this.reporting.push(message);
      } else if (message.type === 'countersSaved') {
        this.countersSaved.push({ run: message.run, readAt: message.readAt });
      }
    });
    this.socket.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) };
    });
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('open', resolve);
      this.socket.once('unexpected-response', (_request, response) => {
        reject(new Error(`status ${response.statusCode}`));
        response.destroy();
      });
      this.socket.on('error', reject);
    });
  }

  get program(): NodeProgram | undefined {
    return this.programs.at(-1);
  }

  #take(message: Extract<ControllerMessage, { type: 'program' | 'programDifference' | 'partsWanted' }>): void {
    if (message.type === 'partsWanted') {
      this.send({ type: 'programWanted', ...(this.has && { have: heldParts(this.has) }) });
      return;
    }
    if (message.type === 'program') {
      this.programs.push(message.program);
      this.has = message.program;
    } else {
      this.has = withDifference(this.has!, message.difference) ?? assert.fail('a difference to another program');
    }
    if (this.confirms) {
      const appliedRevision = this.has.revision;
      this.send({ type: 'status', appliedRevision, captures: this.captures, problems: [] });
    }
  }

  send(message: AgentMessage | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  hello(node: string, more: object = {}): void {
    const number = Number(node.split('-')[1] ?? 1);
    const underlay = { device: 'eth1', address: `10.0.0.${number}`, mtu: 1600 };
    this.send({ type: 'hello', protocol: 1, node, agentVersion: '0.1.0', kernel: '6.12.0', underlay, ...more });
  }

  inventory(...devices: Device[]): void {
    this.send({ type: 'inventory', devices });
  }

  close(): void {
    this.socket.terminate();
  }
}

/** A device with the identity of a VM's interface. */
export function vmDevice(id: string, ifindex: number, more: Partial<Device> = {}): Device {
  return {
    name: `tap${ifindex}`,
    ifindex,
    mac: `02:00:00:00:00:${ifindex.toString(16).padStart(2, '0')}`,
    mtu: 1500,
    up: true,
    linkType: 'tun',
    identity: { kind: 'vm', id, name: id, provider: 'alias' },
    ...more,
  };
}

/** Codes of the refusals of a problem, with their fields. */
export function refusals(reply: Reply): string[] {
  return (reply.body as Problem).errors.map(({ code, field }) => `${code} ${field}`);
}
