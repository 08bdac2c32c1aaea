/** Whatever went wrong on the way to an answer, as a code of the wire and a sentence. Pure. */
import { FelhomError } from '#shared/errors';
import { forGuest } from '../ports/proxmox.ts';
import { StoreError } from '../ports/store.ts';

/** What Fastify and Node.js set on their errors. */
interface Thrown {
  code?: string;
  statusCode?: number;
  message: string;
  validation?: { instancePath: string; keyword: string; message?: string; params: { missingProperty?: string } }[];
  validationContext?: string;
}

/** Fastify's names for the parts of a request. */
const PARTS: Record<string, string> = { body: 'body', querystring: 'query', params: 'path' };

const asThrown = (error: unknown): Thrown => (error instanceof Error ? error : { message: String(error) });

const validationSentence = ({ validation = [], validationContext = '' }: Thrown): string => {
  const part = PARTS[validationContext] ?? 'request';
  const [first] = validation;
  if (first === undefined) return `The request's ${part} is not as it must be.`;
  const field = first.instancePath.slice(1).replaceAll('/', '.');
  if (first.keyword === 'required') return `The request's ${part} lacks "${first.params.missingProperty ?? ''}".`;
  const what = field === '' ? `The request's ${part}` : `"${field}" in the request's ${part}`;
  return `${what} ${first.message ?? 'is not as it must be'}.`;
};

/** Statuses that Fastify and Node.js give by themselves; any other below 500 is `invalid-request`. */
const BY_STATUS: Record<number, () => FelhomError> = {
  408: () => new FelhomError('request-timeout', 'The request did not arrive in time.'),
  413: () => new FelhomError('body-too-large', "The request's body is too large."),
  415: () => new FelhomError('unsupported-media-type', 'Send the body as JSON, with "Content-Type: application/json".'),
  431: () => new FelhomError('headers-too-large', "The request's headers are too large."),
};

/** Never fails. `internal` means a mistake in felhom: its cause belongs into the log and nowhere else. */
export const faultOf = (error: unknown): FelhomError => {
  if (error instanceof FelhomError) return error;
  const translated = forGuest(error);
  if (translated instanceof FelhomError) return translated;
  if (error instanceof StoreError) {
    return new FelhomError(
      'state-failed',
      "The agent's database failed, so nothing was done. The operator has to look at the host's disk.",
      error,
    );
  }
  const thrown = asThrown(error);
  if (thrown.validation !== undefined) return new FelhomError('invalid-request', validationSentence(thrown));
  const { statusCode = 500 } = thrown;
  const known = BY_STATUS[statusCode];
  if (known !== undefined) return known();
  if (statusCode >= 400 && statusCode < 500)
    return new FelhomError('invalid-request', 'The request cannot be read: it is not well-formed.', error);
  return new FelhomError('internal', 'The agent made a mistake while it answered. It was logged on the host.', error);
};

/** Codes of Node.js's HTTP parser and server (http.Server, `clientError`). Null: the peer does not speak HTTP, or is gone. */
export const socketFault = (code: string | undefined): FelhomError | null => {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return BY_STATUS[408]?.() ?? null;
  if (code === 'HPE_HEADER_OVERFLOW') return BY_STATUS[431]?.() ?? null;
  if (code?.startsWith('HPE_') === true)
    return new FelhomError('invalid-request', 'This is not an HTTP request that can be read.');
  return null;
};
