/** The operator's signature for one operation: what it says, and how it is read, strictly. RFC 7515 (JWS), RFC 8037 (Ed25519). Pure. */
import { base64url, compactVerify, importJWK } from 'jose';
import { isDurableId } from './durable-id.ts';

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

/** One that may sign, or may no more; from whoever keeps the list. */
export interface GrantKey {
  /** The raw Ed25519 public key, base64url. */
  x: string;
  name: string;
  state: 'active' | 'retired';
}

export type GrantFault = 'too-long' | 'not-a-grant' | 'header' | 'key-unknown' | 'key-retired' | 'signature' | 'claims';

/** Why it is refused; the message is for people, and fit for a guest. */
export class GrantError extends Error {
  override readonly name = 'GrantError';
  readonly reason: GrantFault;

  constructor(reason: GrantFault, sentence: string) {
    super(sentence);
    this.reason = reason;
  }
}

const COPY = 'Copy the one line that felhom-opsign printed, whole and nothing else.';

const tooLong = () => new GrantError('too-long', `This is longer than any signature (${GRANT_BYTES} bytes). ${COPY}`);
const noGrant = () => new GrantError('not-a-grant', `This is not a signature as felhom-opsign prints it. ${COPY}`);
const wrongHeader = () => new GrantError('header', 'This was not signed by felhom-opsign: it begins in another way.');
const wrongClaims = (what: string) => new GrantError('claims', `What was signed is not what felhom-opsign signs: ${what}.`);

/** RFC 7638, SHA-256, base64url. */
const KID = '[A-Za-z0-9_-]{43}';
const HEADER = new RegExp(`^\\{"alg":"EdDSA","typ":"${GRANT_TYPE.replace('+', '\\+')}","kid":"(${KID})"\\}$`);
/** 128 bits: the last of 22 characters carries but two. */
const JTI = /^[A-Za-z0-9_-]{21}[AQgw]$/;
const HOST = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$/;
const OPERATOR = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/;
/** Of the raw Ed25519 public key: the last of 43 characters carries but four bits. */
const PUBLIC_KEY = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
/** 9999-12-31: later ones are no times that can be written down. */
const LAST_SECOND = 253_402_300_799;

export const isHostScope = (text: string): boolean => HOST.test(text);
export const isOperatorName = (text: string): boolean => OPERATOR.test(text);
export const isPublicKey = (text: string): boolean => PUBLIC_KEY.test(text);

const isSecond = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= LAST_SECOND;

/** What is wrong with it, for a sentence; empty where nothing is. */
const claimsFault = ({ op, host, durable_id, iat, exp, jti, sub }: Record<string, unknown>): string => {
  if (op !== 'storage_wipe') return 'it is for another kind of operation';
  if (typeof host !== 'string' || !isHostScope(host)) return 'its host is not a host scope';
  if (typeof durable_id !== 'string' || !isDurableId(durable_id)) return 'its drive is not a durable id';
  if (!isSecond(iat) || !isSecond(exp)) return 'its times are not whole seconds';
  if (exp <= iat || exp - iat > GRANT_SECONDS)
    return `it is good for longer than ${GRANT_SECONDS / 3600} h, or for no time at all`;
  if (typeof jti !== 'string' || !JTI.test(jti)) return 'its number is not 128 bits';
  if (typeof sub !== 'string' || !isOperatorName(sub)) return "its operator's name is not a plain word";
  return '';
};

const claimsText = ({ op, host, durable_id, iat, exp, jti, sub }: GrantClaims): string =>
  JSON.stringify({ op, host, durable_id, iat, exp, jti, sub });

const headerText = (kid: string): string => JSON.stringify({ alg: 'EdDSA', typ: GRANT_TYPE, kid });

/**
 * The first two parts of a signature: what is signed, as ASCII (RFC 7515, 5.1). Throws `GrantError` for what no reader would accept.
 * The signature itself follows after a dot, base64url.
 */
export const grantText = (claims: GrantClaims, kid: string): string => {
  const fault = claimsFault({ ...claims });
  if (fault !== '') throw wrongClaims(fault);
  if (!HEADER.test(headerText(kid))) throw wrongHeader();
  return [headerText(kid), claimsText(claims)].map((text) => base64url.encode(text)).join('.');
};

/** Its one spelling only: no padding, no bits that nobody reads. */
const decoded = (part: string): Uint8Array => {
  // No bytes have 4 n + 1 characters: that is a line whose last one was left behind.
  if (!/^[A-Za-z0-9_-]+$/.test(part) || part.length % 4 === 1) throw noGrant();
  const bytes = base64url.decode(part);
  if (base64url.encode(bytes) !== part) throw noGrant();
  return bytes;
};

const textOf = (part: string): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(decoded(part));
  } catch {
    throw noGrant();
  }
};

interface Split {
  kid: string;
  payload: string;
}

const split = (text: string): Split => {
  if (text.length > GRANT_BYTES) throw tooLong();
  const [header, payload, signature, ...more] = text.split('.');
  if (header === undefined || payload === undefined || signature === undefined || more.length > 0) throw noGrant();
  // Of Ed25519, RFC 8032 5.1.6.
  if (decoded(signature).length !== 64) throw noGrant();
  const [, kid] = HEADER.exec(textOf(header)) ?? [];
  if (kid === undefined) throw wrongHeader();
  return { kid, payload: textOf(payload) };
};

const parsed = (payload: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(payload);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Answered below, as anything else that is no object.
  }
  throw wrongClaims('it cannot be read');
};

/** Written in one way only, so that nothing is in it that was not looked at: no second member of a name, no other, no fraction. */
const claimsOf = (payload: string): GrantClaims => {
  const members = parsed(payload);
  const fault = claimsFault(members);
  if (fault !== '') throw wrongClaims(fault);
  const { op, host, durable_id, iat, exp, jti, sub } = members as unknown as GrantClaims;
  const claims = { op, host, durable_id, iat, exp, jti, sub };
  if (claimsText(claims) !== payload) throw wrongClaims('it holds more, or is written in another way');
  return claims;
};

/** What it says, without asking who signed it: proves nothing. Throws `GrantError`. */
export const inspectGrant = (text: string): { claims: GrantClaims; kid: string } => {
  const { kid, payload } = split(text);
  return { kid, claims: claimsOf(payload) };
};

const verify = async (text: string, x: string): Promise<void> => {
  try {
    const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x }, 'EdDSA');
    await compactVerify(text, key, { algorithms: ['EdDSA'] });
  } catch {
    throw new GrantError(
      'signature',
      `The signature is not genuine: something in the line was changed, or it was signed with another key. ${COPY}`,
    );
  }
};

/**
 * Of one that an active key signed; times, host and drive are for the caller to judge. `keyOf`: null for a key that is not on the list.
 * Rejects (`GrantError`).
 */
export const readGrant = async (
  text: string,
  keyOf: (kid: string) => GrantKey | null,
): Promise<{ claims: GrantClaims; kid: string; name: string }> => {
  const { kid, payload } = split(text);
  const key = keyOf(kid);
  if (key === null)
    throw new GrantError('key-unknown', `It was signed with the key ${kid}, which is not among those that may sign.`);
  if (key.state === 'retired')
    throw new GrantError('key-retired', `It was signed with the key ${kid}, which is retired and may sign no more.`);
  await verify(text, key.x);
  return { claims: claimsOf(payload), kid, name: key.name };
};
