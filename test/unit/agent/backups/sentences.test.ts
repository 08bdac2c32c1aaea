/** What customers are told never carries paths or raw output. */
import { expect, test } from 'vitest';
import { failureSentence, refusalSentence, warningForGuest } from '#agent/backups/sentences';
import { ProxmoxError } from '#agent/ports/proxmox';

test.each([
  ['job errors', ["can't acquire lock '/var/run/vzdump.lock' (wait = 0)"], 'Another backup is running'],
  ['job errors', ['VM is locked (suspended)'], 'has locked this guest'],
  ["could not get storage information for 'x': storage 'x' does not exist", [], 'storage is not available'],
  [
    "could not activate storage 'usb': unable to activate storage 'usb' - directory is expected to be a mount point",
    [],
    'not available',
  ],
  [
    "command 'tar cpf - …' failed: zstd: error 70 : Write error : No space left on device (cannot write compressed block)",
    [],
    'is full',
  ],
  ['Permission check failed (/vms/101, VM.Backup)', [], 'refused felhom a right'],
  ['unexpected status', [], 'its task ended without a result'],
  ['interrupted by signal', [], 'interrupted on the host'],
  ['There is a max backup limit of 3 enforced by the target storage', [], 'its own rules'],
  ['job errors', ["command '/usr/bin/tar --weird /etc/shadow' failed: exit code 2"], 'journal says why'],
])('%s %j', (exitstatus, errors, words) => {
  const sentence = failureSentence({ errors }, exitstatus);
  expect(sentence).toContain(words);
  expect(sentence).not.toMatch(/[/\\]|exit code/);
});

test.each([
  [0, 'read ECONNREFUSED', 'did not answer'],
  [595, 'Connection refused', 'did not answer'],
  [403, 'Permission check failed (/storage/bak, Datastore.AllocateSpace)', 'refused felhom a right'],
  [401, 'Authentication failed!', 'refused felhom a right'],
  [200, 'guest not on this node', 'not on this host'],
  [400, 'Parameter verification failed.', 'refused to start'],
])('a refusal with %d %s', (status, message, words) => {
  const error = new ProxmoxError({ method: 'POST', path: '/nodes/pve1/vzdump', status, message, effect: 'never' });
  expect(refusalSentence(error)).toContain(words);
});

test("a warning's paths are taken out", () => {
  expect(warningForGuest("unable to add notes - opening '/srv/bak/dump/x.notes' failed: Read-only file system")).toBe(
    "unable to add notes - opening '…' failed: Read-only file system",
  );
});
