/** Large messages on a socket that writes in pieces. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { PIECE_BYTES, writeInPieces } from '../../src/sync/write-in-pieces.ts';

/** A socket that takes one write after the other, and can take several at once. */
function fakeSocket() {
  const taken: Buffer[] = [];
  const socket = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      taken.push(chunk);
      setImmediate(done);
    },
    writev: (chunks, done) => {
      taken.push(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)));
      setImmediate(done);
    },
  });
  return { socket, taken };
}

test('no write to the socket is larger than a piece, and all arrives in order', async () => {
  const { socket, taken } = fakeSocket();
  writeInPieces(socket);
  const sent = [randomBytes(4), randomBytes(20 * PIECE_BYTES + 1), randomBytes(PIECE_BYTES), randomBytes(3)];
  socket.cork();
  for (const message of sent) {
    socket.write(message);
  }
  socket.uncork();
  socket.end('é');
  await once(socket, 'finish');
  assert.deepEqual(Buffer.concat(taken), Buffer.concat([...sent, Buffer.from('é')]));
  assert.deepEqual(
    taken.map(({ length }) => length).filter((length) => length > PIECE_BYTES),
    [],
  );
});

test('who writes is told when the last piece is written, and whether the socket has enough', async () => {
  const { socket, taken } = fakeSocket();
  writeInPieces(socket);
  const write = (text: string) =>
    new Promise<{ hasRoom: boolean; pieces: number }>((resolve) => {
      const hasRoom: boolean = socket.write(text, 'utf8', () => resolve({ hasRoom, pieces: taken.length }));
    });
  assert.deepEqual(await write('é'.repeat(3 * PIECE_BYTES)), { hasRoom: false, pieces: 6 });
  assert.deepEqual(await write('short'), { hasRoom: true, pieces: 7 });
  assert.equal(Buffer.concat(taken).toString(), `${'é'.repeat(3 * PIECE_BYTES)}short`);
});
