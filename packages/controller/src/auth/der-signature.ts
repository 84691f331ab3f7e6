/** The form of an ECDSA signature that openssl reads. */

/** The two numbers of a signature, one after the other (IEEE P1363), as DER (RFC 3279, section 2.2.3). */
export function derSignature(signature: Buffer): Buffer {
  const half = signature.length / 2;
  const body = Buffer.concat([derInteger(signature.subarray(0, half)), derInteger(signature.subarray(half))]);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}

/** A positive number of less than 127 bytes. */
function derInteger(number: Buffer): Buffer {
  let begin = 0;
  while (begin < number.length - 1 && number[begin] === 0) {
    begin++;
  }
  const digits = number.subarray(begin);
  // A first bit of 1 would make it negative.
  const sign = digits[0]! >= 0x80 ? [0] : [];
  return Buffer.from([0x02, digits.length + sign.length, ...sign, ...digits]);
}
