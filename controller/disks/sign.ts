/** What the operator signs and sends back: a command that is a plain word after another, and the line that it prints. Pure. */
import { Check } from 'typebox/schema';
import { isDurableId } from '#shared/durable-id';
import { HostId } from '#shared/ids';
import type { PendingOp } from './format-answer.ts';

/** Null where a part of it is more than a word: that is not printed, since somebody would run it. */
export const signCommand = ({ op, host_scope, durable_id }: PendingOp): string | null =>
  op === 'storage_wipe' && Check(HostId, host_scope) && isDurableId(durable_id) && durable_id.startsWith('byid:')
    ? `felhom-opsign -op ${op} -host ${host_scope} -durable-id ${durable_id}`
    : null;

/** Three parts of base64url (a compact JWS, RFC 7515), which is all that felhom-opsign prints. */
const GRANT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const MOST_CHARS = 8192;

/** Without the blanks and the newline that come with copying; null where it is no such line. */
export const grantLine = (text: string): string | null => {
  const line = text.trim();
  return line.length <= MOST_CHARS && GRANT.test(line) ? line : null;
};
