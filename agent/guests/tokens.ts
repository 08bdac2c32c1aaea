/** Guest tokens: made once, shown once, kept only as the SHA-256 of their secret part. Pure. */
import { hash, timingSafeEqual } from 'node:crypto';

/** 256 bits. */
export const SECRET_BYTES = 32;

/** `fht_<vmid>_<43 characters base64url>`. */
const TOKEN = /^fht_([1-9][0-9]{2,8})_([A-Za-z0-9_-]{43})$/;

export interface ParsedToken {
  /** As the text says; the secret alone decides whose it is. */
  vmid: number;
  secret: string;
}

export const makeToken = (vmid: number, random: Uint8Array): string => `fht_${vmid}_${Buffer.from(random).toString('base64url')}`;

export const parseToken = (text: string): ParsedToken | null => {
  const [, vmid, secret] = TOKEN.exec(text) ?? [];
  return vmid === undefined || secret === undefined ? null : { vmid: Number(vmid), secret };
};

export const hashSecret = (secret: string): Buffer => hash('sha256', secret, 'buffer');

export const sameHash = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

/** The token of an `Authorization` header; null where it holds none. RFC 6750, 2.1; the scheme's case does not matter. */
export const bearer = (header: string | undefined): string | null => {
  if (header === undefined || header.length > 512) return null;
  return /^bearer +(\S+) *$/i.exec(header)?.[1] ?? null;
};
