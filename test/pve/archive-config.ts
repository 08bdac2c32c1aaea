/** A guest's configuration as its backup keeps it. */

import { died } from './api/errors.ts';
import { mainSection } from './config-text.ts';
import type { Archive, World } from './world.ts';

/** What was kept with the archive, else what the guest's configuration says now. */
export const archiveConfig = (world: World, archive: Archive): string => {
  const guest = world.guests.get(archive.vmid);
  const text = archive.config ?? (guest ? mainSection(guest) : undefined);
  if (text === undefined) throw died(`unable to extract configuration from '${archive.volid}'`);
  return text;
};
