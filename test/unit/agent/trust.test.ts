/** The agent's identity: made once, never replaced silently. */
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Leaf, makeLeaf } from '#agent/ports/certificate';
import { stateFilesIn } from '#agent/ports/state-files';
import { base32 } from '#agent/trust/base32';
import { makeHostId } from '#agent/trust/host-id';
import { ensureIdentity, readIdentity } from '#agent/trust/identity';

let directory: string;
let made: Promise<Leaf> | undefined;
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'felhom-trust-')), 'state');
});
afterEach(() => rmSync(join(directory, '..'), { recursive: true }));

/** One real key for all tests: making it takes its time. */
const leafOnce = () => {
  made ??= makeLeaf('pve1-abc', ['10.10.10.1', 'fd00::1', 'fe80::1%vmbr0']);
  return made;
};
const ensure = (configured: string | null = null, make = leafOnce) =>
  ensureIdentity({ files: stateFilesIn(directory), makeLeaf: make, hostname: () => 'pve1.example.org' }, configured, [
    '10.10.10.1',
  ]);

test('key, certificate and host id are made once and then stay', async () => {
  const first = await ensure();
  expect(first.hostId).toMatch(/^pve1-[0-9a-hjkmnp-tv-z]{20}$/);
  expect(first.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  for (const name of ['host_id', 'tls.key', 'tls.crt']) expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  const never = () => Promise.reject(new Error('made again'));
  expect(await ensure(null, never)).toEqual(first);
  expect(await readIdentity(stateFilesIn(directory), null)).toEqual({ hostId: first.hostId, fingerprint: first.fingerprint });
  expect((await ensure('configured', never)).hostId).toBe('configured');
});

test('the certificate is its own issuer, names the host, and does not run out', async () => {
  const { certificate, key } = await leafOnce();
  const leaf = new X509Certificate(certificate);
  expect(leaf.subject).toBe('CN=pve1-abc');
  expect(leaf.issuer).toBe(leaf.subject);
  expect(leaf.verify(leaf.publicKey)).toBe(true);
  expect(leaf.ca).toBe(false);
  expect(leaf.subjectAltName).toContain('IP Address:10.10.10.1');
  expect(leaf.subjectAltName).toContain('IP Address:FD00:0:0:0:0:0:0:1');
  expect(new Date(leaf.validTo).getFullYear()).toBeGreaterThanOrEqual(9999);
  expect(leaf.publicKey.asymmetricKeyDetails?.modulusLength).toBe(3072);
  expect(key).toContain('BEGIN PRIVATE KEY');
});

test.each([
  ['tls.key', 'tls.crt'],
  ['tls.crt', 'tls.key'],
])('a missing %s stops the start and leaves %s alone', async (missing, other) => {
  await ensure();
  rmSync(join(directory, missing));
  await expect(ensure()).rejects.toThrow(new RegExp(`${missing} is missing.*Put it back from a copy`));
  expect(statSync(join(directory, other)).isFile()).toBe(true);
});

test.each(['tls.key', 'tls.crt', 'host_id'])('a spoiled %s stops the start', async (name) => {
  await ensure();
  await stateFilesIn(directory).write(name, ' spoiled ! ');
  await expect(ensure()).rejects.toThrow(/[Pp]ut (it|both) back/);
});

test('a key of another certificate stops the start', async () => {
  await ensure();
  const other = await makeLeaf('other', []);
  await stateFilesIn(directory).write('tls.key', other.key);
  await expect(ensure()).rejects.toThrow(/do not belong together/);
});

test('an identity that was never made reads as such', async () => {
  expect(await readIdentity(stateFilesIn(directory), null)).toEqual({ hostId: null, fingerprint: null });
});

test.each([
  [[], ''],
  [[0], '00'],
  [[255], 'zw'],
  [[0, 1, 2, 3, 4], '000g40r4'.slice(0, 8)],
])('base32 of %j', (bytes, text) => expect(base32(Uint8Array.from(bytes))).toBe(text));

test('host ids carry 100 random bits and a name that fits', () => {
  expect(makeHostId('PVE_1.lan', new Uint8Array(13))).toBe(`PVE1-${'0'.repeat(20)}`);
  expect(makeHostId('', new Uint8Array(13).fill(255))).toBe(`host-${'z'.repeat(20)}`);
});
