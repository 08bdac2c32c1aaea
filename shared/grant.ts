/** The operator's signature for one operation: what it says, and how it is read, strictly. RFC 7515 (JWS), RFC 8037 (Ed25519). */

export const GRANT_TYPE = 'felhom-grant+jwt';
/** Longer ones are refused unread. */
export const GRANT_BYTES = 2048;
/** A signature is good for no longer, and clocks may differ by as much. */
export const GRANT_SECONDS = 86_400;

/** Exactly these members, in this order. */
export interface GrantClaims {
  op: 'storage_wipe';
  /** `host_scope` of the host. */
  host: string;
  durable_id: string;
  /** Seconds since 1970. */
  iat: number;
  exp: number;
  /** 128 random bits, base64url. */
  jti: string;
  /** The operator's name, as given to keygen. */
  sub: string;
}
