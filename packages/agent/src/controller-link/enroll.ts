/**
 * Enrolment: the node makes its key, and the controller certifies it in exchange for a join token.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { checkServerIdentity, connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import { replaceFile } from '@mirrorplane/base';
import {
  CONTROLLER_NAME,
  type EnrollRequest,
  EnrollResponse,
  parseJoinToken,
  serverNameOf,
} from '@mirrorplane/contract';
import { certificatesIn, fingerprintOf } from '@mirrorplane/contract/certificate-text';
import { commonName, fingerprint, isOf } from './authorities.ts';
import type { Credentials } from './connection.ts';
import { certificateRequest } from './csr.ts';

/** Files below the data folder. */
export const CREDENTIAL_FILES = {
  key: 'node.key',
  certificate: 'node.crt',
  authority: 'ca.crt',
  tokenHash: 'token.sha256',
  joining: 'joining.json',
} as const;

/** Credentials on disk, and the SHA-256 of the token that was used for them. */
export interface StoredCredentials extends Credentials {
  tokenHash: string;
}

/** Milliseconds until the agent gives up a controller that does not answer. */
const TIMEOUT_MS = 10_000;
/** The largest answer, bytes. */
const MAX_ANSWER = 1 << 20;

/**
 * Enrolment was refused or must stop: another attempt does not help. After any other error, it may.
 */
export class EnrollmentError extends Error {}

/** Splits HOST:PORT. @throws EnrollmentError */
export function parseController(controller: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(controller);
  const port = Number(match?.[3]);
  if (!match || port < 1 || port > 65535) {
    throw new EnrollmentError(`controller "${controller}" does not have the form HOST:PORT`);
  }
  return { host: (match[1] ?? match[2])!, port };
}

/**
 * Credentials of an earlier enrolment. Undefined without one.
 * @throws EnrollmentError if the certificate belongs to another node
 */
export async function loadCredentials(data: string, node: string): Promise<StoredCredentials | undefined> {
  const read = (name: string) => readFile(join(data, name), 'utf8');
  let credentials: StoredCredentials;
  try {
    const [key, certificate, authority, tokenHash] = await Promise.all([
      read(CREDENTIAL_FILES.key),
      read(CREDENTIAL_FILES.certificate),
      read(CREDENTIAL_FILES.authority),
      read(CREDENTIAL_FILES.tokenHash),
    ]);
    credentials = { key, certificate, authority, tokenHash };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
  const name = commonName(credentials.certificate);
  if (name !== node) {
    throw new EnrollmentError(
      `${data} holds the certificate of node "${name}", not of "${node}": use another directory`,
    );
  }
  return credentials;
}

/**
 * True if the credentials are valid now, and the token is the one that was used for them. Another
 * token requests a new enrolment: the node was registered again, or has another controller now.
 */
export function credentialsFit(stored: StoredCredentials, token: string | undefined, now = new Date()): boolean {
  if (new Date(new X509Certificate(stored.certificate).validTo) <= now) {
    return false;
  }
  return token === undefined || stored.tokenHash === hashOf(token);
}

/**
 * Enrols the node and stores its credentials in `data`. The secret is sent only to a controller
 * with a certificate of the authority that the token names.
 * @throws EnrollmentError if this is another controller, or it refuses
 */
export async function enroll(options: {
  node: string;
  controller: string;
  token: string;
  data: string;
}): Promise<StoredCredentials> {
  const { secret, fingerprint: pinned } = readToken(options.token);
  const { host, port } = parseController(options.controller);
  const pinnedAuthority = await fetchAuthority(host, port, pinned);
  const tokenHash = hashOf(options.token);
  const privateKey = await joiningKey(options.data, tokenHash);
  const publicKey = createPublicKey(privateKey);
  const csr = certificateRequest(options.node, privateKey, publicKey);
  const body: EnrollRequest = { node: options.node, secret, csr };
  const answer = await post({ host, port, pinned, authority: pinnedAuthority }, body);
  const { certificate, authority } = EnrollResponse.parse(JSON.parse(answer));
  if (!certificatesIn(authority).some((one) => fingerprint(one) === pinned)) {
    throw new EnrollmentError('the controller answered with an authority that is not the authority of the token');
  }
  if (!isOf(certificate, { node: options.node, key: privateKey, authority })) {
    throw new EnrollmentError('the controller answered with a certificate that is not for this node');
  }
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  // The certificate is removed first and written last, because a node without it counts as not
  // enrolled.
  await rm(join(options.data, CREDENTIAL_FILES.certificate), { force: true });
  await replaceFile(join(options.data, CREDENTIAL_FILES.key), key);
  await replaceFile(join(options.data, CREDENTIAL_FILES.authority), authority, { mode: 0o644 });
  await replaceFile(join(options.data, CREDENTIAL_FILES.tokenHash), tokenHash);
  await replaceFile(join(options.data, CREDENTIAL_FILES.certificate), certificate, { mode: 0o644 });
  await rm(join(options.data, CREDENTIAL_FILES.joining), { force: true });
  return { key, certificate, authority, tokenHash };
}

/**
 * The key to join with. It is kept until there is a certificate for it: an answer that gets lost has used
 * up the token, and the controller gives it once more to this key alone.
 */
async function joiningKey(data: string, tokenHash: string): Promise<KeyObject> {
  const file = join(data, CREDENTIAL_FILES.joining);
  try {
    const kept = JSON.parse(await readFile(file, 'utf8')) as { tokenHash: string; key: string };
    if (kept.tokenHash === tokenHash) {
      return createPrivateKey(kept.key);
    }
  } catch {
    // There is none, or none that can be used: a new one is as good.
  }
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  await replaceFile(file, JSON.stringify({ tokenHash, key }));
  return privateKey;
}

function readToken(token: string) {
  try {
    return parseJoinToken(token);
  } catch (error) {
    throw new EnrollmentError((error as Error).message);
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token.trim()).digest('hex');
}

/**
 * The authority's certificate from the controller, if its fingerprint is the pinned one. This
 * connection sends no data and proves nothing else. The next connection verifies the whole chain
 * with this certificate.
 */
async function fetchAuthority(host: string, port: number, pinned: string): Promise<string> {
  const socket = await dial(host, port, pinned);
  try {
    const seen = new Set<string>();
    for (let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true); certificate?.raw; ) {
      const print = fingerprintOf(certificate.raw);
      if (print === pinned) {
        return new X509Certificate(certificate.raw).toString();
      }
      if (seen.has(print)) {
        break;
      }
      seen.add(print);
      certificate = certificate.issuerCertificate;
    }
  } finally {
    socket.destroy();
  }
  throw new EnrollmentError(
    `${host}:${port} is not the controller of the token: none of its certificates has the fingerprint ${pinned}; the secret was not sent`,
  );
}

