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
import { send } from './send.ts';
import type { Session } from './session.ts';

export interface Scene {
  pve: Pve;
  exchange: Exchange;
  index: number;
  session: Session;
  knowledge: Knowledge;
}

const PASSWORD = 'a password of the replay';

/** A ticket whose login the recording lacks is got by logging in. */
const assumeTicket = async ({ pve, exchange, session }: Scene): Promise<void> => {
  const lacking = session.lacksTicket(exchange);
  const user = lacking && pve.world.users.get(lacking.user);
  if (!lacking || !user) return;
  const before = user.password;
  user.password = PASSWORD;
  const body = Buffer.from(new URLSearchParams({ username: lacking.user, password: PASSWORD }).toString());
  const got = await send(pve.port, {
    method: 'POST',
    path: '/api2/json/access/ticket',
    headers: { 'content-length': String(body.length) },
    body,
  });
  if (before === undefined) delete user.password;
  else user.password = before;
  if (got.status !== 200) return;
  const { data } = JSON.parse(got.body) as { data: { ticket: string; CSRFPreventionToken: string } };
  session.keep(lacking.ticket, data.ticket);
  session.keep(`ticket of ${lacking.user}`, data.ticket);
  // A recorded token from another time was a wrong one.
  const [, time] = /:([0-9A-F]{8})$/.exec(lacking.ticket) ?? [];
  session.keep(`csrf ${time}:<signature>`, data.CSRFPreventionToken);
};

export const assume = async (scene: Scene): Promise<void> => {
  assumePhase(scene);
  if (scene.exchange.raw) return;
  assumeAccess(scene);
  assumeStorages(scene);
  assumeGuests(scene);
  assumeBackups(scene);
  assumeRefusal(scene);
  await assumeTasks(scene);
  await assumeTicket(scene);
};
