/**
 * Which passwords are accepted, after NIST SP 800-63B-4, 3.1.1: long enough to be the only factor,
 * not among those that everybody tries, and no rules about kinds of characters. Pure.
 */

/** Characters of a password: the least and the most. */
export const MIN_PASSWORD = 15;
export const MAX_PASSWORD = 256;

/**
 * What people take who have to write 15 characters: the long ones of public lists of stolen
 * passwords, in small letters without spaces and hyphens.
 */
const COMMON = new Set([
  '123456789abcdef',
  '1q2w3e4r5t6y7u8i9o0p',
  '1qaz2wsx3edc4rfv',
  '1qaz2wsx3edc4rfv5tgb',
  'abcdefghijklmnopqrstuvwxyz',
  'administrator123',
  'adminadministrator',
  'adminpassword123',
  'changemechangeme',
  'changethispassword',
  'correcthorsebatterystaple',
  'defaultpassword',
  'iloveyousomuch123',
  'letmeinletmein123',
  'mypasswordispassword',
  'mypassword123456',
  'password12345678',
  'password123456789',
  'password1234567890',
  'passwordpassword123',
  'passwordpassword1',
  'p@ssw0rdp@ssw0rd',
  'p@ssw0rd12345678',
  'qazwsxedcrfvtgb',
  'qazwsxedcrfvtgbyhnujm',
  'qwertyuiop12345',
  'qwertyuiop123456',
  'qwertyuiop1234567890',
  'qwertyuiopasdfg',
  'qwertyuiopasdfghjkl',
  'qwertyuiopasdfghjklzxcvbnm',
  'thisismypassword',
  'trustno1trustno1',
  'welcome123456789',
  'welcomewelcome1',
  'zaq12wsxcde34rfv',
  'zxcvbnmasdfghjkl',
]);

/** Rows of keys and other sequences that people write, forwards or backwards. */
const SEQUENCES = ['abcdefghijklmnopqrstuvwxyz', '01234567890123456789012345', 'qwertyuiopasdfghjklzxcvbnm'];

/** Repeated parts of at most this many characters are no more than one of them. */
const MAX_REPEATED = 8;

/**
 * Why a password is not accepted, with the remedy. Undefined: it is.
 * @param name of the user
 */
export function passwordProblem(password: string, name: string): string | undefined {
  const characters = [...password.normalize('NFKC')];
  if (characters.length < MIN_PASSWORD) {
    return `the password has ${characters.length} characters: use at least ${MIN_PASSWORD}, for example five words`;
  }
  if (characters.length > MAX_PASSWORD) {
    return `the password has ${characters.length} characters: use at most ${MAX_PASSWORD}`;
  }
  const plain = plainOf(password);
  if (COMMON.has(plain) || isSequence(plain)) {
    return 'the password is among those that are tried first: use another one, for example five words';
  }
  if (isRepeated(plain)) {
    return 'the password repeats one short part: use another one, for example five words';
  }
  const rest = [plainOf(name), 'mirrorplane', 'password', 'admin'].reduce(
    (text, word) => text.replaceAll(word, ''),
    plain,
  );
  if (rest.length < MIN_PASSWORD / 2) {
    return 'the password is made of words that everybody can guess: use another one, for example five words';
  }
  return undefined;
}

function plainOf(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[\s_-]/g, '');
}

function isSequence(plain: string): boolean {
  const backwards = [...plain].reverse().join('');
  return SEQUENCES.some((sequence) => sequence.includes(plain) || sequence.includes(backwards));
}

function isRepeated(plain: string): boolean {
  for (let length = 1; length <= MAX_REPEATED; length++) {
    const part = plain.slice(0, length);
    if (plain === part.repeat(Math.ceil(plain.length / length)).slice(0, plain.length)) {
      return true;
    }
  }
  return false;
}