function dial(host: string, port: number, pinned: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, servername: serverNameOf(pinned), rejectUnauthorized: false });
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`${host}:${port} does not answer`)));
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`${host}:${port} closed the connection`)));
  });
}

/** A controller. */
interface PostTarget {
  host: string;
  port: number;
  /** Fingerprint of the authority that the token names. */
  pinned: string;
  /** The certificate of that authority, PEM. */
  authority: string;
}

/** Sends a request to the controller that `authority` certifies. Returns the body of the answer. */
function post({ host, port, pinned, authority }: PostTarget, body: EnrollRequest): Promise<string> {
  const text = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host,
        port,
        method: 'POST',
        path: '/enroll',
        ca: authority,
        servername: serverNameOf(pinned),
        // The name chooses the authority. That of the controller is always the same.
        checkServerIdentity: (_name, certificate) => checkServerIdentity(CONTROLLER_NAME, certificate),
        minVersion: 'TLSv1.3',
        agent: false,
        timeout: TIMEOUT_MS,
        headers: {
          host: isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on('data', (chunk: Buffer) => {
          length += chunk.length;
          if (length > MAX_ANSWER) {
            response.destroy(new Error('the answer of the controller is too long'));
          }
          chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () => {
          const answer = Buffer.concat(chunks).toString();
          const status = response.statusCode ?? 0;
          if (status >= 200 && status < 300) {
            resolve(answer);
          } else {
            reject(refusal(status, answer));
          }
        });
      },
    );
    call.on('timeout', () => call.destroy(new Error(`${host}:${port} does not answer`)));
    call.on('error', (error: NodeJS.ErrnoException) => {
      const untrusted = /CERT|SELF_SIGNED|ALTNAME|UNABLE_TO/.test(error.code ?? '');
      reject(
        untrusted ? new EnrollmentError(`the certificate of ${host}:${port} is refused: ${error.message}`) : error,
      );
    });
    call.end(text);
  });
}

function refusal(status: number, answer: string): Error {
  let detail = answer.slice(0, 200);
  try {
    const body = JSON.parse(answer) as { detail?: unknown };
    if (typeof body.detail === 'string') {
      detail = body.detail;
    }
  } catch {
    // Not a problem document: the text is shown as it is.
  }
  const message = `the controller refused to enrol the node (HTTP ${status}): ${detail}`;
  return status >= 400 && status < 500 ? new EnrollmentError(message) : new Error(message);
}
