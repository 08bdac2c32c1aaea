/** The admin API: each endpoint and the service call that answers it. */
import type { Guests } from '../guests/service.ts';
import type { AdminHandlers } from './routes.ts';

export const adminHandlers = (guests: Guests): AdminHandlers => ({
  listGuests: () => guests.list(),
  enrollGuest: ({ params }) => guests.enroll(Number(params.vmid)),
  rotateGuest: ({ params, body }) => guests.rotate(Number(params.vmid), body.overlap_seconds),
  revokeGuest: ({ params }) => guests.revoke(Number(params.vmid)),
  removeGuest: ({ params }) => guests.remove(Number(params.vmid)),
});
