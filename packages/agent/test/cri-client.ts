/**
 * The few calls of the CRI (v1) that a test needs, as a kubelet makes them: gRPC on a unix socket.
 */
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';

const SERVICE = '/runtime.v1.RuntimeService';

/** A varint of protocol buffers. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value > 0x7f; value >>>= 7) {
    bytes.push((value & 0x7f) | 0x80);
  }
  return Buffer.from([...bytes, value]);
}

/** A field that is a string, or a message. */
function field(number: number, value: string | Buffer): Buffer {
  const content = Buffer.from(value as string);
  return Buffer.concat([varint((number << 3) | 2), varint(content.length), content]);
}

/** Calls a method. @throws Error with what the runtime says where it refuses */
function call(socket: string, method: string, message: Buffer): Promise<Buffer> {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(message.length, 1);
  const session = connectHttp2('http://cri', { createConnection: () => connect(socket) });
  return new Promise<Buffer>((resolve, reject) => {
    session.on('error', reject);
    const request = session.request({
      ':method': 'POST',
      ':path': `${SERVICE}/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const parts: Buffer[] = [];
    let status: Record<string, unknown> = {};
    request.on('response', (headers) => {
      status = headers;
    });
    request.on('trailers', (trailers) => {
      status = trailers;
    });
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('error', reject);
    request.on('end', () => {
      if (status['grpc-status'] === '0') {
        resolve(Buffer.concat(parts).subarray(header.length));
      } else {
        reject(new Error(`${method}: ${status['grpc-message']}`));
      }
    });
    request.end(Buffer.concat([header, message]));
  }).finally(() => session.close());
}

/** What a kubelet says of a pod. */
export interface Pod {
  name: string;
  namespace: string;
  /** Of the life of the pod. */
  uid: string;
  /** What the author of the pod has written. */
  annotations?: Record<string, string>;
}

/** Makes the sandbox of a pod. Gives its id. */
export async function runPodSandbox(socket: string, pod: Pod): Promise<string> {
  const metadata = Buffer.concat([field(1, pod.name), field(2, pod.uid), field(3, pod.namespace)]);
  const annotations = Object.entries(pod.annotations ?? {}).map(([key, value]) =>
    field(7, Buffer.concat([field(1, key), field(2, value)])),
  );
  const config = Buffer.concat([field(1, metadata), field(2, pod.name), ...annotations, field(8, Buffer.alloc(0))]);
  const answer = await call(socket, 'RunPodSandbox', field(1, config));
  // One field of a length that fits into a byte.
  return answer.subarray(2).toString();
}

/** Stops and removes the sandbox of a pod. */
export async function removePodSandbox(socket: string, id: string): Promise<void> {
  for (const method of ['StopPodSandbox', 'RemovePodSandbox']) {
    await call(socket, method, field(1, id));
  }
}
