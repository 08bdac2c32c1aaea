/** How refusals are answered where clients in the field read a sentence only from a 200. */
import type { RefusalForm } from '../endpoint.ts';

/**
 * A GET that could not be answered because something else did not: `ok: false` in a 200. What concerns the token, its
 * rights, its rate or a second instance of its holder keeps its status.
 */
export const couldNotAsk: RefusalForm = ({ status, code }) => ({
  status: status === 409 && code !== 'duplicate-instance' ? 200 : status,
  data: null,
});
