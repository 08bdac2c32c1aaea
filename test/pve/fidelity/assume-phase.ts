/** Daemons that were down or silent while a part of the recording was made, by the names of the exchanges and by their answers. */

import type { Scene } from './assume.ts';
import { pathOf, rowsOf } from './exchange.ts';

/** A real server waits 30 s; nothing is gained by waiting here. */
const SHORT_PROXY_TIMEOUT_MS = 50;

export const assumePhase = ({ pve, exchange }: Scene): void => {
  const { faults, world } = pve;
  const { status } = exchange.response;
  const name = exchange.name.toLowerCase();
  const [first, node] = exchange.raw ? [] : pathOf(exchange);
  const here = first !== 'nodes' || node === world.node;
  const unknown = exchange.raw ? [] : rowsOf(exchange).filter((row) => row.status === 'unknown');

  faults.pmxcfs = /pmxcfs (?:is )?(?:not running|down)/.test(name) ? 'stopped' : 'running';
  if (status === 595 && here) faults.pvedaemon = 'stopped';
  else if (status === 596 && here) faults.pvedaemon = 'silent';
  else if (/pvedaemon (?:is )?not running/.test(name)) faults.pvedaemon = 'stopped';
  else if (/pvedaemon hangs|pvedaemon does not answer/.test(name)) faults.pvedaemon = 'silent';
  else faults.pvedaemon = 'running';
  faults.proxyTimeoutMs = faults.pvedaemon === 'silent' ? SHORT_PROXY_TIMEOUT_MS : 30_000;
  faults.pvestatd = /before pvestatd/.test(name) || unknown.length > 0 ? 'hanging' : 'running';
};
