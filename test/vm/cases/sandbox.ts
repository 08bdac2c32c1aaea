/** The shipped unit hides nothing from the agent; each option that would is noticed, with real drives behind it. */
import { describe, expect, test } from 'vitest';
import type { VmHost } from '../host.ts';

/** The shipped unit, which tests itself instead of serving. Of `oneshot` the end is waited for. */
const UNIT = `sed -e 's#^ExecStart=.*#ExecStart=/usr/bin/node /usr/lib/felhom/test/vm/evidence.js self-test /run/udev /none#' \
  -e 's/^Type=.*/Type=oneshot/' -e 's/^Restart=.*/Restart=no/' -e '/^StateDirectory\\|^RuntimeDirectory/d' \
  -e 's#^\\[Service\\]#[Service]\\nStandardOutput=truncate:/run/self-test.out\\nSuccessExitStatus=SIGKILL#' \
  /etc/systemd/system/felhom-agent.service > /etc/systemd/system/self-test.service`;

const under = (option: string): string => `set -e
mkdir -p /etc/systemd/system/self-test.service.d
printf '[Service]\\n%s\\n' '${option}' > /etc/systemd/system/self-test.service.d/option.conf
systemctl daemon-reload
rm -f /run/self-test.out
systemctl start self-test || true
cat /run/self-test.out`;

const DANGEROUS = [
  ['ProcSubset=pid', 'the swap space'],
  ['PrivateDevices=yes', 'CAP_SYS_RAWIO'],
  ['DevicePolicy=closed', 'the signatures of a drive'],
  ['InaccessiblePaths=/run/udev', "udev's database"],
  ['ProtectKernelTunables=yes', 'read-only'],
  ['CapabilityBoundingSet=~CAP_SYS_PTRACE', 'CAP_SYS_PTRACE'],
  ['CapabilityBoundingSet=~CAP_DAC_READ_SEARCH', 'CAP_DAC_READ_SEARCH'],
] as const;

export const sandboxCases = (host: () => VmHost): void => {
  describe('the shipped unit', () => {
    test('the agent runs under it and changes drives', async () => {
      const { vm, drives } = host();
      expect(await vm.out('systemctl show -p ActiveState -p NRestarts felhom-agent')).toMatch(
        /^(?=.*ActiveState=active)(?=.*NRestarts=0)/s,
      );
      expect((await drives()).writes_off).toBe('');
    });

    test('hides nothing', async () => {
      const { vm } = host();
      await vm.out(UNIT);
      expect(JSON.parse(await vm.out(under('')))).toBe('');
    });

    test.each(DANGEROUS)('%s turns off whatever changes a drive', async (option, missed) => {
      const said: string = JSON.parse(await host().vm.out(under(option)));
      expect(said).toContain(missed);
      expect(said).toContain('it does nothing to drives');
    });
  });
};
