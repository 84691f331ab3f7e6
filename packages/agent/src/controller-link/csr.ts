/** Makes a PKCS #10 certificate request (RFC 2986), signed with the key of the node. */
import { type KeyObject, sign } from 'node:crypto';

const SEQUENCE = 0x30;
const SET = 0x31;
const OBJECT_IDENTIFIER = 0x06;
const UTF8_STRING = 0x0c;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
/** The empty, implicitly tagged list of attributes that a request must have. */
const NO_ATTRIBUTES = Buffer.from([0xa0, 0]);
/** 2.5.4.3, commonName. */
const COMMON_NAME = Buffer.from('550403', 'hex');
/** 1.2.840.10045.4.3.2, ecdsa-with-SHA256. */
const ECDSA_WITH_SHA256 = Buffer.from('2a8648ce3d040302', 'hex');

function der(tag: number, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 0x80) {
    return Buffer.concat([Buffer.from([tag, body.length]), body]);
  }
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  const significant = length.subarray(length.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.from([tag, 0x80 | significant.length]), significant, body]);
}

/**
 * The request in PEM for subject CN = `commonName`.
 * @param privateKey an ECDSA key, P-256
 */
export function certificateRequest(commonName: string, privateKey: KeyObject, publicKey: KeyObject): string {
  const subject = der(
    SEQUENCE,
    der(SET, der(SEQUENCE, der(OBJECT_IDENTIFIER, COMMON_NAME), der(UTF8_STRING, Buffer.from(commonName)))),
  );
  const version = der(INTEGER, Buffer.from([0]));
  const info = der(SEQUENCE, version, subject, publicKey.export({ type: 'spki', format: 'der' }), NO_ATTRIBUTES);
  const signature = sign('sha256', info, privateKey);
  const algorithm = der(SEQUENCE, der(OBJECT_IDENTIFIER, ECDSA_WITH_SHA256));
  const request = der(SEQUENCE, info, algorithm, der(BIT_STRING, Buffer.from([0]), signature));
  const lines = request.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}
