/** The host's id: what operator grants are bound to, and the certificate's name. */
import { base32 } from './base32.ts';

/** 100 random bits, so that no two hosts share an id, however they are named or cloned. */
export const HOST_ID_BYTES = 13;
const HOST_ID_CHARS = 20;

/** `pve1` and random bytes as `pve1-k3v7q2m5xw8r4t6y9zbc`. */
export const makeHostId = (hostname: string, random: Uint8Array): string => {
  const name =
    hostname
      .split('.')[0]
      ?.replaceAll(/[^A-Za-z0-9-]/g, '')
      .replace(/^-+/, '')
      .slice(0, 63) ?? '';
  return `${name === '' ? 'host' : name}-${base32(random).slice(0, HOST_ID_CHARS)}`;
};
