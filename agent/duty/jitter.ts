/** Each host's own delay, so that many hosts do not come to one backup server in the same minute. Pure. */
import { createHash } from 'node:crypto';

const SPREAD_MS = 3_600_000;

/** Always the same for one host. */
export const jitterOf = (hostId: string): number => createHash('sha256').update(hostId).digest().readUInt32BE(0) % SPREAD_MS;
