/** What is said where nothing is known of the archives. */
import { forGuest } from '#agent/ports/proxmox';
import { FelhomError } from '#shared/errors';

export const nothingKnown = () =>
  new FelhomError('not-known', "This guest's archives could not be listed. Please try again in a minute.");

/** Proxmox's own words stay in the cause. */
export const unanswered = (error: unknown): unknown => {
  const told = forGuest(error);
  return told instanceof FelhomError ? told : new FelhomError('not-known', nothingKnown().message, error);
};
