/** The whole command line. */
import { Command } from 'commander';
import { VERSION } from '../version.ts';
import { backupCancelCommand } from './backup-cancel.ts';
import { backupDueCommand } from './backup-due.ts';
import { backupListCommand } from './backup-list.ts';
import { backupProtectCommand } from './backup-protect.ts';
import { backupPruneCommand } from './backup-prune.ts';
import { backupRestoreCommand } from './backup-restore.ts';
import { backupRunCommand } from './backup-run.ts';
import { backupVerifyCommand } from './backup-verify.ts';
import { clockAcceptCommand } from './clock-accept.ts';
import { configCheckCommand } from './config-check.ts';
import { disksDemoteCommand } from './disks-demote.ts';
import { disksEjectCommand } from './disks-eject.ts';
import { disksListCommand } from './disks-list.ts';
import { disksReleaseCommand } from './disks-release.ts';
import { disksShowCommand } from './disks-show.ts';
import { disksSmartCommand } from './disks-smart.ts';
import { guestEnrollCommand } from './guest-enroll.ts';
import { guestListCommand } from './guest-list.ts';
import { guestRemoveCommand } from './guest-remove.ts';
import { guestRevokeCommand } from './guest-revoke.ts';
import { guestRotateCommand } from './guest-rotate.ts';
import { guestShareCommand } from './guest-share.ts';
import { identityCommand } from './identity.ts';
import type { Io } from './io.ts';
import { opsGrantCommand } from './ops-grant.ts';
import { opsListCommand } from './ops-list.ts';
import { opsPrepareCommand } from './ops-prepare.ts';
import { opsShowCommand } from './ops-show.ts';
import { problemsCommand } from './problems.ts';
import { serveCommand } from './serve.ts';
import { stateAcceptCommand } from './state-accept.ts';

export const agentProgram = (io: Io): Command =>
  new Command('felhom-agent')
    .description('looks after the guests of this Proxmox VE node: backups, health and drives')
    .version(VERSION)
    .addCommand(serveCommand(io))
    .addCommand(new Command('config').description('the configuration file').addCommand(configCheckCommand(io)))
    .addCommand(
      new Command('guest')
        .description('which guests may ask the agent; talks to the running agent')
        .addCommand(guestEnrollCommand(io))
        .addCommand(guestListCommand(io))
        .addCommand(guestRotateCommand(io))
        .addCommand(guestRevokeCommand(io))
        .addCommand(guestRemoveCommand(io))
        .addCommand(guestShareCommand(io)),
    )
    .addCommand(
      new Command('backup')
        .description('archives: what there is, what is due, and what to do; talks to the running agent')
        .addCommand(backupListCommand(io))
        .addCommand(backupDueCommand(io))
        .addCommand(backupRunCommand(io))
        .addCommand(backupCancelCommand(io))
        .addCommand(backupProtectCommand(io))
        .addCommand(backupVerifyCommand(io))
        .addCommand(backupPruneCommand(io))
        .addCommand(backupRestoreCommand(io)),
    )
    .addCommand(
      new Command('disks')
        .description('drives: what they are for, whose they are, and how they are; talks to the running agent')
        .addCommand(disksListCommand(io))
        .addCommand(disksShowCommand(io))
        .addCommand(disksDemoteCommand(io))
        .addCommand(disksReleaseCommand(io))
        .addCommand(disksEjectCommand(io))
        .addCommand(disksSmartCommand(io)),
    )
    .addCommand(
      new Command('ops')
        .description("what only the operator's signature permits: erasing a system or backup drive; talks to the running agent")
        .addCommand(opsListCommand(io))
        .addCommand(opsShowCommand(io))
        .addCommand(opsPrepareCommand(io))
        .addCommand(opsGrantCommand(io)),
    )
    .addCommand(new Command('state').description("the agent's own records").addCommand(stateAcceptCommand(io)))
    .addCommand(new Command('clock').description("the host's clock").addCommand(clockAcceptCommand(io)))
    .addCommand(problemsCommand(io))
    .addCommand(identityCommand(io));
