/** What is done to drives for guests, one deed at a time: assign, eject, and keeping true what is assigned. */
import { auditEntry } from '../../audit.ts';
import type { RunCommand } from '../../ports/command.ts';
import type { Store } from '../../ports/store.ts';
import { createTurn } from '../../turn.ts';
import { type AssignPorts, createAssign } from './assign.ts';
import type { DeedPorts } from './deed-ports.ts';
import { createEject, type EjectPorts } from './eject.ts';
import { createMounting, type MountingPorts } from './mounting.ts';
import { createReconcile, type ReconcilePorts } from './reconcile.ts';
import { createRecover } from './recover.ts';

type Own = 'mounting' | 'inTurn' | 'audit' | 'recover';

export interface DeedsPorts
  extends Omit<DeedPorts, Own>,
    Omit<AssignPorts, Own>,
    Omit<EjectPorts, Own | 'run'>,
    Omit<ReconcilePorts, Own>,
    Omit<MountingPorts, 'run' | 'guests'> {
  current: ReconcilePorts['current'];
  check: EjectPorts['check'];
  sysfs: MountingPorts['sysfs'];
  guests: AssignPorts['guests'] & MountingPorts['guests'];
  run: RunCommand<'stat' | 'chown' | 'sync'>;
  store: Pick<Store, 'write'>;
}

export type Deeds = ReturnType<typeof createDeeds>;

export const createDeeds = ({ store, ...ports }: DeedsPorts) => {
  const audit: DeedPorts['audit'] = async (who, what, details) => {
    await store.write(auditEntry(ports.clock, who, what, details));
  };
  const mounting = createMounting(ports);
  const inTurn = createTurn();
  const shared = { ...ports, mounting, audit, inTurn };
  const all = { ...shared, recover: createRecover(shared) };
  return {
    assign: createAssign(all),
    eject: createEject(all),
    /** Every ten seconds, and at start. Never rejects. */
    tick: createReconcile(all).tick,
    /** For whatever else is done to drives. */
    inTurn,
  };
};
