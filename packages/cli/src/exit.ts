/** Exit codes of the command, and the errors that carry them. */

/** Every exit code with its meaning; shown by `--help` and in docs/reference/cli.md. */
export const EXIT_CODES = {
  ok: { code: 0, meaning: 'done' },
  unexpected: {
    code: 1,
    meaning: 'unexpected error, of the command or of the controller; or "audit verify" found a fault',
  },
  usage: { code: 2, meaning: 'wrong usage: unknown command or option, unreadable value or file' },
  refused: { code: 3, meaning: 'refused by a rule; every reason is printed (HTTP 400, 422)' },
  notFound: { code: 4, meaning: 'the resource does not exist (HTTP 404)' },
  conflict: {
    code: 5,
    meaning: 'the resource exists already, is in use, or has changed in the meantime (HTTP 409, 412)',
  },
  denied: { code: 6, meaning: 'not authenticated or not allowed (HTTP 401, 403), or the token cannot be read' },
  unavailable: { code: 7, meaning: 'the controller cannot be reached or is not ready (HTTP 502, 503, 504)' },
  notActive: {
    code: 10,
    meaning: '"policy status --exit-code" found a policy that is not active, or "status --exit-code" a problem',
  },
  testFailed: {
    code: 12,
    meaning: '"policy test" found a size of copies that does not reach the destination, or cannot say',
  },
  differs: { code: 11, meaning: '"diff" found changes that "apply" would make' },
} as const;
export type Exit = keyof typeof EXIT_CODES;

/**
 * An error that ends the command with a message for the operator, and with the exit code of `exit`.
 */
export class CliError extends Error {
  readonly exit: Exit;
  constructor(exit: Exit, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.exit = exit;
  }
}

/** The exit code for an HTTP status of 400 and above. */
export function exitOfStatus(status: number): Exit {
  switch (status) {
    case 401:
    case 403:
      return 'denied';
    case 404:
      return 'notFound';
    case 409:
    case 412:
    case 428:
      return 'conflict';
    case 502:
    case 503:
    case 504:
      return 'unavailable';
    default:
      return status >= 400 && status < 500 ? 'refused' : 'unexpected';
  }
}
