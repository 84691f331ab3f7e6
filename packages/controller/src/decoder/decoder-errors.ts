/** Why there is no decoder, or no more. */

/** A decoder that has ended, hangs, or says what it should not. */
export class DecoderEnded extends Error {
  override readonly name = 'DecoderEnded';
}

/** What can be missing: a decoder, or what keeps it apart. */
const MISSING = {
  tshark: 'tshark is not installed: install it on the host of the controller, as with "apt install tshark"',
  sharkd: 'sharkd is not installed: install it on the host of the controller, as with "apt install wireshark-common"',
  bubblewrap: 'bubblewrap is not installed: install it on the host of the controller, as with "apt install bubblewrap"',
  sandbox:
    'the sandbox of the decoder does not start: allow user namespaces on the host of the controller, or install the ' +
    'package of the controller, which brings a unit for decoders',
} as const;

/** The host has no decoder. The message says what is missing, and what to do. */
export class DecoderAbsent extends Error {
  override readonly name = 'DecoderAbsent';

  constructor(missing: keyof typeof MISSING) {
    super(MISSING[missing]);
  }
}
