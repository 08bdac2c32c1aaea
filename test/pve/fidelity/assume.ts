/** Brings the simulator to the state that one exchange assumes, inferred from what the recording says. */

import type { Pve } from '../server.ts';
import { assumeAccess } from './assume-access.ts';
import { assumeBackups } from './assume-backups.ts';
import { assumeGuests } from './assume-guests.ts';
import { assumePhase } from './assume-phase.ts';
import { assumeRefusal } from './assume-refusal.ts';
import { assumeStorages } from './assume-storages.ts';
import { assumeTasks } from './assume-tasks.ts';
import type { Exchange } from './exchange.ts';
import type { Knowledge } from './knowledge.ts';
import type { Session } from './session.ts';

export interface Scene {
  pve: Pve;
  exchange: Exchange;
  index: number;
  session: Session;
  knowledge: Knowledge;
}

export const assume = async (scene: Scene): Promise<void> => {
  assumePhase(scene);
  if (scene.exchange.raw) return;
  assumeAccess(scene);
  assumeStorages(scene);
  assumeGuests(scene);
  assumeBackups(scene);
  assumeRefusal(scene);
  await assumeTasks(scene);
};
