/** Rotates the authority of a folder again and again, until it is killed. Prints each step. */
import { Authority } from '../src/auth/authority.ts';

const authority = await Authority.open(process.argv[2]!, Date.now);
for (;;) {
  if (!authority.isRotating) {
    await authority.rotate();
  }
  console.log(authority.fingerprint);
  await authority.drop();
}
