/** The one error that felhom's programs raise on purpose: a stable code and a sentence fit for the customer. */

/** Every code of the wire and the HTTP status it is answered with. Endpoints may answer a refusal in a form of their own (endpoint.ts). */
export const ERROR_STATUS = {
  'invalid-request': 400,
  'token-missing': 401,
  'token-unknown': 401,
  'token-revoked': 401,
  'token-superseded': 401,
  'token-wrong-guest': 401,
  'scope-missing': 403,
  'needs-confirmation': 403,
  'operator-needed': 403,
  'not-found': 404,
  'method-not-allowed': 405,
  'request-timeout': 408,
  'backup-not-possible': 409,
  'backup-slot-busy': 409,
  'drive-ambiguous': 409,
  'drive-in-use': 409,
  'drive-not-answering': 409,
  'drive-not-found': 409,
  'drive-protected': 409,
  'drive-too-small': 409,
  'drive-unknown-owner': 409,
  'drive-writes-off': 409,
  'duplicate-instance': 409,
  'filesystem-not-supported': 409,
  'format-failed': 409,
  'format-running': 409,
  'grant-refused': 409,
  'grants-off': 409,
  'guest-already-enrolled': 409,
  'guest-elsewhere': 409,
  'guest-not-enrolled': 409,
  'guest-not-found': 409,
  'held-too-early': 409,
  'held-too-late': 409,
  'mount-failed': 409,
  'mount-option-refused': 409,
  'mount-point-refused': 409,
  'not-assigned': 409,
  'not-yours': 409,
  'proxmox-failed': 409,
  'proxmox-permission': 409,
  'proxmox-unreachable': 409,
  'not-known': 409,
  'op-not-found': 409,
  'op-not-prepared': 409,
  'state-failed': 409,
  'too-many-ops': 409,
  'body-too-large': 413,
  'unsupported-media-type': 415,
  'backup-too-soon': 429,
  'rate-limited': 429,
  'too-many-streams': 429,
  'headers-too-large': 431,
  internal: 500,
} as const;
export type ErrorCode = keyof typeof ERROR_STATUS;

/** What a refusal tells beside its sentence, where its endpoint's answer has a place for it. */
export interface RefusalDetails {
  /** Guests that would lose something by what was asked. */
  dependentGuests?: readonly number[];
  /** Of `needs-confirmation`: the id that confirms, and the whole drive's kernel name. */
  needsConfirmation?: { durableId: string; device: string };
  /** Of `operator-needed`: what the operator is to sign. */
  pendingOp?: { id: string; op: 'storage_wipe'; hostScope: string; durableId: string; fstype: string; device: string };
}

export class FelhomError extends Error {
  override readonly name = 'FelhomError';
  readonly code: ErrorCode;
  readonly details: RefusalDetails;

  /** `message` is shown to the customer: no paths, no stderr, no secrets. What the log needs goes into `cause`. */
  constructor(code: ErrorCode, message: string, cause?: unknown, details: RefusalDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }
}
